"""UDP ports that a test may bind again after a restart: nobody is given them in between."""

import socket

import pytest

from bridge.north.system import ephemeral_ports


def free_ports(count: int) -> range:
    """Consecutive UDP ports outside the range that the system hands out."""
    for start in range(20000, ephemeral_ports().start, count):
        try:
            for port in range(start, start + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("0.0.0.0", port))
        except OSError:
            continue
        return range(start, start + count)
    pytest.fail("no free ports")
