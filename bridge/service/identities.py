"""Credentials of endpoints toward their servers, found by the source number that the transport knows."""

import asyncio
from asyncio import Future
from collections.abc import Mapping
from functools import partial

from bridge.directory import Directory, EndpointRecord
from bridge.directory.keys import BySource
from bridge.errors import BridgeError, NorthUnavailable
from bridge.north.identities import EndpointNames, KeySource
from bridge.tls.credentials import Credentials


class Identities:
    """`of` implements `bridge.north.sessions.transport.Identify`."""

    def __init__(self, directory: Directory, scheme: str, sources: Mapping[str, KeySource]) -> None:
        """`sources`: by server; it may change."""
        self._directory = directory
        self._scheme = scheme
        self._sources = sources

    def of(self, source: int, server: str) -> Future[Credentials]:
        """Return a future of an endpoint's credentials toward a server; it raises BridgeError with the cure."""
        wanted: Future[Credentials] = asyncio.get_running_loop().create_future()
        found = self._directory.find(BySource(self._scheme, source))
        found.add_done_callback(partial(self._found, wanted, server))
        return wanted

    def _found(self, wanted: Future[Credentials], server: str, found: Future[EndpointRecord | None]) -> None:
        if wanted.done():
            return
        try:
            record = found.result()
            if record is None:
                raise NorthUnavailable("the endpoint is no longer in the directory")
            who = EndpointNames(record.name, record.network, record.device)
            wanted.set_result(self._sources[server].credentials(who))
        except BridgeError as error:
            wanted.set_exception(error)
