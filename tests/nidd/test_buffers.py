"""Two buffers, never both: a downlink for a sleeping device waits in the network or in the bridge (R8, R11)."""

import pytest

from bindings.contract import Accepted, Cancellation, Kind, NetworkState, Refusal, Submission
from bindings.t8.times import format_time
from tests.waiting import until

DEVICE = "dev1@iot.example"


def attempt(**members):
    return Submission(1, 1, DEVICE, b"x", Kind.REQUEST, **members)


async def ready(make, options=None, **parts):
    binding = await make(**parts)
    await binding.provision(DEVICE, options or {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    return binding


async def test_where_the_network_keeps_it_is_told_how_long(make, scef, side):
    binding = await ready(make)
    scef.submit_status = "BUFFERING_TEMPORARILY_NOT_REACHABLE"
    result = await binding.submit(attempt(deadline=side.now() + 600))
    assert result.state is NetworkState.BUFFERED
    body = scef.made("submit")[0][2]
    assert 598 <= body["maximumLatency"] <= 600
    assert body["pdnEstablishmentOption"] == "WAIT_FOR_UE"


@pytest.mark.parametrize("where", ["settings", "endpoint"])
async def test_where_the_bridge_keeps_the_network_is_asked_to_keep_nothing(make, scef, side, where):
    options = {"buffer": "bridge", "pdn_establishment_option": "WAIT_FOR_UE"} if where == "endpoint" else {}
    binding = await ready(make, options, downlinks={"buffer": "bridge"} if where == "settings" else {})
    assert scef.made("create")[0][2]["pdnEstablishmentOption"] == "INDICATE_ERROR"
    await binding.submit(attempt(deadline=side.now() + 600))
    body = scef.made("submit")[0][2]
    assert (body["maximumLatency"], body["pdnEstablishmentOption"]) == (0, "INDICATE_ERROR")


async def test_an_endpoint_may_leave_it_to_the_network(make, scef, side):
    binding = await ready(make, {"buffer": "network"}, downlinks={"buffer": "bridge"})
    await binding.submit(attempt(deadline=side.now() + 600))
    assert scef.made("submit")[0][2]["maximumLatency"] >= 598


async def test_a_refusal_with_a_time_parks_it_until_then(make, scef, side):
    binding = await ready(make, downlinks={"buffer": "bridge"})
    body = {
        "problemDetail": {"cause": "TEMPORARILY_NOT_REACHABLE"},
        "requestedRetransmissionTime": format_time(side.now() + 7200),
    }
    scef.script["submit"].append((500, body))
    result = await binding.submit(attempt())
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 7200, abs=3)


@pytest.mark.parametrize("status", ["BUFFERING", "BUFFERING_TEMPORARILY_NOT_REACHABLE", "TRIGGERED"])
async def test_what_the_network_keeps_all_the_same_is_taken_back(make, scef, side, status):
    binding = await ready(make, downlinks={"buffer": "bridge"})
    link = scef.link(scef.name_of(DEVICE), "7")
    scef.deliveries[scef.name_of(DEVICE)]["7"] = {"data": "eA=="}
    body = {"self": link, "deliveryStatus": status, "requestedRetransmissionTime": format_time(side.now() + 900)}
    scef.script["submit"].append((201, body, {"Location": link}))
    result = await binding.submit(attempt())
    assert (result.why, side.counts["nidd_kept_by_the_scef"]) == (Refusal.UNREACHABLE, 1)
    assert result.retry_at == pytest.approx(side.now() + 900, abs=3)
    assert not scef.deliveries[scef.name_of(DEVICE)]


@pytest.mark.parametrize("answer", [(409, {"title": "sent"}), (404, {"title": "none"}), (500, "<html>"), (204, None)])
async def test_what_cannot_be_taken_back_counts_as_kept_by_the_network(make, scef, side, answer):
    binding = await ready(make, downlinks={"buffer": "bridge"})
    link = scef.link(scef.name_of(DEVICE), "7")
    scef.script["submit"].append((201, {"self": link, "deliveryStatus": "BUFFERING"}))
    scef.script["cancel"].append(answer)
    result = await binding.submit(attempt())
    if answer[0] == 204:
        assert result.why is Refusal.UNREACHABLE
    else:
        assert result == Accepted(f"{scef.name_of(DEVICE)}/7", NetworkState.BUFFERED)


async def test_what_is_on_its_way_is_not_taken_back(make, scef):
    binding = await ready(make, downlinks={"buffer": "bridge"})
    link = scef.link(scef.name_of(DEVICE), "7")
    scef.script["submit"].append((201, {"self": link, "deliveryStatus": "SENDING"}))
    assert isinstance(await binding.submit(attempt()), Accepted)
    assert not scef.made("cancel")


async def test_where_cancels_were_not_agreed_on_nothing_is_taken_back(make, scef):
    scef.features, scef.submit_status = "0", "BUFFERING"
    binding = await ready(make, downlinks={"buffer": "bridge"})
    result = await binding.submit(attempt())
    assert isinstance(result, Accepted)
    assert not scef.made("cancel")
    assert await binding.cancel(DEVICE, result.handle) is Cancellation.UNKNOWN
