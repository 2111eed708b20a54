"""Bootstrap: what a bootstrap server may ask, sessions from end to end, what becomes of those that fail."""

import asyncio

import pytest
from lwm2m_pair import pair, served, uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions, ServerOptions
from mock_network.lwm2m.messages import DELETE, GET, POST, PUT, Request, Tuning
from mock_network.lwm2m.paths import parse_path
from mock_network.lwm2m_server.bootstrap_plan import Plan, Step, read_plans

EP = "urn:dev:os:test-1"


def plan(server, **more):
    return Plan.parse({"servers": [{"id": 7, "uri": uri(server), "lifetime": 300, **more}]})


async def eventually(condition, seconds=600):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.1)


class Bootstrapped:
    """A device with a bootstrap server and, unless told otherwise, no server account."""

    def __init__(self, bootstrap_server, **options):
        options = {"server_uri": "", "bootstrap_uri": uri(bootstrap_server), "seed": 2, **options}
        self.device = Device(DeviceOptions(EP, **options))

    async def __aenter__(self):
        await self.device.start()
        return self.device

    async def __aexit__(self, *_):
        await self.device.stop()


@virtual_time
async def test_a_new_device_gets_its_account_and_registers():
    """ETS int-0: client-initiated bootstrap."""
    async with served() as bootstrap, served() as server:
        bootstrap.bootstrap.plans[EP] = plan(server, values={"2": 5})
        async with Bootstrapped(bootstrap) as device:
            client = await server.wait_registered(EP, 60)
            assert client.lifetime == 300
            assert device.tree.get((1, 0, 2)) == 5
            session = bootstrap.bootstrap.session(EP)
            assert session.state == "finished"
            told = [(step["operation"], step["path"], step["code"]) for step in session.steps]
            assert told == [
                ("discover", "/0", "2.05"),
                ("delete", "/0", "2.02"),
                ("delete", "/1", "2.02"),
                ("write", "/0/1", "2.04"),
                ("write", "/1/0", "2.04"),
                ("finish", "/", "2.04"),
            ]
            assert "/0/0" in session.steps[0]["links"]  # the bootstrap server's own account


@pytest.mark.requirement("LightweightM2M-BsR-002")
@virtual_time
async def test_a_server_triggers_bootstrap_by_executing_a_resource():
    """ETS int-5: /1/x/9."""
    async with served() as bootstrap, pair(bootstrap_uri=uri(bootstrap)) as (device, server):
        bootstrap.bootstrap.plans["*"] = plan(server)
        assert (await server.execute(EP, "/1/0/9")).code == "2.04"
        await eventually(lambda: [one.server_id for one in device.accounts.servers()] == [7])
        await eventually(lambda: device.registration.registered)
        assert server.client(EP).lifetime == 300


@virtual_time
async def test_without_a_bootstrap_server_the_trigger_is_refused():
    async with pair() as (_, server):
        assert (await server.execute(EP, "/1/0/9")).code == "4.05"


@pytest.mark.requirement("LightweightM2M-BsR-001")
@virtual_time
async def test_the_bootstrap_server_reads_all_access_rights():
    other = ServerOptions(102, "coap://127.0.0.1:9")
    async with served() as bootstrap, pair(bootstrap_uri=uri(bootstrap), more_servers=(other,)) as (device, _):
        steps = [{"operation": "read", "path": path} for path in ("/2", "/1/0")]
        bootstrap.bootstrap.plans[EP] = Plan.parse({"steps": [*steps, {"operation": "finish"}]})
        await device.bootstrap()
        await eventually(lambda: bootstrap.bootstrap.session(EP).state == "finished")
        rights, account = bootstrap.bootstrap.session(EP).steps[:2]
        assert account["values"]["/1/0/0"] == 101
        expected = {path: value for path, value in _values(device) if path.startswith("/2/")}
        assert rights["values"] == expected
        assert any(path.endswith("/2/101") for path in expected)


def _values(device):
    return [("/" + "/".join(map(str, record.path)), record.value) for record in device.tree.records((2,))]


@pytest.mark.requirement("LightweightM2M-BsR-007")
@virtual_time
async def test_the_bootstrap_server_finds_out_which_accounts_are_invalid():
    """By Bootstrap-Discover (whose they are) and Bootstrap-Read (last alert, last bootstrapped)."""
    async with served() as bootstrap, pair(bootstrap_uri=uri(bootstrap)) as (device, server):
        device.set("/1/0/11", 45)  # certificate_expired (RFC 5246 §7.2)
        steps = [
            {"operation": "discover", "path": "/"},
            {"operation": "read", "path": "/1"},
            {"operation": "finish"},
        ]
        bootstrap.bootstrap.plans[EP] = Plan.parse({"steps": steps})
        await device.bootstrap()
        await eventually(lambda: bootstrap.bootstrap.session(EP).state == "finished")
        discovered, read, _ = bootstrap.bootstrap.session(EP).steps
        assert discovered["links"]["/"] == {"lwm2m": "1.1"}
        assert discovered["links"]["/0/0"] == {"ssid": "101", "uri": uri(server)}
        assert discovered["links"]["/0/1"] == {}
        assert discovered["links"]["/1/0"] == {"ssid": "101"}
        assert read["values"]["/1/0/11"] == 45


@pytest.mark.parametrize("uri", ["coap+nidd://", "http://127.0.0.1", "nothing"])
@virtual_time
async def test_a_bootstrap_uri_that_cannot_be_used_is_refused_at_the_start(uri):
    with pytest.raises(ValueError, match="not a coap:// URI"):
        await Device(DeviceOptions(EP, "", bootstrap_uri=uri)).start()


@pytest.mark.requirement("LightweightM2 M-PKI-002")
@virtual_time
async def test_a_device_without_a_clock_gets_the_time_by_bootstrap():
    async with served() as bootstrap, served() as server:
        accounts = {"servers": [{"id": 1, "uri": uri(server)}], "values": {"/3/0/13": 1767225600}}
        bootstrap.bootstrap.plans[EP] = Plan.parse(accounts)
        async with Bootstrapped(bootstrap, has_clock=False) as device:
            assert not device.clock.known
            await server.wait_registered(EP, 60)
            read = await server.read(EP, "/3/0/13")
            assert 1767225600 <= read.value < 1767225660
            assert device.tree.get((1, 0, 12)) >= 1767225600  # Last Bootstrapped


@virtual_time
async def test_accounts_that_make_no_sense_are_refused_and_undone():
    async with (
        served() as bootstrap,
        pair(bootstrap_uri=uri(bootstrap), retry_count=2, retry_timer=10) as (device, server),
    ):
        steps = [
            {
                "operation": "write",
                "path": "/1/0",
                "values": {"/1/0/0": 55, "/1/0/1": 60, "/1/0/6": True, "/1/0/7": "U"},
            },
            {"operation": "finish"},
        ]
        bootstrap.bootstrap.plans[EP] = Plan.parse({"steps": steps})
        await device.bootstrap()
        await eventually(lambda: bootstrap.bootstrap.session(EP).state == "failed")
        finish = bootstrap.bootstrap.session(EP).steps[-1]
        assert (finish["code"], finish["diagnostic"]) == ("4.06", "server 55 has no Security instance")
        assert device.tree.get((1, 0, 0)) == 101
        assert (await server.read(EP, "/3/0/9")).code == "2.05"


@virtual_time
async def test_a_bootstrap_server_that_dies_in_the_middle_loses_nothing():
    async with served() as bootstrap, pair(bootstrap_uri=uri(bootstrap), lifetime=0) as (device, server):
        bootstrap.bootstrap.plans[EP] = Plan.parse({"manual": True})
        await device.bootstrap()
        session = bootstrap.bootstrap.session(EP)
        for path in ("/0", "/1"):
            assert (await bootstrap.bootstrap.step(session, Step("delete", path))).code == "2.02"
        assert device.accounts.servers() == []
        await bootstrap.stop()
        await eventually(lambda: bool(device.accounts.servers()))
        assert device.registration.registered
        assert device.lifecycle.bootstrap_failures[0] == "no Bootstrap-Finish in time"
        assert (await server.read(EP, "/3/0/9")).code == "2.05"


@virtual_time
async def test_fall_back_to_bootstrap_and_back_without_a_person():
    """ETS int-7: the server is gone for good, the bootstrap server names another one."""
    async with served() as bootstrap, served() as old, served() as new:
        await old.stop()
        bootstrap.bootstrap.plans[EP] = plan(new)
        quick = Tuning(ack_timeout=1.0, max_retransmit=0)
        options = {"server_uri": uri(old), "retry_count": 2, "retry_timer": 10, "tuning": quick}
        async with Bootstrapped(bootstrap, **options) as device:
            await new.wait_registered(EP, 600)
            assert len(device.registration.failures) == 0
            assert [datagram.peer for datagram in device.wire].count(old.address) == 2


@virtual_time
async def test_operations_of_the_bootstrap_interface_are_checked():
    async with served() as bootstrap, pair(bootstrap_uri=uri(bootstrap)) as (device, _):
        bootstrap.bootstrap.plans[EP] = Plan.parse({"manual": True})
        await device.bootstrap()

        async def code(method, path, payload=b"", content_format=None):
            request = Request(method, path, payload=payload, content_format=content_format)
            exchange = await bootstrap.endpoint.request(device.address, request, wait=10)
            return exchange.response.code

        assert await code(GET, ("3", "0")) == "4.05"  # §6.1.6: /1 and /2 only
        assert await code(GET, ("1",)) == "2.05"
        assert await code(GET, ("1", "9")) == "4.04"
        assert await code(POST, ("3", "0", "4")) == "4.05"
        assert await code(PUT, ("3", "0", "15"), b"Mars/North", 0) == "2.04"
        assert await code(PUT, ("3", "0", "9"), b"50", 0) == "2.04"  # what no server may write
        assert await code(PUT, ("3", "0", "9"), b"much", 0) == "4.00"
        assert await code(PUT, ("9", "0"), b"", 11542) == "4.04"
        assert await code(PUT, ("3", "0", "99"), b"1", 0) == "4.04"
        assert await code(DELETE, ("3", "0")) == "4.00"
        assert await code(DELETE, ("3", "0", "9")) == "4.00"
        assert await code(DELETE, ("3303", "0")) == "2.02"
        assert await code(DELETE, ()) == "2.02"
        assert device.tree.instances() == [(0, 1), (3, 0)]


@virtual_time
async def test_without_a_session_a_bootstrap_server_may_do_nothing():
    async with (
        served() as bootstrap,
        pair(bootstrap_uri=uri(bootstrap), more_servers=(ServerOptions(102, "coap://127.0.0.1:9"),)) as (device, _),
    ):
        request = Request(DELETE, ("1",))
        exchange = await bootstrap.endpoint.request(device.address, request, wait=10)
        assert exchange.response.code == "4.01"


@virtual_time
async def test_an_endpoint_without_a_plan_is_refused_and_tries_again():
    async with served() as bootstrap, Bootstrapped(bootstrap, retry_timer=10) as device:
        await eventually(lambda: len(device.lifecycle.bootstrap_failures) == 2)
        assert device.lifecycle.bootstrap_failures == ["4.00", "4.00"]


@virtual_time
async def test_bootstrap_and_management_through_one_non_ip_pipe():
    """Both servers are behind one address, as behind a modem: the device tells them apart by the session."""
    async with served() as both:
        both.bootstrap.plans[EP] = Plan.parse({"servers": [{"id": 1, "uri": "coap+nidd://", "binding": "N"}]})
        options = {"bootstrap_uri": "coap+nidd://", "pipe": both.address, "binding": "N"}
        async with Bootstrapped(both, **options):
            client = await both.wait_registered(EP, 60)
            assert client.binding == "N"
            assert (await both.read(EP, "/3/0/16")).value == "N"


def test_plans_are_read_from_toml():
    plans = read_plans('["*"]\nservers = [{ id = 1, uri = "coap://a" }]\n[x]\nmanual = true\n')
    assert plans["x"].manual
    assert [step.path for step in plans["*"].steps(frozenset({0}))] == ["/0", "/1", "/0/1", "/1/0", "/"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "no bootstrap plans"),
        ("x = 1", "no bootstrap plans"),
        ('["*"]\nserver = 1', "unknown member of a bootstrap plan: server"),
        ('["*"]\nservers = [{ id = 1 }]', "needs id and uri"),
        ('["*"]\nsteps = [{ operation = "dance" }]', "not 'dance'"),
        ('["*"]\nsteps = [{ operation = "read", colour = 1 }]', "unknown member of a step: colour"),
        ('["*"]\nvalues = { "/3/0" = 1 }', "/3/0 is no path of a resource"),
    ],
)
def test_plans_that_mean_nothing_are_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_plans(text)


def test_values_of_steps_are_checked():
    with pytest.raises(ValueError, match="no resource is known at /3/0/99"):
        Step.parse({"operation": "write", "path": "/3/0", "values": {"/3/0/99": 1}}).records(lambda _path: None)
    assert parse_path(Step.parse({"operation": "read", "path": "/1"}).path) == (1,)
