"""Whose trouble a failed configuration is, and how far provisioning has come."""

import asyncio
import logging

import pytest
from scripted_scef import HANG_UP

from bindings.nidd import provisioning
from bindings.nidd.progress import Progress
from bridge.errors import StoreUnavailable
from tests.bindings.bridge_side import DictMemory
from tests.waiting import until

DEVICES = [f"dev{number}@iot.example" for number in range(5)]


async def provision(binding):
    for device in DEVICES:
        await binding.provision(device, {})


def failures(binding):
    return [getattr(binding.records.held(device), "failures", 0) for device in DEVICES]


async def test_trouble_of_the_scef_is_noted_at_no_device(make, scef, side):
    scef.script["create"].extend([(503, {"title": "busy"})] * 2 + [(502, "<html>")] * 2)
    binding = await make()
    await provision(binding)
    await until(lambda: side.counts["nidd_configuration_failures"] == 4)
    assert failures(binding) == [0] * 5
    await until(lambda: binding.status()["configurations"]["active"] == 5, 20)


async def test_a_page_that_one_device_alone_meets_is_its_own_trouble(make, scef, side):
    async def one_is_blocked(request):
        body = await request.json()
        if body["externalId"] == DEVICES[0]:
            return await scef._scripted((403, "<html>blocked</html>"), request)
        return scef._create(request, body)

    scef.script["create"].extend([one_is_blocked] * 50)
    binding = await make(configurations={"retry_min": 1000.0})
    await provision(binding)
    await until(lambda: binding.status()["configurations"]["active"] == 4, 20)
    await until(lambda: failures(binding)[0] == 1, 20)


async def test_a_device_whose_answer_is_lost_is_looked_for_before_it_is_tried_again(make, scef, side):
    scef.refuse_duplicates = None
    scef.script["create"].append(HANG_UP)
    binding = await make()
    await provision(binding)
    await until(lambda: binding.status()["configurations"]["active"] == 5, 20)
    assert len(scef.configurations) == 5
    assert len(scef.made("list")) == 2


async def test_progress_is_told_in_status_and_log(make, scef, caplog):
    caplog.set_level(logging.INFO)
    binding = await make(configurations={"pace": 100.0})
    for number in range(250):
        await binding.provision(f"dev{number}@iot.example", {})
    report = await until(
        lambda: (found := binding.status()["configurations"])["seconds_left"] is not None and found, why="an estimate"
    )
    assert report["done"] + report["remaining"] == 250
    assert 40 < report["per_second"] < 120
    assert report["seconds_left"] < 10
    await until(lambda: binding.status()["configurations"]["active"] == 250)
    await until(lambda: "all devices are done" in caplog.text)
    assert "devices to do" in caplog.text


def test_the_estimate_follows_the_rate_of_late():
    progress, now = Progress(), 100.0
    for _ in range(600):
        now += 0.1
        progress.done(now)
    assert progress.seconds_left(1000, now) == 1000 / progress.rate(now)
    assert 9 < progress.rate(now) < 11
    assert progress.rate(now + 1000) == 0
    assert progress.status(1000, now + 1000)["seconds_left"] is None


def test_a_long_run_is_told_once_a_minute(caplog):
    caplog.set_level(logging.INFO)
    progress = Progress()
    for second in range(300):
        progress.done(second)
        progress.tell(100_000 - second, second)
    assert len(caplog.records) == 5
    assert "h 4" in caplog.records[-1].getMessage() or " min left" in caplog.records[-1].getMessage()


class Failing(DictMemory):
    """A memory whose reads fail as often as is asked for."""

    def __init__(self):
        super().__init__()
        self.passes_fail = 0  # how many reads of all records fail, each after the first record
        self.reads_fail = set()  # devices whose record cannot be read

    async def items(self, prefix):
        async for item in super().items(prefix):
            yield item
            if self.passes_fail:
                self.passes_fail -= 1
                raise self.error

    def load(self, key):
        async def fails():
            raise StoreUnavailable("away")

        return asyncio.ensure_future(fails()) if key.partition("/")[2] in self.reads_fail else super().load(key)


@pytest.fixture
def memory():
    return Failing()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a bug")], ids=["the store", "a bug"])
async def test_a_look_at_the_records_that_fails_is_followed_by_another_one(make, memory, side, monkeypatch, error):
    """Else the devices that it did not come to would wait until another device changes something."""
    monkeypatch.setattr(provisioning, "_AGAIN", 0.01)
    monkeypatch.setattr(provisioning, "_FRESH", 0)  # devices are found by reading the records alone
    binding = await make()
    memory.error = error
    memory.passes_fail = 3
    await provision(binding)
    await until(lambda: binding.status()["configurations"]["active"] == 5)
    assert memory.passes_fail == 0
    assert side.counts["nidd_internal_errors"] == (3 if isinstance(error, RuntimeError) else 0)


async def test_jobs_whose_record_cannot_be_read_do_not_use_up_the_places_for_jobs(make, memory, monkeypatch):
    monkeypatch.setattr(provisioning, "_STORE_PAUSE", 0.0)
    binding = await make(configurations={"parallelism": 2})
    await provision(binding)
    await until(lambda: binding.status()["configurations"]["active"] == 5)
    work = binding._provisioning
    for device in DEVICES:
        binding.records.forget(device)
    memory.forgets, memory.reads_fail = True, set(DEVICES)
    for device in DEVICES:
        await work._begin(device)
    assert work._pace.under_way == 0


async def test_a_bug_in_the_comparison_with_the_list_of_the_scef_is_counted_and_it_is_made_again(
    make, side, monkeypatch
):
    calls = []

    async def mistaken(*_):
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a bug")

    first = await make()
    await provision(first)
    await until(lambda: first.status()["configurations"]["active"] == 5)
    await first.stop()
    monkeypatch.setattr(provisioning, "_REPAIR_PAUSE", 0.01)
    monkeypatch.setattr(provisioning, "find_missing", mistaken)
    await make()
    await until(lambda: len(calls) == 3)
    assert side.counts["nidd_internal_errors"] == 2
