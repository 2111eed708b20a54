"""The HTTP server that networks post to: little code between the socket and the site, and limits for callers.

With aiohttp's server a notification would cost about three times as much processor time, most of it in
the server (docs/decisions/http.md).
"""

import asyncio
import contextlib
import errno
import os
import ssl
from dataclasses import dataclass

from bindings.http.connection import BUFFER, Application, Connection, SharedState
from bindings.http.handshakes import Handshakes
from bindings.http.messages import Writer

BACKLOG = 1024  # connections that wait to be accepted
SWEEP = 0.25  # part of the patience that passes between two checks for slow callers
STOP_PATIENCE = 10.0  # seconds that a stop waits for running requests


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for callers. `idle` is longer than clients keep a connection, so that the clients close it."""

    max_body: int  # bytes
    connections: int = 1024  # at the same time; a network keeps a few dozen
    patience: float = 20.0  # seconds for TLS, for the head of a request, for its body, and to read its answers
    idle: float = 3600.0  # seconds between two requests


class HttpServer:
    """Serves one site. `start` listens, `stop` answers running requests."""

    def __init__(self, site: Application, limits: Limits) -> None:
        self._limits = limits
        self._site = site
        self._runs = False
        self._server: asyncio.Server | None = None
        self._handshakes: Handshakes | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None  # at stop: set with the last connection gone
        self.connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}  # connections without an accepted request, in order of arrival

    async def start(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Listen. Raises OSError."""
        loop = self._loop = asyncio.get_running_loop()
        self._secure(context)
        self._shared = SharedState(
            self._site,
            self._limits.max_body,
            self._limits.patience,
            loop.time,
            self._arrived,
            self._known,
            self._left,
            bytearray(BUFFER),
            Writer(),
        )
        self._runs = True
        await self.listen(host, port)
        self._sweep()

    async def listen(self, host: str, port: int) -> None:
        """Open the socket again after `close_socket`. Raises OSError."""
        self._server = await self._loop.create_server(self._accept, host, port, backlog=BACKLOG, reuse_address=True)
        if not self._server.sockets:  # asyncio skips a socket that it cannot make
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def close_socket(self) -> None:
        """Close the socket, so that another server can have its port. Connections that are there are served on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def change(self, limits: Limits, context: ssl.SSLContext | None) -> None:
        """Hold callers to other limits, and speak TLS by another context, or none, with those who connect from now on.

        The socket stays open, and connections that are there stay as they are.
        """
        self._limits = limits
        self._shared.max_body, self._shared.patience = limits.max_body, limits.patience
        self._secure(context)

    @property
    def address(self) -> tuple[str, int] | None:
        """Return the server's address while it listens; else None."""
        if self._server is None:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def stop(self) -> None:
        """Accept nothing more, answer running requests, close."""
        if not self._runs:
            return
        self._runs = False
        server = self._server
        self.close_socket()
        if self._handshakes is not None:
            self._handshakes.stop()
        self._shared.stopping = True
        for connection in list(self.connections):
            if not connection.has_asked:
                connection.close()
        if self.connections:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), STOP_PATIENCE)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if server is not None:
            await server.wait_closed()

    def _secure(self, context: ssl.SSLContext | None) -> None:
        self._handshakes = None
        if context is not None:
            _report_failures(context, self._site)
            self._handshakes = Handshakes(
                context, self._limits.patience, self._connection, self._site.connection_refused
            )

    def _accept(self) -> asyncio.BaseProtocol:
        return self._connection() if self._handshakes is None else self._handshakes.accept()

    def _connection(self) -> Connection:
        return Connection(self._shared)

    def _arrived(self, connection: Connection) -> bool:
        """Accept a connection; beyond the limit, close one without an accepted request (protects against floods)."""
        if len(self.connections) >= self._limits.connections:
            one = next(iter(self._strangers), None)
            if one is not None and not one.idle:
                self._site.connection_refused("too_many", one.remote)
            if one is None:
                one = min((one for one in self.connections if one.idle), key=lambda one: one.since, default=None)
            if one is None:
                return False
            self._drop(one)
        self.connections.add(connection)
        self._strangers[connection] = None
        return True

    def _known(self, connection: Connection) -> None:
        self._strangers.pop(connection, None)

    def _left(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._strangers.pop(connection, None)
        if self._empty is not None and not self.connections:
            self._empty.set()

    def _drop(self, connection: Connection) -> None:
        self._left(connection)
        connection.close()

    def _sweep(self) -> None:
        """End connections whose callers take too long over a request, or no longer need them."""
        now = self._loop.time()
        for connection in list(self.connections):
            if connection.due is not None and connection.due <= now:
                connection.overdue()
            elif connection.idle and connection.since + self._limits.idle <= now:
                self._drop(connection)
        self._sweeper = self._loop.call_later(SWEEP * self._limits.patience, self._sweep)


def _report_failures(context: ssl.SSLContext, site: Application) -> None:
    """Report failed handshakes: asyncio drops them in silence, and nobody would know why nothing arrives."""

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                site.connection_refused("no_tls", f"a caller whose TLS fails, {error.reason or error}:")
                raise

    context.sslobject_class = Handshake
