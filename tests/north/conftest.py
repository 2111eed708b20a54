"""Servers as plain sockets on loopback, and waiting for what must come."""

import socket
from collections.abc import Iterator

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
