"""Bodies of messages are encrypted in databases under `store_key`, and nobody who uses the store notices."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.config import parse
from bridge.delivery.rows import Insert, Update
from bridge.errors import ConfigurationError
from bridge.service import sealing
from bridge.service.progress import Progress
from bridge.service.sealing import sealed
from bridge.store.contract import Store
from bridge.store.sealing import NO_SEAL, SEALED, Seal
from bridge.store.sql import resealing
from bridge.store.sql.store import SqlStore
from tests.store.asking import rows
from tests.store.conftest import DRAFTS
from tests.store.stores import KINDS

KEYS = [bytes([number]) * 32 for number in range(3)]
SECRETS = {name: b"\xffplanted " + name.encode() for name in ("body", "split_from", "uplink_body", "reply_body")}
PERSISTENT = [name for name in KINDS if name != "in memory"]

Open = Callable[..., Awaitable[Store]]


@pytest.fixture(params=PERSISTENT)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Every kind of store with a database."""
    kind = KINDS[request.param](tmp_path)
    yield kind
    kind.end()


@pytest.fixture
async def opened(stores: Any, tmp_path: Path) -> AsyncIterator[Open]:
    """Open the store as the service does, with these settings; the one before is closed."""
    there: list[Store] = []

    async def open_(**service: str) -> Store:
        if there:
            await there.pop().close()
        lines = "\n".join(f'{name} = "{value}"' for name, value in service.items())
        there.append(await stores.open())
        await sealed(there[0], parse(f"[service]\n{lines}\n", "bridge.toml", tmp_path))
        return there[0]

    yield open_
    for store in there:
        await store.close()


async def fill(store: Store, downlink: Any, uplink: Any) -> None:
    """Keep messages with secrets in each column that is sealed; the first is changed after its insert."""
    await store.directory.add(DRAFTS, None, lambda: 100.0)
    down = downlink(store.next_id(), body=SECRETS["body"], split_from=None)
    up = uplink(store.next_id(), body=SECRETS["uplink_body"], reply_body=SECRETS["reply_body"])
    await store.committed([Insert.of(down), Insert.of(up)], endpoint=1)
    down.split_from = SECRETS["split_from"]
    await store.committed([Update.of(down)], endpoint=1)


async def on_disk(store: Store) -> bytes:
    """Return the sealed columns as they stand in the database."""

    def ask(reader: Any) -> list[bytes]:
        return [
            value
            for table, columns in SEALED.items()
            for row in reader.connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            for value in row
            if value
        ]

    return b"|".join(await store.reads.ask(ask))  # type: ignore[attr-defined]


async def is_whole(store: Store) -> bool:
    """Return whether both ways to read give the bodies in the clear."""
    kept = await rows(store, 1, 100.0)
    (down,), (up,) = kept.downlinks, kept.uplinks
    asked_down, asked_up = await store.reads.downlink(down.id), await store.reads.uplink(up.id)
    listed = [*await store.reads.downlinks(endpoint=1), *await store.reads.uplinks(endpoint=1)]
    found = [
        {"body": d.body, "split_from": d.split_from, "uplink_body": u.body, "reply_body": u.reply_body}
        for d, u in ((down, up), (asked_down, asked_up), listed)
    ]
    return found == [SECRETS] * 3


def shows(data: bytes) -> set[str]:
    return {name for name, secret in SECRETS.items() if secret[1:] in data}


async def test_bodies_are_encrypted_in_the_database_and_in_the_clear_for_the_bridge(opened, downlink, uplink):
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    assert await is_whole(store)
    assert shows(await on_disk(store)) == set()
    store = await opened(store_key=KEYS[0].hex())
    assert await is_whole(store)


async def test_without_a_key_they_are_stored_as_they_are(opened, downlink, uplink):
    store = await opened()
    await fill(store, downlink, uplink)
    assert await is_whole(store)
    assert shows(await on_disk(store)) == set(SECRETS)


async def test_what_was_in_the_clear_is_encrypted_at_the_first_start_with_a_key_and_given_up_again(
    opened, downlink, uplink
):
    store = await opened()
    await fill(store, downlink, uplink)
    store = await opened(store_key=KEYS[0].hex())
    assert shows(await on_disk(store)) == set()
    assert await is_whole(store)
    store = await opened(former_store_key=KEYS[0].hex())
    assert shows(await on_disk(store)) == set(SECRETS)
    store = await opened()
    assert await is_whole(store)


async def test_a_new_key_takes_over_and_the_former_one_is_needed_no_more(opened, downlink, uplink):
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    before = await on_disk(store)
    store = await opened(store_key=KEYS[1].hex(), former_store_key=KEYS[0].hex())
    assert await on_disk(store) != before
    store = await opened(store_key=KEYS[1].hex())
    assert await is_whole(store)


async def test_a_ledger_that_has_no_other_secret_still_refuses_another_key(opened, downlink, uplink):
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    for settings in ({}, {"store_key": KEYS[1].hex()}):
        with pytest.raises(ConfigurationError, match=r"encrypted under the key with id .*former_store_key"):
            await opened(**settings)
    assert await is_whole(await opened(store_key=KEYS[0].hex()))


async def test_what_broke_off_while_bodies_were_encrypted_goes_on_at_the_next_start(
    opened, downlink, uplink, monkeypatch
):
    store = await opened()
    await fill(store, downlink, uplink)
    with monkeypatch.context() as patched:
        patched.setattr(SqlStore, "reseal_bodies", _killed_after_the_downlinks)
        with pytest.raises(ConfigurationError, match="killed here"):
            await opened(store_key=KEYS[0].hex())
    with pytest.raises(ConfigurationError, match="encrypted under the key with id"):
        await opened()
    store = await opened(store_key=KEYS[0].hex())
    assert shows(await on_disk(store)) == set()
    assert await is_whole(store)


async def test_encryption_that_was_being_given_up_is_whole_again_with_its_key(opened, downlink, uplink, monkeypatch):
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    with monkeypatch.context() as patched:
        patched.setattr(SqlStore, "reseal_bodies", _killed_after_the_downlinks)
        with pytest.raises(ConfigurationError, match="killed here"):
            await opened(former_store_key=KEYS[0].hex())
    with pytest.raises(ConfigurationError, match="encrypted under the key with id"):
        await opened()
    store = await opened(store_key=KEYS[0].hex())
    assert shows(await on_disk(store)) == set()
    assert await is_whole(store)


async def test_a_body_that_was_moved_to_another_message_is_refused(opened, downlink, uplink):
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    await store.run(lambda connection: connection.execute("UPDATE uplink SET body = (SELECT body FROM downlink)"))
    with pytest.raises(ConfigurationError, match="a message in the database was changed since it was encrypted"):
        await store.reads.uplinks(endpoint=1)


async def test_a_body_that_only_looks_encrypted_stops_nothing(opened, downlink, uplink):
    """A device can send such bytes while there is no key."""
    store = await opened()
    await store.directory.add(DRAFTS, None, lambda: 100.0)
    looks = b"\x00sealed1" + bytes(40)
    await store.committed([Insert.of(uplink(store.next_id(), body=looks))], endpoint=1)
    assert (await rows(store, 1, 100.0)).uplinks[0].body == looks
    store = await opened(store_key=KEYS[0].hex())
    assert (await rows(store, 1, 100.0)).uplinks[0].body == looks


async def _killed_after_the_downlinks(store, *, from_clear):
    await store.run(
        partial(resealing.part, bodies=store.reads.bodies, table="downlink", after=0, from_clear=from_clear)
    )
    raise ConfigurationError("killed here")


@pytest.mark.parametrize("first", [{}, {"former_store_key": KEYS[0].hex()}, {"store_key": KEYS[0].hex()}])
async def test_a_body_that_begins_as_a_sealed_one_is_never_taken_for_it(opened, downlink, uplink, monkeypatch, first):
    for name, mark in (
        ("body", b"\x00sealed1"),
        ("uplink_body", b"\x00inclear"),
        ("reply_body", b"\x00inclear\x00sealed1"),
    ):
        monkeypatch.setitem(SECRETS, name, mark + bytes(60))
    store = await opened(**first)
    await fill(store, downlink, uplink)
    for settings in (
        {"former_store_key": KEYS[0].hex()},
        {"former_store_key": KEYS[0].hex()},
        {},
        {},
        {"former_store_key": KEYS[0].hex()},
        {"store_key": KEYS[0].hex()},
        {"store_key": KEYS[1].hex(), "former_store_key": KEYS[0].hex()},
        {"former_store_key": KEYS[1].hex()},
        {},
    ):
        store = await opened(**settings)
        assert await is_whole(store), settings


async def test_what_another_bridge_wrote_in_the_clear_is_encrypted_beside_the_traffic(
    opened, downlink, uplink, monkeypatch
):
    monkeypatch.setattr(sealing, "PAUSE", 0.0)
    monkeypatch.setattr(resealing, "PART", 2)
    store = await opened(store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    sealed_before = await on_disk(store)
    store.use_seal(NO_SEAL)  # as a bridge that has no key yet
    clear = [
        downlink(store.next_id(), body=SECRETS["body"], split_from=None, endpoint=2, south_token=bytes((n,)))
        for n in range(5)
    ]
    await store.committed([Insert.of(one) for one in clear], endpoint=2)
    assert shows(await on_disk(store)) == {"body"}
    store.use_seal(Seal(KEYS[0]))
    progress = Progress(lambda: 0.0)
    await sealing.seal_the_rest(store, progress)
    assert shows(await on_disk(store)) == set()
    assert sealed_before.split(b"|")[0] in await on_disk(store)  # what is sealed stays as it is
    assert [(await store.reads.downlink(one.id)).body for one in clear] == [SECRETS["body"]] * 5
    assert not [*progress]
    await sealing.seal_the_rest(store, progress)  # nothing is left to do


LOOKALIKES = (b"\x00sealed1" + bytes(40), b"\x00inclear" + bytes(40), b"\x00inclear\x00sealed1" + bytes(40))


@pytest.mark.parametrize("seal", [NO_SEAL, Seal(None, KEYS[0])], ids=["no key", "only a former key"])
async def test_a_body_that_begins_as_a_sealed_one_is_read_and_encrypted_by_a_bridge_that_has_the_key(
    opened, uplink, monkeypatch, seal
):
    """A device can send such bytes to a bridge that has no key yet, beside another one that has it."""
    monkeypatch.setattr(sealing, "PAUSE", 0.0)
    store = await opened(store_key=KEYS[0].hex())
    await store.directory.add(DRAFTS, None, lambda: 100.0)
    store.use_seal(seal)
    ids = [store.next_id() for _ in LOOKALIKES]
    for id_, body in zip(ids, LOOKALIKES, strict=True):
        await store.committed([Insert.of(uplink(id_, body=body, digest=bytes((id_ % 256,))))], endpoint=1)
    assert [(await store.reads.uplink(id_)).body for id_ in ids] == [*LOOKALIKES]
    store.use_seal(Seal(KEYS[0]))
    assert [(await store.reads.uplink(id_)).body for id_ in ids] == [*LOOKALIKES]
    await sealing.seal_the_rest(store, Progress(lambda: 0.0))
    assert [(await store.reads.uplink(id_)).body for id_ in ids] == [*LOOKALIKES]
    stored = await on_disk(store)
    assert not any(body[8:] in stored for body in LOOKALIKES)


async def test_a_crash_after_the_last_key_was_removed_takes_nothing_off_a_body_that_begins_as_a_marked_one(
    opened, downlink, uplink, monkeypatch
):
    monkeypatch.setitem(SECRETS, "body", LOOKALIKES[2])
    store = await opened(former_store_key=KEYS[0].hex())
    await fill(store, downlink, uplink)
    with monkeypatch.context() as patched, suppress(ConfigurationError):
        patched.setattr(SqlStore, "reseal_bodies", _killed_after_the_downlinks)
        await opened()
    assert await is_whole(await opened())
    assert await is_whole(await opened(store_key=KEYS[0].hex()))
