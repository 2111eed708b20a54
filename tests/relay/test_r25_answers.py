"""R25, an answer to the device that is too large: the first block now, the later ones from the kept answer."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from world import NIDD, World, register, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.relay import events as ev
from bridge.relay.model import Policy

BODY = bytes(range(200))
FORMAT = (int(Opt.CONTENT_FORMAT), b"\x70")


def small(largest: int, south=NIDD, **more) -> World:
    return World(replace(south, max_downlink=largest), **more)


def block2(message: Message) -> tuple[int, bool, int] | None:
    value = message.uint(Opt.BLOCK2)
    return None if value is None else (value >> 4, bool(value & 8), value & 7)


def asked(number: int, szx: int) -> tuple[int, bytes]:
    return int(Opt.BLOCK2), uint_value(number << 4 | szx)


def asks(mid: int = 1, code: int = 1, path: str = "bspack", options=None, mtype: Type = Type.CON) -> bytes:
    """Return a Bootstrap-Pack-Request, whose answer is large."""
    return request(code, path, mid, b"t%d" % mid, b"", options, mtype)


def answered(world: World, body: bytes = BODY, code: int = 69, options=None) -> None:
    """Let the server answer what has reached it last."""
    world.server_sends(response(world.last_north(), code, body, [FORMAT] if options is None else options))


def fetched(world: World, first_mid: int = 2, **how) -> bytes:
    """Let the device fetch what remains; every answer fits, and nothing reaches the server."""
    message = world.last_south()
    got = message.payload
    there = block2(message)
    said = asked_north(world)
    for mid in range(first_mid, first_mid + 100):
        if there is None or not there[1]:
            break
        szx = there[2]
        world.passes(20)
        world.device_sends(asks(mid, options=[asked(len(got) >> szx + 4, szx)], **how))
        message = world.last_south()
        assert len(world.submitted[-1].attempt.payload) <= world.south.max_downlink
        there = block2(message)
        assert there is not None
        assert there[0] << there[2] + 4 == len(got)
        assert message.token == b"t%d" % mid
        got += message.payload
    assert asked_north(world) == said
    return got


def asked_north(world: World) -> int:
    """Count the requests that the server got."""
    return sum(decode(data).is_request for data in world.to_server)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("code", [1, 2])
def test_r25_an_answer_that_does_not_fit_goes_in_blocks_and_the_server_is_asked_once(south, restarts, code):
    world = small(51, south)
    world.device_sends(asks(code=code))
    answered(world)
    first = world.last_south()
    assert (first.type, first.code, first.mid, block2(first)) == (Type.ACK, 69, 1, (0, True, 1))
    assert first.option(Opt.CONTENT_FORMAT) == b"\x70"
    if restarts:
        world.restart()
    assert fetched(world, code=code) == BODY
    assert [row["state"] for row in world.uplinks("request")] == ["FORWARDED"] + ["DUPLICATE"] * 6
    assert set(world.states("answer")) == {"SENT"}


def test_r30_an_answer_is_kept_as_long_as_the_device_goes_on_fetching_it(south):
    world = small(51, south, policy=Policy(max_kept=3))
    world.device_sends(asks())
    answered(world)
    assert fetched(world) == BODY
    assert len(world.state.kept_uplinks) == 3
    world.passes(south.exchange_span + 1)
    world.event(ev.Tick())
    assert not world.state.kept_uplinks


def test_r25_what_fits_is_answered_whole(south):
    world = small(242, south)
    world.device_sends(asks())
    answered(world)
    assert (world.last_south().payload, block2(world.last_south())) == (BODY, None)


@pytest.mark.parametrize("code", [Code.CREATED, Code.CHANGED])
def test_r25_a_register_or_send_is_answered_in_blocks_too(code):
    world = small(51)
    path = "rd" if code == Code.CREATED else "dp"
    world.device_sends(register() if path == "rd" else request(2, "dp", 1, b"t1", b"[]"))
    answered(world, BODY[:60], code)
    assert block2(world.last_south()) == (0, True, 1)
    said = len(world.to_server)
    world.device_sends(asks(2, 2, path, [asked(1, 1)]))
    assert (world.last_south().payload, block2(world.last_south())) == (BODY[32:60], (1, False, 1))
    assert len(world.to_server) == said


def test_r25_a_size_that_the_device_asked_for_is_not_exceeded():
    world = small(100)
    world.device_sends(asks(options=[asked(0, 1)]))
    answered(world)
    assert block2(world.last_south()) == (0, True, 1)
    assert fetched(world) == BODY


def test_r25_a_size_that_falls_in_mid_transfer_makes_later_blocks_smaller():
    world = small(100)
    world.device_sends(asks())
    answered(world)
    assert block2(world.last_south()) == (0, True, 2)
    world.south = replace(world.south, max_downlink=51)
    assert fetched(world) == BODY


def test_r25_a_size_that_fell_while_the_answer_waited_is_heeded():
    world = small(242)
    world.network = None
    world.server_sends(request())  # a call is in flight
    world.device_sends(asks())
    world.server_sends(response(world.last_north(), 69, BODY, [FORMAT]))
    world.south = replace(world.south, max_downlink=51)
    world.network = Accepted(None, NetworkState.SENT)
    world.answers_open_call(Accepted(None, NetworkState.SENT))
    assert block2(world.last_south()) == (0, True, 1)
    assert fetched(world) == BODY
    assert world.states("answer")[0] == "SENT"


def test_r25_a_size_that_fell_too_far_while_the_answer_waited_is_503():
    world = small(242)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", 1_700_000_010.0)
    world.device_sends(asks())
    answered(world)
    world.south = replace(world.south, max_downlink=20)
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(15)
    assert world.states("answer") == ["TOO_LARGE", "SENT"]
    assert (world.last_south().code, world.last_south().mid) == (Code.SERVICE_UNAVAILABLE, 1)


def test_r25_the_servers_own_blocks_are_cut_and_what_lies_behind_is_asked_of_the_server():
    world = small(51)
    world.device_sends(asks())
    answered(world, BODY[:64], options=[FORMAT, (int(Opt.BLOCK2), uint_value(8 | 2))])
    assert block2(world.last_south()) == (0, True, 1)
    world.device_sends(asks(2, options=[asked(1, 1)]))
    assert (block2(world.last_south()), world.last_south().payload) == ((1, True, 1), BODY[32:64])
    said = len(world.to_server)
    world.device_sends(asks(3, options=[asked(2, 1)]))
    assert len(world.to_server) == said + 1
    assert block2(world.last_north()) == (2, False, 1)
    answered(world, BODY[64:96], options=[FORMAT, (int(Opt.BLOCK2), uint_value(2 << 4 | 1))])
    assert (block2(world.last_south()), world.last_south().payload) == ((2, False, 1), BODY[64:96])


def test_r25_the_latest_answer_is_the_one_that_is_fetched():
    world = small(51)
    for mid, body in ((1, BODY), (50, BODY[::-1])):
        world.device_sends(asks(mid))
        answered(world, body)
        world.passes(5)
    assert fetched(world, 60) == BODY[::-1]


def test_r25_r13_a_repeat_of_the_first_request_and_of_a_later_one_get_their_block_again():
    world = small(51)
    world.device_sends(asks())
    answered(world)
    first = world.submitted[-1].attempt.payload
    world.passes(5)
    assert world.device_sends(asks()) == [first]
    (second,) = world.device_sends(asks(2, options=[asked(1, 1)]))
    world.passes(5)
    assert world.device_sends(asks(2, options=[asked(1, 1)])) == [second]
    assert len(world.uplinks("request")) == 2


def test_r25_another_path_query_or_method_is_another_answer():
    for other in (
        asks(2, path="elsewhere", options=[asked(1, 1)]),
        asks(2, code=2, options=[asked(1, 1)]),
        asks(2, options=[(int(Opt.URI_QUERY), b"x"), asked(1, 1)]),
    ):
        world = small(51)
        world.device_sends(asks())
        answered(world)
        said = len(world.to_server)
        world.device_sends(other)
        assert len(world.to_server) == said + 1


def test_r25_a_block_that_the_answer_does_not_have_is_asked_of_the_server():
    world = small(51)
    world.device_sends(asks())
    answered(world)
    said = len(world.to_server)
    world.device_sends(asks(2, options=[asked(7, 1)]))
    assert len(world.to_server) == said + 1


def test_r25_the_answer_is_kept_as_long_as_the_device_goes_on_with_it(south):
    world = small(51, south)
    span = south.exchange_span
    world.device_sends(asks())
    answered(world)
    got = world.last_south().payload
    for mid in range(2, 5):
        world.passes(span - 1)
        world.device_sends(asks(mid, options=[asked(mid - 1, 1)]))
        got += world.last_south().payload
    assert got == BODY[:128]
    world.passes(span + 300)
    said = len(world.to_server)
    world.device_sends(asks(9, options=[asked(4, 1)]))
    assert len(world.to_server) == said + 1  # no longer kept: the server is asked


def test_r25_r30_kept_answers_are_bounded():
    world = small(51)
    world.policy = replace(world.policy, max_kept=4)
    world.state.policy = world.policy
    for mid in range(1, 12):
        world.device_sends(asks(mid, path=f"p{mid}"))
        answered(world)
        world.passes(3)
    assert len(world.state.kept_uplinks) <= 4
    said = len(world.to_server)
    world.device_sends(asks(90, path="p1", options=[asked(1, 1)]))
    assert len(world.to_server) == said + 1
    world.device_sends(asks(91, path="p11", options=[asked(1, 1)]))
    assert len(world.to_server) == said + 1


def test_r25_a_later_block_of_a_register_that_is_not_kept_never_registers_anew():
    world = small(51)
    said = len(world.to_server)
    world.device_sends(asks(2, 2, "rd", [asked(1, 1)]))
    assert len(world.to_server) == said
    assert world.last_south().code == Code.REQUEST_ENTITY_INCOMPLETE
    assert [row["state"] for row in world.uplinks("request")] == ["REJECTED"]


def test_r25_a_diagnostic_text_that_does_not_fit_is_left_out():
    world = small(20)
    world.device_sends(asks())
    answered(world, b"the server has a lot to say about this", Code.BAD_REQUEST, [])
    answer = world.last_south()
    assert (answer.code, answer.payload, world.states("answer")) == (Code.BAD_REQUEST, b"", ["SENT"])


def test_r25_nothing_fits_and_the_device_is_told_503_with_its_own_mid():
    world = small(20)
    world.device_sends(asks(mtype=Type.NON))
    answered(world)
    too_large, told = world.downlinks("answer")
    assert (too_large["state"], told["state"]) == ("TOO_LARGE", "SENT")
    assert told["code"] == Code.SERVICE_UNAVAILABLE
    assert told["south_mid"] == too_large["south_mid"]


def test_r25_r27_an_oscore_answer_is_not_cut():
    world = small(51)
    world.device_sends(asks(code=2, options=[(int(Opt.OSCORE), b"x")]))
    answered(world, options=[(int(Opt.OSCORE), b"")])
    assert world.states("answer") == ["TOO_LARGE"]
    assert world.submitted == []


def test_r25_observe_and_size2_are_said_once():
    world = small(51)
    world.device_sends(asks())
    answered(world, options=[FORMAT, (int(Opt.OBSERVE), b"\x01"), (int(Opt.SIZE2), b"\xc8")])
    first = world.last_south()
    assert (first.option(Opt.OBSERVE), first.option(Opt.SIZE2)) == (b"\x01", b"\xc8")
    world.device_sends(asks(2, options=[asked(1, block2(first)[2])]))
    second = world.last_south()
    assert (second.option(Opt.OBSERVE), second.option(Opt.SIZE2)) == (None, None)


@given(
    st.binary(min_size=1, max_size=1500),
    st.lists(st.integers(34, 400), min_size=1, max_size=30),
    st.integers(0, 6) | st.none(),
    st.integers(0, 20),
)
def test_r25_whatever_the_sizes_the_device_gets_the_answer_byte_by_byte(body, sizes, szx, restart):
    world = small(sizes[0])
    world.device_sends(asks(options=None if szx is None else [asked(0, szx)]))
    answered(world, body)
    got, mid = b"", 1
    while True:
        message = world.last_south()
        assert len(world.submitted[-1].attempt.payload) <= world.south.max_downlink
        there = block2(message)
        if there is None:
            assert message.payload == body
            return
        assert there[0] << there[2] + 4 == len(got)
        assert len(message.payload) == 16 << there[2] or not there[1]
        got += message.payload
        if not there[1]:
            break
        if mid == restart:
            world.restart()
        mid += 1
        world.passes(3)
        world.south = replace(world.south, max_downlink=sizes[mid % len(sizes)])
        world.device_sends(asks(mid, options=[asked(len(got) >> there[2] + 4, there[2])]))
    assert got == body
    assert asked_north(world) == 1
