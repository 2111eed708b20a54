"""Whose trouble a failed configuration is, and how far provisioning has come."""

import logging

from scripted_scef import HANG_UP

from bindings.nidd.progress import Progress
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
