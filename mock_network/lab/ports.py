"""Ports for the parts of a set-up: each port is reserved until the process that asked for it ends."""

import contextlib
import random
import socket

_PORTS = range(10000, 30000)
"""Outside net.ipv4.ip_local_port_range, so that the system assigns them to no program while the bridge restarts."""

_CLAIM = "\0lwm2m-bridge-lab-port-{}"
"""A name that one process can have at a time, and that the kernel releases at its end (unix(7), abstract addresses).

That a port is free is not enough: whoever looks next finds it free too, until its owner listens and while that one
restarts.
"""


def free_port() -> int:
    """Return a port that nothing uses now, neither for TCP nor for UDP. Raises OSError if there is none."""
    return free_ports(1)[0]


def free_ports(count: int) -> range:
    """Return consecutive ports as `free_port` returns one."""
    for start in random.sample(_PORTS, min(1000, len(_PORTS))):
        ports = range(start, start + count)
        with contextlib.ExitStack() as claims:
            if all(_claimed(port, claims) and _unused(port) for port in ports):
                claims.pop_all()
                return ports
    raise OSError("no free port")


def _claimed(port: int, claims: contextlib.ExitStack) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(_CLAIM.format(port))
    except OSError:
        claim.close()
        return False
    claims.callback(socket.close, claim.detach())  # as a number, it stays open if nobody closes it
    return True


def _unused(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - to see that nobody has it, on any address
            except OSError:
                return False
    return True
