"""A SCEF whose clock is hours off: no storm, no early end, and the skew is told (C1)."""

import asyncio

import pytest

from bindings.contract import Kind, Refusal, Report, Submission
from bindings.t8.times import format_time, parse_time
from tests.waiting import until

DEVICE = "dev1@iot.example"
ATTEMPT = Submission(1, 1, DEVICE, b"x", Kind.REQUEST)
SKEWS = [-7200, 0, 7200]


@pytest.fixture(params=SKEWS)
def skew(request):
    return request.param


@pytest.fixture
async def binding(make, scef, side, skew):
    one = await make(configurations={"duration": 86_400, "renewal_margin": 3600.0})
    scef.now = lambda: side.now() + skew
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    return one


async def test_a_date_at_the_end_of_all_years_stops_no_renewal(make, scef, side):
    one = await make(configurations={"duration": 86_400, "renewal_margin": 3600.0})
    scef.now = lambda: 253_402_300_799.0
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    side.offset += 83_000
    await until(lambda: scef.made("patch"))
    assert scef.made("patch")[-1][2]["duration"] == "9999-12-31T23:59:59Z"
    assert one.status()["configurations"]["active"] == 1


async def test_the_skew_is_told(binding, skew):
    assert binding.status()["client"]["clock_skew"] == pytest.approx(skew, abs=1)
    said = [finding for finding in await binding.check() if finding.what == "clock"]
    assert bool(said) == bool(skew)


async def test_a_duration_is_asked_for_and_read_in_the_scefs_own_time(binding, scef, side, skew):
    record = binding.records.held(DEVICE)
    assert record.due == pytest.approx(side.now() + 86_400 - 3600, abs=5)
    side.offset += 83_000
    await until(lambda: scef.made("patch"))
    assert parse_time(scef.made("patch")[-1][2]["duration"]) == pytest.approx(scef.now() + 86_400, abs=5)


async def test_a_time_to_wait_is_in_the_scefs_own_time(binding, scef, side, skew):
    body = {"problemDetail": {"cause": "X"}, "requestedRetransmissionTime": format_time(scef.now() + 900)}
    scef.script["submit"].append((500, body))
    assert (await binding.submit(ATTEMPT)).retry_at == pytest.approx(side.now() + 900, abs=3)
    link = scef.link(scef.name_of(DEVICE), "7")
    notification = {
        "niddDownlinkDataTransfer": link,
        "deliveryStatus": "FAILURE_TEMPORARILY_NOT_REACHABLE",
        "requestedRetransmissionTime": format_time(scef.now() + 900),
    }
    assert await scef.notify(binding.listener.url, notification) == 204
    assert side.of(Report)[0].retry_at == pytest.approx(side.now() + 900, abs=3)


async def test_a_time_that_is_over_leaves_the_pause_to_the_core(binding, scef):
    body = {"problemDetail": {"cause": "X"}, "requestedRetransmissionTime": format_time(scef.now() - 600)}
    scef.script["submit"].append((500, body))
    result = await binding.submit(ATTEMPT)
    assert (result.why, result.retry_at) == (Refusal.UNREACHABLE, None)


async def test_a_scef_that_grants_no_time_is_not_asked_in_a_loop(make, scef, side):
    async def expired(request):
        return scef._create(request, await request.json() | {"duration": format_time(side.now() - 5)})

    scef.script["create"].append(expired)
    binding = await make()
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    await asyncio.sleep(0.6)  # several looks of the binding at what is due
    assert not scef.made("patch")
    side.offset += 61
    await until(lambda: scef.made("patch"))


async def test_a_proxys_date_says_nothing_about_the_scefs_clock(make, scef, side):
    binding = await make(configurations={"retry_min": 0.01})
    scef.now = lambda: side.now() - 50_000
    scef.script["list"].append((502, "<html>"))
    await binding.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    assert binding.status()["client"]["clock_skew"] is None
