"""The emulated LwM2M server, and bootstrap server, is a server to a real Leshan client."""

import pytest

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.values import Record
from mock_network.lwm2m_server.bootstrap_plan import Plan
from mock_network.lwm2m_server.server import LwM2mServer
from tests.components import LESHAN
from tests.conftest import need_component
from tests.interop.leshan_client import leshan_client

SENSOR = "/3303/0/5700"
FORMATS = [ContentFormat.TLV, ContentFormat.JSON, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]


@pytest.fixture
async def server():
    need_component(LESHAN)
    server = LwM2mServer()
    await server.start(("127.0.0.1", 0))
    yield server
    await server.stop()


def uri(server):
    return f"coap://127.0.0.1:{server.address[1]}"


async def test_every_operation_in_every_format(server):
    async with leshan_client("operated", server=uri(server)) as client:
        registration = await server.wait_registered("operated", 30)
        assert (registration.lifetime, registration.version) == (300, "1.1")
        for accept in [None, ContentFormat.TEXT, ContentFormat.CBOR, *FORMATS]:
            assert (await server.read("operated", SENSOR, accept=accept)).value == 20.0
        for accept in FORMATS:
            records = (await server.read("operated", "/3303", accept=accept)).records
            assert Record((3303, 0, 5701), "Cel") in records
            where = f"shelf {int(accept)}"
            assert (await server.write("operated", "/3303/0/5750", where, content_format=accept)).code == "2.04"
            assert (await server.read("operated", "/3303/0/5750")).value == where
        discovered = {link.target: link.attributes for link in (await server.discover("operated", "/3303")).links}
        assert discovered["/3303"] == {"ver": "1.1"}
        assert SENSOR in discovered
        observed = await server.observe("operated", SENSOR)
        for value in (25.5, 22.5):
            client.order(f"set {value}")
            assert observed.value_of(await observed.next(10)) == value
        assert (await server.read("operated", "/3303/0/5602")).value == 25.5
        assert (await server.cancel(observed)).code == "2.05"
        assert (await server.execute("operated", "/3303/0/5605")).code == "2.04"
        assert (await server.read("operated", "/3303/0/5602")).value == 22.5
        assert (await server.write_attributes("operated", SENSOR, ["pmin=1", "pmax=10"])).code == "2.04"
        assert (await server.read("operated", "/0/0")).code == "4.04"  # Leshan's choice; the enabler has 4.01
        client.order("send")
        assert await client.line() == {"send": "CHANGED(204)"}
        assert server.sends[0][1][0].value == 22.5
        assert (await server.write("operated", "/1/0/1", 60)).code == "2.04"
        await server.wait_until(lambda: server.client("operated").lifetime == 60, 10)
    assert server.clients == []  # it de-registered


async def test_several_paths_at_once(server):
    async with leshan_client("composite", server=uri(server)) as client:
        await server.wait_registered("composite", 30)
        paths = [SENSOR, "/3/0/0"]
        expected = {(3303, 0, 5700): 20.0, (3, 0, 0): "Eclipse Leshan"}
        for content_format in (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR):
            read = await server.read_composite("composite", paths, content_format=content_format)
            assert {record.path: record.value for record in read.records} == expected
            written = [Record((3303, 0, 5750), "attic")]
            result = await server.write_composite("composite", written, content_format=content_format)
            assert result.code == "2.04"
            observed = await server.observe_composite("composite", paths, content_format=content_format)
            client.order("set 30.5")
            notification = await observed.next(10)
            values = {record.path: record.value for record in observed.records_of(notification)}
            assert values == {**expected, (3303, 0, 5700): 30.5}
            assert (await server.cancel(observed)).code == "2.05"
            client.order("set 20.0")


async def test_a_leshan_client_is_bootstrapped_and_registers(server):
    """ETS int-0, and Bootstrap-Discover, -Read, -Delete, -Write, -Finish against Leshan's own checks."""
    accounts = {"servers": [{"id": 5, "uri": uri(server), "lifetime": 120}], "values": {"/3/0/14": "+02:00"}}
    server.bootstrap.plans["new"] = Plan.parse(accounts)
    async with leshan_client("new", bootstrap=uri(server)):
        client = await server.wait_registered("new", 60)
        assert client.lifetime == 120
        session = server.bootstrap.session("new")
        assert session.state == "finished", session.steps
        assert (await server.read("new", "/1/0/0")).value == 5
