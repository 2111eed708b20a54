"""R30: everything is bounded per endpoint, and each full case has its answer."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from world import (
    LORAWAN,
    NIDD,
    START,
    World,
    ack,
    notification,
    observe,
    observed,
    register,
    registered,
    request,
    response,
    rst,
)

from bindings.contract import Accepted, Cancellation, NetworkState, Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.coap.udp import decode, empty, frame
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.kept import KeptRows
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.states import DownlinkState
from bridge.relay import events as ev
from bridge.relay.exchanges import Exchanges
from bridge.relay.model import Observation, Policy, Server


def test_r30_stored_uplinks_the_oldest_notify_or_send_makes_way(south):
    world = World(south, policy=Policy(max_uplinks=4))
    asked = observed(world)
    world.device_sends(register(mid=1))
    for n in range(8):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n, Type.NON))
    assert len(world.state.uplinks) == 4
    states = [up["state"] for up in world.uplinks("notification")]
    assert states == ["EXPIRED"] * 5 + ["RECEIVED"] * 3
    assert [up["state"] for up in world.uplinks("request")] == ["RECEIVED"]
    assert world.counted("uplinks_dropped") == 5


def test_r30_requests_whose_answer_the_server_owes_do_not_shut_the_device_out(south):
    world = World(south, policy=Policy(max_uplinks=4))
    for n in range(6):
        world.device_sends(request(2, "dp", 50 + n, b"s%d" % n, b"[]"))
        world.server_sends(ack(world.last_north()))
    world.device_sends(register(mid=99))
    assert len(world.state.uplinks) == 4
    assert world.last_north().strings(11) == ["rd"]
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert world.last_south().mid == 99


def test_r30_answers_that_wait_the_oldest_is_superseded(south):
    world = World(south, policy=Policy(max_answers=5))
    world.network = Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 200)
    for n in range(100):
        world.device_sends(frame(Type.CON, 69, n, b"zz", b""))  # nobody asked: each is answered RST
    assert len(world.state.deliveries.live) == 5
    assert "SUPERSEDED" in world.states("answer")


@pytest.mark.parametrize("sends", ["a ping", "a Send"])
@pytest.mark.parametrize("cancelled", [*Cancellation, None])
def test_r30_answers_that_the_network_holds_count(south, sends, cancelled):
    """A device that goes on sending while its network delivers nothing: the network is asked to give the oldest up."""
    world = World(replace(south, empty_is_poll=False), policy=Policy(max_answers=5))
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.cancel_answer = cancelled
    for n in range(60):
        if sends == "a ping":
            world.device_sends(empty(Type.CON, n), f"k{n}")
        else:
            world.device_sends(request(2, "dp", n, b"s", b"[%d]" % n), f"k{n}")
            world.server_sends(response(world.last_north(), Code.CHANGED))
        assert len(world.state.deliveries.live) <= 5
        world.passes(1)
    assert world.counted("answers_held_back") > 0
    assert world.cancels[0].downlink == world.downlinks("answer")[0]["id"]
    assert (world.states("answer").count("CANCELLED") > 10) is (cancelled is Cancellation.REMOVED)


def test_r30_an_answer_that_was_held_back_is_given_when_the_device_repeats_its_message(south):
    world = World(south, policy=Policy(max_answers=3))
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.cancel_answer = None
    for n in range(4):
        world.device_sends(request(2, "dp", n, b"s", b"[%d]" % n), f"k{n}")
        world.server_sends(response(world.last_north(), Code.CHANGED))
    assert len(world.submitted) == 3
    first = world.downlinks("answer")[0]
    world.event(ev.CancelDone(first["id"], 1, Cancellation.REMOVED))
    again = world.device_sends(request(2, "dp", 3, b"s", b"[3]"), "again")
    assert [decode(data).code for data in again] == [Code.CHANGED]


def test_r30_an_answer_that_went_out_and_waits_to_go_again_makes_way_as_what_it_is():
    world = World(LORAWAN, policy=Policy(max_answers=1))
    world.network = Accepted("h", NetworkState.SENT)
    world.device_sends(frame(Type.CON, 69, 1, b"zz", b""), "a")
    world.network = None
    world.reports("h", None, nack=True)
    for n in range(2, 4):
        world.device_sends(frame(Type.CON, 69, n, b"zz", b""), f"k{n}")
    assert "SUPERSEDED" not in world.states("answer")


@pytest.mark.parametrize("restarts", [False, True])
def test_r30_kept_replies_and_exchanges(south, restarts):
    world = World(south, policy=Policy(max_kept=6, max_exchanges=7, late_grace=1e6))
    for n in range(40):
        world.device_sends(request(2, "dp", n, b"s", b"[%d]" % n), f"k{n}")
        world.server_sends(response(world.last_north(), 68))
        world.server_sends(request(mid=n, token=b"t%d" % n))
        world.passes(3)
        if n % 3 == 0:
            world.device_sends(rst(world.last_south()))
        elif n % 3 == 1:
            world.device_sends(response(world.last_south(), mtype=Type.CON, mid=1000 + n), f"r{n}")
        if restarts and n % 10 == 0:
            world.restart()
    state = world.state
    live = len(state.deliveries.live)
    assert len(state.kept_uplinks) == 6
    assert len(state.kept_others) <= 6
    assert len(state.by_digest) <= 12 + len(state.uplinks)
    assert len(state.by_duplicate_key) <= 12 + len(state.uplinks)
    assert len(state.deliveries.kept) + live <= 7
    for table in (state.by_token, state.exchanges.requests, state.exchanges.replies):
        assert len(table) <= 7
    assert world.counted("requests_refused") > 0


def test_r30_late_exchanges_the_oldest_is_forgotten_and_its_token_rests():
    """A device that is away for long and is asked all the time does not shut its servers out."""
    world = World(NIDD, policy=Policy(max_exchanges=4))
    tokens = []
    for n in range(8):
        world.server_sends(request(mid=n, token=b"t%d" % n))
        tokens.append(world.last_south().token)
        world.passes(400)
    assert world.states() == ["UNANSWERED"] * 8
    assert world.counted("requests_refused") == 0
    assert len(world.state.deliveries.kept) == 4
    assert list(world.state.retired) == tokens[:4]
    for n in range(300):  # answered ones go before those whose answer may still come
        world.server_sends(request(mid=100 + n, token=b"u%d" % n))
        assert world.last_south().token not in tokens
        world.device_sends(response(world.last_south()))
        world.passes(250)
    assert [row.state for row in world.state.deliveries.kept.values()][:3] == ["UNANSWERED"] * 3
    south = decode(next(s.attempt.payload for s in world.submitted if decode(s.attempt.payload).token == tokens[7]))
    world.device_sends(response(south, mtype=Type.CON, mid=9))
    assert world.counted("late_responses") == 1


def test_r30_refusals_that_are_remembered(south):
    world = World(south, policy=Policy(max_requests=1))
    for n in range(200):
        world.server_sends(request(mid=n, token=b"t%d" % n))
    assert len(world.state.exchanges.refused) == 32


def test_r30_observations_one_more_is_503(south):
    world = World(south, policy=Policy(max_observations=3))
    for n in range(3):
        observed(world, n, b"t%d" % n, path=f"3/0/{n}")
    (answer,) = world.server_sends(request(path="3/0/9", mid=9, token=b"t9", options=observe()))
    assert answer.code == Code.SERVICE_UNAVAILABLE
    world.server_sends(
        request(path="3/0/1", mid=10, token=b"t1", options=observe())
    )  # the same once more is no new one
    assert world.states()[-1] == "SENT"


@pytest.mark.parametrize("restarts", [False, True])
def test_r30_observing_the_same_with_fresh_tokens_takes_one_place(south, restarts):
    """RFC 7641 §3.1. What the device notifies under an older token is answered with a Reset."""
    world = World(south)
    first = observed(world, 1, b"first")
    for n in range(2 * world.policy.max_observations):
        latest = observed(world, 100 + n, b"t%d" % n)
        if restarts and n % 50 == 0:
            world.restart()
    assert world.counted("requests_refused") == 0
    assert [row["path"] for row in world.rows(Observation) if row["state"] == "active"] == ["/3/0/0"]
    assert world.device_sends(notification(first, 900)) == [rst(900)]
    world.device_sends(notification(latest, 901, payload=b"new"))
    assert world.last_north().payload == b"new"


@pytest.mark.parametrize(
    "other",
    [
        request(path="3/0/1", mid=7, token=b"7", options=observe()),
        request(mid=7, token=b"7", options=[*observe(), (int(Opt.ACCEPT), b"\x2d\x16")]),
        request(5, mid=7, token=b"7", options=observe(), payload=b"[]"),
    ],
    ids=["path", "format", "payload"],
)
def test_r30_observing_something_else_takes_another_place(world: World, other):
    one = observed(world)
    world.server_sends(other)
    two = world.last_south()
    world.device_sends(response(two, options=observe(1)))
    for n, asked in enumerate((one, two)):
        world.device_sends(notification(asked, 900 + n, payload=b"%d" % n))
        last = world.last_north()
        if last.type is Type.CON:
            world.server_sends(ack(last))
    assert [row["state"] for row in world.rows(Observation)] == ["active", "active"]


def test_r30_other_servers_observe_for_themselves(south):
    world = World(south, servers=(Server("one"), Server("two")))
    for server in "one", "two":
        world.server_sends(request(mid=5, token=b"same", options=observe()), server)
        world.device_sends(response(world.last_south(), options=observe(1)), server)
    assert [row["state"] for row in world.rows(Observation)] == ["active", "active"]


@pytest.mark.parametrize("restarts", [False, True])
def test_r30_max_age_comes_true_what_was_unheard_for_long_makes_way_and_its_server_is_told(restarts):
    world = World(NIDD, policy=Policy(max_observations=2, observation_idle=50_000))
    silent = observed(world, 1, b"silent", path="3/0/1")
    busy = observed(world, 2, b"busy", path="3/0/2")
    world.passes(20_000)
    world.device_sends(notification(busy, 900, mtype=Type.NON))
    world.server_sends(ack(world.last_north()))
    (answer,) = world.server_sends(request(path="3/0/3", mid=3, token=b"3", options=observe()))
    assert (answer.code, answer.uint(Opt.MAX_AGE)) == (Code.SERVICE_UNAVAILABLE, 30_000)
    world.passes(30_001)
    if restarts:
        world.restart()
    before = len(world.to_server)
    world.server_sends(request(path="3/0/3", mid=4, token=b"4", options=observe()))
    told = decode(world.to_server[before])
    assert (told.type, told.code, told.token) == (Type.CON, Code.SERVICE_UNAVAILABLE, b"silent")
    assert told.option(Opt.OBSERVE) is None
    world.passes(100)
    assert world.to_server.count(world.to_server[before]) > 1  # until the server has it
    world.server_sends(ack(told))
    assert world.device_sends(notification(silent, 901)) == [rst(901)]
    world.device_sends(notification(busy, 902, payload=b"on"))
    assert world.last_north().payload == b"on"


def test_r30_observations_that_are_being_asked_for_count(south):
    world = World(south, policy=Policy(max_observations=3))
    for n in range(5):
        world.server_sends(request(path=f"3/0/{n}", mid=n, token=b"t%d" % n, options=observe()))
    assert len(world.downlinks()) == 3


def test_r30_a_cancelled_observation_makes_way(south):
    world = World(south, policy=Policy(max_observations=3))
    for n in range(12):
        world.server_sends(request(mid=n, token=b"t%d" % n, options=observe()))
        asked = world.last_south()
        world.passes(116)  # too late for the server
        world.device_sends(response(asked, options=observe(1)))
        world.passes(2000)
    assert world.states() == ["RESPONDED"] * 12 or len(world.downlinks()) == 12
    assert len(world.rows(Observation)) <= 3


@pytest.mark.parametrize("kept", [4, 1024])
def test_r30_observations_that_began_too_late_are_bounded_and_answered_reset(south, kept):
    """A device that was away for long answers all that it was asked meanwhile."""
    world = World(south, policy=Policy(max_observations=3, max_exchanges=kept))
    asked = []
    for n in range(8):
        world.server_sends(request(mid=n, token=b"t%d" % n, options=observe()))
        asked.append(world.last_south())
        world.passes(2000)
    for n, south_request in enumerate(asked):
        world.device_sends(response(south_request, options=observe(1)), f"k{n}")
    assert len(world.rows(Observation)) <= 3
    for n, south_request in enumerate(asked):
        mid = 500 + n
        assert world.device_sends(notification(south_request, mid), f"n{n}") == [rst(mid)]
    assert world.uplinks("notification") == []


def test_r30_an_observation_anew_by_the_token_of_a_cancelled_one_needs_room(south):
    world = World(south, policy=Policy(max_observations=2))
    for mid in range(10):
        asked = observed(world, mid)
        world.device_sends(notification(asked, 900 + mid, payload=b"%d" % mid))
        world.passes(2)  # acknowledged by the hold
        world.server_sends(rst(world.last_north()))
    assert len(world.rows(Observation)) <= 2


def test_r30_reports_that_nothing_is_known_of(south):
    world = World(south, policy=Policy(max_reports=4))
    world.network = None
    world.server_sends(request())
    for n in range(20):
        world.reports(f"h{n}", NetworkState.SENT)
    assert [row["handle"] for row in world.rows(UnattributedReport)] == ["h16", "h17", "h18", "h19"]
    assert world.counted("reports_dropped") == 16


def sizes(world: World) -> Iterator[int]:
    state = world.state
    deliveries = state.deliveries
    yield from map(
        len,
        (
            state.exchanges.requests,
            state.exchanges.replies,
            state.exchanges.refused,
            state.by_token,
            state.uplinks,
            state.kept_uplinks,
            state.kept_others,
            state.by_digest,
        ),
    )
    yield from map(len, (state.observations, state.active, state.retransmissions, state.hold_due))
    yield from map(len, (state.empty_ack_due, deliveries.live, deliveries.kept, deliveries.reports))
    yield from (len(row.attempts) for row in deliveries.live.values())


def test_r30_no_table_grows_with_a_peers_traffic_alone(south):
    world = World(south)
    world.network = Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 1e6)
    registered(world)
    for n in range(300):
        world.device_sends(request(2, "dp", n, b"s", b"[]"))
        world.device_sends(empty(Type.CON, n))
        world.device_sends(bytes([23, 254, 253]) + n.to_bytes(10, "big"))
        world.device_sends(response(world.last_north(), mtype=Type.CON, mid=n))
        world.server_sends(request(mid=n, token=b"t%d" % n))
        world.server_sends(request(mid=1000 + n, token=b"p%d" % n, mtype=Type.NON))
        world.server_sends(bytes([23, 254, 253]) + n.to_bytes(10, "big"))
        world.server_sends(empty(Type.CON, n))
        world.reports(f"h{n}", NetworkState.SENT)
        world.passes(0.5)
        assert max(sizes(world)) <= world.policy.max_uplinks + 2 * world.policy.max_kept, n
    world.network = Accepted("h", NetworkState.SENT)


def test_r30_an_earlier_part_of_a_block_makes_no_room_for_another_exchange():
    """The parts of a split block are one exchange: that one of them is forgotten frees nothing (R25)."""
    kept = KeptRows[ServerRequest]()
    exchanges = Exchanges(kept, most=2)
    for id_, mid, state in ((1, 7, "RESPONDED"), (2, 7, "UNKNOWN"), (3, 8, "EXPIRED")):
        row = over(id_, mid, DownlinkState[state])
        kept.keep(row)
        exchanges.requests["srv", mid, b"t"] = row
    assert exchanges.free_in(START + 1) == EXCHANGE_LIFETIME - 1


def over(id_: int, mid: int, state: DownlinkState) -> ServerRequest:
    """Return a Write that was accepted at START and has its outcome."""
    row = ServerRequest.accepted(
        id_, 1, 0, START, "Write", True, START + 60, b"", 0, 3, id_, b"s", "srv", mid, b"t", None, 0, START + 60
    )
    row.state, row.over, row.keep_until = state, True, START + EXCHANGE_LIFETIME
    return row
