"""R28: Empty messages. R29: garbage is counted and dropped; no bytes raise anything."""

import pytest
from hypothesis import given, settings, strategies as st
from world import LORAWAN, NIDD, World, observe, observed, register, registered, request, response

from bindings.contract import Accepted, Ambiguous, Cancellation, Lookup, NetworkState, Presence, Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.udp import empty
from bridge.relay import events as ev


def test_r28_an_empty_con_is_a_poll_on_lorawan():
    world = World(LORAWAN)
    assert world.device_sends(empty(Type.CON, 7)) == []
    assert world.counted("polls") == 1


def test_r28_elsewhere_it_is_a_ping():
    world = World(NIDD)
    assert world.device_sends(empty(Type.CON, 7)) == [empty(Type.RST, 7)]


def test_r28_a_poll_lets_the_next_downlink_go():
    world = World(LORAWAN)
    world.network = Refused(Refusal.UNREACHABLE, "asleep")
    world.server_sends(request())
    world.network = Accepted("h", NetworkState.SENT)
    world.device_sends(empty(Type.CON, 7))
    assert world.states() == ["SENT"]


def test_r28_a_servers_ping_is_answered_by_the_bridge(world: World):
    (pong,) = world.server_sends(empty(Type.CON, 9))
    assert (pong.type, pong.mid) == (Type.RST, 9)
    assert world.submitted == []


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x40", b"garbage", b"\xff" * 50, bytes.fromhex("4f010001")])
def test_r29_garbage_is_counted_and_dropped(world: World, data):
    world.device_sends(data)
    world.server_sends(data)
    assert world.counted("malformed_messages") == 2
    assert world.submitted == []
    assert world.to_server == []
    assert all(count.text for count in world.counts if count.name == "malformed_messages")


CoapLike = st.builds(
    lambda first, code, mid, rest: bytes([0x40 | first, code]) + mid.to_bytes(2, "big") + rest,
    st.integers(0, 0x38),
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 65, 68, 69, 95, 132, 141, 160]) | st.integers(0, 255),
    st.integers(0, 65535) | st.sampled_from([50, 100]),
    st.binary(max_size=40),
)
AnyBytes = st.binary(max_size=80) | CoapLike


def busy(lorawan: bool) -> World:
    """Return an endpoint with something of everything on its way."""
    world = World(LORAWAN if lorawan else NIDD)
    registered(world)
    observed(world)
    world.device_sends(request(2, "dp", 50, b"s", b"[]"))
    world.server_sends(request(mid=101, token=b"", options=observe(1)))
    world.server_sends(request(2, "3/0/4", 102, b"x"))
    return world


@settings(max_examples=150)
@given(st.booleans(), st.lists(st.tuples(st.booleans(), AnyBytes, st.none() | st.text(max_size=3)), max_size=8))
def test_r29_no_bytes_from_a_device_or_server_raise(lorawan, messages):
    world = busy(lorawan)
    for from_server, data, key in messages:
        if from_server:
            world.event(ev.ServerDatagram("srv", data))
        else:
            world.event(ev.DeviceMessage(data, key))
    world.passes(400)
    world.restart()
    world.passes(4000)


def mutated(data: bytes, at: int, value: int, cut: int) -> bytes:
    changed = bytearray(data)
    changed[at % len(changed)] = value
    return bytes(changed[: len(changed) - cut % 4])


@settings(max_examples=150)
@given(st.data(), st.booleans())
def test_r29_no_damage_to_real_messages_raises(data, lorawan):
    world = busy(lorawan)
    to_device, to_server = world.last_south(), world.last_north()
    for _ in range(4):
        at, value, cut = data.draw(st.tuples(st.integers(0, 60), st.integers(0, 255), st.integers(0, 3)))
        originals = [world.submitted[-1].attempt.payload, register(), response(to_device)]
        world.event(ev.DeviceMessage(mutated(data.draw(st.sampled_from(originals)), at, value, cut)))
        originals = [world.to_server[-1], request(), response(to_server)]
        world.event(
            ev.ServerDatagram(data.draw(st.sampled_from(["srv", "gone"])), mutated(originals[0], at, value, cut))
        )
        world.event(ev.ServerDatagram("srv", mutated(data.draw(st.sampled_from(originals)), at, value, cut)))
    world.passes(4000)


Text = st.text(st.characters(exclude_categories=()), max_size=400)
Network = st.one_of(
    st.builds(Accepted, st.sampled_from([None, "h", "i"]), st.sampled_from(NetworkState)),
    st.builds(Refused, st.sampled_from(Refusal), Text, st.none() | st.floats(-1e9, 4e9)),
    st.builds(Ambiguous, Text),
)
Events = st.one_of(
    st.builds(ev.Submitted, st.integers(1, 30), st.integers(0, 4), Network),
    st.builds(
        ev.Reported,
        st.sampled_from(["h", "i", "j"]),
        st.none() | st.sampled_from(NetworkState) | st.sampled_from(Refusal),
        Text,
        st.none() | st.floats(-1e9, 4e9),
        st.booleans(),
    ),
    st.builds(
        ev.LookedUp,
        st.integers(1, 30),
        st.integers(0, 4),
        st.builds(Lookup, st.sampled_from(Presence), st.sampled_from([None, "h"])),
    ),
    st.builds(ev.CancelDone, st.integers(1, 30), st.integers(1, 3), st.sampled_from(Cancellation)),
    st.builds(ev.CancelAsked, st.integers(1, 30)),
    st.builds(ev.NetworkFlushed, Text, st.sampled_from([None, "h", "i"])),
    st.just(ev.DeviceJoined()),
    st.just(ev.DeviceReachable()),
    st.just(ev.NorthChanged()),
    st.just(ev.Tick()),
    st.builds(ev.DeviceMessage, CoapLike),
    st.builds(ev.ServerDatagram, st.just("srv"), CoapLike),
)


@settings(max_examples=200)
@given(st.booleans(), Network, st.lists(st.tuples(Events, st.sampled_from([0.0, 0.5, 20.0, 200.0])), max_size=15))
def test_r29_nothing_a_network_says_raises(lorawan, network, events):
    world = busy(lorawan)
    world.network = network
    for event, pause in events:
        world.event(event)
        world.passes(pause)
    world.restart()
    world.passes(9000)
    for row in world.rows_of_text():
        row.encode()  # what is stored can be stored
