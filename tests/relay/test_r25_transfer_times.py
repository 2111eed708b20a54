"""R25: servers count the time of a write from its first block; some want each answer in an acknowledgement."""

from dataclasses import replace

import pytest
from world import LORAWAN, NIDD, World, ack, register, request, response

from bindings.contract import Accepted, NetworkState
from bridge.coap.message import Message, Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.config.profiles import PROFILES
from bridge.relay.model import ServerProfile

LESHAN = PROFILES["leshan"]


def block(number: int, *, more: bool = True, size1: int | None = None, mid: int | None = None) -> bytes:
    """Return a block of 16 bytes of a write to /5/0/0."""
    options = [(int(Opt.BLOCK1), uint_value(number << 4 | more << 3))]
    if size1 is not None:
        options.append((int(Opt.SIZE1), uint_value(size1)))
    token = b"t%d" % (number if mid is None else mid)
    return request(3, "5/0/0", 100 + number if mid is None else mid, token, bytes(16), options)


def answers(world: World, number: int, *, more: bool = True) -> Message:
    """Let the device take a block; return what the server gets."""
    options = [(int(Opt.BLOCK1), uint_value(number << 4 | more << 3))]
    world.device_sends(response(world.last_south(), 95 if more else 68, b"", options), f"k{number}")
    last = world.last_north()
    if last.type is Type.CON:
        world.server_sends(ack(last))
    return last


def test_r25_the_time_of_a_transfer_counts_from_its_first_block():
    world = World(NIDD, LESHAN)
    for number in range(3):
        world.server_sends(block(number))
        world.passes(30)
        assert answers(world, number).code == 95
    world.server_sends(block(3))
    world.passes(24)
    assert world.last_north().code == 0  # acknowledged, and no more
    world.passes(2)  # 116 s after the first block: Leshan gives up at 120
    assert world.last_north().code == Code.GATEWAY_TIMEOUT
    outcomes = [row["state"] for row in world.downlinks()]
    assert outcomes[:3] == ["RESPONDED"] * 3
    sent = len(world.submitted)
    world.passes(1000)
    assert len(world.submitted) == sent  # nothing more goes to the radio


def test_r25_other_requests_have_their_own_time():
    world = World(NIDD, LESHAN)
    world.server_sends(block(0))
    world.passes(60)
    answers(world, 0)
    world.server_sends(request(mid=900, token=b"r"))
    world.passes(100)
    assert world.last_north().code == 0
    world.passes(20)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT


def test_r25_a_server_that_goes_on_after_its_time_waits_longer_than_its_profile_says():
    world = World(NIDD, LESHAN)
    world.server_sends(block(0))
    world.passes(10)
    answers(world, 0)
    world.passes(200)
    world.server_sends(block(1))
    world.passes(60)
    assert answers(world, 1).code == 95


def test_r25_a_new_transfer_to_the_same_place_begins_anew():
    world = World(NIDD, LESHAN)
    world.server_sends(block(0))
    answers(world, 0)
    world.passes(100)
    world.server_sends(block(0, mid=700))
    answers(world, 0)
    world.server_sends(block(1, mid=701))
    world.passes(60)
    assert answers(world, 1).code == 95


def test_r25_without_a_time_for_transfers_each_block_has_the_servers_patience():
    world = World(NIDD, ServerProfile())
    for number in range(4):
        world.server_sends(block(number))
        world.passes(100)
        assert answers(world, number).code == 95


def slow(world: World, seconds: float) -> None:
    """Let the device answer a Read after so many seconds: that is its pace."""
    world.server_sends(request(mid=1, token=b"pace"))
    world.passes(seconds)
    world.device_sends(response(world.last_south()), "pace")
    last = world.last_north()
    if last.type is Type.CON:
        world.server_sends(ack(last))


@pytest.mark.parametrize("south", [NIDD, LORAWAN])
def test_r25_a_transfer_that_cannot_be_done_in_time_is_refused_at_its_first_block_with_advice(south):
    world = World(south, LESHAN)
    slow(world, 10)
    (refused,) = world.server_sends(block(0, size1=2048))
    assert refused.code == Code.SERVICE_UNAVAILABLE
    assert refused.uint(Opt.MAX_AGE) == 60
    text = refused.payload.decode()
    assert text == "too slow: 2048 bytes take about 1280 s here, 120 s are allowed: raise timeouts, or pull"
    assert len(world.downlinks()) == 1  # nothing of it was accepted


@pytest.mark.parametrize(
    ("pace", "size1", "transfer"), [(0.5, 2048, 120.0), (10, 160, 120.0), (10, 2048, 3600.0), (10, None, 120.0)]
)
def test_r25_one_that_may_be_done_is_not(pace, size1, transfer):
    world = World(NIDD, replace(LESHAN, transfer=transfer))
    slow(world, pace)
    world.server_sends(block(0, size1=size1))
    assert world.last_south().payload == bytes(16)


def test_r25_of_a_device_that_was_never_heard_nothing_is_claimed():
    world = World(NIDD, LESHAN)
    world.server_sends(block(0, size1=100_000))
    assert world.last_south().payload == bytes(16)


# -- Wakaama: it goes on only after a piggybacked 2.31


@pytest.mark.parametrize("restarts", [False, True])
def test_r05_the_acknowledgement_of_a_block_waits_for_the_devices_answer_where_the_server_needs_it(restarts):
    world = World(NIDD, PROFILES["wakaama"])
    for number, more in (0, True), (1, False):
        before = len(world.to_server)
        world.server_sends(block(number, more=more))
        world.passes(4)
        if restarts:
            world.restart()
        assert world.server_sends(block(number, more=more)) == []  # its own retransmission
        world.passes(4)
        assert len(world.to_server) == before
        answered = answers(world, number, more=more)
        assert (answered.type, answered.mid) == (Type.ACK, 100 + number)
        assert answered.code == (95 if more else 68)


def test_r05_it_waits_so_on_a_slow_network_as_well_and_no_longer_than_the_server():
    world = World(LORAWAN, PROFILES["wakaama"])
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(block(0))
    world.passes(13.5)
    assert world.to_server == []
    world.passes(1)
    last = decode(world.to_server[-1])
    assert (last.type, last.code, last.mid) == (Type.ACK, Code.GATEWAY_TIMEOUT, 100)


def test_r05_its_other_requests_are_acknowledged_as_ever():
    world = World(NIDD, PROFILES["wakaama"])
    world.server_sends(request())
    world.passes(1.1)
    assert (world.last_north().type, world.last_north().code) == (Type.ACK, 0)


# -- silence where the server knows that the device sleeps (R21)


@pytest.mark.parametrize(
    ("profile", "queries", "silent"),
    [
        ("transparent", ["lt=300", "lwm2m=1.1", "b=N", "Q"], True),
        ("transparent", ["lt=300", "lwm2m=1.0", "b=UQ"], True),
        ("transparent", ["lt=300", "lwm2m=1.1", "b=N"], False),
        ("leshan", ["lt=300", "lwm2m=1.1", "b=N", "Q"], False),  # it is stripped: the server does not know
    ],
)
def test_r21_a_server_that_was_told_of_queue_mode_is_left_in_silence(profile, queries, silent):
    world = World(NIDD, PROFILES[profile])
    world.device_sends(register(queries=queries))
    world.server_sends(response(world.last_north(), Code.CREATED, b"", [(int(Opt.LOCATION_PATH), b"rd")]))
    world.server_sends(request())
    world.passes(130)
    assert (world.last_north().code == Code.GATEWAY_TIMEOUT) is not silent


def test_r21_a_lifetime_is_added_for_servers_that_insist_on_one():
    world = World(NIDD, PROFILES["emqx"])
    world.device_sends(register(queries=["lwm2m=1.1"]))
    assert "lt=86400" in world.last_north().strings(Opt.URI_QUERY)
    told = World(LORAWAN, PROFILES["emqx"])
    told.device_sends(register(queries=["lwm2m=1.1"]))
    assert "lt=2592000" in told.last_north().strings(Opt.URI_QUERY)  # what the network implies
