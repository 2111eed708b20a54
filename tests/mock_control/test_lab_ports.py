"""A port that a set-up was given is nobody else's while its process lives, whether anything listens there or not."""

import socket
import subprocess
import sys

import pytest

from mock_network.lab import free_port, free_ports, ports

HOLDS_TEN = "from mock_network.lab import free_ports; print(free_ports(10).start, flush=True); input()"


def test_what_another_process_was_given_is_free_when_that_one_has_ended(monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_TEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        first = int(other.stdout.readline())
        monkeypatch.setattr(ports, "_PORTS", range(first, first + 10))
        with pytest.raises(OSError, match="no free port"):
            free_port()
        other.communicate("\n")
    assert free_port() in range(first, first + 10)


def test_no_port_is_given_twice(monkeypatch):
    given = free_ports(10)
    monkeypatch.setattr(ports, "_PORTS", given)
    with pytest.raises(OSError, match="no free port"):
        free_port()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_not_given(kind, monkeypatch):
    monkeypatch.setattr(ports, "_claimed", lambda port, claims: True)
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr(ports, "_PORTS", range(other.getsockname()[1], other.getsockname()[1] + 1))
        with pytest.raises(OSError, match="no free port"):
            free_port()
