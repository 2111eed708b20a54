"""Quotas that endpoints share: sums that follow each commit, and that a start makes of the rows."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.directory import Draft
from bridge.errors import StoreUnavailable
from bridge.quota.account import Charge
from bridge.quota.limits import Per, Quota
from bridge.quota.periods import DAY, Period, day_of, end_of, monday_of, start_of
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Amount, Usage
from bridge.relay.effects import Submit
from bridge.service.placed import Placed
from bridge.store.in_memory import InMemoryStore
from tests.service.runner_bench import ENDPOINT, Bench, read_request
from tests.service.scripted_binding import PROFILE

NOW = datetime(2026, 11, 30, 12, 30, 30, tzinfo=UTC).timestamp()
MINUTE = Quota("minute", "net", Per.NETWORK, Period.MINUTE, messages=10)
NETWORK = Quota("all", "net", Per.NETWORK, Period.DAY, messages=10, reserve=0.0, warn_at=0.5)
GROUP = Quota("each-group", "net", Per.GROUP, Period.HOUR, bytes=100, reserve=0.0)


def down(messages, size, wall=NOW, sign=1):
    return Charge(wall, Amount(messages, size), sign)


def used(shared, group=""):
    return {quota.name: amount.down_messages for quota, amount in _standing(shared, group)}


def _standing(shared, group):
    return [(quota, tally.used(quota.period, NOW)) for quota, tally in shared.limits("net", group).shared]


def test_groups_are_counted_apart_and_in_their_network():
    shared = SharedQuotas([NETWORK, GROUP])
    shared.apply("net", "a", [down(1, 10)])
    shared.apply("net", "b", [down(2, 10)])
    shared.apply("net", "", [down(4, 10)])
    shared.apply("other", "a", [down(1, 10)])
    assert used(shared) == {"all": 7}
    assert used(shared, "a") == {"all": 7, "each-group": 1}
    assert used(shared, "b") == {"all": 7, "each-group": 2}


def test_a_warning_comes_once_at_its_mark_and_once_beyond_the_limit():
    shared = SharedQuotas([NETWORK])
    told = [shared.apply("net", "", [down(1, 1)]) for _ in range(12)]
    assert [number for number, warnings in enumerate(told, 1) if warnings] == [5, 11]
    assert told[4][0].text == "quota all: 5 of 10 messages in this day"


def test_what_was_not_committed_is_taken_off_again():
    shared = SharedQuotas([NETWORK])
    charges = [down(1, 10), down(1, 5, sign=-1), down(3, 3)]
    shared.apply("net", "", charges)
    shared.take_back("net", "", charges)
    assert used(shared) == {"all": 0}


def test_a_start_makes_the_same_sums_of_the_rows():
    quotas = [replace(NETWORK, name=period, period=period) for period in Period]
    shared, again = SharedQuotas([*quotas, GROUP]), SharedQuotas([*quotas, GROUP])
    rows = {}
    for wall, endpoint, group in (
        (NOW - DAY, 1, "a"),
        (NOW - 3600, 1, "a"),
        (NOW, 1, "a"),
        (NOW, 2, "b"),
        (NOW, 3, ""),
    ):
        key = endpoint, day_of(wall), "net", group
        row = rows.setdefault(key, Usage(*key, 0))
        row.add(Amount(1, 10), wall)
        shared.apply("net", group, [down(1, 10, wall)])
    again.load(rows.values(), NOW)
    for group in ("", "a", "b"):
        for quota, tally in shared.limits("net", group).shared:
            same = next(each for one, each in again.limits("net", group).shared if one == quota)
            assert tally.used(quota.period, NOW) == same.used(quota.period, NOW), (group, quota.name)


@pytest.mark.parametrize("period", [Period.DAY, Period.WEEK])
def test_a_clock_that_is_set_back_finds_the_earlier_days_again(period):
    shared = SharedQuotas([replace(NETWORK, period=period)])
    tally = shared.limits("net", "").shared[0][1]
    edge = start_of(period, NOW)
    shared.apply("net", "", [down(3, 1, edge - 1), down(1, 1, edge + 1)])
    assert tally.used(period, edge - 1).down_messages == 3
    assert tally.used(period, edge + 1).down_messages == 1


def test_a_clock_that_is_set_back_over_a_minute_begins_none_anew():
    shared = SharedQuotas([MINUTE])
    tally = shared.limits("net", "").shared[0][1]
    shared.apply("net", "", [down(3, 1, NOW + 600), down(1, 1, NOW)])
    assert tally.used(Period.MINUTE, NOW).down_messages == 4
    assert tally.used(Period.MINUTE, NOW + 600).down_messages == 4


@pytest.mark.parametrize("period", [Period.MINUTE, Period.HOUR])
def test_after_a_clock_was_set_back_a_kill_loses_nothing_that_counts_in_the_present(period):
    """One endpoint has used some in a later minute already, another one uses some now; then the service is killed."""
    rows = []
    for endpoint, wall in ((1, NOW), (2, NOW + 2 * 3600), (3, NOW - 3600)):
        row = Usage(endpoint, day_of(wall), "net", "", 0)
        row.add(Amount(endpoint, 1), wall)
        rows.append(row)
    shared = SharedQuotas([replace(NETWORK, period=period)])
    shared.load(rows, NOW)
    tally = shared.limits("net", "").shared[0][1]
    assert tally.used(period, NOW).down_messages == 3  # without what counted an hour ago


def test_a_clock_that_was_years_ahead_for_a_moment_uses_nothing_up():
    shared = SharedQuotas([MINUTE])
    tally = shared.limits("net", "").shared[0][1]
    shared.apply("net", "", [down(9, 1, NOW + 4 * 365 * DAY), down(1, 1, NOW)])
    assert tally.used(Period.MINUTE, NOW).down_messages == 1
    shared.apply("net", "", [down(2, 1, NOW + 120)])
    assert tally.used(Period.MINUTE, NOW + 120).down_messages == 2


def rows_of(days, messages=3):
    """Return usage rows of these days after today, as they are stored."""
    found = []
    for ahead in days:
        row = Usage(0, day_of(NOW + ahead * DAY), "net", "", 0)
        row.add(Amount(messages, 30), NOW + ahead * DAY)
        found.append(row)
    return found


@pytest.mark.parametrize("ahead", [(1, 2, 3), (1, 2, 3, 4, 5), (-2, -1, 1, 2, 3)])
def test_after_days_with_a_clock_ahead_and_a_restart_today_is_counted(ahead):
    """The clock was ahead for days, then it was set back, and the service started again."""
    shared = SharedQuotas([NETWORK])
    shared.load(rows_of(ahead), NOW)
    shared.apply("net", "", [down(1, 10)])
    shared.apply("net", "", [down(1, 10)])
    assert used(shared) == {"all": 2}
    tally = shared.limits("net", "").shared[0][1]
    assert [tally.used(Period.DAY, NOW + day * DAY).down_messages for day in ahead] == [3] * len(ahead)


def test_a_start_with_rows_of_later_days_keeps_what_was_used_today():
    shared = SharedQuotas([NETWORK])
    shared.load(rows_of([0, 1, 2, 3]), NOW)
    assert used(shared) == {"all": 3}
    shared.apply("net", "", [down(1, 10)])
    assert used(shared) == {"all": 4}


def test_earlier_days_are_forgotten():
    shared = SharedQuotas([NETWORK])
    for ahead in range(40):
        shared.apply("net", "", [down(1, 1, NOW + ahead * DAY)])
    tally = shared.limits("net", "").shared[0][1]
    kept = [ahead for ahead in range(40) if tally.used(Period.DAY, NOW + ahead * DAY).down_messages]
    assert kept == [37, 38, 39]


def test_periods():
    assert end_of(Period.WEEK, NOW) == datetime(2026, 12, 7, tzinfo=UTC).timestamp()
    assert end_of(Period.DAY, NOW) == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert (
        datetime.fromtimestamp(monday_of(day_of(NOW + 6 * DAY)) * DAY, UTC).isoformat() == "2026-11-30T00:00:00+00:00"
    )


@pytest.fixture
async def bench():
    """One endpoint of a runner, whose network allows two messages a week."""
    store = InMemoryStore()
    await store.directory.add([Draft("net", "dev@example.com", "urn:dev:1", ("srv",))], None, lambda: 0.0)
    bench = Bench(store)
    shared = SharedQuotas([Quota("two", "net", Per.NETWORK, Period.WEEK, messages=2, reserve=0.0)])
    bench.placed = Placed(ENDPOINT, 1, lambda _device: PROFILE, bench.calls, shared.limits("net", ""))
    bench.runner.quotas = shared
    yield bench
    bench.runner.stop()
    await store.close()


async def test_a_failed_commit_costs_nothing(bench):
    bench.store.faults.commits_wait = True
    await bench.event(read_request(7))
    assert _week(bench) == 1
    await bench.fail()
    assert _week(bench) == 0
    assert not bench.actor.of(Submit)


async def test_a_mistake_in_counting_is_told_and_keeps_no_call_open(bench, monkeypatch, caplog):
    """The step has changed the endpoint in memory: that is dropped, and no call is left counted."""

    def wrong(*_):
        raise KeyError("a mistake in the sums")

    told = []
    with monkeypatch.context() as patched:
        patched.setattr(SharedQuotas, "apply", wrong)
        await bench.event(read_request(7), told.append)
    assert [type(error) for error in told] == [StoreUnavailable]
    assert "an event could not be processed" in caplog.text
    assert bench.calls.under_way == 0
    assert 1 not in bench.runner.loaded
    assert not await bench.rows()
    await bench.take(read_request(8))
    assert [row.north_mid for row in await bench.rows()] == [8]
    assert bench.calls.under_way == 1


async def test_a_committed_submission_is_counted_at_once_for_all(bench):
    await bench.take(read_request(7))
    assert _week(bench) == 1
    found = await bench.store.reads.usage(0, 1 << 40)
    assert [(one.network, one.endpoint, one.down_messages) for one in found] == [("net", 1, 1)]


def _week(bench):
    quota = bench.runner.quotas.quotas[0]
    (row,) = bench.runner.quotas.standing(bench.runner.clock.wall())
    assert row[0] == quota
    return row[2].down_messages
