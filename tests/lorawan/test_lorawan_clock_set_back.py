"""After our clock was set back: nothing of a device waits for a time at which the wrong clock has heard it."""

import pytest
from mock_chirpstack_kit import DEV_EUI, Settings, World
from virtual_network import Virtual

from bindings.lorawan.inbound import OVERTAKEN
from bindings.lorawan.proofs import LONGEST

DAY = 86400.0


async def network():
    one = Virtual(World({"rx1_delay": 1}, Settings(mac_commands_disabled=True, reorder_within=0.0)))
    await one.join()
    return one


async def test_the_windows_of_an_uplink_of_the_wrong_clock_are_open_no_longer_than_usual():
    one = await network()
    await one.up(payload=b"a", f_port=10, seconds=2.0)
    one.records.held(DEV_EUI).heard_at += DAY
    await one.restart(kept=True)
    assert 0 < one.evidence.known(DEV_EUI).open_for <= LONGEST


@pytest.mark.parametrize("ahead", [0.0, DAY])
async def test_a_device_that_is_back_in_its_former_session_is_known_there_in_time(ahead):
    one = await network()
    former = one.records.held(DEV_EUI).dev_addr
    one.world.hear(one.world.node.up(b"late", 10))
    one.world.run(1)
    late, one.world.events[:] = list(one.world.events), []
    await one.join()
    await one.up(payload=b"b", f_port=10, seconds=2.0)
    assert one.records.held(DEV_EUI).dev_addr != former
    one.records.held(DEV_EUI).session_at += ahead
    await one.passes(OVERTAKEN + 1)
    for kind, body in late:
        await one.commit(kind, body)
    assert one.records.held(DEV_EUI).dev_addr == former
