"""Firmware: pushed by blocks, pull refused, settings kept, restored, returned to (Core TS 1.1, Appendix E.6)."""

import asyncio
import hashlib
import json

import pytest
from lwm2m_pair import pair, virtual_time

from mock_network.device.firmware import Image
from mock_network.device.options import DEFAULT_OBJECTS
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import Tuning

EP = "urn:dev:os:test-1"
BANK = DEFAULT_OBJECTS | {26251}


def package(body=b"\x00" * 600, **says):
    return b"#firmware " + json.dumps({"sha256": hashlib.sha256(body).hexdigest(), **says}).encode() + b"\n" + body


async def install(server, image, *, wait=6):
    written = await server.write(EP, "/5/0/0", image, content_format=ContentFormat.OPAQUE)
    assert written.code == "2.04"
    assert (await server.read(EP, "/5/0/3")).value == 2
    assert (await server.execute(EP, "/5/0/2")).code == "2.04"
    await asyncio.sleep(wait)
    return (await server.read(EP, "/5/0/3")).value, (await server.read(EP, "/5/0/5")).value


@pytest.mark.requirement("LightweightM2 M-MaU-1")
@virtual_time
async def test_an_upgrade_keeps_the_settings():
    async with pair(objects=BANK) as (_, server):
        await server.write(EP, "/3303/0/5750", "cellar")
        await server.write(EP, "/1/0/2", 7)
        assert await install(server, package(version="2.0")) == (0, 1)
        assert (await server.read(EP, "/3/0/3")).value == "2.0"
        assert (await server.read(EP, "/3303/0/5750")).value == "cellar"
        assert (await server.read(EP, "/1/0/2")).value == 7
        assert (await server.read(EP, "/26251/0/0")).value == "1.0"


@pytest.mark.requirement("LightweightM2 M-MaU-2")
@virtual_time
async def test_a_server_returns_to_the_firmware_of_before_the_upgrade():
    async with pair(objects=BANK) as (_, server):
        assert (await server.execute(EP, "/26251/0/2")).code == "4.05"  # there is none yet
        await install(server, package(version="2.0"))
        assert (await server.execute(EP, "/26251/0/2")).code == "2.04"
        assert (await server.read(EP, "/3/0/3")).value == "1.0"
        assert (await server.read(EP, "/26251/0/1")).value is False
        assert (await server.execute(EP, "/26251/0/2")).code == "4.05"


@pytest.mark.requirement("LightweightM2 M-MaU-2", "LightweightM2 M-MaU-3")
@virtual_time
async def test_a_firmware_that_does_not_boot_leaves_the_old_one_with_its_settings():
    async with pair(objects=BANK) as (_, server):
        await server.write(EP, "/3303/0/5750", "cellar")
        assert await install(server, package(version="2.0", boots=False)) == (0, 8)
        assert (await server.read(EP, "/3/0/3")).value == "1.0"
        assert (await server.read(EP, "/3303/0/5750")).value == "cellar"


@pytest.mark.requirement("LightweightM2 M-MaU-3")
@virtual_time
async def test_settings_of_before_the_upgrade_are_brought_back():
    async with pair(objects=BANK) as (_, server):
        await server.write(EP, "/3303/0/5750", "cellar")
        assert await install(server, package(version="2.0", settings="own")) == (0, 1)
        assert (await server.read(EP, "/3303/0/5750")).value == "room"
        assert (await server.read(EP, "/26251/0/1")).value is True
        assert (await server.execute(EP, "/26251/0/3")).code == "2.04"
        assert (await server.read(EP, "/3303/0/5750")).value == "cellar"
        assert (await server.read(EP, "/3/0/3")).value == "2.0"  # the firmware stays


@virtual_time
async def test_a_secure_component_is_no_setting():
    async with pair(objects=BANK | {26252}) as (_, server):
        certificate = (await server.read(EP, "/26252/0/1")).value
        assert await install(server, package(settings="own")) == (0, 1)
        assert (await server.read(EP, "/26252/0/1")).value == certificate


@virtual_time
async def test_a_firmware_that_restarts_the_device_registers_anew():
    async with pair() as (_, server):
        location = server.client(EP).location
        assert (await server.write(EP, "/5/0/0", package(restart=True), content_format=ContentFormat.OPAQUE)).ok
        assert (await server.execute(EP, "/5/0/2")).code == "2.04"
        await server.wait_until(lambda: server.client(EP).location != location, 60)
        assert (await server.read(EP, "/3/0/3")).value == "1.1"


@pytest.mark.parametrize(("image", "result"), [(package(b"x" * 40, sha256="00"), 5), (b"#firmware {\n" + b"x" * 40, 6)])
@virtual_time
async def test_a_package_that_is_damaged_or_not_understood_is_not_installed(image, result):
    async with pair() as (_, server):
        await server.write(EP, "/5/0/0", image, content_format=ContentFormat.OPAQUE)
        assert (await server.read(EP, "/5/0/3")).value == 0
        assert (await server.read(EP, "/5/0/5")).value == result
        assert (await server.execute(EP, "/5/0/2")).code == "4.05"


@virtual_time
async def test_pull_is_refused_and_said_so():
    """ETS int-756, 771: /5/0/9 is 1, push only; a URI ends with Update Result 9."""
    async with pair() as (_, server):
        assert (await server.read(EP, "/5/0/9")).value == 1
        assert (await server.write(EP, "/5/0/1", "coap://192.0.2.1/firmware")).code == "2.04"
        assert (await server.read(EP, "/5/0/5")).value == 9
        assert (await server.write(EP, "/5/0/1", "")).code == "2.04"
        assert (await server.read(EP, "/5/0/5")).value == 0


@virtual_time
async def test_an_empty_package_is_a_reset():
    async with pair() as (_, server):
        await server.write(EP, "/5/0/0", package(), content_format=ContentFormat.OPAQUE)
        await server.write(EP, "/5/0/0", b"", content_format=ContentFormat.OPAQUE)
        assert (await server.read(EP, "/5/0/3")).value == 0


@pytest.mark.parametrize("size", [16, 64, 512])
@virtual_time
async def test_a_device_with_small_blocks_takes_and_gives_them(size):
    exponent = size.bit_length() - 5
    async with pair(tuning=Tuning(block_exponent=exponent, max_request=size)) as (device, server):
        await server.write(EP, "/5/0/0", b"y" * 3000, content_format=ContentFormat.OPAQUE)
        assert device.tree.get((5, 0, 0)) == b"y" * 3000
        read = await server.read(EP, "/3/0", accept=ContentFormat.SENML_JSON)
        assert read.code == "2.05"
        sent = await device.send(["/3/0"], content_format=ContentFormat.SENML_JSON)
        assert sent.code == "2.04"
        largest = max(len(datagram.payload) for datagram in device.wire if datagram.outgoing)
        assert largest <= size
        taken = [len(datagram.payload) for datagram in device.wire if not datagram.outgoing and datagram.code == "0.03"]
        assert sorted(set(taken[1:])) in ([size], [3000 % size, size])  # after the one that was refused with 4.13


@virtual_time
async def test_a_request_in_one_piece_that_is_too_large_is_sent_again_in_blocks():
    """RFC 7959 §2.9.3."""
    async with pair(tuning=Tuning(block_exponent=2, max_request=64)) as (device, server):
        assert (await server.write(EP, "/5/0/0", b"y" * 600, content_format=ContentFormat.OPAQUE)).code == "2.04"
        assert device.tree.get((5, 0, 0)) == b"y" * 600
        sizes = [len(one.payload) for one in device.wire if not one.outgoing and one.code == "0.03"]
        assert sizes == [600, *[64] * 9, 24]
        refusals = [one.code for one in device.wire if one.outgoing and one.code.startswith("4.")]
        assert refusals == ["4.13"]


def test_an_ordinary_package_says_nothing_of_itself():
    assert Image.parse(b"\x7fELF...") == Image()
    assert Image.parse(b"#firmware [1]\n") == Image(understood=False)
