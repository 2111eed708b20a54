"""Servers as plain sockets on loopback, and waiting for what must come."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bridge.north.system import ephemeral_ports


async def _until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Let the loop run until `condition` holds; fail after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            pytest.fail("what was waited for did not come")
        await asyncio.sleep(0.001)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return _until


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)
        yield sock


@pytest.fixture
def fixed_port() -> int:
    """A free port outside those that the system hands out, as a restart needs it."""
    for port in range(20000, ephemeral_ports().start):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    pytest.fail("no free port")
