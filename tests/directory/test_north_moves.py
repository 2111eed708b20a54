"""R24: an endpoint that servers know by another address registers anew, even if the process ends right then."""

from bridge.relay.model import RelayState
from tests.store.asking import rows


async def relay_row(directory, record):
    return (await rows(directory.store, record.id)).relay


async def test_a_new_server_makes_the_next_update_be_refused_in_the_same_commit(directory, draft):
    made = await directory.add(draft(servers=("leshan",)))
    assert await relay_row(directory, made) is None
    await directory.update(made.name, servers=("coiote",))
    found = await relay_row(directory, made)
    assert isinstance(found, RelayState)
    assert found.refuse_update


async def test_other_changes_refuse_nothing(directory, draft):
    made = await directory.add(draft(servers=("leshan",)))
    await directory.update(made.name, default_ttl=60.0)
    assert await relay_row(directory, made) is None
