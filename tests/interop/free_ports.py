"""UDP ports that a test may bind again after a restart: nobody is given them in between."""

import random
import socket

import pytest

from bridge.north.system import ephemeral_ports


def free_ports(count: int) -> range:
    """Consecutive UDP ports outside the range that the system hands out.

    At random: another run of these tests may look at the same time, and a server remembers for 247 s which messages
    came from a port.
    """
    for start in random.sample(range(20000, ephemeral_ports().start - count), 100):
        try:
            for port in range(start, start + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("0.0.0.0", port))
        except OSError:
            continue
        return range(start, start + count)
    pytest.fail("no free ports")
