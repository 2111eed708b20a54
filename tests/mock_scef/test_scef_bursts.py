"""Faults in a row: connections that break, bursts of errors, notifications in any order."""

import asyncio

import aiohttp
import pytest
from scef_kit import UE

from tests.waiting import until


async def test_a_connection_cut_after_the_post_leaves_the_downlink_on_its_way(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "cut_after_processing", "count": 1, "where": {"method": "POST"}})
    with pytest.raises(aiohttp.ClientError):
        await scs_as.post(location, b"once")
    _, air = await scs_as.control("GET", "/air-log?what=downlink")
    assert [line["data"] for line in air] == [b"once".hex()]
    _, requests = await scs_as.control("GET", "/requests")
    assert requests[-1]["cut"] is True
    assert (await scs_as.post(location))[0] == 200


async def test_a_connection_cut_before_the_post_leaves_nothing(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "cut_before_processing", "count": 1})
    with pytest.raises(aiohttp.ClientError):
        await scs_as.post(location)
    assert (await scs_as.control("GET", "/air-log?what=downlink"))[1] == []


@pytest.mark.parametrize(
    ("status", "params"), [(503, {}), (401, {}), (429, {"retry_after": 7}), (500, {"processed": True})]
)
async def test_a_burst_of_errors_has_its_length(start, status, params):
    scs_as = await start(judged=False)
    location, _ = await scs_as.configure()
    fault = {
        "kind": "http_error",
        "count": 2,
        "params": {"status": status, **params},
        "where": {"resource": "deliveries"},
    }
    await scs_as.control("POST", "/faults", fault)
    assert (await scs_as.ask("GET", location))[0] == 200
    for _ in range(2):
        answer, _, headers = await scs_as.post(location)
        assert answer == status
        assert headers.get("Retry-After") == ("7" if status == 429 else None)
    assert (await scs_as.post(location))[0] == 200
    assert len(scs_as.service.core.air_log.lines)
    assert scs_as.service.core.air_log.counts["downlink"] == (3 if status == 500 else 1)


async def test_the_status_comes_before_the_201(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "status_before_answer", "count": 1})
    status, body, _ = await scs_as.post(location)
    assert (status, body["deliveryStatus"]) == (201, "SENDING")
    assert scs_as.notified == [
        {"niddDownlinkDataTransfer": body["self"], "deliveryStatus": "SUCCESS_NEXT_HOP_ACKNOWLEDGED"}
    ]


async def test_notifications_twice_out_of_order_late_and_never(start):
    scs_as = await start()
    location, _ = await scs_as.configure()

    async def uplink(data):
        await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": data})

    await scs_as.control("POST", "/faults", {"kind": "notification_duplicate", "count": 1})
    await uplink("00")
    await until(lambda: len(scs_as.notified) == 2)
    assert scs_as.notified[0] == scs_as.notified[1]
    await scs_as.control("POST", "/faults", {"kind": "notification_reorder", "count": 1, "params": {"seconds": 0.3}})
    await uplink("01")
    await uplink("02")
    await until(lambda: len(scs_as.notified) == 4)
    assert [body["data"] for body in scs_as.notified[2:]] == ["Ag==", "AQ=="]
    await scs_as.control("POST", "/faults", {"kind": "notification_slow", "count": 1, "params": {"seconds": 0.2}})
    await uplink("03")
    await until(lambda: len(scs_as.notified) == 5)
    await scs_as.control("POST", "/faults", {"kind": "final_status_lost", "count": 1})
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    await scs_as.post(location)
    await scs_as.control("POST", f"/ues/{UE}/wake")
    counts = scs_as.service.core.air_log.counts
    await until(lambda: counts["downlink"] == 1)
    assert scs_as.service.notifier.records[-1]["lost"] == "by fault final_status_lost"
    _, faults = await scs_as.control("GET", "/faults")
    assert faults["armed"] == []
    assert faults["happened"]["notification_reorder"] == 1


async def test_a_slow_answer_is_slow(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "slow_answer", "count": 1, "params": {"seconds": 30}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await scs_as.post(location)
    assert (await scs_as.post(location))[0] == 200


async def test_a_fault_that_is_unknown_or_ill_described_is_refused(start):
    scs_as = await start()
    for body in ({"kind": "earthquake"}, {}, {"kind": "http_error", "probability": 2}, {"kind": "http_error", "x": 1}):
        assert (await scs_as.control("POST", "/faults", body))[0] == 400
    assert (await scs_as.control("DELETE", "/faults/99"))[0] == 404
