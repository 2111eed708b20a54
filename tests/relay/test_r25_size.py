"""R25: what does not fit is refused so that the server can go on block-wise, and nothing is where nothing fits."""

from dataclasses import replace

from hypothesis import given, strategies as st
from world import NIDD, World, request

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import encode_body, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame

ENTITY_TOO_LARGE = Code.REQUEST_ENTITY_TOO_LARGE


def small(largest: int) -> World:
    return World(replace(NIDD, max_downlink=largest))


def write(payload: bytes, block1: int | None = None, token: bytes = b"12345678", mid: int = 5) -> bytes:
    options = [(int(Opt.CONTENT_FORMAT), b"\x2a")]
    if block1 is not None:
        options.append((int(Opt.BLOCK1), uint_value(block1)))
    return request(3, "5/0/0", mid, token, payload, options)


def test_r25_too_large_without_block1_is_413_with_a_size_that_fits():
    world = small(51)
    (answer,) = world.server_sends(write(bytes(300)))
    assert answer.code == ENTITY_TOO_LARGE
    assert answer.uint(Opt.BLOCK1) == 1  # 32 bytes
    assert world.downlinks() == []
    assert world.submitted == []


def test_r25_at_block_0_the_size_offered_is_below_the_refused_one():
    world = small(51)
    (answer,) = world.server_sends(write(bytes(512), 8 | 5))
    assert (answer.code, answer.uint(Opt.BLOCK1)) == (ENTITY_TOO_LARGE, 1)


def test_r25_in_mid_transfer_it_is_503_only_where_no_smaller_block_fits():
    (answer,) = small(30).server_sends(write(bytes(512), 3 << 4 | 8 | 5))
    assert (answer.code, answer.uint(Opt.MAX_AGE)) == (Code.SERVICE_UNAVAILABLE, 60)
    assert small(51).server_sends(write(bytes(512), 3 << 4 | 8 | 5)) == []  # test_r25_block1


def test_r25_what_has_no_payload_to_split_is_503():
    (answer,) = small(11).server_sends(request(path="3303/0/5700/abcdefgh"))
    assert (answer.code, answer.uint(Opt.MAX_AGE)) == (Code.SERVICE_UNAVAILABLE, 60)


def test_r25_what_fits_exactly_is_accepted():
    data = write(bytes(20))
    needed = len(data) - 7  # the token becomes one byte
    for largest, accepted in ((needed, 1), (needed - 1, 0)):
        world = small(largest)
        world.server_sends(data)
        assert len(world.submitted) == accepted


@given(st.integers(12, 300), st.integers(1, 400), st.integers(0, 5000))
def test_r25_every_later_block_of_the_offered_size_fits(largest, size, number):
    """Whatever number the block has: the offer is made once, for the whole transfer."""
    world = small(largest)
    answers = world.server_sends(write(bytes(size)))
    if not answers or answers[-1].code != ENTITY_TOO_LARGE:
        return
    szx = answers[-1].uint(Opt.BLOCK1)
    assert 16 << szx < size
    before = len(world.submitted)
    world.server_sends(write(bytes(16 << szx), number << 4 | 8 | szx, b"nexttokn", 6))
    assert len(world.submitted) == before + 1
    assert len(world.submitted[-1].attempt.payload) <= largest


def test_r25_the_network_may_say_it_too():
    world = World(NIDD)
    world.network = Refused(Refusal.TOO_LARGE, "DATA_TOO_LARGE")
    world.server_sends(write(bytes(600)))
    assert world.states() == ["TOO_LARGE"]
    assert world.last_north().code == ENTITY_TOO_LARGE
    assert 16 << world.last_north().uint(Opt.BLOCK1) < 600


def test_r25_it_is_checked_again_at_submit(south):
    """A data rate that fell while the request waited (LoRaWAN) makes it too large."""
    world = World(south)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(3, "5/0/0", 2, b"2", bytes(35)))
    world.south = replace(south, max_downlink=20)
    world.device_sends(frame(2, 69, world.last_south().mid, world.last_south().token, b""))
    world.answers_open_call(Accepted("h", NetworkState.SENT))
    assert len(world.submitted) == 1
    assert world.states() == ["RESPONDED", "TOO_LARGE"]
    codes = [decode(d).code for d in world.to_server]
    assert ENTITY_TOO_LARGE in codes or Code.SERVICE_UNAVAILABLE in codes


def test_r25_an_answer_of_which_no_block_fits_is_too_large_and_the_device_is_told_503():
    world = small(20)
    world.device_sends(request(1, "rd", 5, b"t"))
    north = world.last_north()
    world.server_sends(frame(2, 69, north.mid, north.token, encode_body([], bytes(100))))
    assert world.states("answer") == ["TOO_LARGE", "SENT"]
    assert world.submitted[-1].attempt.payload == frame(2, Code.SERVICE_UNAVAILABLE, 5, b"t", b"")
    world.server_sends(request())
    assert world.states() == ["SENT"]
