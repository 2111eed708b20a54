"""Where servers are: names resolved beside the data path, and whose datagram it is that arrives."""

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from bridge.north.contract import SocketAddress

_log = logging.getLogger("bridge.north")

INTERVAL = 300.0
"""Seconds between two looks at a name; a changed record is seen within that time."""

SOONEST = 10.0
"""Seconds, at least, between two looks that failures ask for."""

Remote = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ServerName:
    """A server as configured. `port` takes CoAP, `secure_port` DTLS (R26)."""

    key: str
    host: str
    port: int
    secure_port: int


@dataclass(slots=True)
class _Place:
    name: ServerName
    plain: SocketAddress | None = None
    secure: SocketAddress | None = None
    before: tuple[Remote, ...] = field(default=())


class Servers:
    """Addresses of all servers. `destination` and `server_of` are dictionary look-ups; the rest runs beside.

    A datagram from the address that a server had before its last change is still its own: an answer may be under way.
    """

    def __init__(
        self,
        names: Iterable[ServerName],
        changed: Callable[[str], None] | None = None,
    ) -> None:
        """`changed` is called with the key of a server that moved to another address, or got its first one."""
        self._places = {name.key: _Place(name) for name in names}
        self._remotes: dict[Remote, tuple[str, bool]] = {}
        self._families: Collection[int] = (socket.AF_INET, socket.AF_INET6)
        self._changed = changed
        self._asked = asyncio.Event()
        self._wanted: set[str] = set()

    def restrict(self, families: Collection[int]) -> None:
        """Use only addresses of these families: those that the transport can reach. Others are forgotten."""
        self._families = tuple(sorted(families))
        for place in self._places.values():
            if place.plain is not None and _family(place.plain) not in self._families:
                place.plain = place.secure = None
        self._index()

    def destination(self, key: str, *, secure: bool = False) -> SocketAddress | None:
        """Give where a server listens; None while its name cannot be resolved or for an unknown key."""
        place = self._places.get(key)
        if place is None:
            return None
        return place.secure if secure else place.plain

    def server_of(self, remote: SocketAddress) -> tuple[str, bool] | None:
        """Give (key, whether from its DTLS port) of the server with this address; None: a stranger."""
        return self._remotes.get((remote[0], remote[1]))

    def failed(self, key: str) -> None:
        """Say that a server does not answer: its name is looked up again soon."""
        if key in self._places:
            self._wanted.add(key)
            self._asked.set()

    async def resolve(self, keys: Iterable[str] | None = None) -> frozenset[str]:
        """Look up names now; gives the keys that have no address. Never raises: what went wrong is logged."""
        wanted = [self._places[key] for key in (self._places if keys is None else keys)]
        await asyncio.gather(*(self._look_up(place) for place in wanted))
        return frozenset(place.name.key for place in wanted if place.plain is None)

    async def watch(self, interval: float = INTERVAL, soonest: float = SOONEST) -> None:
        """Keep addresses fresh until cancelled: all of them every `interval` seconds, failed ones earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + interval
        while True:
            missing = any(place.plain is None for place in self._places.values())
            timeout = min(soonest, interval) if missing else max(0.0, due - loop.time())
            try:
                await asyncio.wait_for(self._asked.wait(), timeout)
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(soonest)
            self._asked.clear()
            if loop.time() >= due:
                keys = set(self._places)
                due = loop.time() + interval
            else:
                keys = self._wanted | {key for key, place in self._places.items() if place.plain is None}
            self._wanted = set()
            await self.resolve(keys)

    async def _look_up(self, place: _Place) -> None:
        name = place.name
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name.host, name.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            _log.warning(
                "server name cannot be resolved", extra={"server": name.key, "host": name.host, "why": str(error)}
            )
            return
        addresses = [info[4] for info in found if info[0] in self._families]
        addresses.sort(key=_family)  # IPv4 first, else as the resolver orders them
        if not addresses:
            _log.warning(
                "server has no address of a family that can be used; see [north] prefixes and source_address",
                extra={"server": name.key, "host": name.host},
            )
            return
        if place.plain in addresses:
            return  # still one of its addresses: stay, the server knows endpoints by the path they came
        old = tuple((a[0], a[1]) for a in (place.plain, place.secure) if a is not None)
        place.plain = _socket_address(addresses[0], name.port)
        place.secure = _socket_address(addresses[0], name.secure_port)
        place.before = old
        self._index()
        _log.info("server address", extra={"server": name.key, "address": place.plain[0], "port": place.plain[1]})
        if self._changed is not None:
            self._changed(name.key)

    def _index(self) -> None:
        remotes: dict[Remote, tuple[str, bool]] = {}
        for place in self._places.values():
            for remote, secure in zip(place.before, (False, True), strict=False):
                remotes.setdefault(remote, (place.name.key, secure))
        for place in self._places.values():
            for address, secure in ((place.secure, True), (place.plain, False)):
                if address is not None:
                    remotes[address[0], address[1]] = (place.name.key, secure)
        self._remotes = remotes


def _family(address: tuple[object, ...]) -> int:
    return socket.AF_INET if len(address) == 2 else socket.AF_INET6  # noqa: PLR2004  (an IPv4 socket address)


def _socket_address(found: tuple[object, ...], port: int) -> SocketAddress:
    if len(found) == 2:  # noqa: PLR2004  (an IPv4 socket address)
        return str(found[0]), port
    host, _, flow, scope = found
    return str(host), port, int(str(flow)), int(str(scope))
