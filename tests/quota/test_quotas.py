"""Quotas on the one step of an endpoint, in virtual time (LPW-6): what may go, what is refused, what is counted."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "relay"))

from world import DOWNLINKS, World, ack, register, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.explain import explain
from bridge.quota.account import Charge
from bridge.quota.limits import AtLimit, Counted, Limits, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Amount, Usage, needed_since
from bridge.relay import events as ev
from bridge.relay.model import EndpointRows, ServerProfile
from bridge.relay.state import EndpointState

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()  # a Monday
MONDAY = NOON - 12 * 3600
PATIENT = ServerProfile(patience=30 * 86400.0)


def quota(period=Period.HOUR, **parts):
    return Quota(**{"name": "plan", "network": "net", "per": Per.ENDPOINT, "period": period, "reserve": 0.0} | parts)


class Sharing(World):
    """One endpoint whose use counts in sums, too."""

    sums = SharedQuotas()

    def share(self, quotas):
        """Put quotas into force as a start does: their sums are made of the rows."""
        self.sums = SharedQuotas(quotas)
        self.sums.load(self.loaded([Usage]), self.wall)
        self.limits = self.sums.limits("net", self.endpoint.group)

    def used(self, charges):
        self.sums.apply("net", self.endpoint.group, charges)

    def loads_again(self):
        """Load the endpoint from its rows while a call is under way, as after a commit that failed."""
        call, now = self.state.deliveries.call, self.wall
        kept = EndpointRows(downlinks=self.loaded(DOWNLINKS), usage=self.loaded([Usage]), usage_since=needed_since(now))
        self.state = EndpointState(self.endpoint, self.policy, kept, 0.9)
        self.state.deliveries.call = call


def world(*quotas, wall=NOON, profile=PATIENT):
    one = World(profile=profile)
    one.wall = wall
    one.limits = SharedQuotas(quotas).limits("net", "")
    return one


def ask(one, number, **parts):
    return one.server_sends(request(mid=number, token=number.to_bytes(2, "big"), **parts))


def ask_and_answer(one, number, **parts):
    """Let the server ask and the device answer, so that the device's slot is free."""
    before = len(one.submitted)
    ask(one, number, **parts)
    if len(one.submitted) > before:
        one.device_sends(response(one.last_south()))
        north = one.last_north()
        if north.type == 0:
            one.server_sends(ack(north))


def usage(one):
    (row,) = one.rows(Usage)
    return row["down_messages"], row["down_bytes"], row["up_messages"], row["up_bytes"]


def why(one):
    return explain(one.state.deliveries, one.wall, one.south)[0]


# What is counted


def test_what_is_submitted_and_what_comes_is_counted_in_messages_and_bytes():
    one = world()
    ask_and_answer(one, 1)
    sent = len(one.submitted[0].attempt.payload)
    answer = len(response(one.last_south()))
    assert usage(one) == (1, sent, 1, answer)


def test_what_the_network_delivers_twice_counts_once():
    one = world()
    one.device_sends(b"\x40\x02\x00\x01", "key")
    one.device_sends(b"\x40\x02\x00\x01", "key")
    assert usage(one)[2] == 1


@pytest.mark.parametrize(
    ("result", "charged"),
    [
        (Accepted("h", NetworkState.BUFFERED), 1),
        (Ambiguous("no answer"), 1),
        (Refused(Refusal.REJECTED, "no"), 0),
        (Refused(Refusal.NETWORK_UNAVAILABLE, "away"), 0),
    ],
)
def test_only_a_certain_refusal_is_refunded(result, charged):
    one = world()
    one.network = result
    ask(one, 1, code=Code.POST, path="3/0/4")  # an Execute goes once
    assert usage(one)[:2] == (charged, charged * len(one.submitted[0].attempt.payload))


def test_a_refund_goes_to_the_group_that_was_charged():
    """An operator moves the endpoint to another group while its call is under way."""
    one = world()
    one.limits = SharedQuotas([quota(per=Per.GROUP, messages=10)]).limits("net", "first")
    one.state.place(replace(one.endpoint, group="second"), one.state.policy)
    ask_and_answer(one, 1)
    one.state.place(replace(one.endpoint, group="first"), one.state.policy)
    one.network = None
    ask(one, 2)
    one.state.place(replace(one.endpoint, group="second"), one.state.policy)
    one.answers_open_call(Refused(Refusal.REJECTED, "no"))
    assert {row["group"]: row["down_messages"] for row in one.rows(Usage)} == {"first": 0, "second": 1}


def test_a_shared_quota_gets_the_refund_of_the_group_that_was_charged():
    group = quota(per=Per.GROUP, messages=10)
    shared = SharedQuotas([group])
    charge = Charge(NOON, Amount(1, 5, 0, 0), of=("net", "first"))
    shared.apply("net", "first", [charge])
    shared.apply("net", "second", [Charge(NOON, Amount(1, 5, 0, 0), -1, ("net", "first"))])
    used = {
        of: shared.limits("net", of).shared[0][1].used(Period.HOUR, NOON).down_messages for of in ("first", "second")
    }
    assert used == {"first": 0, "second": 0}


@pytest.mark.parametrize("retry_at", [1e12, float("inf"), 1e300])
def test_a_network_that_wants_a_wait_beyond_all_calendars_breaks_no_step(retry_at):
    one = world()
    one.network = Refused(Refusal.RATE_LIMITED, "429", retry_at)
    ask(one, 1)
    one.network = Accepted(None, NetworkState.SENT)
    one.device_sends(register(mid=3))
    location = [(OptionNumber.LOCATION_PATH, b"rd"), (OptionNumber.LOCATION_PATH, b"a")]
    one.server_sends(response(one.last_north(), Code.CREATED, b"", location))
    (answer,) = one.downlinks("answer")
    assert "used up until" in answer["reason"]


@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize("per", [Per.ENDPOINT, Per.GROUP, Per.NETWORK])
@pytest.mark.parametrize("reloaded", [False, True])
def test_after_a_clock_was_set_back_a_refund_is_taken_off_where_the_message_was_counted(period, per, reloaded):
    """Usage of the later minute and hour is stored; what is sent before they have passed counts there, too."""
    one = Sharing(profile=PATIENT, group="meters")
    rule = quota(period, per=per, messages=2)
    one.share([rule])
    one.wall = NOON + 2 * 3600
    ask_and_answer(one, 1)
    one.wall = NOON + 600  # set back while the service was down
    one.restart()
    one.share([rule])
    one.network = None
    ask(one, 2, code=Code.POST, path="3/0/4")
    assert len(one.submitted) == 2
    if reloaded:
        one.loads_again()
    one.answers_open_call(Refused(Refusal.REJECTED, "no"))
    assert usage(one)[0] == 1
    one.network = Accepted(None, NetworkState.SENT)
    ask_and_answer(one, 3)
    assert len(one.submitted) == 3  # the refund makes room for one message
    ask(one, 4)
    assert len(one.submitted) == 3
    one.restart()
    one.share([rule])
    ask(one, 5)
    assert len(one.submitted) == 3  # the stored rows say the same


whats = st.lists(
    st.one_of(
        st.just("accepted"),
        st.just("refused"),
        st.just("open"),
        st.just("refused later"),
        st.tuples(st.just("forward"), st.integers(1, 2000)),
        st.tuples(st.just("set back"), st.integers(1, 2000)),
    ),
    max_size=20,
)  # all within one day


@settings(max_examples=60, deadline=None)
@given(whats)
def test_rows_and_sums_count_the_same_whatever_is_refunded_and_however_the_clock_is_set(events):
    """Only a restart sets the clock back (`SteadyClock`); what is counted once is refunded at most once."""
    one, counted = Sharing(profile=PATIENT), []  # in which minute since 1970 each message counts
    rules = [quota(period, name=f"{per}{period}", per=per) for period in Period for per in (Per.ENDPOINT, Per.NETWORK)]
    results = {
        "accepted": Accepted(None, NetworkState.SENT),
        "refused": Refused(Refusal.REJECTED, "no"),
        "open": None,
    }
    one.wall = NOON
    one.share(rules)
    latest, seen = 0, 0
    for number, event in enumerate(events, 1):
        if event in results:
            one.network = results[event]
            ask(one, number, code=Code.POST, path="3/0/4")
        elif event == "refused later" and one.state.deliveries.call is not None:
            counted.pop()
            one.network = results["accepted"]  # of what goes next
            one.answers_open_call(results["refused"])
        elif event[0] == "forward":
            one.wall += event[1]
            one.mono += event[1]
        elif event[0] == "set back":
            one.wall -= event[1]
            one.network = results["accepted"]
            one.restart()
            one.share(rules)
        latest = max(latest, int(one.wall // 60)) if len(one.submitted) > seen else latest
        counted += [latest] * (len(one.submitted) - seen if one.network != results["refused"] else 0)
        seen = len(one.submitted)
        present = max(latest, int(one.wall // 60))
        for rule, amount in one.state.account.standing(one.limits, one.wall):
            there = {
                Period.MINUTE: [each for each in counted if each == present],
                Period.HOUR: [each for each in counted if each // 60 == present // 60],
            }.get(rule.period, counted)
            assert amount.down_messages == len(there), (rule.name, event)


def test_a_refund_that_comes_when_the_later_minute_has_passed_is_not_taken_off_the_next_one():
    one = Sharing(profile=PATIENT)
    rules = [quota(Period.MINUTE, messages=9), quota(Period.MINUTE, name="all", per=Per.NETWORK, messages=9)]
    one.share(rules)
    one.wall = NOON + 60
    ask_and_answer(one, 1)
    one.wall = NOON + 50
    one.restart()
    one.share(rules)
    one.network = None
    ask(one, 2, code=Code.POST, path="3/0/4")
    one.wall, one.mono = NOON + 125, one.mono + 75
    one.device_sends(b"\x40\x00\x12\x34")  # a ping: the minute of its answer begins
    one.answers_open_call(Refused(Refusal.REJECTED, "no"))
    assert usage(one)[0] == 2  # the first request and the Reset
    standing = one.state.account.standing(one.limits, one.wall)
    assert [amount.down_messages for _, amount in standing] == [1, 1]


def test_a_call_that_a_kill_interrupts_stays_charged():
    one = world(quota(messages=1))
    one.network = None
    ask(one, 1)
    one.restart()
    assert usage(one)[0] == 1
    ask(one, 2)
    assert len(one.submitted) == 1


# Holding


def test_what_does_not_fit_waits_for_the_next_period_and_says_why():
    one = world(quota(messages=2))
    one.wall = NOON + 600
    for number in range(1, 5):
        ask_and_answer(one, number)
    assert len(one.submitted) == 2
    waits = why(one)
    assert waits.why == "quota plan is used up until 2026-11-30T13:00:00Z"
    assert waits.next_at == NOON + 3600
    one.passes(2999)
    assert len(one.submitted) == 2
    one.passes(2)
    assert len(one.submitted) == 3


def test_not_one_byte_more_goes_out():
    one = world(quota(Period.DAY, bytes=100))
    for number in range(1, 40):
        ask_and_answer(one, number)
    sizes = [len(each.attempt.payload) for each in one.submitted]
    assert 100 - min(sizes) < sum(sizes) <= 100


@pytest.mark.parametrize(
    ("period", "ends"),
    [
        (Period.MINUTE, "2026-11-30T12:01:00Z"),
        (Period.HOUR, "2026-11-30T13:00:00Z"),
        (Period.DAY, "2026-12-01T00:00:00Z"),
        (Period.WEEK, "2026-12-07T00:00:00Z"),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(period, ends):
    one = world(quota(period, messages=1))
    ask_and_answer(one, 1)
    ask_and_answer(one, 2)
    assert why(one).why == f"quota plan is used up until {ends}"
    end = datetime.fromisoformat(ends).timestamp()
    one.passes(end - one.wall - 1)
    assert len(one.submitted) == 1
    one.passes(2)
    assert len(one.submitted) == 2


def test_a_week_counts_the_days_since_monday():
    one = world(quota(Period.WEEK, messages=3))
    for number in range(1, 4):
        ask_and_answer(one, number)
        one.passes(86400)
    one.restart()
    ask_and_answer(one, 4)
    assert len(one.submitted) == 3
    one.passes(MONDAY + 7 * 86400 - one.wall + 10)
    assert len(one.submitted) == 4


def test_a_message_that_never_fitted_expires_and_names_the_quota():
    one = world(quota(Period.DAY, messages=1), profile=ServerProfile(patience=120.0))
    ask_and_answer(one, 1)
    ask_and_answer(one, 2)
    one.passes(200)
    row = one.downlinks()[1]
    assert (row["state"], row["reason"]) == ("EXPIRED", "held: quota plan is used up until 2026-12-01T00:00:00Z")


def test_answers_draw_on_a_reserve_that_requests_leave_alone():
    one = world(quota(messages=10, reserve=0.1))
    for number in range(1, 12):
        ask_and_answer(one, number)
    assert len(one.submitted) == 9
    one.device_sends(b"\x40\x00\x12\x34")  # a ping: the answer is a Reset
    assert len(one.submitted) == 10
    one.passes(5)
    one.device_sends(b"\x40\x00\x12\x35")
    assert len(one.submitted) == 10


def test_a_retransmission_costs_what_it_costs():
    one = world(quota(messages=2))
    ask(one, 1)
    one.passes(61)  # NIDD: 60 s after SENT
    assert len(one.submitted) == 2
    one.passes(61)
    assert len(one.submitted) == 2


# Refusing and warning


def test_a_server_is_refused_with_the_time_that_is_left():
    one = world(quota(messages=1, at_limit=AtLimit.REFUSE), wall=NOON + 600)
    ask_and_answer(one, 1)
    (refusal,) = ask(one, 2)
    assert refusal.code == Code.SERVICE_UNAVAILABLE
    assert refusal.uint(OptionNumber.MAX_AGE) == 3000
    assert b"quota plan" in refusal.payload
    assert len(one.downlinks()) == 1


def test_what_waits_already_counts_where_requests_are_refused():
    one = world(quota(messages=2, at_limit=AtLimit.REFUSE))
    one.network = None
    ask(one, 1)
    (taken,) = ask(one, 2)
    assert taken.is_empty  # it waits behind the first
    (refusal,) = ask(one, 3)
    assert refusal.code == Code.SERVICE_UNAVAILABLE


def test_a_warning_holds_nothing_and_is_told_once_for_each_mark():
    one = world(quota(messages=5, at_limit=AtLimit.WARN))
    for number in range(1, 9):
        ask_and_answer(one, number)
    assert len(one.submitted) == 8
    assert [each.text for each in one.counts if each.name == "quota_warnings"] == [
        "quota plan: 4 of 5 messages in this hour",
        "quota plan: 6 messages in this hour, 5 are allowed",
    ]


def test_uplinks_are_warned_of_and_never_refused():
    one = world(quota(messages=2, counts=Counted.UPLINKS, at_limit=AtLimit.WARN))
    for number in range(4):
        one.device_sends(bytes((0x40, 0, 0, number)))
    assert usage(one)[2] == 4
    assert one.counted("quota_warnings") == 2  # at 80 %, and beyond


# Clocks, changes, and the network's own limits


def test_a_clock_that_is_set_back_over_the_end_of_a_period_begins_none_anew():
    one = world(quota(Period.DAY, messages=2), wall=NOON + 12 * 3600 - 30)
    for number in (1, 2):
        ask_and_answer(one, number)  # Monday's
    one.passes(60)
    ask_and_answer(one, 3)  # Tuesday's first
    one.wall -= 60
    ask_and_answer(one, 4)
    assert len(one.submitted) == 3
    assert "used up" in why(one).why
    one.restart()
    assert len(one.submitted) == 3
    one.passes(31)
    assert len(one.submitted) == 4


def test_a_clock_that_is_set_back_over_the_end_of_an_hour_begins_none_anew():
    one = world(quota(messages=1), wall=NOON + 3590)
    ask_and_answer(one, 1)
    one.passes(20)
    ask_and_answer(one, 2)
    one.wall -= 20
    ask_and_answer(one, 3)
    assert len(one.submitted) == 2


@pytest.mark.parametrize("restarted", [False, True])
def test_a_larger_quota_lets_what_waits_go_and_a_smaller_one_holds_it(restarted):
    one = world(quota(messages=1))
    ask_and_answer(one, 1)
    ask(one, 2)
    assert len(one.submitted) == 1
    one.limits = Limits((quota(messages=2),))
    one.restart() if restarted else one.event(ev.Tick())
    assert len(one.submitted) == 2
    one.device_sends(response(one.last_south()))
    one.limits = Limits((quota(messages=1),))
    ask(one, 3)
    assert len(one.submitted) == 2


def test_a_network_that_limits_the_rate_is_left_alone_for_the_whole_device():
    one = world()
    one.network = Refused(Refusal.RATE_LIMITED, "429", one.wall + 300)
    ask(one, 1)
    ask(one, 2)
    assert len(one.submitted) == 1
    one.device_sends(b"\x40\x00\x12\x34")  # a ping: its answer waits, too
    assert len(one.submitted) == 1
    one.network = Accepted(None, NetworkState.SENT)
    one.passes(299)
    assert len(one.submitted) == 1
    one.passes(2)
    assert len(one.submitted) >= 2
