"""The guidance on DTLS and TLS names each topic, and the bridge's own sessions begin as it says."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.docs.markdown import ROOT
from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

PAGE = ROOT / "docs" / "how-to" / "dtls-and-tls.md"
TOPICS = """signature algorithms, session resumption, compression, perfect forward secrecy, keep-alive, timeouts, random
numbers, truncated MAC, encrypt-then-MAC, server name indication, maximum fragment length, session hash, renegotiation,
crypto agility, key length, false start"""
NAME = "lwm2m.example"
SERVER_NAME, TRUNCATED_HMAC, ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET, VERSIONS = 0, 4, 22, 23, 43
RENEGOTIATION_INFO, SIGNALING = 0xFF01, 0x00FF  # an extension, or in place of it a suite (RFC 5746 §3.3)
PSK_CCM_8, PSK_CBC = 0xC0A8, 0x00AE
SECURITY = """
[servers.{name}.security]
mode = "psk"
identity = "{{endpoint}}"
key = "000102030405060708090a0b0c0d0e0f"
server_name = "{NAME}"
"""


@dataclass(frozen=True)
class ClientHello:
    """The first message of a handshake (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1)."""

    version: int
    random: bytes
    suites: set[int]
    compressions: bytes
    extensions: dict[int, bytes]


def read(data: bytes) -> ClientHello:
    """Read a ClientHello out of its record."""
    is_datagram = data[1] == 0xFE
    body = data[25:] if is_datagram else data[9:]
    version, random, at = int.from_bytes(body[:2], "big"), body[2:34], 34

    def vector(length: int) -> bytes:
        nonlocal at
        begin = at + length
        at = begin + int.from_bytes(body[at:begin], "big")
        return body[begin:at]

    vector(1)
    if is_datagram:
        vector(1)
    suites = vector(2)
    compressions, rest = vector(1), vector(2)
    extensions = {}
    while rest:
        end = 4 + int.from_bytes(rest[2:4], "big")
        extensions[int.from_bytes(rest[:2], "big")] = rest[4:end]
        rest = rest[end:]
    pairs = {int.from_bytes(suites[n : n + 2], "big") for n in range(0, len(suites), 2)}
    return ClientHello(version, random, pairs, compressions, extensions)


class Listener(asyncio.DatagramProtocol):
    """A server that only listens."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hellos(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, list[bytes]]]:
    """Return what servers over DTLS and TLS hear first, for two devices each."""
    loop, streams = asyncio.get_running_loop(), list[bytes]()

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams.append(await reader.read(4096))
        writer.close()

    socket, datagrams = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    server = await asyncio.start_server(heard, "127.0.0.1", 0)
    uris = {
        "dtls": "coaps://127.0.0.1:{}".format(socket.get_extra_info("sockname")[1]),
        "tls": f"coaps+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}",
    }
    sections = "".join(SECURITY.format(name=name, NAME=NAME) for name in uris)
    try:
        async with set_up(tmp_path_factory.mktemp("hellos"), servers=uris, sections=sections) as world:
            await _register(world, uris)
            found = {"dtls": datagrams.heard, "tls": streams}
            await until(lambda: all(len({read(one).random for one in each}) >= 2 for each in found.values()), 30)
            yield found
    finally:
        socket.close()
        server.close()


async def _register(world: SetUp, uris: dict[str, str]) -> None:
    for name in uris:
        for number in range(2):
            await world.add_device(f"{name}-{number}", endpoint={"servers": [name]}, device={}, registered="")


@pytest.mark.requirement("LightweightM2 M-TLS-001")
@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_guidance_names_each_topic_and_sessions_begin_as_it_says(hellos: dict[str, list[bytes]], kind: str):
    text = " ".join(Path(PAGE).read_text().lower().split())
    assert [topic for topic in re.split(r",\s+", " ".join(TOPICS.split())) if topic.lower() not in text] == []
    assert all(word in text for word in ("rfc 7925", "rfc 9325", "nidd", "sms", "lorawan"))  # referenced, by transport
    for hello in map(read, hellos[kind]):
        if kind == "dtls":
            assert hello.version == 0xFEFD
        else:
            versions = hello.extensions.get(VERSIONS, b"\x02\x03\x03")[1:]
            assert {versions[n : n + 2] for n in range(0, len(versions), 2)} <= {b"\x03\x03", b"\x03\x04"}
        assert hello.suites - {SIGNALING} == {PSK_CCM_8, PSK_CBC}
        assert hello.compressions == b"\0"
        assert NAME.encode() in hello.extensions[SERVER_NAME]
        assert {ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET} <= hello.extensions.keys()
        assert TRUNCATED_HMAC not in hello.extensions
        assert RENEGOTIATION_INFO in hello.extensions or SIGNALING in hello.suites
