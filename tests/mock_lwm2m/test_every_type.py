"""Object 3442: values of every data type, single and multiple, read and written in every format that can say them."""

import pytest
from lwm2m_pair import pair, virtual_time

from mock_network.device.every_type import parse_arguments
from mock_network.device.options import DEFAULT_OBJECTS
from mock_network.device.refusal import OperationError
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import PUT, Request
from mock_network.lwm2m.values import ObjectLink, Record

EP = "urn:dev:os:test-1"
TEST = DEFAULT_OBJECTS | {3442}
STRUCTURED = [ContentFormat.TLV, ContentFormat.JSON, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]
VALUES = {
    110: "Grüße",
    120: -(1 << 40),
    125: (1 << 64) - 1,
    130: -0.125,
    140: False,
    150: b"\x00\xff\x10",
    160: 1893456000,
    170: ObjectLink(3303, 0),
    180: '</3303/0>;pmin="5"',
}


@pytest.mark.parametrize("content_format", [*STRUCTURED, ContentFormat.TEXT, ContentFormat.CBOR])
@pytest.mark.parametrize("resource", sorted(VALUES))
@virtual_time
async def test_a_value_of_each_type_is_written_and_read(resource, content_format):
    async with pair(objects=TEST) as (device, server):
        path = f"/3442/0/{resource}"
        assert (await server.write(EP, path, VALUES[resource], content_format=content_format)).code == "2.04"
        assert device.tree.get((3442, 0, resource)) == VALUES[resource]
        read = await server.read(EP, path, accept=content_format)
        assert (read.value, read.response.content_format) == (VALUES[resource], content_format)


@virtual_time
async def test_opaque_values_go_as_opaque():
    async with pair(objects=TEST) as (_, server):
        written = await server.write(EP, "/3442/0/150", b"\x01\x02", content_format=ContentFormat.OPAQUE)
        assert written.code == "2.04"
        read = await server.read(EP, "/3442/0/150")
        assert (read.value, read.response.content_format) == (b"\x01\x02", ContentFormat.OPAQUE)


@pytest.mark.parametrize("content_format", STRUCTURED)
@pytest.mark.parametrize("resource", sorted(VALUES))
@virtual_time
async def test_the_instances_of_a_multiple_resource_are_written_and_read(resource, content_format):
    async with pair(objects=TEST) as (device, server):
        path, multiple = f"/3442/0/{1000 + resource}", (3442, 0, 1000 + resource)
        before = device.tree.get_all(multiple)
        records = [Record((*multiple, 3), VALUES[resource]), Record((*multiple, 700), VALUES[resource])]
        assert (await server.write(EP, path, records, content_format=content_format, replace=False)).code == "2.04"
        assert set(device.tree.get_all(multiple)) == {0, 3, 700}  # a partial Write adds
        read = await server.read(EP, path, accept=content_format)
        assert read.records == [Record((*multiple, 0), before[0]), *records]
        assert (await server.write(EP, path, records, content_format=content_format)).code == "2.04"
        assert set(device.tree.get_all(multiple)) == {3, 700}  # a Write replaces


@pytest.mark.requirement("LightweightM2M-ENC-4")
@pytest.mark.parametrize("content_format", STRUCTURED)
@virtual_time
async def test_references_have_types_of_their_own(content_format):
    """Corelnk holds links with their URIs and attributes, Objlnk an object instance, whatever the format."""
    async with pair(objects=TEST) as (device, server):
        links = '</3303/0>;pmin="5",<coap://192.0.2.1/firmware>'
        for path, value in (("/3442/0/180", links), ("/3442/0/1180/4", links), ("/3442/0/170", ObjectLink(3, 0))):
            assert (await server.write(EP, path, value, content_format=content_format)).code == "2.04"
            assert (await server.read(EP, path, accept=content_format)).value == value
        assert device.tree.get((3442, 0, 170)).instance_id == 0
        wrong = Request(PUT, payload=b"nowhere", content_format=0)
        assert (await server.request(EP, (3442, 0, 170), wrong))[0].code == "4.00"


@pytest.mark.requirement("LightweightM2M-ENC-5")
@pytest.mark.parametrize("content_format", [*STRUCTURED, ContentFormat.TEXT])
@virtual_time
async def test_a_bitmap_is_an_unsigned_integer(content_format):
    """Power saving modes, /10/0/12 and /10/0/13: each bit is one; and all 64 bits of the test object."""
    async with pair(objects=TEST | {10}) as (_, server):
        assert (await server.read(EP, "/10/0/12", accept=content_format)).value == 0b11
        assert (await server.write(EP, "/10/0/13", 0b10, content_format=content_format)).code == "2.04"
        assert (await server.read(EP, "/10/0/13", accept=content_format)).value == 0b10
        for bit in (0, 7, 31, 63):
            await server.write(EP, "/3442/0/125", 1 << bit, content_format=content_format)
            assert (await server.read(EP, "/3442/0/125", accept=content_format)).value == 1 << bit
        negative = Request(PUT, payload=b"-1", content_format=0)
        assert (await server.request(EP, (3442, 0, 125), negative))[0].code == "4.00"


@pytest.mark.requirement("LightweightM2 M-DSE-002")
@pytest.mark.parametrize("content_format", [*STRUCTURED, ContentFormat.TEXT])
@virtual_time
async def test_one_instance_of_a_multiple_resource_is_set_and_retrieved(content_format):
    async with pair(objects=TEST) as (device, server):
        path = "/3442/0/1120/7"
        assert (await server.write(EP, path, 77, content_format=content_format)).code == "2.04"
        assert device.tree.get_all((3442, 0, 1120)) == {0: 1024, 7: 77}
        assert (await server.read(EP, path, accept=content_format)).value == 77
        assert (await server.delete(EP, path)).code == "2.02"
        assert (await server.read(EP, path)).code == "4.04"
        assert device.tree.get_all((3442, 0, 1120)) == {0: 1024}


@virtual_time
async def test_values_are_cleared_randomised_and_reset():
    async with pair(objects=TEST) as (device, server):
        initial = device.tree.read((3442, 0))
        assert (await server.execute(EP, "/3442/0/2")).code == "2.04"
        cleared = {record.path[2]: record.value for record in (await server.read(EP, "/3442/0")).records}
        assert cleared == {
            110: "",
            120: 0,
            125: 0,
            130: 0.0,
            140: False,
            150: b"",
            160: 0,
            170: (65535, 65535),
            180: "",
        }
        assert (await server.execute(EP, "/3442/0/1")).code == "2.04"
        for content_format in STRUCTURED:
            read = await server.read(EP, "/3442/0", accept=content_format)
            values = {record.path: record.value for record in read.records}
            assert values == {record.path: record.value for record in device.tree.read((3442, 0))}
        assert (await server.execute(EP, "/3442/0/0")).code == "2.04"
        assert device.tree.read((3442, 0)) == initial


@virtual_time
async def test_arguments_of_execute_can_be_read_back():
    async with pair(objects=TEST) as (device, server):
        assert (await server.execute(EP, "/3442/0/3", "3='stringValue',4")).code == "2.04"
        assert device.tree.get_all((3442, 0, 4)) == {3: "stringValue", 4: ""}
        assert (await server.execute(EP, "/3442/0/3", "x")).code == "4.00"


@virtual_time
async def test_a_server_says_what_is_sent():
    """ETS int-306: Send on request."""
    async with pair(objects=TEST) as (_, server):
        wanted = [Record((3442, 0, 6, 0), "/3/0/9"), Record((3442, 0, 6, 1), "/3303/0/5700")]
        assert (await server.write(EP, "/3442/0/6", wanted)).code == "2.04"
        assert (await server.execute(EP, "/3442/0/5")).code == "2.04"
        await server.wait_until(lambda: bool(server.sends), 10)
        assert server.sends[0][1] == [Record((3, 0, 9), 100), Record((3303, 0, 5700), 20.0)]
        await server.write(EP, "/3442/0/6", [Record((3442, 0, 6, 0), "nowhere")])
        assert (await server.execute(EP, "/3442/0/5")).code == "4.00"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [(b"", {}), (b"0", {0: ""}), (b"1='a b',9='!'", None), (b"5='http://a',2", {5: "http://a", 2: ""})],
)
def test_arguments_are_digits_with_values(text, arguments):
    if arguments is None:  # a space is not among the characters of §6.3.6
        with pytest.raises(OperationError):
            parse_arguments(text)
    else:
        assert parse_arguments(text) == arguments


@pytest.mark.parametrize("text", [b"10", b"1=2", b"1,1", b"1='", b",", b"\xff"])
def test_what_is_no_argument_is_refused(text):
    with pytest.raises(OperationError):
        parse_arguments(text)
