"""Machines on one layer-2 network, each a network namespace. They need root."""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need_program

_REFUSED = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 20)
except ConnectionRefusedError:
    sys.exit(0)
except OSError as error:
    sys.exit(str(error))
"""
"""A machine that has an address refuses a connection to it: nothing listens there."""
_CLONE_NEWNET = 0x40000000  # sched.h
ROUTER = "254"


class Machines:
    """One layer-2 network with machines of these numbers, by default two and a router: 10.0.0.N and fd00::N."""

    def __init__(self, *numbers: str) -> None:
        self._numbers = numbers or ("1", "2", ROUTER)
        self._names = {number: f"bridge-{os.getpid()}-{number}" for number in ("switch", *self._numbers)}
        self._running: list[subprocess.Popen[bytes]] = []

    def make(self) -> None:
        for name in self._names.values():
            run("ip", "netns", "add", name)
        self.inside("switch", "ip", "link", "add", "lan", "type", "bridge")
        self.inside("switch", "ip", "link", "set", "lan", "up")
        for number in self._numbers:
            port = f"port{number}"
            run(
                *("ip", "link", "add", port, "netns", self._names["switch"], "type", "veth"),
                *("peer", "name", "eth0", "netns", self._names[number]),
            )
            self.inside("switch", "ip", "link", "set", port, "master", "lan", "up")
            for command in (
                "link set lo up",
                "link set eth0 up",
                f"addr add 10.0.0.{number}/24 dev eth0",
                f"addr add fd00::{number}/64 dev eth0 nodad",
            ):
                self.inside(number, "ip", *command.split())

    def inside(self, number: str, *command: str) -> str:
        return run(*self.command(number), *command)

    def command(self, number: str) -> tuple[str, ...]:
        """Return the words that begin a program on a machine: it keeps the process id of who executes them."""
        return ("ip", "netns", "exec", self._names[number])

    def socket(
        self,
        number: str,
        kind: socket.SocketKind = socket.SOCK_STREAM,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> socket.socket:
        """Return a socket on a machine, for this process. The socket stays there, whatever this process does next."""
        with contextlib.ExitStack() as files:
            here, there = (
                files.enter_context(path.open())
                for path in (Path("/proc/thread-self/ns/net"), Path("/run/netns", self._names[number]))
            )
            _enter(there.fileno())
            try:
                return socket.socket(family, kind)
            finally:
                _enter(here.fileno())

    def plug(self, number: str, *, in_: bool) -> None:
        """Plug a machine's cable in, or pull it out."""
        self.inside("switch", "ip", "link", "set", f"port{number}", "up" if in_ else "down")

    def part(self, one: str, other: str, *, apart: bool) -> None:
        """Let the switch carry nothing between two machines, or carry it again. Only one pair can be apart."""
        for number in (one, other):
            self.inside("switch", "bridge", "link", "set", "dev", f"port{number}", "isolated", "on" if apart else "off")

    def begin(self, number: str, *command: str) -> None:
        """Run a program that does not end by itself."""
        full = (*self.command(number), *command)
        self._running.append(subprocess.Popen(full, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def mac(self, number: str) -> str:
        (link,) = json.loads(self.inside(number, "ip", "-j", "link", "show", "dev", "eth0"))
        return str(link["address"])

    def neighbour(self, address: str) -> str:
        """Return who has an address, as the router knows it."""
        found = json.loads(self.inside(ROUTER, "ip", "-j", "neigh", "show", address) or "[]")
        return str(found[0].get("lladdr", "")) if found else ""

    def next_hop(self, prefix: str) -> str:
        """Return to whom the router sends what is for a prefix."""
        family = "-6" if ":" in prefix else "-4"
        found = json.loads(self.inside(ROUTER, "ip", family, "-j", "route", "show", prefix) or "[]")
        return str(found[0].get("gateway", "")) if found else ""

    def reaches(self, address: str) -> bool:
        with contextlib.suppress(AssertionError):
            self.inside(ROUTER, sys.executable, "-c", _REFUSED, address)
            return True
        return False

    def end(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(20)
        for name in self._names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def run(*command: str) -> str:
    """Run a command to its end and return its output. Raises AssertionError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@contextlib.contextmanager
def made(machines: Machines) -> Iterator[Machines]:
    """Have machines for a while; skip a test where there can be none."""
    need_program("ip")
    try:
        machines.make()
    except AssertionError as error:
        machines.end()
        pytest.skip(f"network namespaces need root and CAP_SYS_ADMIN: {error}")
    try:
        yield machines
    finally:
        machines.end()


def _enter(namespace: int) -> None:
    """Have this thread make its sockets in a network namespace, given by a descriptor (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
