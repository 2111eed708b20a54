"""Arithmetic of address prefixes: a number for each endpoint, an address for each number.

A number keeps its address when its prefix is made larger at the end, and when a further prefix is added to the list.
"""

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge.errors import ConfigurationError, NorthUnavailable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK_PREFIX = "127.64.0.0/10"
"""Local on every Linux without a route or a privilege, and far from 127.0.0.1 where servers listen."""

SHARDS = 256
"""Parts of a prefix that different nodes of a cluster can have. All addresses of a part have the same eight bits
after those of the prefix, so that a part is itself a prefix."""

_DIVISIBLE = SHARDS * 256  # addresses that a prefix must have to be divided
_BLOCK = 256  # IPv4: in each block of 256, .0 and .255 are left out: some stacks treat them as broadcast addresses
_USABLE = _BLOCK - 2
_ANYCAST = 128  # IPv6: the highest 128 interface identifiers are reserved for anycast (RFC 2526 §2)
_MOST = 2**63 - 1  # numbers are stored as signed 64-bit integers


class Prefix:
    """One prefix. Numbers run from 0 to `capacity` - 1."""

    __slots__ = ("_base", "_size", "_steps", "capacity", "family", "length", "network")

    def __init__(self, text: str) -> None:
        """Read `text` (`10.64.0.0/16`, `2001:db8:5::/64`). Raises ConfigurationError."""
        try:
            self.network = ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigurationError(
                f"{text!r} is not an address prefix ({error}); write it like 10.64.0.0/16"
            ) from None
        if self.network.is_multicast or self.network.is_unspecified:
            raise ConfigurationError(f"{text} cannot be a source address; use unicast addresses")
        self._base = int(self.network.network_address)
        self._size = self.network.num_addresses
        self.family = socket.AF_INET if self.network.version == 4 else socket.AF_INET6  # noqa: PLR2004  (IP version)
        self.length = self.network.max_prefixlen // 8
        self._steps = self.family == socket.AF_INET and self._size >= _BLOCK
        if self._steps:
            self.capacity = self._size // _BLOCK * _USABLE
        elif self.family == socket.AF_INET:
            self.capacity = self._size - 2 if self._size > 2 else self._size  # noqa: PLR2004  (RFC 3021: /31 has two)
        else:
            reserved = 1 + (_ANYCAST if self._size > 2 * _ANYCAST else 0)  # the first is the routers' anycast address
            self.capacity = min(self._size - reserved, _MOST) if self._size > 2 else self._size  # noqa: PLR2004

    def packed(self, number: int) -> bytes:
        """Return the address of a number within the capacity, in network order."""
        if self._steps:
            block, offset = divmod(number, _USABLE)
            value = self._base + block * _BLOCK + offset + 1
        else:
            value = self._base + number + (1 if self._size > 2 else 0)  # noqa: PLR2004
        return value.to_bytes(self.length)

    def number(self, packed: bytes) -> int | None:
        """Return the number of an address in network order; None if it cannot belong to an endpoint."""
        offset = int.from_bytes(packed) - self._base
        if not 0 <= offset < self._size:
            return None
        if self._steps:
            block, rest = divmod(offset, _BLOCK)
            return block * _USABLE + rest - 1 if 0 < rest <= _USABLE else None
        number = offset - (1 if self._size > 2 else 0)  # noqa: PLR2004
        return number if 0 <= number < self.capacity else None

    @property
    def is_divisible(self) -> bool:
        """Return whether there are enough addresses to divide them among shards."""
        return self._size >= _DIVISIBLE

    def part(self, shard: int) -> range:
        """Return the numbers whose addresses belong to a shard."""
        span = self._span // SHARDS
        return range(self._before(shard * span), min(self._before((shard + 1) * span), self.capacity))

    def network_of(self, shard: int) -> Network:
        """Return the part of a shard as a prefix of its own."""
        size = self._span // SHARDS
        return type(self.network)((self._base + shard * size, self.network.max_prefixlen - size.bit_length() + 1))

    def shard_of(self, number: int) -> int:
        """Return the shard whose part has this number."""
        return (int.from_bytes(self.packed(number)) - self._base) // (self._span // SHARDS)

    @property
    def _span(self) -> int:
        return min(self._size, _MOST + 1)  # larger prefixes have numbers for their first half only

    def _before(self, offset: int) -> int:
        """Return how many numbers have addresses before an offset from the prefix's first, at the border of a block."""
        return offset // _BLOCK * _USABLE if self._steps else max(offset - 1, 0)

    def __contains__(self, packed: bytes) -> bool:
        return len(packed) == self.length and 0 <= int.from_bytes(packed) - self._base < self._size

    def __str__(self) -> str:
        return str(self.network)


class Pool:
    """All prefixes of one family, in the order given: the numbers of the second follow those of the first."""

    __slots__ = ("_starts", "capacity", "family", "prefixes")

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self.prefixes = tuple(prefixes)
        if not self.prefixes:
            raise ConfigurationError("there is no address prefix; configure at least one")
        self.family = self.prefixes[0].family
        starts = []
        total = 0
        for i, prefix in enumerate(self.prefixes):
            for other in self.prefixes[:i]:
                if prefix.network.overlaps(other.network):
                    raise ConfigurationError(
                        f"prefixes {other} and {prefix} overlap; an address may be in only one prefix"
                    )
            starts.append((total, prefix))
            total += prefix.capacity
        self._starts = tuple(starts)
        self.capacity = min(total, _MOST)

    def packed(self, number: int) -> bytes:
        """Return the address of a number, in network order. Raises NorthUnavailable outside the capacity."""
        if number >= 0:
            for start, prefix in self._starts:
                if number - start < prefix.capacity:
                    return prefix.packed(number - start)
        raise NorthUnavailable(
            f"address number {number} is outside {', '.join(map(str, self.prefixes))} (capacity {self.capacity}); "
            "restore the prefix that was configured before, or configure a larger one"
        )

    def number(self, packed: bytes) -> int | None:
        """Return the number of an address in network order; None if it cannot belong to an endpoint."""
        for start, prefix in self._starts:
            number = prefix.number(packed)
            if number is not None:
                return start + number
        return None

    @property
    def is_divisible(self) -> bool:
        """Return whether every prefix has enough addresses to divide them among shards."""
        return all(prefix.is_divisible for prefix in self.prefixes)

    def part(self, shard: int) -> Sequence[range]:
        """Return the numbers whose addresses belong to a shard: a part of each prefix."""
        return [
            range(start + part.start, min(start + part.stop, self.capacity))
            for start, prefix in self._starts
            for part in (prefix.part(shard),)
        ]

    def networks(self, shard: int) -> Sequence[Network]:
        """Return the parts of a shard as prefixes of their own: one of each prefix."""
        return [prefix.network_of(shard) for prefix in self.prefixes]

    def networks_of(self, numbers: range) -> Iterator[Network]:
        """Yield the largest networks that together have the addresses of these numbers, and no other number's."""
        for start, prefix in self._starts:
            first, last = max(numbers.start - start, 0), min(numbers.stop - start, prefix.capacity) - 1
            if first <= last:
                ends = (ipaddress.ip_address(prefix.packed(number)) for number in (first, last))
                yield from ipaddress.summarize_address_range(*ends)

    def shard_of(self, source: int) -> int:
        """Return the shard whose part has this number."""
        for start, prefix in self._starts:
            if source - start < prefix.capacity:
                return prefix.shard_of(source - start)
        raise AssertionError(f"no address number {source}")


def pools(texts: Iterable[str]) -> dict[int, Pool]:
    """Sort prefixes by family. Raises ConfigurationError for a bad or overlapping one."""
    families: dict[int, list[Prefix]] = {}
    for text in texts:
        prefix = Prefix(text)
        families.setdefault(prefix.family, []).append(prefix)
    return {family: Pool(prefixes) for family, prefixes in families.items()}


def division(pools: Mapping[int, Pool]) -> Pool | None:
    """Return the pool that divides numbers among shards; None: one of its prefixes has too few addresses."""
    smallest = _smallest(pools)
    return smallest if smallest.is_divisible else None


def _smallest(pools: Mapping[int, Pool]) -> Pool:
    """Return, of two families, the one with fewer addresses: it limits the numbers, and divides them."""
    return min(pools.values(), key=lambda pool: pool.capacity)


def networks_of_shard(pools: Mapping[int, Pool], shard: int) -> list[Network]:
    """Return the networks that have the addresses of a shard's endpoints: of each family those of the same numbers.

    In the family that divides the numbers they are one part of each prefix; in the other one, whose parts would have
    other numbers, usually several networks. Raises ConfigurationError if the numbers cannot be divided.
    """
    dividing = division(pools)
    if dividing is None:
        raise ConfigurationError(indivisible(pools))
    found = list(dividing.networks(shard))
    for pool in pools.values():
        if pool is not dividing:
            found += [network for part in dividing.part(shard) for network in pool.networks_of(part)]
    return found


def indivisible(pools: Mapping[int, Pool]) -> str:
    """Return which prefix cannot be divided among shards, with the cure; empty: all can be that need to be."""
    for prefix in _smallest(pools).prefixes:
        if not prefix.is_divisible:
            shortest = prefix.network.max_prefixlen - _DIVISIBLE.bit_length() + 1
            return (
                f"prefixes: {prefix} has too few addresses to be divided among {SHARDS} shards; use a /{shortest}, "
                "or a larger prefix"
            )
    return ""


def check_server(prefixes: Iterable[Prefix], host: str) -> None:
    """Refuse a server inside a prefix of endpoints. `host` is numeric. Raises ConfigurationError."""
    packed = ipaddress.ip_address(host.partition("%")[0]).packed
    for prefix in prefixes:
        if packed in prefix:
            raise ConfigurationError(
                f"server {host} lies inside {prefix}, whose addresses belong to endpoints; use another prefix"
            )
