"""The Reliable Data Service (TS 24.250): ports, the modem's acknowledgement, and networks that have none of it."""

import asyncio

import pytest

from bindings.contract import Attempt, Kind, NetworkState, Refusal, Report
from bridge.errors import ConfigurationError
from tests.waiting import until

DEVICE = "dev1@iot.example"


def attempt(**members):
    return Attempt(1, 1, DEVICE, b"x", Kind.REQUEST, **members)


async def ready(make, options, **parts):
    binding = await make(**parts)
    await binding.provision(DEVICE, options)
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    return binding


async def test_ports_go_into_configuration_and_downlink(make, scef):
    binding = await ready(make, {"rds_port": "3:15", "reliable_data_service": "true"})
    await binding.submit(attempt())
    assert scef.made("create")[0][2]["rdsPorts"] == [{"portUE": 3, "portSCEF": 15}]
    assert scef.made("submit")[0][2]["rdsPort"] == {"portUE": 3, "portSCEF": 15}


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "3:16", "-1:3", "a:b", "3:3:3", "003:3", "3 : 3"])
async def test_what_is_no_pair_of_ports(make, text):
    binding = await make()
    with pytest.raises(ConfigurationError, match="0 to 15, such as 3:3"):
        await binding.provision(DEVICE, {"rds_port": text})


async def test_the_modems_acknowledgement_is_waited_for(make, scef):
    """The SCEF answers only then, which may take longer than any other answer."""
    binding = await ready(
        make, {"reliable_data_service": "true"}, http={"connect_timeout": 0.2, "request_timeout": 0.3},
        downlinks={"rds_timeout": 5.0},
    )  # fmt: skip

    async def slowly(request):
        await asyncio.sleep(0.6)
        return scef._submit(request, await request.json())

    scef.submit_status = "SUCCESS_ACKNOWLEDGED"
    scef.script["submit"].append(slowly)
    assert (await binding.submit(attempt())).state is NetworkState.DELIVERED


@pytest.mark.parametrize("how", ["answer", "notification"])
async def test_a_network_without_rds_gets_the_downlink_without(make, scef, side, how):
    binding = await ready(make, {"reliable_data_service": "true"})
    if how == "answer":
        scef.script["submit"].append((500, {"problemDetail": {"cause": "RDS_DISABLED"}}))
        result = await binding.submit(attempt())
        assert result.why is Refusal.UNREACHABLE
        assert result.retry_at == pytest.approx(side.now() + 1, abs=2)
    else:
        link = scef.link(scef.name_of(DEVICE), "7")
        body = {"niddDownlinkDataTransfer": link, "deliveryStatus": "FAILURE_RDS_DISABLED"}
        assert await scef.notify(binding.listener.url, body) == 204
        assert side.of(Report)[0].outcome is Refusal.UNREACHABLE
    assert side.counts["nidd_rds_disabled"] == 1
    await binding.submit(attempt(confirmed=True))
    assert "reliableDataService" not in scef.made("submit")[-1][2]
    side.offset += 90_000
    await binding.submit(attempt())
    assert scef.made("submit")[-1][2]["reliableDataService"] is True
