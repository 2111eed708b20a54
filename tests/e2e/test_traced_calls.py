"""A trace shows the calls of the SCEF's API beside both hops, without secrets and without payloads."""

import pytest

from mock_network.lab import TOKEN
from tests.e2e.kit import SetUp
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_trace_shows_each_call_about_the_device_and_no_secret(world: SetUp):
    await world.add_device("traced", endpoint={}, device={})
    await world.add_device("beside", endpoint={}, device={})
    begun = await world.bridge.ask("trace.begin", endpoint="traced", payload=False)
    assert (await world.ask("beside", "read", "/3/0/1"))["code"] == "2.05"
    assert (await world.ask("traced", "read", "/3/0/1"))["code"] == "2.05"
    await world.scef().post(f"/configurations/{await world.configured('traced')}/terminate", {"status": "TERMINATED"})

    async def made_again() -> list[str]:
        page = await world.bridge.ask("trace.read", id=begun["id"])
        calls = [line["note"] for line in page["items"] if line["kind"] == "call"]
        return calls if any("notificationDestination" in one for one in calls) else []

    calls = await until(made_again, 12)
    await world.bridge.ask("trace.end", id=begun["id"])
    (submitted,) = [one for one in calls if "/downlink-data-deliveries" in one and one.startswith("POST")]
    assert '"data": "(' in submitted
    assert " → 20" in submitted
    assert "deliveryStatus" in submitted.partition(" → ")[2]
    assert all("/***" in one for one in calls if "notificationDestination" in one)
    for secret in (TOKEN, "told-to-nobody", "beside"):
        assert not any(secret in one for one in calls), secret
