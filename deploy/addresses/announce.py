"""Part of `layer2`: answers for addresses on an interface, and tells the network that they have moved here.

Python's standard library alone. ARP: RFC 826, RFC 5227 §3; neighbour advertisements: RFC 4861 §4.4, §7.2.6.
"""

import ipaddress
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

MOST = 4096  # addresses of one prefix
ROUNDS = 2  # a frame may be lost
BETWEEN = 0.1  # seconds between two rounds
IPV6 = 6
ETHERTYPE_ARP = 0x0806
ARP_REQUEST = 1
ICMPV6_ADVERTISEMENT = 136
OVERRIDE = 0x20000000  # flag of an advertisement: an entry that is there is replaced

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def main(action: str, interface: str, *prefixes: str) -> int:
    """Do what `layer2` was asked for; return its exit status."""
    networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
    for network in networks:
        if network.num_addresses > MOST:
            sys.stderr.write(f"layer2: {network} has more than {MOST} addresses: use a routed prefix (bird)\n")
            return 2
    addresses = [address for network in networks for address in network]
    answered(action, interface, addresses)
    if action == "take":
        for turn in range(ROUNDS):
            if turn:
                time.sleep(BETWEEN)
            announce(interface, addresses)
    return 0


def answered(action: str, interface: str, addresses: list[Address]) -> None:
    """Let the kernel answer neighbour solicitations for IPv6 addresses; for local IPv4 ones it answers by itself.

    An address without preferred lifetime is never chosen as a source by itself.
    """
    verb, lifetime = ("replace", " nodad preferred_lft 0") if action == "take" else ("del", "")
    commands = "".join(f"addr {verb} {one}/128 dev {interface}{lifetime}\n" for one in addresses if one.version == IPV6)
    if not commands:
        return
    hidden = subprocess.DEVNULL if action == "release" else None  # what is not there any more is no error
    batch = ["ip", "-6", "-force", "-batch", "-"]
    done = subprocess.run(batch, input=commands.encode(), check=False, stderr=hidden)  # noqa: S603  # our own words
    if done.returncode and action == "take":
        sys.exit("layer2: the kernel does not take the addresses")


def announce(interface: str, addresses: list[Address]) -> None:
    """Send one announcement for each address."""
    mac = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    four = [address for address in addresses if address.version != IPV6]
    six = [address for address in addresses if address.version == IPV6]
    if four:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)) as link:
            link.bind((interface, 0))
            for address in four:
                link.send(arp(mac, address.packed))
    if six:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as link:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            index = socket.if_nametoindex(interface)
            for address in six:
                link.sendto(advertisement(mac, address.packed), ("ff02::1", 0, 0, index))


def arp(mac: bytes, address: bytes) -> bytes:
    """Return an ARP announcement: a request for the sender's own address."""
    ethernet = b"\xff" * 6 + mac + struct.pack("!H", ETHERTYPE_ARP)
    return ethernet + struct.pack("!HHBBH", 1, 0x0800, 6, 4, ARP_REQUEST) + mac + address + bytes(6) + address


def advertisement(mac: bytes, address: bytes) -> bytes:
    """Return an unsolicited neighbour advertisement; the kernel sets its checksum."""
    return struct.pack("!BBHI", ICMPV6_ADVERTISEMENT, 0, 0, OVERRIDE) + address + b"\x02\x01" + mac


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
