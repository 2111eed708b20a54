"""Assigns each endpoint its own source: the number of its address or port toward servers."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.directory.record import EndpointRecord
from bridge.north.udp.addresses import AddressScheme, Division

REUSE_AFTER = 30 * 86400.0  # seconds; a server may keep a registration for its lifetime, 30 days on LoRaWAN


@dataclass(frozen=True, slots=True)
class Sources:
    """The numbers that may be assigned, and the addresses that servers see. Numbers of two schemes are unrelated."""

    scheme: str
    numbers: range
    seen: Callable[[int], tuple[str, ...]]  # the addresses of a number, one for each address family
    division: Division | None = None  # among shards; None: any shard may have any number

    @property
    def divided(self) -> bool:
        """Return whether each number belongs to one shard."""
        return self.division is not None

    def part(self, shard: int) -> Sequence[range]:
        """Return the numbers that an endpoint of this shard may have."""
        return (self.numbers,) if self.division is None else self.division.part(shard)

    def shard_of(self, number: int) -> int | None:
        """Return the shard that a number belongs to; None: any shard."""
        return None if self.division is None else self.division.shard_of(number)

    def has(self, record: EndpointRecord) -> bool:
        """Return whether a record's source is one of these, of its shard, with the addresses of the record."""
        if record.source is None or record.scheme != self.scheme or record.source not in self.numbers:
            return False
        shard = self.shard_of(record.source)
        return shard in (None, record.shard) and record.locals == self.seen(record.source)

    @classmethod
    def of(cls, addresses: AddressScheme) -> "Sources":
        """Return the sources of a scheme of addresses."""
        families = sorted(addresses.families)

        def seen(source: int) -> tuple[str, ...]:
            return tuple(_text(family, *addresses.local(source, family)) for family in families)

        return cls(addresses.scheme, addresses.sources, seen, addresses.division)


def _text(family: int, host: str, port: int) -> str:
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
