"""libcoap's programs as both ends: they know CoAP and nothing of LwM2M, of the bridge, or of devices without IP.

North, `coap-rd` is the server with which the device registers. Its requests come from `coap-client` on the same port,
after `coap-rd` has gone: the bridge knows a server by its address. South, `coap-client` and then `coap-server` are the
application of the device, on the UDP port that the modem delivers to.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from mock_network.lab import free_ports
from tests.conftest import need_program
from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAMS = ("coap-client-notls", "coap-server-notls", "coap-rd-notls")
NAME = "plain"
LINKS = "</1/0>,</3/0>,</5/0>"
TEXT, LINK_FORMAT, OCTETS = "0", "40", "42"


@asynccontextmanager
async def running(program: str, port: int, *options: str) -> AsyncIterator[None]:
    """Run a program of libcoap that listens, until the context is left."""
    arguments = (program, "-A", "127.0.0.1", "-p", str(port), "-v", "7", *options)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    assert process.stdout is not None
    said = b""
    while b"created UDP " not in said:  # its socket; more follows as it works
        line = await process.stdout.readline()
        assert line, f"{program} ended: {said.decode()}"
        said += line
    rest = asyncio.create_task(process.stdout.read())
    try:
        yield
        assert process.returncode is None, f"{program} ended: {(await rest)[-500:].decode(errors='replace')}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await rest


async def client(port: int, *arguments: str, seconds: int = 20) -> str:
    """Run `coap-client` from a port of its own; return all that it says."""
    program = ("coap-client-notls", "-a", "127.0.0.1", "-p", str(port), "-B", str(seconds), "-v", "7", *arguments)
    process = await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace")


@dataclass
class Ends:
    """The ports of both ends, and where each of them sends: to the modem, and to the endpoint's own address."""

    world: SetUp
    north: int
    south: int
    modem: str
    endpoint: str

    async def states(self, operation: str) -> list[str]:
        """Return the states of all requests of one kind to the device."""
        found = (await self.world.bridge.ask("downlink.list", endpoint=NAME))["items"]
        return [one["state"] for one in found if one["operation"] == operation]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ends]:
    """Yield both ends of a registered device. `coap-rd` has no Update: its 5.01 passes as it is."""
    for program in PROGRAMS:
        need_program(program)
    north, south = free_ports(2)
    directory = tmp_path_factory.mktemp("libcoap")
    async with set_up(directory, servers={"rd": f"coap://127.0.0.1:{north}"}, clock=False) as world:
        made = await world.add_device(NAME, endpoint={}, device=None)
        modem = "{}:{}".format(*made["modem"])
        async with running("coap-rd-notls", north):
            register = f"coap://{modem}/rd?ep={NAME}&lt=300&b=U"
            said = await client(south, "-m", "post", "-t", LINK_FORMAT, "-e", LINKS, register)
            location = re.search("2.01 .*Location-Path:rd, Location-Path:([^ ,]+)", said)
            assert location, said
            registration = f"coap://{modem}/rd/{location[1]}"
            assert "c:5.01 " in await client(south, "-m", "put", "-t", LINK_FORMAT, "-e", LINKS, registration)
            foreign = await client(south, "-m", "post", "-t", LINK_FORMAT, "-e", LINKS, register.replace(NAME, "other"))
            assert "c:4.03 " in foreign
        (known,) = (await world.bridge.ask("endpoint.explain", name=NAME))["registrations"]
        assert known["path"] == f"/rd/{location[1]}"
        (endpoint,) = (await world.bridge.ask("endpoint.show", name=NAME))["seen_as"]
        async with running("coap-server-notls", south, "-d", "10"):
            yield Ends(world, north, south, modem, endpoint)


async def test_a_write_and_a_read_pass_between_two_programs_that_know_plain_coap(ends: Ends):
    where = f"coap://{ends.endpoint}/3/0/14"
    for value, code in ("+01:00", "2.01"), ("+02:00", "2.04"):  # libcoap makes the resource first
        assert f"c:{code} " in await client(ends.north, "-m", "put", "-t", TEXT, "-e", value, where)
    assert "'+02:00'" in await client(ends.north, where)
    assert "c:4.04 " in await client(ends.north, f"coap://{ends.endpoint}/3/0/99")
    assert set(await ends.states("Write")) == set(await ends.states("Read")) == {"RESPONDED"}


async def test_a_write_and_a_read_in_blocks_arrive_whole(ends: Ends, tmp_path: Path):
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(bytes(range(256)) + b"end")
    where = f"coap://{ends.endpoint}/5/0/0"
    written = await client(ends.north, "-m", "put", "-t", OCTETS, "-b", "64", "-f", str(sent), where)
    assert written.count("c:2.31 ") == 4
    assert "c:2.01 " in written
    await client(ends.north, "-b", "64", "-o", str(got), where)
    assert got.read_bytes() == sent.read_bytes()


async def test_an_observation_lasts_until_the_client_ends_it(ends: Ends):
    said = await client(ends.north, "-s", "8", f"coap://{ends.endpoint}/time")
    assert len(re.findall(r"c:2\.05 .*Observe:", said)) >= 3  # of about nine, one each second
    assert "Observe:1" in said  # its cancel

    async def ended() -> bool:
        (known,) = (await ends.world.bridge.ask("endpoint.explain", name=NAME))["registrations"]
        return bool(known["observations"] == 0)

    await until(ended, why="the observation goes on after its cancel")
