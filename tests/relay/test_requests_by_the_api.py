"""Requests that come by the API: treated like a server's, but nobody is sent an answer."""

import pytest
from by_the_api import HELD, SLEEPS, Direct, carried_out
from hypothesis import given, settings, strategies as st
from world import LORAWAN, NIDD, registered, request

from bindings.contract import Accepted, Cancellation, NetworkState, Refusal, Refused, SouthProfile
from bridge.coap.message import Option, Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.uplinks import Response
from bridge.relay import events as ev
from bridge.relay.blocks import block_of
from bridge.relay.effects import DirectAnswer
from bridge.relay.model import Policy


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
