"""Checks of a network instance: what is wrong is found, and comes with its cure."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from scripted_scef import HANG_UP

from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.diagnosis import Grade
from bridge.errors import BindingError
from tests.waiting import until

DEVICE = "dev1@iot.example"


async def found(binding, what):
    return next(one for one in await binding.check() if one.what == what)


async def test_a_healthy_one(make, scef):
    binding = await make(configurations={"request_test_notification": True})
    await binding.provision(DEVICE, {})
    await until(lambda: scef.name_of(DEVICE))
    await scef.notify(scef.callback_of(DEVICE), {"subscription": scef.link(scef.name_of(DEVICE))})
    findings = await binding.check()
    assert {one.what: one.grade for one in findings} == {
        "SCEF/NEF": Grade.GOOD,
        "encryption": Grade.WARNING,
        "callback URL": Grade.GOOD,
        "callbacks from the SCEF/NEF": Grade.GOOD,
    }


@pytest.mark.parametrize(
    ("answer", "cure"),
    [((401, None), "credentials"), ((404, None), "api_root"), ((500, None), "operator"), (HANG_UP, "operator")],
)
async def test_a_scef_that_refuses(make, scef, answer, cure):
    binding = await make()
    scef.script["list"].append(answer)
    finding = await found(binding, "SCEF/NEF")
    assert finding.grade is not Grade.GOOD
    assert cure in finding.cure


async def test_a_scef_that_is_not_there(make):
    binding = await make(api_root="http://127.0.0.1:1")
    assert "firewall" in (await found(binding, "SCEF/NEF")).cure


async def test_a_public_url_that_leads_elsewhere(make, scef):
    binding = await make(callbacks={"public_url": scef.host + "/nowhere"})
    finding = await found(binding, "callback URL")
    assert (finding.grade, "reverse proxy" in finding.cure) == (Grade.BAD, True)


async def test_a_public_url_that_leads_nowhere(make):
    binding = await make(callbacks={"public_url": "http://127.0.0.1:1/x"})
    finding = await found(binding, "callback URL")
    assert finding.grade is Grade.WARNING
    assert finding.detail == "http://127.0.0.1:1/x/… cannot be reached from this machine: connection refused"


async def test_a_listener_that_wants_a_client_certificate(make, certificate):
    """Ours is shown where there is one; else nothing can be seen from here, which is no fault of the URL."""
    strict = {"certificate": certificate, "client_ca": certificate}
    shown = await make(callbacks=strict, http={"client_certificate": certificate})
    assert (await found(shown, "callback URL")).grade is Grade.GOOD
    finding = await found(await make(callbacks=strict), "callback URL")
    assert finding.grade is Grade.WARNING
    assert "client certificate" in finding.detail
    assert "request_test_notification" in finding.cure


async def test_a_public_url_whose_host_is_not_known(make):
    binding = await make(callbacks={"public_url": "http://bridge.invalid"})
    assert (await found(binding, "callback URL")).detail.endswith("from this machine: no such host")


@pytest.mark.parametrize(
    ("is_shared", "grade", "says"), [(True, Grade.GOOD, "another node"), (False, Grade.BAD, "another bridge")]
)
async def test_a_public_url_that_leads_to_another_node(make, memory, is_shared, grade, says):
    """A load balancer knows nothing of nodes. The other node takes it for no test notification of its SCEF."""
    memory.is_shared = is_shared
    other = await make(callbacks={"path": "chosen"})
    one = await make(callbacks={"path": "chosen", "public_url": other.listener.url.removesuffix("/chosen")})
    finding = await found(one, "callback URL")
    assert finding.grade is grade
    assert says in finding.detail
    assert other.status()["callbacks"]["test_notification_at"] is None


async def test_what_only_answers_204_is_taken_for_no_node(make, memory):
    async def nothing(_request):
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/chosen", nothing)
    async with TestServer(app) as elsewhere:
        memory.is_shared = True
        one = await make(callbacks={"path": "chosen", "public_url": str(elsewhere.make_url("")).rstrip("/")})
        finding = await found(one, "callback URL")
        assert finding.grade is Grade.WARNING
        assert "not from this node" in finding.detail


async def test_our_own_probe_is_no_test_notification(make):
    binding = await make()
    await binding.check()
    finding = await found(binding, "callbacks from the SCEF/NEF")
    assert finding.grade is Grade.WARNING
    assert finding.detail.startswith("none since the start")


async def test_suspicious_sizes_and_failing_configurations_are_told(make, scef, side):
    scef.maximum_packet_size = 800
    binding = await make(configurations={"retry_min": 500.0})
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    scef.script["create"].append((403, {"cause": "NOT_YOURS"}))
    await binding.provision("dev2@iot.example", {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    assert "packet_size_unit" in (await found(binding, "packet size")).detail
    assert "NOT_YOURS" in (await found(binding, "configurations")).detail


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        ((404, {"cause": "USER_UNKNOWN"}), "does not know the device"),
        ((403, {"cause": "NOT_YOURS"}), "authorise"),
        ((401, None), "credentials"),
        ((503, None), "tries again"),
    ],
)
async def test_the_cure_fits_the_error_of_a_configuration(make, scef, side, answer, cure):
    binding = await make(configurations={"retry_min": 500.0})
    scef.script["create"].extend([answer, answer])
    await binding.provision(DEVICE, {})
    await binding.provision("dev2@iot.example", {})
    await until(lambda: side.counts["nidd_configuration_failures"] == 2)
    finding = await found(binding, "configurations")
    assert cure in finding.cure
    assert "1 more" in finding.detail


async def test_not_running_it_says_so():
    binding = NiddBinding("n", NiddSettings(api_root="https://scef.example", scs_as_id="as1"))
    with pytest.raises(BindingError, match="not running"):
        await binding.check()


@pytest.mark.parametrize("options", [{"server_ports": "one=1:2,*=3:4"}, {"rds_port": "3:4"}])
async def test_rds_ports_that_the_scef_does_not_have_are_found_with_the_cure(make, scef, options):
    binding = await make()
    await binding.provision(DEVICE, options)
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    assert (await found(binding, "RDS ports")).grade is Grade.GOOD
    configuration = scef.configurations[scef.name_of(DEVICE)]
    configuration["rdsPorts"] = [{"portUE": 1, "portSCEF": 2}]
    finding = await found(binding, "RDS ports")
    assert finding.grade is Grade.BAD
    assert f"such as 3:4 of {DEVICE}" in finding.detail
    assert "operator" in finding.cure
    del configuration["rdsPorts"]
    finding = await found(binding, "RDS ports")
    assert finding.grade is Grade.WARNING
    assert "does not say" in finding.detail
    scef.script["read"].append((500, None))
    assert "not compared" in (await found(binding, "RDS ports")).detail


async def test_without_rds_ports_nothing_is_compared(make, scef):
    binding = await make()
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    findings = await binding.check()
    assert "RDS ports" not in {one.what for one in findings}
    assert not scef.made("read")
