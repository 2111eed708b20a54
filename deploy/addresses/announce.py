"""Part of `layer2`: answers for addresses on an interface, and tells the network that they have moved here.

Python's standard library alone. ARP: RFC 826, RFC 5227 §3; neighbour advertisements: RFC 4861 §4.4, §7.2.6.
"""

import errno
import ipaddress
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

MOST = 4096  # addresses of one prefix
BETWEEN = 0.1  # seconds between two rounds of announcements: a frame may be lost
TRIES = 20  # for a frame for which the interface has no room
FULL = 0.005  # seconds between them
IPV6 = 6
ETHERTYPE_ARP = 0x0806
ARP_REQUEST = 1
ICMPV6_ADVERTISEMENT = 136
OVERRIDE = 0x20000000  # flag of an advertisement: an entry that is there is replaced

NOT_THERE = re.compile("Cannot assign requested address|[Aa]ddress not found|^Command failed")
"""What ip says when it should remove an address that is not there."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def main(action: str, interface: str, *prefixes: str) -> int:
    """Do what `layer2` was asked for, print which prefixes are done, and return the exit status."""
    status, moved = 0, list[Network]()
    for prefix in prefixes:
        network = ipaddress.ip_network(prefix)
        if network.num_addresses > MOST:
            sys.stderr.write(f"layer2: {network} has more than {MOST} addresses: use a routed prefix (bird)\n")
            status = 2
        elif answered(action, interface, network):
            if action == "take":
                announce(interface, network)
            sys.stdout.write(f"done {prefix}\n")
            sys.stdout.flush()
            moved.append(network)
        else:
            sys.stderr.write(f"layer2: the kernel does not take the addresses of {network}\n")
            status = status or 1
    if action == "take" and moved:
        time.sleep(BETWEEN)
        for network in moved:
            announce(interface, network)
    return status


def answered(action: str, interface: str, network: Network) -> bool:
    """Let the kernel answer neighbour solicitations for IPv6 addresses; for local IPv4 ones it answers by itself.

    An address without preferred lifetime is never chosen as a source by itself. Return whether that worked.
    """
    if network.version != IPV6:
        return True
    verb, lifetime = ("replace", " nodad preferred_lft 0") if action == "take" else ("del", "")
    commands = "".join(f"addr {verb} {one}/128 dev {interface}{lifetime}\n" for one in network)
    batch = ["ip", "-6", "-force", "-batch", "-"]
    done = subprocess.run(batch, input=commands, check=False, capture_output=True, text=True)  # noqa: S603  # our own words
    if action == "release":  # what is not there any more is no error
        return done.returncode in (0, 1, 2) and all(NOT_THERE.search(line) for line in done.stderr.splitlines())
    sys.stderr.write(done.stderr)
    return not done.returncode


def announce(interface: str, network: Network) -> None:
    """Announce each address of a prefix once."""
    mac = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    if network.version != IPV6:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)) as link:
            for address in network:
                send(link, arp(mac, address.packed), (interface, 0))
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as link:
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        index = socket.if_nametoindex(interface)
        for address in network:
            send(link, advertisement(mac, address.packed), ("ff02::1", 0, 0, index))


def send(link: socket.socket, frame: bytes, where: tuple[str | int, ...]) -> None:
    """Send one frame; where the interface has no room for it, wait a little and send it again."""
    for _ in range(TRIES):
        try:
            link.sendto(frame, where)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            time.sleep(FULL)
        else:
            return


def arp(mac: bytes, address: bytes) -> bytes:
    """Return an ARP announcement: a request for the sender's own address."""
    ethernet = b"\xff" * 6 + mac + struct.pack("!H", ETHERTYPE_ARP)
    return ethernet + struct.pack("!HHBBH", 1, 0x0800, 6, 4, ARP_REQUEST) + mac + address + bytes(6) + address


def advertisement(mac: bytes, address: bytes) -> bytes:
    """Return an unsolicited neighbour advertisement; the kernel sets its checksum."""
    return struct.pack("!BBHI", ICMPV6_ADVERTISEMENT, 0, 0, OVERRIDE) + address + b"\x02\x01" + mac


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
