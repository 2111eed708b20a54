"""The Reliable Data Service (TS 24.250): ports, the modem's acknowledgement, and networks that have none of it."""

import asyncio
import re

import pytest

from bindings.contract import Kind, NetworkState, Presence, Refusal, Report, Submission, UplinkMessage
from bridge.errors import ConfigurationError
from tests.waiting import until

DEVICE = "dev1@iot.example"


def attempt(**members):
    return Submission(1, 1, DEVICE, b"x", Kind.REQUEST, **members)


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


PORTS = [{"portUE": 1, "portSCEF": 2}, {"portUE": 3, "portSCEF": 4}]


async def test_each_servers_ports_go_into_the_configuration_and_into_its_downlinks(make, scef):
    binding = await ready(make, {"server_ports": "one=1:2,*=3:4"})
    assert scef.made("create")[0][2]["rdsPorts"] == PORTS
    for port in "1:2", "3:4", None:
        await binding.submit(attempt(port=port))
    assert [body.get("rdsPort") for _, _, body in scef.made("submit")] == [*PORTS, None]


async def test_an_uplink_says_on_which_ports_it_came(make, scef, side):
    binding = await ready(make, {"server_ports": "one=1:2,two=3:4"})
    body = {"niddConfiguration": scef.link(scef.name_of(DEVICE)), "externalId": DEVICE, "data": "eA=="}
    odd = [{}, "1:2", {"portUE": "1", "portSCEF": 2}, {"portUE": 16, "portSCEF": 2}, {"portUE": True, "portSCEF": 2}]
    for ports in [*PORTS, *odd]:
        assert await scef.notify(binding.listener.url, {**body, "rdsPort": ports}) == 204
    assert await scef.notify(binding.listener.url, body) == 204
    assert [one.port for one in side.of(UplinkMessage)] == ["1:2", "3:4", *[None] * (len(odd) + 1)]


async def test_the_one_port_of_an_endpoint_that_changes_is_changed_at_the_scef(make, scef):
    binding = await ready(make, {"rds_port": "1:2"})
    await binding.provision(DEVICE, {"rds_port": "3:4"})
    await until(lambda: scef.configurations[scef.name_of(DEVICE)].get("rdsPorts") == PORTS[1:])


@pytest.mark.parametrize("patchable", [True, False])
async def test_ports_that_change_are_changed_at_the_scef(make, scef, patchable):
    """By a PATCH; a SCEF that does not offer it, or ignores it, gets a new configuration."""
    scef.patchable = patchable
    binding = await ready(make, {"server_ports": "one=1:2"})
    await binding.provision(DEVICE, {"server_ports": "one=1:2,two=3:4"})
    await until(lambda: scef.configurations[scef.name_of(DEVICE)].get("rdsPorts") == PORTS)
    assert (len(scef.made("create")) == 1) == patchable
    await until(lambda: binding.status()["configurations"]["active"] == 1)


async def test_ports_that_change_while_a_configuration_is_created_are_changed_at_the_scef(make, scef):
    binding = await make()
    asked, may = asyncio.Event(), asyncio.Event()

    async def slowly(request):
        asked.set()
        await may.wait()
        return scef._create(request, scef.made("create")[-1][2])

    scef.script["create"].append(slowly)
    await binding.provision(DEVICE, {"server_ports": "one=1:2"})
    await asked.wait()
    await binding.provision(DEVICE, {"server_ports": "one=1:2,two=3:4"})
    may.set()
    await until(lambda: scef.configurations and scef.configurations[scef.name_of(DEVICE)].get("rdsPorts") == PORTS)


async def test_an_adopted_configuration_without_the_ports_gets_them(make, scef):
    async with asyncio.timeout(10):
        binding = await make()
        scef.add(externalId=DEVICE, notificationDestination=binding.listener.url)
        await binding.provision(DEVICE, {"server_ports": "one=1:2,two=3:4"})
        await until(lambda: scef.configurations[scef.name_of(DEVICE)].get("rdsPorts") == PORTS)


async def test_a_lookup_tells_equal_bytes_on_two_ports_apart(make, scef):
    binding = await ready(make, {"server_ports": "one=1:2,two=3:4"})
    scef.submit_status = "BUFFERING"
    await binding.submit(attempt(port="1:2"))
    assert (await binding.lookup(attempt(port="1:2"))).presence is Presence.PRESENT
    assert (await binding.lookup(attempt(port="3:4"))).presence is Presence.ABSENT


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"server_ports": "1:1"}, "one=1:1,two=2:2"),
        ({"server_ports": "one=1:1,one=2:2"}, "twice"),
        ({"server_ports": "one=1:1,two=1:1"}, "each one of its own"),
        ({"server_ports": "one=16:1"}, "0 to 15"),
        ({"server_ports": "one=01:1"}, "written as 1:1"),
        ({"server_ports": "one=1:1", "rds_port": "2:2"}, "*=PORT"),
    ],
)
async def test_ports_of_servers_that_are_wrong_are_refused_with_the_cure(make, options, cure):
    with pytest.raises(ConfigurationError, match=re.escape(cure)):
        (await make()).check_options(options)


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
