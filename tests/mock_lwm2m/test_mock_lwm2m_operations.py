"""Every operation of the server on the device, in every content format, over loopback UDP."""

import pytest
from lwm2m_pair import pair, virtual_time

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import PUT, Request
from mock_network.lwm2m.paths import parse_path
from mock_network.lwm2m.values import Record

EP = "urn:dev:os:test-1"
STRUCTURED = [ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]


@pytest.mark.parametrize("accept", [None, *ContentFormat])
@virtual_time
async def test_read_a_resource(accept):
    async with pair() as (_device, server):
        result = await server.read(EP, "/3/0/0", accept=accept)
        if accept is ContentFormat.OPAQUE:
            assert result.code == "4.06"
        elif accept is ContentFormat.LINK:
            assert [link.target for link in result.links] == ["/3/0/0"]
        else:
            assert (result.code, result.value) == ("2.05", "LwM2M Non-IP bridge")
            assert result.response.content_format == (ContentFormat.TEXT if accept is None else accept)


@pytest.mark.parametrize("accept", STRUCTURED)
@pytest.mark.parametrize("path", ["/3", "/3/0", "/3/0/6", "/3/0/6/0"])
@virtual_time
async def test_read_above_and_below_a_resource(path, accept):
    async with pair() as (_device, server):
        result = await server.read(EP, path, accept=accept)
        assert result.code == "2.05"
        assert Record((3, 0, 6, 0), 1) in result.records


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/0/0/0", "4.01"),
        ("/0", "4.01"),
        ("/9", "4.04"),
        ("/3/1", "4.04"),
        ("/3/0/99", "4.04"),
        ("/3/0/6/7", "4.04"),
        ("/3/0/4", "4.05"),
        ("/5/0/0", "4.05"),
    ],
)
@virtual_time
async def test_reads_that_are_refused(path, code):
    async with pair() as (_, server):
        assert (await server.read(EP, path)).code == code


@pytest.mark.parametrize("content_format", [*STRUCTURED, ContentFormat.TEXT, ContentFormat.CBOR])
@virtual_time
async def test_write_a_resource(content_format):
    async with pair(keep_registered=True) as (device, server):
        result = await server.write(EP, "/3/0/14", "+02:00", content_format=content_format)
        assert result.code == "2.04"
        assert device.tree.get((3, 0, 14)) == "+02:00"


@pytest.mark.parametrize("content_format", STRUCTURED)
@virtual_time
async def test_a_partial_write_keeps_what_it_does_not_name(content_format):
    async with pair() as (device, server):
        records = [Record((1, 0, 2), 7)]
        result = await server.write(EP, "/1/0", records, content_format=content_format, replace=False)
        assert result.code == "2.04"
        assert (device.tree.get((1, 0, 2)), device.tree.get((1, 0, 5))) == (7, 86400)


@virtual_time
async def test_a_replacing_write_removes_what_is_optional_and_keeps_what_is_mandatory():
    async with pair() as (device, server):
        assert (await server.write(EP, "/1/0", [Record((1, 0, 2), 7)])).code == "2.04"
        assert device.tree.get((1, 0, 1)) == 86400
        with pytest.raises(KeyError):
            device.tree.get((1, 0, 5))


@pytest.mark.parametrize(("path", "code"), [("/3/0/0", "4.05"), ("/0/0/0", "4.01"), ("/3/0/99", "4.04")])
@virtual_time
async def test_writes_that_are_refused(path, code):
    async with pair() as (_, server):
        request = Request(PUT, payload=b"x", content_format=0)
        assert (await server.request(EP, parse_path(path), request))[0].code == code


@virtual_time
async def test_an_unknown_content_format_is_refused():
    async with pair() as (_, server):
        request = Request(PUT, payload=b"x", content_format=60000)
        assert (await server.request(EP, (3, 0, 13), request))[0].code == "4.15"


@virtual_time
async def test_a_write_that_fails_changes_nothing():
    async with pair() as (device, server):
        before = device.tree.read((3, 0))
        result = await server.write(EP, "/3/0", [Record((3, 0, 14), "x"), Record((3, 0, 9), 1)], replace=False)
        assert result.code == "4.05"
        now = device.tree.read((3, 0))
        assert [one for one in now if one.path != (3, 0, 13)] == [one for one in before if one.path != (3, 0, 13)]


@virtual_time
async def test_a_write_whose_last_value_has_the_wrong_shape_changes_nothing():
    async with pair() as (device, server):
        before = device.tree.read((1, 0))
        records = [Record((1, 0, 2), 7), Record((1, 0, 3, 0), 60)]
        written = await server.write(EP, "/1/0", records, content_format=ContentFormat.SENML_CBOR, replace=False)
        assert written.code == "4.00"
        assert device.tree.read((1, 0)) == before


@virtual_time
async def test_discover_lists_attributes_and_dimensions():
    async with pair() as (_, server):
        await server.write_attributes(EP, "/3/0", ["pmin=10", "pmax=60"])
        await server.write_attributes(EP, "/3/0/9", ["lt=20.5"])
        links = {link.target: link.attributes for link in (await server.discover(EP, "/3/0")).links}
        assert links["/3/0"] == {"pmin": "10", "pmax": "60"}
        assert links["/3/0/9"] == {"lt": "20.5"}
        assert links["/3/0/6"] == {"dim": "1"}
        assert "/3/0/4" in links
        assert "/3/0/13" in links


@pytest.mark.parametrize(
    ("path", "attributes", "code"),
    [
        ("/3303/0/5700", ["gt=30", "lt=10", "st=5"], "2.04"),
        ("/3303/0/5700", ["gt=30", "lt=10", "st=10"], "4.00"),
        ("/3303/0", ["gt=30"], "4.00"),
        ("/3/0/0", ["st=1"], "4.00"),
        ("/3/0/9", ["pmin=-1"], "4.00"),
        ("/3/0/9", ["pmin=x"], "4.00"),
        ("/3/0/9", ["colour=2"], "4.00"),
        ("/3/7", ["pmin=1"], "4.04"),
    ],
)
@virtual_time
async def test_write_attributes_are_checked(path, attributes, code):
    async with pair() as (_, server):
        assert (await server.write_attributes(EP, path, attributes)).code == code


@pytest.mark.parametrize("content_format", [ContentFormat.TLV, ContentFormat.SENML_JSON])
@virtual_time
async def test_create_and_delete_an_instance(content_format):
    async with pair() as (device, server):
        created = await server.create(EP, "/3303", [Record((3303, 4, 5750), "cellar")], content_format=content_format)
        assert (created.code, created.response.location) == ("2.01", ("3303", "4"))
        assert device.tree.get((3303, 4, 5750)) == "cellar"
        # The object list changed: the device says so.
        await server.wait_until(lambda: "/3303/4" in [link.target for link in server.client(EP).links], 60)
        assert (await server.create(EP, "/3303", [Record((3303, 4, 5750), "x")])).code == "4.00"
        assert (await server.delete(EP, "/3303/4")).code == "2.02"
        assert (await server.read(EP, "/3303/4")).code == "4.04"


@virtual_time
async def test_create_without_instance_id_lets_the_device_choose():
    async with pair() as (_, server):
        assert (await server.create(EP, "/3303")).response.location == ("3303", "1")


@pytest.mark.parametrize("path", ["/3/0", "/1/0", "/3303/0/5700"])
@virtual_time
async def test_what_cannot_be_deleted(path):
    async with pair() as (_, server):
        assert (await server.delete(EP, path)).code == "4.05"


@virtual_time
async def test_execute_reset_of_measured_values():
    async with pair() as (device, server):
        device.set("/3303/0/5700", 31.5)
        assert device.tree.get((3303, 0, 5602)) == 31.5
        device.set("/3303/0/5700", 25.0)
        assert (await server.execute(EP, "/3303/0/5605")).code == "2.04"
        assert device.tree.get((3303, 0, 5602)) == 25.0


@pytest.mark.parametrize(("path", "code"), [("/3/0/0", "4.05"), ("/3/0/99", "4.04"), ("/5/0/2", "4.05")])
@virtual_time
async def test_executes_that_are_refused(path, code):
    async with pair() as (_, server):
        assert (await server.execute(EP, path)).code == code


@virtual_time
async def test_a_firmware_package_goes_block_wise_and_is_installed():
    async with pair() as (_device, server):
        package = bytes(5000)
        written = await server.write(EP, "/5/0/0", package, content_format=ContentFormat.OPAQUE)
        assert written.code == "2.04"
        assert (await server.read(EP, "/5/0/3")).value == 2
        observed = await server.observe(EP, "/5/0/3")
        assert (await server.execute(EP, "/5/0/2")).code == "2.04"
        states = [observed.value_of(await observed.next(60)) for _ in range(2)]
        assert states == [3, 0]
        assert (await server.read(EP, "/5/0/5")).value == 1
        assert (await server.read(EP, "/3/0/3")).value == "1.1"


@virtual_time
async def test_composite_read_and_write():
    async with pair() as (device, server):
        result = await server.read_composite(EP, ["/3/0/9", "/3303/0/5700", "/9/9/9"])
        assert result.records == [Record((3, 0, 9), 100), Record((3303, 0, 5700), 20.0)]
        written = [Record((3, 0, 14), "+03:00"), Record((3303, 0, 5750), "attic")]
        assert (await server.write_composite(EP, written)).code == "2.04"
        assert device.tree.get((3303, 0, 5750)) == "attic"
        refused = [Record((3, 0, 14), "+04:00"), Record((3, 0, 0), "x")]
        assert (await server.write_composite(EP, refused)).code == "4.05"
        assert device.tree.get((3, 0, 14)) == "+03:00"


@virtual_time
async def test_the_device_logs_what_it_executed_and_how_often():
    async with pair() as (device, server):
        await server.write(EP, "/3/0/14", "+02:00")
        await server.write(EP, "/3/0/14", "+02:00")
        await server.write(EP, "/3/0/14", "+03:00")
        await server.execute(EP, "/3/0/12")
        log = [(entry.operation, entry.path, entry.times) for entry in device.operations.entries]
        assert log == [
            ("Write", "/3/0/14", 1),
            ("Write", "/3/0/14", 2),
            ("Write", "/3/0/14", 1),
            ("Execute", "/3/0/12", 1),
        ]
        assert device.operations.times("Write", "/3/0/14") == 3


@virtual_time
async def test_a_ttl_goes_out_as_option_65052():
    async with pair() as (device, server):
        await server.read(EP, "/3/0/9", ttl=300)
        # delta of 65052 from Uri-Path (11) is above 269: extended by two bytes.
        delta = (65052 - 11 - 269).to_bytes(2, "big")
        assert device.operations.times("Read") == 1
        request = next(datagram for datagram in device.wire if not datagram.outgoing and datagram.code == "0.01")
        assert request.size == 4 + 8 + 2 + 2 + 2 + 1 + len(delta) + 2
