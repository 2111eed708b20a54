"""R25, early negotiation: a GET whose answer may not fit the uplink asks for blocks that do (RFC 7959 §2.4)."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from world import LORAWAN, NIDD, World, notification, observe, observed, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Message, encode_body, parse, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.relay.blocks import ANY_ANSWER

CONTENT_FORMAT = (int(Opt.CONTENT_FORMAT), b"\x2d\x16")  # 11542, TLV
ACCEPT = (int(Opt.ACCEPT), b"\x28")


def saying(largest: int | None, south=LORAWAN, **more) -> World:
    return World(replace(south, max_uplink=largest, max_downlink=242), **more)


def block2(message: Message) -> tuple[int, bool, int] | None:
    value = message.uint(Opt.BLOCK2)
    return None if value is None else (value >> 4, bool(value & 8), value & 7)


def asked(number: int, szx: int) -> tuple[int, bytes]:
    return int(Opt.BLOCK2), uint_value(number << 4 | szx)


@pytest.mark.parametrize(
    ("largest", "szx"),
    [(30, None), (31, 0), (46, 0), (47, 1), (51, 1), (53, 1), (115, 2), (222, 3), (242, 3), (512, 4), (1038, 5)],
)
def test_r25_a_read_asks_for_the_largest_blocks_that_fit_the_uplink(largest, szx):
    world = saying(largest)
    world.server_sends(request(options=[ACCEPT]))
    assert block2(world.last_south()) == (None if szx is None else (0, False, szx))


@pytest.mark.parametrize("largest", [None, ANY_ANSWER, 1358])
def test_r25_where_any_answer_fits_nothing_is_asked(largest):
    world = saying(largest, NIDD)
    world.server_sends(request(options=[ACCEPT]))
    assert world.last_south().options == decode(request(options=[ACCEPT])).options


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("Read", request()),
        ("Discover", request(options=[ACCEPT])),
        ("Observe", request(options=observe())),
        ("Cancel Observation", request(options=observe(1))),
        ("Read", request(5, payload=b"[]")),  # Read-Composite is a FETCH
    ],
)
def test_r25_every_operation_that_asks_for_a_representation_does_so(name, data):
    world = saying(51)
    world.server_sends(data)
    (row,) = world.downlinks()
    assert (row["operation"], block2(parse(row["code"], row["body"]))) == (name, (0, False, 1))
    assert parse(row["code"], row["body"]).payload == decode(data).payload


@pytest.mark.parametrize("code", [2, 3, 4, 7])
def test_r25_others_are_left_as_they_are(code):
    world = saying(51)
    world.server_sends(request(code, payload=b"1"))
    assert block2(world.last_south()) is None


@pytest.mark.parametrize(("number", "szx"), [(0, 0), (0, 1), (3, 1), (7, 0)])
def test_r25_a_size_that_the_server_asked_for_and_that_fits_stays(number, szx):
    world = saying(51)
    data = request(options=[asked(number, szx)])
    world.server_sends(data)
    assert world.last_south().body == decode(data).body


@pytest.mark.parametrize(("number", "szx", "becomes"), [(0, 6, 0), (0, 2, 0), (1, 5, 16), (3, 2, 6)])
def test_r25_a_larger_one_is_lowered_and_its_number_counted_anew(number, szx, becomes):
    world = saying(51)
    world.server_sends(request(options=[asked(number, szx)]))
    assert block2(world.last_south()) == (becomes, False, 1)


@pytest.mark.parametrize("value", [b"\x07", b"\0\0\0\0"])
def test_r25_a_block2_that_is_none_is_the_devices_business(value):
    world = saying(51)
    data = request(options=[(int(Opt.BLOCK2), value)])
    world.server_sends(data)
    assert world.last_south().body == decode(data).body


def test_r25_only_the_last_block_of_a_fetch_says_what_blocks_its_answer_may_have():
    """RFC 7959 §3.3: a device that gets Block2 with an earlier one answers 4.02."""
    world = saying(51)
    paths = b'[{"n":"/3303/0/5700"},{"n":"/3303/0/5701"}]' * 4
    found = []
    for number in range(10):
        more = number < 9
        options = [(int(Opt.BLOCK1), uint_value(number << 4 | more << 3))]
        data = request(5, "", 200 + number, b"%d" % number, paths[number * 16 : number * 16 + 16], options)
        world.server_sends(data)
        found.append(block2(world.last_south()))
        world.device_sends(response(world.last_south(), 95 if more else 69, b"", options), f"k{number}")
    assert found == [None] * 9 + [(0, False, 1)]


def test_r25_of_a_last_block_that_is_split_only_the_last_part_does():
    world = World(replace(LORAWAN, max_downlink=45, max_uplink=51))
    options = [(int(Opt.BLOCK1), uint_value(1 << 4 | 2))]
    world.server_sends(request(5, "", 200, b"t", bytes(64), options))
    found = []
    for n in range(8):
        part = world.last_south()
        found.append((block2(part), len(part.payload)))
        block1 = part.option(Opt.BLOCK1) or b""
        more = bool(block1[-1] & 8)
        world.device_sends(response(part, 95 if more else 69, b"", [(int(Opt.BLOCK1), block1)]), f"k{n}")
        if not more:
            break
    assert found == [(None, 32), ((0, False, 1), 32)]


def test_r25_the_option_takes_room_only_where_there_is_some():
    data = request(path="3303/0/5700/abcdefgh")
    world = World(replace(LORAWAN, max_downlink=len(data) - 7, max_uplink=51))
    world.server_sends(data)
    assert world.last_south().body == decode(data).body


def test_r25_a_device_that_does_not_know_block2_is_not_asked():
    world = saying(51, options={"block2": "false"})
    world.server_sends(request())
    assert block2(world.last_south()) is None


def test_r25_r27_oscore_is_left_as_it_is():
    world = saying(51)
    data = request(5, options=[(int(Opt.OSCORE), b"x"), *observe()], payload=b"sealed")
    world.server_sends(data)
    assert world.last_south().body == decode(data).body


def test_r25_r10_the_ttl_option_goes_and_block2_comes():
    world = saying(51)
    world.server_sends(request(options=[(world.policy.ttl_option, b"\x1e")]))
    assert world.last_south().options[-1] == asked(0, 1)
    assert len(world.last_south().options) == 4


def test_r25_the_server_gets_the_first_block_and_fetches_the_rest(south):
    """Late negotiation to the server (RFC 7959 §2.4): it did not ask, and goes on in the size it got."""
    world = saying(51, south)
    body = bytes(range(80))
    world.server_sends(request())
    got = b""
    for number in range(3):
        ask = world.last_south()
        there = block2(ask)
        assert there == (number, False, 1)
        more = number < 2
        chunk = body[number * 32 : number * 32 + 32]
        world.device_sends(
            response(
                ask, payload=chunk, options=[CONTENT_FORMAT, (int(Opt.BLOCK2), uint_value(number << 4 | more << 3 | 1))]
            )
        )
        answer = next(m for m in map(decode, reversed(world.to_server)) if m.code)
        assert block2(answer) == (number, more, 1)
        got += answer.payload
        if more:
            world.server_sends(request(mid=101 + number, token=b"n%d" % number, options=[asked(number + 1, 1)]))
    assert got == body
    assert world.states() == ["RESPONDED"] * 3


def test_r25_r06_the_next_block_goes_before_what_waits():
    world = saying(51)
    world.server_sends(request())
    world.server_sends(request(path="3/0/1", mid=2, token=b"2"))
    world.server_sends(request(path="3/0/2", mid=3, token=b"3"))
    world.server_sends(request(mid=4, token=b"4", options=[asked(1, 1)]))
    world.device_sends(response(world.last_south(), options=[(int(Opt.BLOCK2), b"\x09")]))
    assert block2(world.last_south()) == (1, False, 1)


def test_r25_what_waits_is_asked_for_in_smaller_blocks_when_the_size_fell():
    world = saying(242)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.server_sends(request(mid=3, token=b"3", options=[asked(1, 3)]))
    world.south = replace(world.south, max_uplink=51)
    world.network = Accepted(None, NetworkState.SENT)
    world.answers_open_call(Accepted(None, NetworkState.SENT))
    assert [block2(parse(row["code"], row["body"])) for row in world.downlinks()] == [
        (0, False, 3),  # it has left
        (0, False, 1),
        (4, False, 1),
    ]
    world.restart()
    assert [block2(parse(row["code"], row["body"]))[2] for row in world.downlinks()] == [3, 1, 1]


def test_r25_r09_what_may_have_left_keeps_its_bytes():
    world = saying(242)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.answers_open_call(Refused(Refusal.UNREACHABLE, "asleep", world.wall + 5))
    assert world.downlinks()[0]["state"] == "QUEUED"
    world.south = replace(world.south, max_uplink=51)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.passes(6)
    assert block2(world.last_south()) == (0, False, 1)  # it had certainly not left
    world.south = replace(world.south, max_uplink=31)
    world.reports("h", None)
    world.passes(1)
    assert block2(parse(1, world.downlinks()[0]["body"])) == (0, False, 1)


def test_r25_notifications_come_in_the_size_that_the_observation_asked_for():
    world = saying(51)
    south = observed(world)
    assert block2(south) == (0, False, 1)
    first = notification(south, 77, payload=bytes(32))
    body = decode(first)
    options = [*body.options, (int(Opt.BLOCK2), b"\x09")]
    world.device_sends(frame(0, 69, 77, south.token, encode_body(options, bytes(32))))
    assert block2(world.last_north()) == (0, True, 1)


@given(st.integers(0, 1200), st.integers(0, 6), st.integers(0, 3000), st.booleans(), st.booleans())
def test_r25_whatever_is_asked_every_block_of_the_answer_fits(largest, szx, number, observing, asking):
    world = saying(largest)
    options = observe() if observing and not number else []
    if asking or number:
        options.append(asked(number, szx))
    world.server_sends(request(options=options))
    wanted = block2(world.last_south())
    if wanted is None or wanted == (number, False, szx):
        return
    if asking or number:
        assert wanted[2] < szx
        assert wanted[0] << wanted[2] == number << szx
    size = 16 << wanted[2]
    last = (wanted[0] or 4095) << 4 | 8 | wanted[2]
    answered = [CONTENT_FORMAT, (int(Opt.BLOCK2), uint_value(last)), (int(Opt.SIZE2), b"\xff\xff")]
    answered += [(int(Opt.OBSERVE), b"\xff\xff\xff")] if options and options[0][0] == Opt.OBSERVE else []
    assert len(response(world.last_south(), Code.CONTENT, bytes(size), answered)) <= largest
