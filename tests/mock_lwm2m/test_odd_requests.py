"""What a device and a server that follow the standards do with requests at their edges, byte by byte."""

import asyncio
import socket

import pytest
from lwm2m_pair import pair, virtual_time

READ = bytes.fromhex("b13301300130")  # /3/0/0
DEVICE = bytes.fromhex("b1330130")  # /3/0
UNKNOWN = bytes.fromhex("e1fcd178")  # after Uri-Path (11): option 65001, critical, "x"
UNKNOWN_ELECTIVE = bytes.fromhex("e1fcd078")  # 65000
CONTENT, BAD_OPTION = 0x45, 0x82


async def exchanged(address: tuple[str, int], *messages: bytes) -> list[bytes]:
    """Send messages one after the other and return what came back to each; empty: nothing within a second."""
    loop = asyncio.get_running_loop()
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.bind(("127.0.0.1", 0))
        for message in messages:
            sender.sendto(message, address)
            try:
                async with asyncio.timeout(1):
                    found.append(await loop.sock_recv(sender, 2000))
            except TimeoutError:
                found.append(b"")
    return found


@pytest.mark.parametrize("target", ["device", "server"])
@virtual_time
async def test_a_critical_option_that_is_not_known_is_refused_and_an_elective_one_ignored(target):
    """RFC 7252 §5.4.1: 4.02 to a CON; a NON is rejected, here in silence."""
    async with pair() as (device, server):
        address = device.address if target == "device" else server.address
        head, path = (b"\x41\x01", READ) if target == "device" else (b"\x41\x02", b"\xb2rd")
        refused, ignored, taken = await exchanged(
            address,
            head + b"\x00\x11\x01" + path + UNKNOWN,
            b"\x51" + head[1:] + b"\x00\x12\x02" + path + UNKNOWN,
            head + b"\x00\x13\x03" + path + UNKNOWN_ELECTIVE,
        )
    assert (refused[0] >> 4 & 3, refused[1]) == (2, BAD_OPTION)  # an acknowledgement
    assert refused.endswith(b"critical option 65001 is not known")
    assert ignored == b""
    assert taken[1] != BAD_OPTION
    assert (taken[1] == CONTENT) is (target == "device")


@virtual_time
async def test_later_blocks_have_the_content_format_of_the_first():
    """RFC 7959 §2.4. libcoap takes no block that has another one, or none."""
    async with pair() as (device, _server):
        blocks = await exchanged(
            device.address,
            b"\x41\x01\x00\x21\x01" + DEVICE + b"\xc1\x02",  # Block2 0/0/64
            b"\x41\x01\x00\x22\x02" + DEVICE + b"\xc1\x12",  # Block2 1/0/64
        )
    formats = [block[5:8] for block in blocks]
    assert formats == [b"\xc2\x2d\x16"] * 2  # 11542, TLV
