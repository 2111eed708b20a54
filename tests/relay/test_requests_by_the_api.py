"""Requests that come by the API: treated like a server's, but nobody is sent an answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from world import LORAWAN, NIDD, World, registered, request

from bindings.contract import Accepted, Ambiguous, Cancellation, NetworkState, Refusal, Refused, SouthProfile
from bridge.coap.message import Message, Option, Type, encode_body, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import DIRECT, ServerRequest
from bridge.delivery.explain import explain
from bridge.delivery.uplinks import Response
from bridge.quota.limits import AtLimit, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.relay.blocks import Block, block_of
from bridge.relay.direct import MOST_BLOCKS
from bridge.relay.effects import DirectAnswer, Effect
from bridge.relay.model import Policy
from bridge.relay.responses import ENDS_EARLY

SLEEPS = Refused(Refusal.UNREACHABLE, "asleep", retry_at=1_700_000_090.0)
HELD = Accepted("h", NetworkState.BUFFERED)


class Direct(World):
    """A world that keeps the answers to requests by the API."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.answers: list[DirectAnswer] = []

    def _release(self, effect: Effect) -> None:
        if isinstance(effect, DirectAnswer):
            self.answers.append(effect)
        super()._release(effect)

    def send(
        self,
        code: int = Code.GET,
        path: str = "3/0/0",
        payload: bytes = b"",
        options: tuple[Option, ...] = (),
        **more: Any,
    ) -> int:
        """Ask by the API, and return the downlink's id."""
        id_ = next(self.ids)
        note = DirectNote(id_, 1, self.wall, "a test", None, b"", more.pop("supersede_key", None))
        segments = tuple((Opt.URI_PATH, part.encode()) for part in path.split("/"))
        self.event(ev.DirectRequest(id_, code, (*segments, *options), payload, note, **more))
        return id_

    def row(self, id_: int) -> Any:
        return next(row for row in self.loaded([ServerRequest]) if row.id == id_)

    def of(self, id_: int) -> list[Any]:
        """Return all messages of an exchange."""
        token = self.row(id_).north_token
        return [row for row in self.loaded([ServerRequest]) if row.server == DIRECT and row.north_token == token]

    def sent(self) -> Message:
        """Return what went to the device last."""
        return decode(self.submitted[-1].attempt.payload)

    def answers_last(self, code: int, payload: bytes = b"", options: tuple[Option, ...] = ()) -> None:
        """Let the device answer what went to it last."""
        asked = self.sent()
        self.event(ev.DeviceMessage(frame(Type.ACK, code, asked.mid, asked.token, encode_body([*options], payload))))


def test_the_devices_answer_is_kept_and_nobody_is_sent_it(south: SouthProfile):
    world = Direct(south)
    id_ = world.send()
    assert world.answers == [DirectAnswer(id_)]
    world.answers_last(Code.CONTENT, b"Acme", ((Opt.CONTENT_FORMAT, b""),))
    assert (world.row(id_).state, world.row(id_).over) == ("RESPONDED", True)
    (kept,) = world.loaded([Response])
    assert (kept.downlink, kept.state, kept.code, kept.body[-4:]) == (id_, "FORWARDED", Code.CONTENT, b"Acme")
    world.passes(90_000)
    assert world.to_server == []
    assert world.wake is None


def test_an_outcome_without_an_answer_sends_nobody_anything(south: SouthProfile):
    world = Direct(south)
    world.network = SLEEPS
    id_ = world.send(deliver_by=world.wall + 60)
    world.passes(100)
    assert (world.row(id_).state, world.row(id_).reason) == ("UNREACHABLE", "asleep")
    world.network = Accepted(None, NetworkState.SENT)
    other = world.send(Code.POST, "3/0/4")
    world.passes(100_000)
    assert world.row(other).state == "UNANSWERED"
    assert world.to_server == []


def test_nobodys_patience_ends_while_it_may_still_be_delivered():
    world = Direct(NIDD)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 40_000)
    id_ = world.send(deliver_by=world.wall + 50_000)
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(40_010)
    assert len(world.submitted) == 2
    world.answers_last(Code.CONTENT, b"Acme")
    assert (world.row(id_).state, world.row(id_).late) == ("RESPONDED", False)


def test_a_restart_acknowledges_nothing_and_forgets_nothing(south: SouthProfile):
    world = Direct(south)
    world.network = HELD
    id_ = world.send()
    world.restart()
    assert world.to_server == []
    world.answers_last(Code.CONTENT, b"Acme")
    assert world.row(id_).state == "RESPONDED"
    world.restart()
    world.passes(100_000)
    assert world.to_server == []


def test_the_same_answer_again_is_a_repeat_after_all(south: SouthProfile):
    world = Direct(south)
    world.send()
    asked = world.sent()
    data = frame(Type.CON, Code.CONTENT, 77, asked.token, b"\xffAcme")
    world.event(ev.DeviceMessage(data))
    world.event(ev.DeviceMessage(data))
    assert len(world.loaded([Response])) == 1
    assert [decode(one.attempt.payload).type for one in world.submitted[1:]] == [Type.ACK, Type.ACK]


def test_tokens_and_message_ids_are_those_of_no_servers_request(south: SouthProfile):
    world = Direct(south)
    world.network = SLEEPS
    for number in range(20):
        world.send()
        world.server_sends(request(1, "3/0/1", mid=number))
    rows = world.loaded([ServerRequest])
    assert len(rows) == len({row.south_token for row in rows}) == len({row.south_mid for row in rows}) > 30


def test_servers_and_the_api_share_one_queue(south: SouthProfile):
    world = Direct(south, policy=Policy(max_requests=2))
    world.network = SLEEPS
    world.server_sends(request())
    world.send()
    refused = world.send()
    assert (world.answers[-1].downlink, world.answers[-1].code) == (refused, Code.SERVICE_UNAVAILABLE)
    assert world.answers[-1].text == "queue full"
    assert len(world.loaded([ServerRequest])) == 2
    assert [count.name for count in world.counts] == ["requests_refused"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (((Opt.OBSERVE, b""),), Code.BAD_OPTION),
        (((Opt.PROXY_URI, b"coap://elsewhere"),), Code.PROXYING_NOT_SUPPORTED),
        (((Opt.PROXY_SCHEME, b"coap"),), Code.PROXYING_NOT_SUPPORTED),
        (((Policy().ttl_option, b"\x3c"),), Code.BAD_OPTION),
    ],
)
def test_what_a_server_may_not_ask_the_api_may_not(options: tuple[Option, ...], code: int):
    world = Direct()
    world.send(options=options)
    assert world.answers[0].code == code
    assert world.loaded([ServerRequest]) == world.loaded([DirectNote]) == []


def test_a_secured_device_is_asked_nothing_in_plain_text():
    world = Direct()
    world.event(ev.DeviceMessage(bytes([22, 254, 253]) + bytes(20)))
    world.send()
    assert world.answers[-1].code == Code.UNAUTHORIZED
    world.restart()
    world.send()
    assert world.answers[-1].code == Code.UNAUTHORIZED
    world.send(options=((Opt.OSCORE, b"\x09\x01"),))  # the caller's own security context
    assert world.answers[-1].code == 0
    assert world.loaded([ServerRequest])[0].operation == "OSCORE"


def test_a_device_that_registers_in_plain_text_is_secured_no_longer():
    world = Direct()
    world.event(ev.DeviceMessage(bytes([22, 254, 253]) + bytes(20)))
    registered(world)
    world.send()
    assert world.answers[-1].code == 0


def test_a_servers_record_says_that_its_device_is_secured():
    world = Direct()
    world.event(ev.ServerDatagram("srv", bytes([23, 254, 253]) + bytes(20)))
    world.send()
    assert world.answers[-1].code == Code.UNAUTHORIZED


def test_a_newer_one_takes_the_place_of_one_that_waits(south: SouthProfile):
    world = Direct(south)
    world.network = SLEEPS
    old = world.send(Code.PUT, "3/0/14", b"+01:00", supersede_key="offset", deliver_by=world.wall + 10_000)
    other = world.send()
    new = world.send(Code.PUT, "3/0/14", b"+02:00", supersede_key="offset", supersedes=(old,))
    assert world.answers[-1] == DirectAnswer(new, superseded=(old,))
    assert (world.row(old).state, world.row(old).reason) == ("SUPERSEDED", f"downlink {new} took its place")
    assert not world.row(other).over


def test_one_that_the_network_holds_is_taken_back():
    world = Direct(NIDD)
    world.network = HELD
    world.cancel_answer = None
    old = world.send(supersede_key="k")
    new = world.send(supersede_key="k", supersedes=(old,))
    assert world.answers[-1].superseded == (old,)
    assert world.row(old).state == "BUFFERED"
    cancel = world.cancels[0]
    world.event(ev.CancelDone(cancel.downlink, cancel.number, Cancellation.REMOVED))
    assert (world.row(old).state, world.row(old).reason) == ("CANCELLED", f"downlink {new} is to take its place")
    assert len(world.submitted) == 2


def test_one_that_left_does_not_make_way():
    world = Direct(NIDD)
    old = world.send(supersede_key="k")
    new = world.send(supersede_key="k", supersedes=(old,))
    assert world.answers[-1] == DirectAnswer(new)
    assert world.row(old).state == "SENT"


def test_priority_says_which_goes_first():
    world = Direct(NIDD)
    world.network = SLEEPS
    world.send(path="3/0/0")
    world.send(path="3/0/1", priority=-1)
    world.send(path="3/0/2")
    urgent = world.send(path="3/0/3", priority=1)
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(120)
    assert world.submitted[1].attempt.downlink == urgent


def test_the_network_is_asked_to_confirm_what_its_caller_wants_confirmed():
    world = Direct(NIDD)
    world.send(confirmed=True)
    assert world.submitted[-1].attempt.confirmed
    world.answers_last(Code.CONTENT)
    world.send()
    assert not world.submitted[-1].attempt.confirmed


def test_an_execute_is_submitted_once_whatever_happens():
    world = Direct(NIDD)
    world.send(Code.POST, "3/0/4")
    world.passes(100_000)
    assert len(world.submitted) == 1


def test_a_read_goes_again_as_a_servers_does():
    world = Direct(NIDD)
    world.send(deliver_by=world.wall + 10_000)
    world.passes(1000)
    assert len(world.submitted) == 3
    assert len({one.attempt.payload for one in world.submitted}) == 1


# -- blocks


def carried_out(world: Direct, answer: bytes, szx: int) -> bytes:
    """Let a device take all blocks and answer in blocks; return what it was sent in all."""
    taken = b""
    for _ in range(3000):
        if not world.state.deliveries.live:
            break
        asked = world.sent()
        sent = block_of(asked, Opt.BLOCK1)
        wanted = block_of(asked, Opt.BLOCK2)
        if wanted is None or not wanted.number:
            assert sent is None or sent.offset == len(taken)
            taken += asked.payload
        if sent is not None and sent.more:
            world.answers_last(Code.CONTINUE, options=((Opt.BLOCK1, sent.value()),))
            continue
        size = szx if wanted is None else min(szx, wanted.szx)
        at = 0 if wanted is None else wanted.offset
        part = answer[at : at + (16 << size)]
        more = at + len(part) < len(answer)
        options: tuple[Option, ...] = ()
        if more or at:
            options = ((Opt.BLOCK2, Block(at >> size + 4, more=more, szx=size).value()),)
        world.answers_last(Code.CONTENT, part, options)
    return taken


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([NIDD, LORAWAN]),
    st.binary(max_size=3000),
    st.binary(max_size=3000),
    st.integers(0, 6),
)
def test_whatever_its_size_all_of_it_goes_and_all_of_the_answer_comes(
    south: SouthProfile, payload: bytes, answer: bytes, szx: int
):
    world = Direct(south)
    id_ = world.send(Code.FETCH, "", payload)
    assert carried_out(world, answer, szx) == payload
    rows = world.of(id_)
    assert {row.state for row in rows} == {"RESPONDED"}
    kept = sorted(world.loaded([Response]), key=lambda one: one.id)
    bodies = [decode(frame(Type.ACK, one.code, 0, b"", one.body)) for one in kept]
    assert b"".join(one.payload for one in bodies if one.code == Code.CONTENT) == answer
    assert len({row.south_mid for row in rows}) == len(rows)
    assert all(len(one.attempt.payload) <= (south.max_downlink or 0) for one in world.submitted)
    assert world.to_server == []


def test_the_parts_of_one_request_live_as_long_as_it():
    world = Direct(LORAWAN)
    id_ = world.send(Code.PUT, "5/0/0", bytes(100), deliver_by=world.wall + 5000)
    world.passes(100)
    world.answers_last(Code.CONTINUE, options=((Opt.BLOCK1, block_of(world.sent(), Opt.BLOCK1).value()),))
    first, second = world.of(id_)
    assert (first.state, first.over, second.over) == ("RESPONDED", True, False)
    assert second.deliver_by == first.deliver_by
    assert second.confirmed == first.confirmed


def test_a_cancel_of_the_first_part_cancels_the_one_that_it_is_at():
    world = Direct(LORAWAN)
    id_ = world.send(Code.PUT, "5/0/0", bytes(100))
    first = block_of(world.sent(), Opt.BLOCK1)
    assert first is not None
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 1000)
    world.answers_last(Code.CONTINUE, options=((Opt.BLOCK1, first.value()),))
    world.event(ev.CancelAsked(id_))
    assert [row.state for row in world.of(id_)] == ["RESPONDED", "CANCELLED"]


def test_an_answer_without_an_end_is_not_asked_for_for_ever():
    world = Direct(NIDD)
    id_ = world.send()
    carried_out(world, bytes(200_000), 6)
    assert len(world.of(id_)) == 64


def test_blocks_that_a_caller_names_are_left_alone():
    world = Direct(NIDD)
    id_ = world.send(options=((Opt.BLOCK2, uint_value(0x16)),))
    assert world.sent().uint(Opt.BLOCK2) == 0x16
    world.answers_last(Code.CONTENT, bytes(1024), ((Opt.BLOCK2, uint_value(0x1E)),))
    assert [row.state for row in world.of(id_)] == ["RESPONDED"]
    block1 = ((Opt.BLOCK1, uint_value(0x0E)),)
    id_ = world.send(Code.PUT, "5/0/0", bytes(1024), block1)
    world.answers_last(Code.CONTINUE, options=block1)
    assert [row.state for row in world.of(id_)] == ["RESPONDED"]


# -- exchanges of several messages


def block1_of(asked: Message) -> Block:
    found = block_of(asked, Opt.BLOCK1)
    assert found is not None
    return found


def takes_part(world: Direct) -> None:
    """Let the device take the part that went to it last."""
    block = block1_of(world.sent())
    world.answers_last(Code.CONTINUE if block.more else Code.CHANGED, options=((Opt.BLOCK1, block.value()),))


def takes_all(world: Direct) -> list[bytes]:
    """Let the device take all parts of all requests; return the first byte and the number of each that it got."""
    got = []
    for _ in range(20):
        asked = world.sent()
        got.append(asked.payload[:1] + b"%d" % block1_of(asked).number)
        takes_part(world)
        if not world.state.deliveries.live:
            break
        world.passes(10)
    return got


IN_ORDER = [b"A0", b"A1", b"A2", b"B0", b"B1", b"B2"]


@pytest.mark.parametrize("priority", [-1, 0, 1])
def test_r25_no_other_request_goes_between_the_parts_of_one(priority: int):
    world = Direct(NIDD)
    world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.send(Code.PUT, "19/0/0", b"B" * 3000, priority=priority)
    assert takes_all(world) == IN_ORDER


@pytest.mark.parametrize(
    "refused",
    [
        Refused(Refusal.FAILED, "no", retry_at=None),
        Refused(Refusal.RATE_LIMITED, "later", retry_at=1_700_000_040.0),
        Refused(Refusal.UNREACHABLE, "asleep", retry_at=1_700_000_040.0),
    ],
)
def test_r25_a_part_that_waits_holds_back_the_requests_before_it(refused: Refused):
    world = Direct(NIDD)
    world.send(Code.PUT, "19/0/0", b"A" * 3000)
    other = world.send(Code.PUT, "19/0/0", b"B" * 3000)
    world.network = refused
    takes_part(world)
    assert len(world.submitted) == 2
    waits = {one.downlink: one for one in explain(world.state.deliveries, world.wall, world.south)}[other]
    assert waits.blocked_by == world.submitted[-1].attempt.downlink
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(60)
    assert takes_all(world) == IN_ORDER[1:]


def test_r25_a_request_that_waits_does_not_hold_back_the_next_part():
    world = Direct(NIDD)
    world.send()
    world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.send(Code.PUT, "19/0/0", b"B" * 3000, priority=1)
    world.network = None
    world.answers_last(Code.CONTENT)
    assert world.sent().payload[:1] == b"B"
    world.network = Accepted(None, NetworkState.SENT)
    world.answers_open_call(Refused(Refusal.FAILED, "no", retry_at=world.wall + 1000))
    for _ in range(3):
        assert world.sent().payload[:1] == b"A"
        takes_part(world)
    world.passes(1000)
    assert takes_all(world) == IN_ORDER[3:]


def test_r25_a_request_by_the_api_does_not_go_between_the_parts_of_a_servers_block():
    world = Direct(replace(NIDD, max_downlink=64))
    block = Block(1, more=True, szx=4)
    world.server_sends(request(3, "5/0/0", 1, b"t", bytes(256), [(int(Opt.BLOCK1), block.value())]))
    world.send(Code.PUT, "5/0/0", b"B", priority=1)
    for _ in range(8):
        assert world.sent().payload[:1] == b"\0"
        takes_part(world)
    assert world.sent().payload == b"B"


def test_r06_an_answer_to_the_device_goes_between_the_parts():
    world = Direct(NIDD)
    world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.network = Refused(Refusal.FAILED, "no", retry_at=world.wall + 30)
    takes_part(world)
    world.network = Accepted(None, NetworkState.SENT)
    world.event(ev.DeviceMessage(frame(Type.CON, Code.EMPTY, 9, b"", b"")))
    assert world.sent().type is Type.RST


def test_r06_a_part_of_which_nobody_knows_whether_it_went_holds_the_others_back_for_its_answers_time_only():
    world = Direct(NIDD)
    world.network = Ambiguous("timeout")
    first = world.send(Code.POST, "19", b"A" * 3000, deliver_by=world.wall + 80_000)
    other = world.send(Code.PUT, "19/0/0", b"B")
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(5000)
    assert not world.row(first).over
    world.event(ev.DeviceMessage(frame(Type.CON, Code.EMPTY, 9, b"", b"")))
    world.passes(NIDD.response_timeout)
    assert (world.row(first).state, world.row(other).state) == ("UNKNOWN", "SENT")


def test_r11_a_cancel_stops_an_exchange_between_its_parts():
    world = Direct(NIDD)
    id_ = world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.event(ev.CancelAsked(id_))
    takes_part(world)
    assert len(world.submitted) == 1
    first, second = world.of(id_)
    assert (first.state, first.reason) == ("RESPONDED", "a part of a block; no further one, for it was cancelled")
    assert (second.state, second.reason) == ("CANCELLED", "cancelled on request (the parts before this one arrived)")
    world.passes(100_000)
    assert len(world.submitted) == 1


def test_r11_a_cancel_of_a_servers_block_in_parts_is_what_its_server_is_told():
    world = Direct(replace(NIDD, max_downlink=64))
    block = Block(1, more=True, szx=4)
    world.server_sends(request(3, "5/0/0", 1, b"t", bytes(256), [(int(Opt.BLOCK1), block.value())]))
    world.event(ev.CancelAsked(world.submitted[-1].attempt.downlink))
    takes_part(world)
    assert len(world.submitted) == 1
    told = decode(world.to_server[-1])
    assert told.code == Code.SERVICE_UNAVAILABLE
    assert told.payload == b"CANCELLED: cancelled on request (the parts before this one arrived)"


def test_r11_a_cancel_stops_the_fetching_of_an_answer_and_keeps_what_came():
    world = Direct(NIDD)
    id_ = world.send()
    world.event(ev.CancelAsked(id_))
    world.answers_last(Code.CONTENT, bytes(1024), ((Opt.BLOCK2, Block(0, more=True, szx=6).value()),))
    assert len(world.submitted) == 1
    (row,) = world.of(id_)
    assert (row.state, row.reason) == (
        "RESPONDED",
        "cancelled on request: no further block of the answer is asked for",
    )
    assert len(world.loaded([Response])) == 1


@pytest.mark.parametrize("cancel", [False, True])
def test_an_outcome_of_a_later_part_says_that_those_before_it_arrived(cancel: bool):
    world = Direct(NIDD)
    id_ = world.send(Code.PUT, "19/0/0", b"A" * 3000, deliver_by=world.wall + 60)
    world.network = SLEEPS
    takes_part(world)
    if cancel:
        world.event(ev.CancelAsked(id_))
    world.passes(100)
    last = world.of(id_)[-1]
    assert last.state == ("CANCELLED" if cancel else "UNREACHABLE")
    assert last.reason == "asleep (the parts before this one arrived)"


def test_an_outcome_of_a_later_block_of_an_answer_says_that_those_before_it_came():
    world = Direct(NIDD)
    id_ = world.send(deliver_by=world.wall + 60)
    world.network = SLEEPS
    world.answers_last(Code.CONTENT, bytes(1024), ((Opt.BLOCK2, Block(0, more=True, szx=6).value()),))
    world.passes(100)
    last = world.of(id_)[-1]
    assert last.reason == "asleep (the device answered with the blocks before this one)"


def test_r25_success_for_a_part_without_the_rest_is_shown_as_such():
    world = Direct(NIDD)
    id_ = world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.answers_last(Code.CHANGED)
    (row,) = world.of(id_)
    assert (row.state, row.reason, len(world.submitted)) == ("RESPONDED", ENDS_EARLY, 1)
    refused = world.send(Code.PUT, "19/0/0", b"A" * 3000)
    world.answers_last(Code.NOT_FOUND)
    assert (world.row(refused).state, world.row(refused).reason) == ("RESPONDED", "")


def test_r25_no_blocks_of_an_answer_to_a_part_are_asked_for():
    world = Direct(NIDD)
    world.send(Code.FETCH, "", b"A" * 3000)
    world.answers_last(Code.CONTENT, bytes(1024), ((Opt.BLOCK2, Block(0, more=True, szx=6).value()),))
    assert len(world.submitted) == 1


def test_r25_a_server_is_not_told_that_the_device_has_a_block_of_which_it_got_a_part():
    world = Direct(replace(NIDD, max_downlink=64))
    block = Block(1, more=False, szx=4)
    world.server_sends(request(3, "5/0/0", 1, b"t", bytes(256), [(int(Opt.BLOCK1), block.value())]))
    world.answers_last(Code.CHANGED)
    told = decode(world.to_server[-1])
    assert (told.code, told.payload.decode()) == (Code.BAD_GATEWAY, f"RESPONDED: {ENDS_EARLY}")
    world.passes(1000)
    assert len(world.submitted) == len(world.to_server) == 1


def test_r30_an_answer_in_the_smallest_blocks_does_not_fill_the_ledger():
    world = Direct(NIDD)
    id_ = world.send()
    carried_out(world, bytes(200_000), 0)
    assert len(world.of(id_)) == MOST_BLOCKS


def test_r30_a_full_queue_takes_a_request_for_which_another_makes_way():
    world = Direct(NIDD, policy=Policy(max_requests=2))
    world.network = SLEEPS
    other = world.send()
    old = world.send(Code.PUT, "3/0/14", b"1", supersede_key="k")
    new = world.send(Code.PUT, "3/0/14", b"2", supersede_key="k", supersedes=(old,))
    assert world.answers[-1] == DirectAnswer(new, superseded=(old,))
    assert (world.row(old).state, world.row(other).over) == ("SUPERSEDED", False)
    full = world.send(supersede_key="k")
    assert (world.answers[-1].downlink, world.answers[-1].text) == (full, "queue full")


def test_r30_what_does_not_make_way_keeps_its_room_in_the_queue():
    world = Direct(NIDD, policy=Policy(max_requests=1))
    world.network = HELD
    world.cancel_answer = None
    old = world.send(supersede_key="k")
    world.send(supersede_key="k", supersedes=(old,))
    assert world.answers[-1].text == "queue full"
    assert not world.row(old).cancel_asked


def test_r30_a_used_up_quota_takes_a_request_for_which_another_makes_way():
    world = Direct(NIDD)
    world.network = None
    quota = Quota(
        name="plan",
        network="net",
        per=Per.ENDPOINT,
        period=Period.HOUR,
        reserve=0.0,
        messages=2,
        at_limit=AtLimit.REFUSE,
    )
    world.limits = SharedQuotas((quota,)).limits("net", "")
    world.send()
    old = world.send(supersede_key="k")
    world.send(supersede_key="k")
    assert world.answers[-1].text.startswith("quota plan")
    new = world.send(supersede_key="k", supersedes=(old,))
    assert world.answers[-1] == DirectAnswer(new, superseded=(old,))
