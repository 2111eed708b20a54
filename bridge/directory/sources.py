"""Giving each endpoint a source of its own: the number that stands for its address or port toward servers."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from bridge.directory.record import Record
from bridge.north.udp.addresses import AddressScheme

REUSE_AFTER = 30 * 86400.0  # seconds; a server may keep a registration for its lifetime, 30 days on LoRaWAN


@dataclass(frozen=True, slots=True)
class Sources:
    """The numbers that may be given, and what servers see them as. Numbers of two schemes have nothing in common."""

    scheme: str
    numbers: range
    seen: Callable[[int], tuple[str, ...]]  # the addresses of a number, one for each address family

    def has(self, record: Record) -> bool:
        """Return whether the source of a record is one of these, and servers see it as the record says."""
        if record.source is None or record.scheme != self.scheme or record.source not in self.numbers:
            return False
        return record.locals == self.seen(record.source)

    @classmethod
    def of(cls, addresses: AddressScheme) -> "Sources":
        """Return the sources of a scheme of addresses."""
        families = sorted(addresses.families)

        def seen(source: int) -> tuple[str, ...]:
            return tuple(_text(family, *addresses.local(source, family)) for family in families)

        return cls(addresses.scheme, addresses.sources, seen)


def _text(family: int, host: str, port: int) -> str:
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
