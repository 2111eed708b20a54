"""Which endpoint may call its network, and when: at most so many at once, in fair order, none in a pause."""

import asyncio

import pytest

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    LimitOf,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
)
from bridge.delivery.breaker import FAILURES, FIRST_PAUSE
from bridge.delivery.network import Turn
from bridge.delivery.pace import FIRST_PAUSE as LIMIT_PAUSE
from bridge.delivery.work import Now
from bridge.relay import events as ev
from bridge.service.network_calls import NEAR, NetworkCalls
from bridge.service.turns import Turns
from bridge.store.contract import Done

WALL = 1_700_000_000.0


class Network:
    """Calls of a network, and endpoints that want one."""

    def __init__(self, capacity: int = 2) -> None:
        self.counted: list[str] = []
        self.calls = NetworkCalls("net", capacity, lambda: 0.5, lambda name, **_labels: self.counted.append(name))
        self.mono = 0.0

    @property
    def now(self) -> Now:
        return Now(WALL + self.mono, self.mono)

    def wants(self, endpoint: int, turn: Turn = Turn.OTHER) -> bool:
        """Step an endpoint that wants to call; return whether it does."""
        begins = self.calls.condition(endpoint, self.now).takes(turn)
        self.calls.stepped(endpoint, begins, None if begins else turn)
        return begins

    def turns(self) -> list[int]:
        """Step whoever has its turn until no further call begins; return the endpoints that were stepped."""
        stepped = []
        while (endpoint := self.calls.next_turn(self.now)) is not None:
            stepped.append(endpoint)
            assert self.wants(endpoint)
        return stepped

    def ends(self, result: ev.Event) -> None:
        self.calls.ended(0, result, self.now)


def submitted(result: Accepted | Refused | Ambiguous) -> ev.Event:
    return ev.Submitted(1, 1, result)


TAKEN = submitted(Accepted("h", NetworkState.BUFFERED))
OUTAGE = submitted(Refused(Refusal.NETWORK_UNAVAILABLE, "connection refused"))


def test_no_more_calls_begin_than_the_network_takes() -> None:
    network = Network(capacity=2)
    assert [network.wants(endpoint) for endpoint in (1, 2, 3)] == [True, True, False]
    assert network.turns() == []
    network.ends(TAKEN)
    assert network.turns() == [3]
    assert network.calls.under_way == 2


def test_who_comes_later_does_not_overtake_who_waits() -> None:
    network = Network(capacity=1)
    assert [network.wants(endpoint) for endpoint in (1, 2, 3)] == [True, False, False]
    network.ends(TAKEN)
    assert not network.wants(4)
    assert not network.wants(3)  # something else happened to it: it keeps its place
    assert network.turns() == [2]


def test_a_turn_is_soon_while_few_wait_for_a_network_that_is_up() -> None:
    network = Network(capacity=1)
    assert network.wants(0)
    for endpoint in range(1, NEAR + 2):
        assert network.calls.condition(endpoint, network.now).is_turn_soon
        network.wants(endpoint)
    assert not network.calls.condition(1, network.now).is_turn_soon


def test_a_turn_is_not_soon_while_the_network_stands_still_or_is_paused() -> None:
    network = Network(capacity=1)
    network.calls.suspend()
    assert not network.calls.condition(1, network.now).is_turn_soon
    network.calls.resume(1)
    for _ in range(FAILURES):
        assert network.wants(1)
        network.ends(OUTAGE)
    assert not network.calls.condition(1, network.now).is_turn_soon


def test_answers_go_before_all_others() -> None:
    network = Network(capacity=1)
    assert network.wants(1)
    assert not network.wants(2)
    assert not network.wants(3, Turn.ANSWER)
    network.ends(TAKEN)
    assert network.turns() == [3]


def test_an_answer_begins_at_once_where_only_others_wait() -> None:
    network = Network(capacity=1)
    network.wants(1)
    network.wants(2)
    network.ends(TAKEN)
    assert network.wants(3, Turn.ANSWER)


def test_who_wants_no_call_any_more_gives_its_place_up() -> None:
    network = Network(capacity=1)
    for endpoint in (1, 2, 3):
        network.wants(endpoint)
    network.calls.stepped(2, False, None)  # it was cancelled
    network.ends(TAKEN)
    assert network.turns() == [3]
    assert network.calls.waiting == 0


def test_a_turn_is_kept_until_its_endpoint_was_stepped() -> None:
    network = Network(capacity=1)
    network.wants(1)
    network.wants(2)
    network.ends(TAKEN)
    assert network.calls.next_turn(network.now) == 2  # it has to be loaded first
    assert not network.wants(3)
    assert network.calls.next_turn(network.now) is None
    network.calls.not_stepped(2)  # it could not be
    assert network.turns() == [3]


def test_a_call_that_never_began_makes_room() -> None:
    network = Network(capacity=1)
    network.wants(1)
    network.wants(2)
    network.calls.never_began()
    assert network.turns() == [2]


@pytest.mark.parametrize(
    "failure",
    [OUTAGE, submitted(Ambiguous("no answer within 10 s")), ev.LookedUp(1, 1, Lookup(Presence.FAILED))],
    ids=["refused", "no answer", "look-up failed"],
)
def test_a_network_that_answers_nobody_is_paused_and_then_tried_by_one_call(failure: ev.Event) -> None:
    network = Network(capacity=8)
    for endpoint in range(8):
        assert network.wants(endpoint)
    for _ in range(8):
        network.ends(failure)
    assert network.counted == ["network_pauses"]
    assert [network.wants(endpoint) for endpoint in range(4)] == [False] * 4
    assert network.calls.condition(9, network.now).paused_until == WALL + FIRST_PAUSE
    assert network.turns() == []
    network.mono = FIRST_PAUSE
    assert network.turns() == [0]
    assert not network.wants(9)
    network.ends(failure)
    assert network.calls.condition(9, network.now).paused_until == WALL + 3 * FIRST_PAUSE
    network.mono = 3 * FIRST_PAUSE
    assert network.turns() == [1]
    network.ends(TAKEN)
    assert network.turns() == [2, 3, 9]


@pytest.mark.parametrize(
    "answer",
    [
        TAKEN,
        submitted(Refused(Refusal.REJECTED, "400")),
        submitted(Refused(Refusal.FAILED, "500 with a cause")),
        ev.LookedUp(1, 1, Lookup(Presence.ABSENT)),
        ev.CancelDone(1, 1, Cancellation.GONE),
    ],
    ids=["taken", "rejected", "failed", "absent", "gone"],
)
def test_an_answer_of_the_network_ends_its_trial(answer: ev.Event) -> None:
    network = on_trial()
    network.ends(answer)
    assert network.wants(1)
    assert network.wants(2)


@pytest.mark.parametrize(
    "result",
    [
        submitted(Refused(Refusal.EXPIRED, "less than a second left")),
        submitted(Refused(Refusal.UNREACHABLE, "not provisioned")),
        ev.LookedUp(1, 1, Lookup(Presence.UNSUPPORTED)),
    ],
    ids=["expired", "unreachable", "unsupported"],
)
def test_what_a_binding_may_have_answered_by_itself_does_not_end_the_trial(result: ev.Event) -> None:
    network = on_trial()
    network.ends(result)
    assert network.wants(1)
    assert not network.wants(2)


def test_a_cancel_without_a_clear_answer_is_no_outage_but_ends_no_trial() -> None:
    network = Network(capacity=8)
    in_doubt = ev.CancelDone(1, 1, Cancellation.UNKNOWN)
    for endpoint in range(8):
        network.wants(endpoint)
        network.ends(in_doubt)
    assert network.wants(9)
    network = on_trial()
    network.ends(in_doubt)
    assert not network.wants(1)


def test_a_network_that_says_when_is_left_alone_until_then() -> None:
    network = Network()
    network.wants(1)
    network.ends(submitted(Refused(Refusal.NETWORK_UNAVAILABLE, "503", retry_at=WALL + 90)))
    assert network.calls.condition(1, network.now).paused_until == WALL + 90


def on_trial() -> Network:
    """Return a network whose first pause has ended, and that has one call under way."""
    network = Network(capacity=8)
    for _ in range(FAILURES):
        assert network.wants(0)
        network.ends(OUTAGE)
    network.mono = FIRST_PAUSE
    assert network.wants(0)
    return network


def test_no_call_begins_once_the_service_stops() -> None:
    network = Network()
    network.calls.close()
    assert not network.wants(1)
    assert network.turns() == []


def test_the_log_says_that_a_network_is_paused_and_that_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    network = on_trial()
    network.ends(TAKEN)
    assert [record.getMessage() for record in caplog.records] == [
        "network net is down: it is called again in 5 s; 0 endpoints wait",
        "network net answers again",
    ]


def limited(limit_of: LimitOf, wait: float) -> ev.Event:
    return submitted(Refused(Refusal.RATE_LIMITED, "429", WALL + wait, limit_of))


def test_a_limit_of_one_device_holds_that_device_and_says_why() -> None:
    network = Network()
    assert network.wants(7)
    network.calls.ended(7, limited(LimitOf.DEVICE, 60.0), network.now)
    network.mono = 1.0
    condition = network.calls.condition(7, network.now)
    assert (condition.limited_until, condition.takes_others) == (WALL + 60, True)
    assert condition.why_limited == "the network, of this device, refused a message for a limit of its own"
    assert network.calls.condition(8, network.now).limited_until is None
    assert network.calls.status(network.now)["limits"] == (
        "one device was refused messages for a limit (refused last at 2023-11-14T22:13:20Z)"
    )


def test_a_limit_of_the_network_lets_one_message_try_when_its_time_is_over() -> None:
    network = Network(capacity=8)
    assert network.wants(1)
    network.calls.ended(1, limited(LimitOf.NETWORK, 60.0), network.now)
    network.mono = 59.0
    assert not any(network.wants(endpoint) for endpoint in (2, 3, 4))
    assert network.calls.condition(2, network.now).why_limited == "the network refused a message for a limit of its own"
    assert network.turns() == []
    network.mono = 60.5
    assert network.turns() == [2]
    network.ends(TAKEN)
    assert network.turns() == [3, 4]


def test_a_burst_of_refusals_for_a_limit_of_the_network_pauses_it_once() -> None:
    network = Network(capacity=32)
    for endpoint in range(32):
        assert network.wants(endpoint)
    for endpoint in range(32):
        network.mono += 0.01
        network.calls.ended(
            endpoint, submitted(Refused(Refusal.RATE_LIMITED, "429", None, LimitOf.NETWORK)), network.now
        )
    assert network.calls.pause(network.now) < LIMIT_PAUSE
    assert not network.wants(1)
    network.mono = 0.01 + LIMIT_PAUSE
    assert network.turns() == [1]


def test_r11_a_limit_of_the_network_holds_submits_and_lets_cancels_and_look_ups_go() -> None:
    network = Network(capacity=2)
    assert network.wants(1)
    network.calls.ended(1, limited(LimitOf.NETWORK, 600.0), network.now)
    assert not network.wants(2)
    assert not network.wants(3, Turn.ANSWER)
    assert network.wants(4, Turn.CHECK)
    assert network.wants(5, Turn.CHECK)
    assert not network.wants(6, Turn.CHECK)  # there are as many calls as the network takes
    assert not network.wants(2, Turn.CHECK)  # its deadline passed while it waited
    network.ends(ev.CancelDone(1, 1, Cancellation.GONE))
    assert network.calls.next_turn(network.now) == 6
    assert network.wants(6, Turn.CHECK)
    network.ends(ev.CancelDone(1, 1, Cancellation.GONE))
    assert network.calls.next_turn(network.now) == 2
    assert network.wants(2, Turn.CHECK)
    for _ in range(2):
        network.ends(ev.CancelDone(1, 1, Cancellation.GONE))
    assert network.turns() == []
    network.mono = 600.5
    assert network.turns() == [3]
    assert network.wants(7, Turn.CHECK)  # while one submit tries whether the network takes messages again


def test_a_network_that_is_down_and_at_its_limit_takes_a_cancel_as_soon_as_the_outage_is_over() -> None:
    network = Network(capacity=8)
    for endpoint in range(1 + FAILURES):
        assert network.wants(endpoint)
    network.calls.ended(0, limited(LimitOf.NETWORK, 600.0), network.now)
    for _ in range(FAILURES):
        network.ends(OUTAGE)
    assert not network.wants(7, Turn.CHECK)
    assert network.calls.next_turn_in(network.now) == FIRST_PAUSE
    network.mono = FIRST_PAUSE
    assert network.calls.next_turn(network.now) == 7
    assert network.wants(7, Turn.CHECK)


async def test_a_pause_that_is_shorter_than_the_limit_ends_by_its_own_timer() -> None:
    network = Network(capacity=8)
    woken: list[int] = []

    def wake(endpoint: int, done: Done) -> None:
        woken.append(endpoint)
        network.wants(endpoint, Turn.CHECK)
        done(None)

    turns = Turns(wake, lambda: network.now)
    for endpoint in range(1 + FAILURES):
        network.wants(endpoint)
    network.calls.ended(0, limited(LimitOf.NETWORK, 600.0), network.now)
    turns.serve(network.calls)
    for _ in range(FAILURES):
        network.ends(OUTAGE)
    network.wants(7, Turn.CHECK)
    turns.serve(network.calls)
    (timer,) = turns._timers.values()
    assert timer.when() - asyncio.get_running_loop().time() <= FIRST_PAUSE
    network.mono = FIRST_PAUSE
    timer._run()
    assert woken == [7]
    turns.stop()


def test_a_network_that_refuses_nothing_for_a_limit_stays_calm() -> None:
    network = Network()
    assert network.wants(1)
    network.calls.ended(1, limited(LimitOf.BINDING, 1.0), network.now)
    assert network.calls.is_calm
