"""Requests by the API that take several messages, in a queue with others: nothing mixes, and nothing is overstated."""

from dataclasses import replace
from itertools import pairwise

import pytest
from by_the_api import HELD, SLEEPS, Direct, carried_out
from hypothesis import given, settings, strategies as st
from world import NIDD, request

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Type, encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.explain import explain
from bridge.delivery.uplinks import Response
from bridge.quota.limits import AtLimit, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.relay.blocks import Block, block_of
from bridge.relay.direct import MOST_BLOCKS
from bridge.relay.effects import DirectAnswer
from bridge.relay.model import Policy
from bridge.relay.responses import ENDS_EARLY


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


NETWORKS = {
    "sent": Accepted(None, NetworkState.SENT),
    "failed": Refused(Refusal.FAILED, "no", retry_at=None),
    "limited": Refused(Refusal.RATE_LIMITED, "later", retry_at=None),
    "asleep": SLEEPS,
    "ambiguous": Ambiguous("timeout"),
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(-1, 1), min_size=2, max_size=4),
    st.booleans(),
    st.lists(st.sampled_from([*NETWORKS, "answer", "answer", "answer", "time", "long", "ping"]), max_size=40),
)
def test_r25_whatever_happens_a_device_never_gets_a_part_behind_another_request(
    priorities: list[int], repeatable: bool, happenings: list[str]
):
    world = Direct(NIDD)
    device: list[tuple[bytes, int]] = []  # first byte and offset of what may have reached it

    def gets() -> None:
        for one in world.submitted[len(device) :]:
            message = decode(one.attempt.payload)
            block = block_of(message, Opt.BLOCK1)
            refused = any(
                known.number == one.attempt.number and known.is_certain
                for row in world.loaded([ServerRequest])
                if row.id == one.attempt.downlink
                for known in row.attempts
            )
            device.append((b"", 0) if block is None or refused else (message.payload[:1], block.offset))

    for number, priority in enumerate(priorities):
        code = Code.PUT if repeatable else Code.POST
        world.send(code, "19/0/0", bytes((65 + number,)) * 3000, priority=priority)
    for number, what in enumerate(happenings):
        if what in NETWORKS:
            world.network = NETWORKS[what]
        elif what == "ping":
            world.event(ev.DeviceMessage(frame(Type.CON, Code.EMPTY, number + 1, b"", b"")))
        elif what == "answer":
            gets()
            at = next((at for at in range(len(device) - 1, -1, -1) if device[at][0]), None)
            if at is not None:
                asked = decode(world.submitted[at].attempt.payload)
                block = block1_of(asked)
                body = encode_body([(Opt.BLOCK1, block.value())], b"")
                code = Code.CONTINUE if block.more else Code.CHANGED
                world.event(ev.DeviceMessage(frame(Type.ACK, code, asked.mid, asked.token, body)))
        else:
            world.passes(30 if what == "time" else 2000)
    gets()
    got = [one for one in device if one[0]]
    for before, part in pairwise(got):
        if part[1]:
            assert before in (part, (part[0], part[1] - 1024)), got
