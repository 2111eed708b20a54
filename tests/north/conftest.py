"""Servers as plain sockets on loopback, and waiting for what must come."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from mock_network.lab import free_ports


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)
        yield sock


@pytest.fixture
def fixed_port() -> int:
    """A free port, with another one after it, outside those that the system hands out, as a restart needs it."""
    return free_ports(2).start


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names as a resolver would have them: name -> addresses; a name that is not there does not exist."""
    table: dict[str, list[str]] = {}

    async def getaddrinfo(_loop: object, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        if host not in table:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET6, 2, 17, "", (a, port, 0, 0)) if ":" in a else (socket.AF_INET, 2, 17, "", (a, port))
            for a in table[host]
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return table
