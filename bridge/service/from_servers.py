"""Passes each message of an LwM2M server to its endpoint, with the server's key."""

import logging
from asyncio import Future
from collections.abc import Callable
from functools import partial

from bridge.directory import Directory, EndpointRecord
from bridge.directory.keys import BySource
from bridge.errors import StoreUnavailable, UnknownDevice
from bridge.north.contract import Link, LinkState, NorthTransport
from bridge.relay import events as ev
from bridge.service.runner import Runner

log = logging.getLogger(__name__)


class FromServers:
    """The `bridge.north.contract.Receiver` of the service."""

    def __init__(
        self, runner: Runner, directory: Directory, north: NorthTransport, scheme: str, count: Callable[..., None]
    ) -> None:
        """`scheme` is the scheme of the transport's sources."""
        self._runner = runner
        self._north = north
        self._directory = directory
        self._scheme = scheme
        self._count = count

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Run a step of an endpoint with a server's message."""
        key = BySource(self._scheme, source)
        if len(servers) == 1:
            server = servers[0]
            self._runner.arrive(key, ev.ServerDatagram(server, message), partial(self._taken, source, server))
        else:
            self._of_several(key, servers, message)

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        """Log why an endpoint cannot reach a server, or that it can again; use a link that opened."""
        if link.state is LinkState.FAILING:
            self._count("endpoints_down")
        elif link.state is LinkState.OPEN and server is not None:
            self._opened(source, server, new_address=link.new_address)
        found = self._directory.find(BySource(self._scheme, source))
        found.add_done_callback(partial(_log_link, server, link))

    def _opened(self, source: int, server: str, *, new_address: bool) -> None:
        """Run a step of the endpoint; at a new address other messages go after what that step sends.

        Else a message that waited for a connection would leave before the Update by which the server knows whose it is.
        """
        if new_address:
            self._north.pause(source, server)

        def done(error: BaseException | None) -> None:
            if isinstance(error, StoreUnavailable):
                self._north.unrecorded(source, server)
            if new_address:
                self._north.proceed(source, server)

        self._runner.arrive(BySource(self._scheme, source), ev.LinkOpened(server, new_address), done)

    def _of_several(self, key: BySource, servers: tuple[str, ...], message: bytes) -> None:
        """Return the endpoint's own server, if several servers share the sender's address."""

        def found(endpoint: Future[EndpointRecord | None]) -> None:
            record = None if endpoint.cancelled() or endpoint.exception() is not None else endpoint.result()
            own = () if record is None else [server for server in record.servers if server in servers]
            server = own[0] if own else servers[0]
            self._runner.arrive(key, ev.ServerDatagram(server, message), partial(self._taken, key.source, server))

        self._directory.find(key).add_done_callback(found)

    def _taken(self, source: int, server: str, error: BaseException | None) -> None:
        if error is None:
            return
        self._north.unrecorded(source, server)
        if isinstance(error, UnknownDevice):
            self._count("north_without_endpoint")
            log.info("a message to an address that no endpoint has is dropped", extra={"sample": "nobody"})


def _log_link(server: str | None, link: Link, endpoint: Future[EndpointRecord | None]) -> None:
    record = None if endpoint.cancelled() or endpoint.exception() is not None else endpoint.result()
    if record is None:
        return
    toward = "its servers" if server is None else f"server {server}"
    if link.state is LinkState.FAILING:
        log.error("endpoint %s is down toward %s: %s", record.name, toward, link.reason, extra={"sample": "link"})
    elif link.reason:
        log.info("endpoint %s: %s toward %s: %s", record.name, link.state.value, toward, link.reason)
