"""The emulated LwM2M device is a device to a real Leshan: every operation and every content format."""

import asyncio

import pytest

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions, ServerOptions
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import Tuning

SENSOR = "/3303/0/5700"
STRUCTURED = ["TLV", "SENML_JSON", "SENML_CBOR"]


@pytest.fixture(params=[False, True], ids=["NON", "CON"])
async def device(leshan, request):
    """A registered device whose notifications are NON or CON."""
    endpoint = f"emulated-{'con' if request.param else 'non'}"
    device = Device(
        DeviceOptions(
            endpoint,
            f"coap://{leshan.host}:{leshan.coap_port}",
            bind=("127.64.7.7", 0),
            binding="N",
            lifetime=300,
            confirmable_notifications=request.param,
        )
    )
    await device.start()
    await leshan.event("registered", endpoint)
    yield device
    await device.stop()


async def test_every_operation_in_every_format(leshan, device):
    endpoint = device.options.endpoint
    registration = await leshan.registration(endpoint)
    assert (registration["address"], registration["port"]) == device.address
    assert registration["binding"] == "N"

    for content_format in ["TEXT", "CBOR", *STRUCTURED]:
        read = await leshan.read(endpoint, SENSOR, format=content_format)
        assert (content_format, read["values"]) == (content_format, {SENSOR: 20.0})
    for content_format in STRUCTURED:
        for path, count in [("/3", 19), ("/3/0", 19), ("/3/0/6", 1), ("/3/0/11/0", 1), ("/1/0", 8), ("/3303", 7)]:
            read = await leshan.read(endpoint, path, format=content_format)
            assert (content_format, path, read["code"], len(read["values"])) == (content_format, path, "2.05", count)
    for hour, content_format in enumerate(["TEXT", *STRUCTURED]):
        assert (await leshan.write(endpoint, "/3/0/14", f"+0{hour}:00", format=content_format))["code"] == "2.04"
        assert device.tree.get((3, 0, 14)) == f"+0{hour}:00"
    partial = await leshan.run("write", endpoint, "/1/0", values={"2": 3}, replace=False, format="TLV")
    assert (partial["code"], device.tree.get((1, 0, 2))) == ("2.04", 3)

    package = await leshan.write(endpoint, "/5/0/0", "AA" * 1500, format="OPAQUE")  # goes block-wise
    assert (package["code"], len(device.tree.get((5, 0, 0)))) == ("2.04", 1500)
    assert (await leshan.execute(endpoint, "/3/0/12"))["code"] == "2.04"
    assert (await leshan.execute(endpoint, "/3/0/0"))["code"] == "4.05"
    assert "</3303/0/5605>" in (await leshan.discover(endpoint, "/3303/0"))["links"]
    created = await leshan.run("create", endpoint, "/3303", values={"5750": "cellar"}, instance=2, format="TLV")
    assert (created["code"], device.tree.get((3303, 2, 5750))) == ("2.01", "cellar")
    assert (await leshan.run("delete", endpoint, "/3303/2"))["code"] == "2.02"

    for content_format in (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR):
        assert (await device.send([SENSOR, "/3/0/9"], content_format=content_format)).code == "2.04"
        assert (await leshan.event("send", endpoint))["values"] == {SENSOR: 20.0, "/3/0/9": 100}

    assert (await leshan.write(endpoint, "/1/0/1", 60))["code"] == "2.04"
    await leshan.event("updated", endpoint)
    assert (await device.deregister()).code == "2.02"
    await leshan.event("unregistered", endpoint)


async def test_observations_are_notified_and_end_by_either_way(leshan, device):
    endpoint = device.options.endpoint
    attributes = await leshan.run("write-attributes", endpoint, SENSOR, attributes="pmin=0&pmax=1")
    assert attributes["code"] == "2.04"
    assert (await leshan.observe(endpoint, SENSOR))["code"] == "2.05"
    device.set(SENSOR, 33.25)
    for _ in range(2):  # the change, then pmax
        assert (await leshan.event("notification", endpoint))["values"] == {SENSOR: 33.25}
    assert (await leshan.run("cancel-observe", endpoint, SENSOR))["code"] == "2.05"
    assert device.observed == []

    assert (await leshan.observe(endpoint, "/3/0/9"))["code"] == "2.05"
    await leshan.run("forget-observe", endpoint, "/3/0/9")
    device.set("/3/0/9", 42)
    async with asyncio.timeout(10):
        while device.observed:  # until Leshan's RST
            await asyncio.sleep(0.01)
    assert (await leshan.read(endpoint, "/3/0/9"))["values"] == {"/3/0/9": 42}


async def test_all_objects_are_found_below_an_alternate_path(leshan):
    """§6.2.1: Leshan prefixes every path with the target of the link that has rt="oma.lwm2m"."""
    options = DeviceOptions("rooted", f"coap://{leshan.host}:{leshan.coap_port}", root="a/b", bind=("127.64.7.8", 0))
    device = Device(options)
    await device.start()
    try:
        await leshan.event("registered", "rooted")
        for content_format in ["TEXT", "JSON", *STRUCTURED]:
            assert (await leshan.read("rooted", SENSOR, format=content_format))["values"] == {SENSOR: 20.0}
        composite = await leshan.run("read-composite", "rooted", "/", paths=[SENSOR, "/3/0/9"])
        assert composite["values"] == {SENSOR: 20.0, "/3/0/9": 100}
        assert (await leshan.write("rooted", "/3/0/14", "+05:00", format="SENML_CBOR"))["code"] == "2.04"
        assert (await leshan.observe("rooted", SENSOR))["code"] == "2.05"
        device.set(SENSOR, 33.25)
        assert (await leshan.event("notification", "rooted"))["values"] == {SENSOR: 33.25}
        assert (await device.send([SENSOR])).code == "2.04"
        assert (await leshan.event("send", "rooted"))["values"] == {SENSOR: 33.25}
    finally:
        await device.stop()


async def test_a_device_of_small_blocks_and_several_servers(leshan):
    """Object 2 and its rights, blocks of 64 bytes both ways, and an instance of a resource."""
    uri = f"coap://{leshan.host}:{leshan.coap_port}"
    tuning = Tuning(block_exponent=2, max_request=64)
    more = (ServerOptions(102, "coap://127.0.0.1:9"),)
    options = DeviceOptions("small", uri, bind=("127.64.7.9", 0), tuning=tuning, more_servers=more)
    device = Device(options)
    await device.start()
    try:
        await leshan.event("registered", "small")
        package = await leshan.write("small", "/5/0/0", "AA" * 1500, format="OPAQUE")
        assert (package["code"], len(device.tree.get((5, 0, 0)))) == ("2.04", 1500)
        for content_format in ["JSON", *STRUCTURED]:
            assert (await leshan.read("small", "/3/0", format=content_format))["code"] == "2.05"
        assert (await leshan.read("small", "/1/1"))["code"] == "4.01"
        rights = await leshan.read("small", "/2", format="TLV")
        assert rights["code"] == "2.05"
        assert (await leshan.read("small", "/3/0/6/0"))["values"] == {"/3/0/6/0": 1}
        largest = max(len(one.payload) for one in device.wire if one.outgoing)
        assert largest <= 64
    finally:
        await device.stop()
