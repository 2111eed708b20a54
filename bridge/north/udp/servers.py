"""Addresses of servers: names resolved in the background, and the server of a datagram's sender address."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bridge.north.udp.addresses import SocketAddress

_log = logging.getLogger("bridge.north")

INTERVAL = 300.0
"""Seconds between two resolutions of a name; a changed record is noticed within that time."""

SOONEST = 10.0
"""Seconds, at least, between two resolutions after failures."""

Remote = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ServerName:
    """A server as configured. `port` is for CoAP, `secure_port` for DTLS (R26).

    `stream`: over TCP; no datagram can come from it.
    """

    key: str
    host: str
    port: int
    secure_port: int
    stream: bool = False


@dataclass(slots=True)
class _Known:
    name: ServerName
    plain: SocketAddress | None = None
    secure: SocketAddress | None = None
    earlier: tuple[Remote, ...] = ()  # addresses before the last change


class Servers:
    """Addresses of all servers. `destination` and `at` are dictionary lookups; names are resolved in the background.

    A datagram from a server's previous address is still accepted: an answer may be on its way.
    """

    def __init__(self, names: Iterable[ServerName]) -> None:
        self.known = {name.key: _Known(name) for name in names}
        self._owners: dict[Remote, tuple[str, ...]] = {}
        self._families: Collection[int] = (socket.AF_INET, socket.AF_INET6)
        self._look_ups: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Event()
        self._wanted: set[str] = set()

    def restrict(self, families: Collection[int]) -> None:
        """Use only addresses of these families, from which endpoints can send. Others are dropped."""
        self._families = tuple(sorted(families))
        for known in self.known.values():
            if known.plain is not None and _family(known.plain) not in self._families:
                known.plain = known.secure = None
        self._index()

    def replace_with(self, other: "Servers") -> None:
        """Know the servers that another one knows, as far as it has resolved their names; keep what is unchanged.

        A server at another address now is still expected at the one before, too.
        """
        known: dict[str, _Known] = {}
        for key, new in other.known.items():
            here = self.known.get(key)
            if here is None or here.name != new.name:
                if here is not None:
                    new.earlier = tuple((a[0], a[1]) for a in (here.plain, here.secure) if a is not None)
                known[key] = new
            else:
                known[key] = here
        self.known = known
        self._index()
        if self.unresolved:
            self._asked.set()

    @property
    def unresolved(self) -> bool:
        """Return whether the name of a server was never resolved."""
        return any(known.plain is None for known in self.known.values())

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def destination(self, key: str, *, secure: bool = False) -> SocketAddress | None:
        """Return a server's address; None while its name cannot be resolved, or for an unknown key."""
        known = self.known.get(key)
        if known is None:
            return None
        return known.secure if secure else known.plain

    def destinations(self) -> list[SocketAddress | None]:
        """Return each server's address; None for those whose name is not resolved."""
        return [known.plain for known in self.known.values()]

    def at(self, remote: SocketAddress) -> tuple[str, ...]:
        """Return the keys of the servers with this address; empty: an unknown sender.

        Servers with CoAP there are first, then those with DTLS there, then those that had this address before.
        """
        return self._owners.get((remote[0], remote[1]), ())

    def resolve_again(self, key: str) -> None:
        """Resolve a server's name soon: it does not answer."""
        if key in self.known:
            self._wanted.add(key)
            self._asked.set()

    async def resolve(self, keys: Iterable[str] | None = None, within: float | None = None) -> frozenset[str]:
        """Resolve names now, and return the keys of those without an address. Never raises: failures are logged.

        Resolutions that take longer than `within` seconds go on in the background.
        """
        wanted = [self.known[key] for key in (self.known if keys is None else keys) if key in self.known]
        tasks = [asyncio.create_task(self._look_up(known)) for known in wanted]
        for task in tasks:
            self._look_ups.add(task)
            task.add_done_callback(self._look_ups.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=within)
        return frozenset(known.name.key for known in wanted if known.plain is None)

    async def watch(self, interval: float = INTERVAL, soonest: float = SOONEST) -> None:
        """Keep addresses up to date until cancelled: all of them every `interval` seconds, failed ones earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + interval
        while True:
            timeout = min(soonest, interval) if self.unresolved else max(0.0, due - loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):  # wait_for may lose a cancellation that comes with the event
                    await self._asked.wait()
            if self._asked.is_set():
                await asyncio.sleep(soonest)
            self._asked.clear()
            if loop.time() >= due:
                keys = set(self.known)
                due = loop.time() + interval
            else:
                keys = self._wanted | {key for key, known in self.known.items() if known.plain is None}
            self._wanted = set()
            await self.resolve(keys)

    async def stop(self) -> None:
        """End all resolutions."""
        for task in self._look_ups:
            task.cancel()
        await asyncio.gather(*self._look_ups, return_exceptions=True)

    async def _look_up(self, known: _Known) -> None:
        name = known.name
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name.host, name.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: it is no name that DNS can have, such as a..b
            _log.warning(
                "server name cannot be resolved; check `uri` of the server, and the DNS of this machine",
                extra={"server": name.key, "host": name.host, "why": str(error), "sample": f"server name {name.key}"},
            )
            return
        addresses = [info[4] for info in found if info[0] in self._families]
        addresses.sort(key=_family)  # IPv4 first, else in the resolver's order
        if not addresses:
            _log.warning(
                "server has no address of a family that can be used; see [north] prefixes and source_address",
                extra={"server": name.key, "host": name.host},
            )
            return
        if known.plain in addresses:
            return  # still one of its addresses: keep it, since the server knows endpoints by that path
        old = tuple((a[0], a[1]) for a in (known.plain, known.secure) if a is not None)
        known.plain = _socket_address(addresses[0], name.port)
        known.secure = _socket_address(addresses[0], name.secure_port)
        known.earlier = old
        self._index()
        _log.info("server address", extra={"server": name.key, "address": known.plain[0], "port": known.plain[1]})

    def _index(self) -> None:
        owners: dict[Remote, dict[str, None]] = {}
        for remotes in (_plain, _secure, _earlier):
            for key, known in self.known.items():
                for remote in () if known.name.stream else remotes(known):
                    owners.setdefault(remote, {})[key] = None
        self._owners = {remote: tuple(keys) for remote, keys in owners.items()}


def as_text(address: SocketAddress) -> str:
    """Return HOST:PORT for people."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(known: _Known) -> Iterable[Remote]:
    return () if known.plain is None else ((known.plain[0], known.plain[1]),)


def _secure(known: _Known) -> Iterable[Remote]:
    return () if known.secure is None else ((known.secure[0], known.secure[1]),)


def _earlier(known: _Known) -> Iterable[Remote]:
    return known.earlier


def _family(address: tuple[object, ...]) -> int:
    return socket.AF_INET if len(address) == 2 else socket.AF_INET6  # noqa: PLR2004  (an IPv4 socket address)


def _socket_address(found: tuple[object, ...], port: int) -> SocketAddress:
    if len(found) == 2:  # noqa: PLR2004  (an IPv4 socket address)
        return str(found[0]), port
    host, _, flow, scope = found
    return str(host), port, int(str(flow)), int(str(scope))
