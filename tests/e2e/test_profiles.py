"""SCEFs of the field differ: one bridge with a network of each kind, and a device on each."""

import asyncio
import base64
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import decode
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROFILES = ("relative-links", "both-ids", "small-apn", "strict-r15", "conflict", "no-buffer", "lossy")

UPLINKS = {"uplink_packet_size": 10_864}  # bits; a Register with its links needs more than a small APN's 100 octets


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quirks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("quirks"),
        networks={profile: profile for profile in PROFILES},
    ) as found:
        yield found


@pytest.mark.parametrize("profile", ["relative-links", "both-ids", "small-apn", "strict-r15", "conflict", "no-buffer"])
async def test_a_device_is_managed_through_every_kind_of_scef(quirks: SetUp, profile: str):
    name = f"device-{profile}"
    await quirks.add_device(name, profile, endpoint={}, device={}, **UPLINKS)
    assert (await quirks.ask(name, "read", "/3/0/1"))["values"] == {"/3/0/1": "Emulated device"}
    assert (await quirks.ask(name, "write", "/3/0/14", value="+02:00"))["code"] == "2.04"
    assert (await quirks.ask(name, "execute", "/3303/0/5605"))["code"] == "2.04"
    assert (await quirks.ask(name, "observe", "/3303/0/5700"))["code"] == "2.05"
    await quirks.set_value(name, "/3303/0/5700", 21.25)

    async def notified() -> bool:
        observed = await quirks.server().get("/observations")
        return any(one["endpoint"] == name and len(one["notifications"]) == 1 for one in observed)

    await until(notified)
    assert (await quirks.act(name, "send", paths=["/3/0/9"]))["code"] == "2.04"
    executed = await quirks.devices.get(f"/devices/{name}/operations")
    assert [one["operation"] for one in executed] == ["Read", "Write", "Execute", "Observe"]


async def test_a_scef_that_keeps_nothing_is_asked_again_when_the_device_is_back(quirks: SetUp):
    await quirks.add_device("kept", "no-buffer", endpoint={}, device={}, t3324=2.0, t3412=60.0, inactivity=5.0)
    while (await quirks.ue("kept", "no-buffer"))["state"] != "power saving mode":
        await quirks.lab.step(6.0)
        await asyncio.sleep(0.05)
    before = len(await quirks.air("kept", "downlink", "no-buffer"))
    asked = asyncio.create_task(quirks.ask("kept", "read", "/3/0/0", timeout=120))

    async def refused() -> list[str]:
        return [
            r["answer"]["requestedRetransmissionTime"]
            for r in quirks.proxies["no-buffer"].records
            if r["status"] == 500 and "requestedRetransmissionTime" in r["answer"]
        ]

    (again,) = await until(refused, why="no 500 with requestedRetransmissionTime")
    now = (await quirks.scef("no-buffer").get("/clock"))["wall"]
    await quirks.lab.step(dt.datetime.fromisoformat(again).timestamp() - now + 0.5)
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"
    assert len(await quirks.air("kept", "downlink", "no-buffer")) == before + 1


@pytest.mark.parametrize("skew", [7200.0, -7200.0], ids=["two hours ahead", "two hours behind"])
async def test_a_scef_whose_clock_is_two_hours_off_is_not_asked_in_a_storm_and_nothing_ends_early(
    quirks: SetUp, skew: float
):
    """The SCEF names the time at which its device listens again, by its own clock."""
    name = f"skewed-{skew:.0f}"
    await quirks.scef("no-buffer").ask("PATCH", "/settings", {"clock_skew": skew})
    await quirks.add_device(name, "no-buffer", endpoint={}, device={}, t3324=2.0, t3412=60.0, inactivity=5.0)
    while (await quirks.ue(name, "no-buffer"))["state"] != "power saving mode":
        await quirks.lab.step(6.0)
        await asyncio.sleep(0.05)

    def posts() -> list[dict[str, Any]]:
        return [
            one
            for one in quirks.proxies["no-buffer"].records
            if one["method"] == "POST" and "downlink-data-deliveries" in one["path"]
        ]

    before = len(posts())
    asked = asyncio.create_task(quirks.ask(name, "read", "/3/0/0", timeout=120))

    async def refused() -> list[dict[str, Any]]:
        return posts()[before:]

    (refusal,) = await until(refused, why="the SCEF is not asked")
    again = dt.datetime.fromisoformat(refusal["answer"]["requestedRetransmissionTime"]).timestamp() - skew
    now = (await quirks.scef("no-buffer").get("/clock"))["wall"]
    assert 0 < again - now < 100
    await quirks.lab.step(again - now - 5)
    await asyncio.sleep(0.3)
    assert len(posts()) == before + 1  # nobody asks before that time
    await quirks.lab.step(5.5)
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"
    assert len(posts()) == before + 2
    status = (await quirks.bridge.ask("status"))["networks"]["no-buffer"]
    assert status["client"]["clock_skew"] == pytest.approx(skew, abs=2)
    await quirks.scef("no-buffer").ask("PATCH", "/settings", {"clock_skew": 0.0})


async def test_what_does_not_fit_a_small_apn_is_refused_4_13_with_a_block_size_that_fits(quirks: SetUp):
    await quirks.add_device("small", "small-apn", endpoint={}, device={}, **UPLINKS)
    text = "x" * 90
    written = await quirks.ask("small", "write", "/3303/0/5750", value=text)
    sizes = [len(bytes.fromhex(one["data"])) for one in await quirks.air("small", "downlink", "small-apn")]
    assert max(sizes) <= 100  # octets: 800 bits
    submitted = [
        len(base64.b64decode(record["request"]["data"]))
        for record in quirks.proxies["small-apn"].records
        if record["request"]
        and record["request"].get("externalId") == "small@iot"
        and "data" in record["request"]
        and record["way"] == "api"
    ]
    assert submitted
    assert max(submitted) <= 100  # maximumPacketSize is in bits: the SCEF never had to refuse one for its size
    assert "4.13" in {e["code"] for e in await quirks.seen("acknowledged", "small")}
    assert written["code"] == "2.04"  # the server took the Block1 size of the 4.13 (RFC 7959 §2.9.3)
    assert (await quirks.ask("small", "read", "/3303/0/5750"))["values"] == {"/3303/0/5750": text}
    messages = [decode(bytes.fromhex(one["data"])) for one in await quirks.air("small", "downlink", "small-apn")]
    assert len([m for m in messages if m.dotted() == "0.03"]) > 1  # block by block


async def test_a_configuration_that_is_there_already_is_adopted(quirks: SetUp):
    """Profile conflict refuses a second one for the same UE: the bridge must find the first."""
    await quirks.add_device("adopted", "conflict", endpoint={}, device={})
    first = await quirks.configured("adopted", "conflict")
    await quirks.bridge.restart()
    assert (await quirks.ask("adopted", "read", "/3/0/0"))["code"] == "2.05"
    assert (await quirks.act("adopted", "send", paths=["/3/0/9"]))["code"] == "2.04"
    assert await quirks.configured("adopted", "conflict") == first


async def test_through_a_lossy_scef_every_request_has_one_outcome_and_reaches_the_device_once(quirks: SetUp):
    network = quirks.scef("lossy")
    armed = (await network.get("/faults"))["armed"]
    await network.ask("DELETE", "/faults")
    await quirks.add_device("lossy", "lossy", endpoint={}, device={})
    for fault in armed:
        await network.post("/faults", {name: fault[name] for name in ("kind", "probability", "params")})
    for number in range(12):
        answer = asyncio.create_task(quirks.ask("lossy", "write", "/3/0/14", value=f"+{number:02}:00", timeout=110))
        while not answer.done():
            done, _ = await asyncio.wait({answer}, timeout=1.0)
            if not done:
                await quirks.lab.step(5.0)
        assert answer.result()["code"] in {"2.04", "5.04"}
    happened = (await network.get("/faults"))["happened"]
    assert sum(happened.values()) >= 3, happened
    executed = await quirks.devices.get("/devices/lossy/operations")
    written = [one["digest"] for one in executed if one["operation"] == "Write"]
    assert len(written) == len(set(written))  # none twice
    assert len(written) >= 10
