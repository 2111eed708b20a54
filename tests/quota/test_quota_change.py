"""Quotas that change while messages wait: nothing is counted twice or lost, and what waits is judged anew."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from bindings.contract import Accepted, NetworkState
from bridge.directory import Draft
from bridge.errors import StoreUnavailable
from bridge.quota.account import Charge
from bridge.quota.limits import Per, Quota
from bridge.quota.periods import Period, day_of
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Amount, Usage
from bridge.relay import events as ev
from bridge.relay.effects import Submit
from bridge.service.placed import Placed
from bridge.service.progress import Progress
from bridge.service.quota_change import change_quotas, recheck_held
from bridge.store.in_memory import InMemoryStore
from tests.service.runner_bench import ENDPOINT, Bench, read_request
from tests.service.scripted_binding import PROFILE

WEEK = Quota("week", "net", Per.NETWORK, Period.WEEK, messages=2, reserve=0.0)
OWN = Quota("own", "net", Per.ENDPOINT, Period.WEEK, messages=1, reserve=0.0)


def answer_to(request):
    """Return a piggybacked 2.05 without payload."""
    token_length = request[0] & 15
    return bytes((0x60 | token_length, 69)) + request[2 : 4 + token_length]


class ChangingBench(Bench):
    """A bench whose quotas can be changed."""

    def start(self, *quotas):
        self.shared = self.runner.quotas = SharedQuotas(quotas)
        self.placed = Placed(ENDPOINT, 1, lambda _device: PROFILE, self.calls, self.shared.limits("net", ""))
        self.runner.place = lambda _record: replace(self.placed, limits=self.shared.limits("net", ""))

    def changing(self, *quotas):
        return asyncio.ensure_future(
            change_quotas(self.shared, quotas, self.runner, self.store, self.runner.clock.wall())
        )

    async def change(self, *quotas):
        change = self.changing(*quotas)
        await self.go()
        await change

    async def judge(self):
        await recheck_held(self.runner, {"net": self.calls}, Progress(lambda: 0.0))

    @property
    def used(self):
        return {
            quota.name: None if amount is None else amount.down_messages
            for quota, _, amount in self.shared.standing(self.runner.clock.wall())
        }

    @property
    def submits(self):
        return len(self.actor.of(Submit))

    async def exchange(self, mid):
        await self.take(read_request(mid))
        submit = self.actor.of(Submit)[-1].attempt
        sent = Accepted(f"h{mid}", NetworkState.SENT)
        await self.call_ends(ev.Submitted(submit.downlink, submit.number, sent))
        await self.take(ev.DeviceMessage(answer_to(submit.payload)))


@pytest.fixture
async def bench():
    store = InMemoryStore()
    await store.directory.add([Draft("net", "dev@example.com", "urn:dev:1", ("srv",))], None, lambda: 0.0)
    bench = ChangingBench(store)
    yield bench
    bench.runner.stop()
    await store.close()


async def test_what_was_used_before_counts_for_a_quota_that_is_new(bench):
    bench.start()
    await bench.exchange(7)
    await bench.change(WEEK)
    assert bench.used == {"week": 1}


async def test_a_step_whose_commit_is_under_way_counts_once(bench):
    bench.start()
    bench.store.faults.commits_wait = True
    await bench.event(read_request(7))
    change = bench.changing(WEEK)
    await asyncio.sleep(0)
    await bench.go()
    await change
    assert bench.used == {"week": 1}
    assert bench.submits == 1


async def test_a_step_during_the_change_counts_once(bench):
    bench.start()
    await bench.take(ev.Tick())
    bench.store.faults.commits_wait = True
    change = bench.changing(WEEK)
    await asyncio.sleep(0)
    await bench.event(read_request(7))
    await bench.go()
    await change
    assert bench.used == {"week": 1}


@pytest.mark.parametrize("before", [True, False], ids=["begun before the change", "begun during the change"])
async def test_a_step_whose_commit_fails_during_the_change_counts_nothing(bench, before):
    bench.start()
    await bench.take(ev.Tick())
    bench.store.faults.commits_wait = True
    if before:
        await bench.event(read_request(7))
    change = bench.changing(WEEK)
    await asyncio.sleep(0)
    if not before:
        await bench.event(read_request(7))
    await bench.fail()
    with pytest.raises(StoreUnavailable):
        await change
    await bench.change(WEEK)
    assert bench.used == {"week": 0}


async def test_a_store_that_fails_leaves_the_quotas_in_force(bench):
    bench.start(WEEK)
    await bench.exchange(7)
    bench.store.faults.commits_fail = True
    with pytest.raises(StoreUnavailable):
        await bench.change(replace(WEEK, messages=9))
    bench.store.faults.commits_fail = False
    assert bench.shared.quotas == (WEEK,)
    assert bench.used == {"week": 1}
    await bench.take(ev.Tick())
    assert not bench.runner.loaded[1].placed.limits.counts_uplinks


@pytest.mark.parametrize("quota", [WEEK, OWN], ids=["shared", "of the endpoint"])
async def test_what_waits_goes_when_the_quota_is_raised_and_what_was_used_stays_used(bench, quota):
    bench.start(replace(quota, messages=1))
    await bench.exchange(7)
    await bench.take(read_request(8))
    assert bench.submits == 1
    assert 1 in bench.calls.held
    await bench.change(replace(quota, messages=2))
    await bench.judge()
    assert bench.submits == 2
    assert not bench.calls.held
    (row,) = await bench.store.reads.usage(0, 1 << 40)
    assert row.down_messages == 2


async def test_what_waits_waits_on_when_the_quota_is_lowered(bench):
    bench.start(replace(WEEK, messages=2))
    await bench.exchange(7)
    await bench.change(replace(WEEK, messages=1))
    await bench.take(read_request(8))
    assert bench.submits == 1
    assert bench.used == {"week": 1}


async def test_what_waits_goes_when_the_quota_is_taken_away(bench):
    bench.start(replace(OWN, messages=1))
    await bench.exchange(7)
    await bench.take(read_request(8))
    await bench.change()
    await bench.judge()
    assert bench.submits == 2


def test_sums_after_a_change_are_those_of_the_rows_whatever_was_under_way():
    """Steps, commits that fail, and a change, in random order; rows are what was committed in turn."""
    for seed in range(300):
        draw = Random(seed)
        shared = SharedQuotas([WEEK] if draw.random() < 0.5 else [])
        committed, waiting, read = 0, [], None
        now = 1_900_000_000.0
        for _ in range(40):
            what = draw.random()
            if what < 0.4:
                charges = [Charge(now, Amount(1, 1))] if shared.limits("net", "").reports else []
                shared.apply("net", "", charges)
                waiting.append(("step", charges))
            elif what < 0.8 and waiting:
                kind, charges = waiting.pop(0)
                if kind == "read":
                    rows, read = committed, None
                    shared.change([WEEK], [usage(rows, now)], now)
                elif draw.random() < 0.2:
                    shared.take_back("net", "", charges)
                else:
                    committed += 1
            elif read is None and draw.random() < 0.2:
                read = True
                shared.begin_change()
                waiting.append(("read", []))
        for kind, _ in waiting:
            if kind == "read":
                shared.change([WEEK], [usage(committed, now)], now)
            else:
                committed += 1
        assert not shared.quotas or _used(shared, now) == committed, seed


def usage(messages, now):
    row = Usage(0, day_of(now), "net", "", 0)
    row.add(Amount(messages, messages), now)
    return row


def _used(shared, now):
    ((_, tally),) = shared.limits("net", "").shared
    return tally.used(Period.WEEK, now).down_messages


@pytest.mark.parametrize("before", [WEEK, replace(OWN, messages=2)])
async def test_a_quota_below_what_was_used_leaves_nothing_and_forgets_nothing(bench, before):
    bench.start(before)
    await bench.exchange(1)
    await bench.exchange(2)
    await bench.change(replace(before, messages=1))
    await bench.take(read_request(3))
    assert bench.submits == 2
    assert bench.used[before.name] in (2, None)  # None: it is of each endpoint
    await bench.change(replace(before, messages=3))
    await bench.judge()
    assert bench.submits == 3


@pytest.mark.parametrize(("most", "goes"), [(2, 2), (3, 3)])
@pytest.mark.parametrize("per", [Per.NETWORK, Per.ENDPOINT])
async def test_a_quota_that_comes_back_with_another_period_counts_what_was_used_in_that(bench, per, most, goes):
    """Its name is for people: what counts is what its endpoints used."""
    bench.start(replace(WEEK, per=per))
    await bench.exchange(1)
    await bench.exchange(2)
    await bench.change()
    await bench.change(replace(WEEK, per=per, period=Period.DAY, messages=most))
    await bench.take(read_request(3))
    assert bench.submits == goes
