"""R25, a server's Block1 transfer: sizes are lowered in the relayed 2.31, and a block that no longer fits is split."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, strategies as st
from world import NIDD, World, ack, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.relay.model import Policy

BODY = bytes(range(256)) * 4


def block(number: int, more: bool, szx: int) -> bytes:
    return uint_value(number << 4 | more << 3 | szx)


def unblock(message: Message, option: int = Opt.BLOCK1) -> tuple[int, bool, int] | None:
    value = message.uint(option)
    return None if value is None else (value >> 4, bool(value & 8), value & 7)


def write(number: int, szx: int, *, more: bool = True, body: bytes = BODY, mid: int = 100, **other: object) -> bytes:
    """Return one block of a Write as a server sends it."""
    size = 16 << szx
    options = [(int(Opt.CONTENT_FORMAT), b"\x2a"), (int(Opt.BLOCK1), block(number, more, szx))]
    payload = body[number * size : (number + 1) * size]
    return request(3, "5/0/0", mid, b"token%03d" % mid, payload, options, **other)


@dataclass
class Device:
    """Takes blocks as RFC 7959 §2.3 says: in order, whatever size each has."""

    world: World
    body: bytes = b""
    szx: int = 6  # the largest that it wants
    mtype: Type = Type.ACK
    seen: list[tuple[int, bool, int]] = field(default_factory=list)

    def answers(self, message: Message | None = None) -> None:
        """Answer the last request that reached the device."""
        message = message or self.world.last_south()
        found = unblock(message)
        assert found is not None
        number, more, szx = found
        self.seen.append(found)
        assert number * (16 << szx) == len(self.body), "a block is missing or came twice"
        self.body += message.payload
        options = [(int(Opt.BLOCK1), block(number, more, min(szx, self.szx)))]
        mid = None if self.mtype is Type.ACK else 5000 + len(self.seen)
        self.world.device_sends(response(message, 95 if more else 68, b"", options, self.mtype, mid))


def small(largest: int, south=NIDD, **more) -> World:
    return World(replace(south, max_downlink=largest), **more)


def answers_of(world: World) -> list[Message]:
    return [m for m in map(decode, world.to_server) if m.code]


def test_r25_in_mid_transfer_a_block_that_does_not_fit_is_accepted_and_split():
    world = small(64)
    device = Device(world, BODY[:256])
    assert world.server_sends(write(1, 4)) == []
    while not answers_of(world):
        assert len(world.submitted[-1].attempt.payload) <= 64
        device.answers()
    assert device.body == BODY[:512]
    assert device.seen == [(number, True, 1) for number in range(8, 16)]
    (answer,) = answers_of(world)
    assert (answer.code, unblock(answer)) == (Code.CONTINUE, (1, True, 1))  # RFC 7959 §2.3: that block, the new size


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_the_parts_of_a_block_are_one_exchange_whose_retransmission_is_known(south, restarts):
    world = small(64, south, policy=Policy(max_exchanges=2))
    world.server_sends(write(1, 4))
    device = Device(world, BODY[:256])
    for _ in range(8):
        device.answers()
    (answer,) = answers_of(world)
    assert len(world.state.deliveries.kept) <= 2
    if restarts:
        world.restart()
    world.server_sends(write(1, 4))
    if south.quick:
        assert answers_of(world)[-1] == answer
    assert len(world.submitted) == 8
    world.server_sends(request(mid=7, token=b"another"))  # there is room for two
    assert len(world.submitted) == 9
    world.server_sends(request(mid=8, token=b"too many"))
    assert len(world.submitted) == 9


def test_r25_each_part_is_a_message_with_one_outcome_and_the_server_has_one_answer(south):
    world = small(64, south)
    world.server_sends(write(1, 3))
    device = Device(world, BODY[:128])
    for _ in range(4):
        device.answers()
    world.passes(300)
    assert world.states() == ["RESPONDED"] * 4
    assert [row["operation"] for row in world.downlinks()] == ["Write"] * 4
    assert [row["state"] for row in world.uplinks("response")] == ["REPLACED"] * 3 + [
        world.uplinks("response")[-1]["state"]
    ]
    assert len({m.mid for m in answers_of(world)}) == 1
    assert len({row["south_mid"] for row in world.downlinks()}) == 4
    assert [row["answered"] for row in world.downlinks()] == [False, False, False, True]
    assert [row["split_from"] is not None for row in world.downlinks()] == [False, False, False, True]


def test_r25_the_last_block_is_split_and_the_final_answer_names_the_servers_block():
    world = small(64)
    device = Device(world, BODY[:256])
    world.server_sends(write(1, 4, more=False, body=BODY[:330]))
    for _ in range(3):
        device.answers()
    assert device.body == BODY[:330]
    assert device.seen == [(8, True, 1), (9, True, 1), (10, False, 1)]
    (answer,) = answers_of(world)
    assert (answer.code, unblock(answer)) == (Code.CHANGED, (1, False, 1))


def test_r25_the_size_is_lowered_in_the_relayed_231_when_it_fell_meanwhile():
    world = small(200)
    device = Device(world)
    world.server_sends(write(0, 3))
    world.south = replace(world.south, max_downlink=51)
    device.answers()
    (answer,) = answers_of(world)
    assert (answer.code, unblock(answer)) == (Code.CONTINUE, (0, True, 1))
    # The server goes on behind what it has sent, counted in the new size (RFC 7959 §2.5).
    world.server_sends(write(4, 1, mid=101))
    device.answers()
    assert answers_of(world)[-1].options == ((int(Opt.BLOCK1), block(4, True, 1)),)
    assert device.seen == [(0, True, 3), (4, True, 1)]


def test_r25_the_size_of_later_blocks_is_counted_without_size1_which_only_the_first_has():
    for largest, szx in ((83, 2), (82, 1)):
        world = small(200)
        device = Device(world)
        options = [
            (int(Opt.CONTENT_FORMAT), b"\x2a"),
            (int(Opt.BLOCK1), block(0, True, 3)),
            (int(Opt.SIZE1), b"\x04\0"),
        ]
        world.server_sends(request(3, "5/0/0", 100, b"12345678", BODY[:128], options))
        world.south = replace(world.south, max_downlink=largest)
        device.answers()
        assert unblock(answers_of(world)[0]) == (0, True, szx)
        # the largest that may follow: its option takes 3 bytes from block 4096 on
        later = request(
            3, "5/0/0", 101, b"1", bytes(16 << szx), [options[0], (int(Opt.BLOCK1), block(4096, True, szx))]
        )
        assert len(later) <= largest


def test_r25_a_size_that_fits_is_relayed_as_it_is(south):
    world = small(200, south)
    device = Device(world)
    world.server_sends(write(0, 3))
    south_request = world.last_south()
    device.answers()
    (answer,) = answers_of(world)
    assert answer.body == decode(response(south_request, 95, b"", [(int(Opt.BLOCK1), block(0, True, 3))])).body
    assert world.downlinks()[0]["split_from"] is None


def test_r25_a_smaller_size_that_the_device_asks_for_counts_for_the_parts_as_well():
    world = small(64)
    device = Device(world, BODY[:128], szx=0)
    world.server_sends(write(1, 3))
    while not answers_of(world):
        device.answers()
    assert device.seen == [(4, True, 1), *((number, True, 0) for number in range(10, 16))]
    assert unblock(answers_of(world)[0]) == (1, True, 0)


def test_r25_a_size_that_falls_between_two_parts_makes_the_rest_smaller():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    world.south = replace(world.south, max_downlink=40)
    while not answers_of(world):
        device.answers()
    assert device.seen == [(4, True, 1), *((number, True, 0) for number in range(10, 16))]
    assert device.body == BODY[:256]


def test_r25_a_part_that_waited_while_the_size_fell_is_cut_again():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    world.network = None  # the next call stays open
    device.answers()
    world.south = replace(world.south, max_downlink=40)
    world.network = Accepted(None, NetworkState.SENT)
    world.answers_open_call(Refused(Refusal.UNREACHABLE, "asleep", world.wall + 5))
    world.passes(10)
    while not answers_of(world):
        device.answers()
    assert device.body == BODY[:256]
    assert device.seen[1] == (10, True, 0)


def test_r25_what_may_have_left_already_is_not_changed():
    """R9: once more, but with the same bytes; where these do not fit any more, nobody knows."""
    world = small(300)
    world.network = None
    world.server_sends(write(1, 4))
    world.south = replace(world.south, max_downlink=64)
    world.answers_open_call(Ambiguous("lost"))
    assert world.states() == ["UNKNOWN"]
    world.passes(116)
    assert world.downlinks()[0]["over"]
    assert answers_of(world)[-1].code == Code.GATEWAY_TIMEOUT
    assert len(world.submitted) == 1


def test_r25_a_block_accepted_at_a_better_size_is_split_at_submit():
    world = small(300)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(write(1, 4))
    world.south = replace(world.south, max_downlink=64)
    world.network = Accepted(None, NetworkState.SENT)
    read = world.last_south()
    world.device_sends(response(read))
    world.answers_open_call(Accepted(None, NetworkState.SENT))
    device = Device(world, BODY[:256])
    while len(answers_of(world)) < 2:
        device.answers()
    assert device.body == BODY[:512]
    assert world.states() == ["RESPONDED"] * 9


def test_r25_the_network_says_that_a_block_is_too_large_and_has_learned_what_fits():
    world = small(300)
    world.network = None
    world.server_sends(write(1, 4))
    world.south = replace(world.south, max_downlink=64)
    world.network = Accepted(None, NetworkState.SENT)
    world.answers_open_call(Refused(Refusal.TOO_LARGE, "DATA_TOO_LARGE"))
    device = Device(world, BODY[:256])
    while not answers_of(world):
        device.answers()
    assert device.body == BODY[:512]


def test_r25_where_no_part_fits_it_is_503_and_nothing_is_accepted():
    world = small(20)
    (answer,) = world.server_sends(write(1, 4))
    assert (answer.code, answer.uint(Opt.MAX_AGE)) == (Code.SERVICE_UNAVAILABLE, 60)
    assert world.downlinks() == []


def test_r25_where_no_further_part_fits_it_is_too_large_and_503():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    world.south = replace(world.south, max_downlink=20)
    device.answers()
    assert world.states() == ["RESPONDED", "TOO_LARGE"]
    (answer,) = answers_of(world)
    assert (answer.code, answer.uint(Opt.MAX_AGE)) == (Code.SERVICE_UNAVAILABLE, 60)


@pytest.mark.parametrize("value", [b"", block(0, True, 7), b"\0\0\0\x1e", block(1, True, 4)])
def test_r25_what_is_no_block_of_a_size_is_not_split(value):
    """Block number 0, the reserved SZX, an option that is too long, a block shorter than its size."""
    world = small(64)
    data = request(3, "5/0/0", 100, b"12345678", bytes(200), [(int(Opt.BLOCK1), value)])
    (answer,) = world.server_sends(data)
    assert answer.code in (Code.REQUEST_ENTITY_TOO_LARGE, Code.SERVICE_UNAVAILABLE)
    assert world.submitted == []


@pytest.mark.parametrize("code", [Code.REQUEST_ENTITY_TOO_LARGE, 136, Code.BAD_REQUEST, Code.INTERNAL_SERVER_ERROR])
def test_r25_an_error_in_the_middle_of_a_block_is_the_servers_answer(code):
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    device.answers()
    part = world.last_south()
    world.device_sends(response(part, code, b"no", [(int(Opt.BLOCK1), part.option(Opt.BLOCK1) or b"")]))
    (answer,) = answers_of(world)
    assert (answer.code, answer.payload, unblock(answer)) == (code, b"no", (1, True, 1))
    world.passes(300)
    assert world.states() == ["RESPONDED", "RESPONDED"]
    assert len(world.submitted) == 2


def test_r25_a_device_that_answers_a_part_without_block1_took_it_for_the_whole():
    world = small(64)
    world.server_sends(write(1, 3))
    world.device_sends(response(world.last_south(), 68, b""))
    (answer,) = answers_of(world)
    assert (answer.code, answer.options) == (Code.CHANGED, ())


def test_r25_a_reset_of_a_part_ends_the_block():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    device.answers()
    part = world.last_south()
    world.passes(2)
    world.device_sends(bytes((0x70, 0, part.mid >> 8, part.mid & 255)))
    assert world.states() == ["RESPONDED", "REJECTED"]
    assert answers_of(world)[-1].code == Code.BAD_GATEWAY


def test_r25_when_the_server_waits_no_longer_no_further_part_is_sent():
    """R12."""
    world = small(64, default_ttl=10000.0)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    world.passes(116)
    assert answers_of(world)[-1].code == Code.GATEWAY_TIMEOUT
    sent = len(world.submitted)
    device.answers()
    assert len(world.submitted) == sent
    assert [(row["state"], row["late"]) for row in world.downlinks()] == [("RESPONDED", True)]


def test_r25_a_part_that_finds_no_way_says_that_parts_before_it_arrived():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    device.answers()
    world.passes(1000)
    assert world.states() == ["RESPONDED", "UNANSWERED"]
    answer = next(m for m in answers_of(world) if m.code == Code.GATEWAY_TIMEOUT)
    assert b"parts" in answer.payload


def test_r25_r06_the_next_part_goes_before_what_waits():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    world.server_sends(request(mid=7, token=b"7"))
    for _ in range(4):
        device.answers()
    assert [decode(s.attempt.payload).code for s in world.submitted] == [3, 3, 3, 3, 1]


def test_r25_r04_the_servers_retransmission_never_reaches_the_radio():
    world = small(64)
    device = Device(world, BODY[:128])
    data = write(1, 3)
    world.server_sends(data)
    device.answers()
    assert world.server_sends(data) == []  # the acknowledgement is still held
    world.passes(2)
    assert [m.code for m in world.server_sends(data)] == [0]
    before = len(world.submitted)
    for _ in range(3):
        device.answers()
    final = answers_of(world)[-1]
    world.server_sends(ack(final))
    world.server_sends(data)
    assert len(world.submitted) == before + 3 - 1
    assert len({m.mid for m in answers_of(world)}) == 1


def test_r25_r05_the_acknowledgement_is_held_over_quick_parts():
    world = small(64)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    for _ in range(4):
        world.passes(0.1)
        device.answers()
    (answer,) = [decode(data) for data in world.to_server]
    assert (answer.type, answer.mid, answer.code) == (Type.ACK, 100, Code.CONTINUE)


@pytest.mark.parametrize("restart", [1, 2, 3, 4])
def test_r25_r32_a_restart_between_parts_loses_nothing(south, restart):
    world = small(64, south)
    device = Device(world, BODY[:128])
    world.server_sends(write(1, 3))
    for number in range(1, 5):
        if number == restart:
            world.restart()
        device.answers()
    assert device.body == BODY[:256]
    assert {(m.code, m.token) for m in answers_of(world)} == {(Code.CONTINUE, b"token100")}
    assert world.states() == ["RESPONDED"] * 4


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r25_r18_separate_answers_to_parts_are_acknowledged_and_their_repeats_add_nothing(mtype):
    world = small(64)
    device = Device(world, BODY[:128], mtype=mtype)
    world.server_sends(write(1, 3))
    parts = 0
    while not answers_of(world):
        part = next(decode(s.attempt.payload) for s in reversed(world.submitted) if s.attempt.kind.value == "request")
        device.answers(part)
        said = response(part, 95, b"", [(int(Opt.BLOCK1), part.option(Opt.BLOCK1) or b"")], mtype, 5000 + parts + 1)
        world.passes(3)
        world.device_sends(said)
        parts += 1
    acknowledged = [m.mid for m in (decode(s.attempt.payload) for s in world.submitted) if m.type is Type.ACK]
    assert len(world.downlinks()) == 4
    assert sorted(set(acknowledged)) == ([5001, 5002, 5003, 5004] if mtype is Type.CON else [])


def test_r25_r27_oscore_is_not_split():
    world = small(64)
    options = [(int(Opt.OSCORE), b"x"), (int(Opt.BLOCK1), block(1, True, 4))]
    data = request(2, "5/0/0", 100, b"12345678", bytes(256), options)
    (answer,) = world.server_sends(data)
    assert answer.code == Code.SERVICE_UNAVAILABLE


def test_r25_r27_an_oscore_answer_passes_with_its_block1():
    world = World()
    options = [(int(Opt.OSCORE), b"x"), (int(Opt.BLOCK1), block(0, True, 2))]
    data = request(2, "5/0/0", 100, b"12345678", bytes(64), options)
    world.server_sends(data)
    world.south = replace(world.south, max_downlink=40)
    world.device_sends(response(world.last_south(), 95, b"", [(int(Opt.BLOCK1), block(0, True, 2))]))
    assert unblock(answers_of(world)[-1]) == (0, True, 2)


@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.booleans(),
    st.integers(1, 1024),
    st.lists(st.integers(34, 600), min_size=1, max_size=60),
)
def test_r25_whatever_the_sizes_the_device_gets_the_servers_block_byte_by_byte(szx, number, more, length, sizes):
    size = 16 << szx
    payload = (BODY * 2)[: size if more else min(length, size)]
    world = small(sizes[0])
    options = [(int(Opt.BLOCK1), block(number, more, szx))]
    world.server_sends(request(3, "5/0/0", 9, b"12345678", payload, options))
    device = Device(world, bytes(number * size))
    for largest in [*sizes, *[600] * 64]:
        if answers_of(world):
            break
        assert len(world.submitted[-1].attempt.payload) <= world.south.max_downlink
        world.south = replace(world.south, max_downlink=largest)
        device.answers()
    assert device.body == bytes(number * size) + payload
    (answer,) = answers_of(world)
    told = unblock(answer)
    assert told is not None
    assert told[:2] == (number, more)
    assert set(world.states()) == {"RESPONDED"}
    assert device.seen[-1][1] is more
    assert all(later for _, later, _ in device.seen[:-1])
