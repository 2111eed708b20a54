"""What stands in front of an emulated SCEF or server and speaks TLS or DTLS for it: bytes pass through unchanged."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.north.session_servers import DtlsServer
from tests.tls.peers import OpenSslPeer, Wants
from tests.tls.pki import Authority, Issued


class Pipe:
    """Another address of a server."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await _join(reader, writer, self._upstream)


class TlsFront(Pipe):
    """Takes TLS connections whose client certificate an authority issued, and passes them on to an address."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(upstream)
        self._context: ssl.SSLContext | None = None
        self.clients: list[str] = []  # common names of those who connected, in order
        self.refused: list[str] = []  # why handshakes failed

    def show(self, own: Issued, clients: Authority) -> None:
        """Show this certificate, and trust this authority, to whoever connects from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "own.pem"
            file.write_bytes(own.pem + own.key_pem)
            context.load_cert_chain(file)
        context.load_verify_locations(cadata=clients.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._context is not None
        try:
            await writer.start_tls(self._context)
        except (OSError, EOFError) as error:
            self.refused.append(repr(error))
            writer.close()
            return
        ((_, common),) = writer.get_extra_info("peercert")["subject"][-1]
        self.clients.append(common)
        await super()._serve(reader, writer)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):
        theirs, ours = await asyncio.open_connection(*upstream)
        await asyncio.gather(_pass(reader, ours), _pass(theirs, writer))
    writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


class DtlsFront(DtlsServer):
    """Takes DTLS sessions, and passes what comes on from one UDP address per identity, as servers tell clients."""

    def __init__(self, wants: Wants, upstream: tuple[str, int]) -> None:
        super().__init__(wants)
        self._upstream = upstream
        self._sockets: dict[Any, socket.socket] = {}
        self.ciphers: list[str | None] = []  # of sessions, in order
        self.latest: Any = None  # who sent the latest message

    async def __aenter__(self) -> Self:
        await self.start()
        self._passing = asyncio.create_task(self._pass())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._passing.cancel()
        for one in self._sockets.values():
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        await self.stop()

    def _of(self, who: Any) -> tuple[tuple[str, int], OpenSslPeer]:
        return next(
            (at, peer) for at, peer in reversed(self.peers.items()) if peer.opened and who in (peer.identity, at)
        )

    async def _pass(self) -> None:
        while True:
            who, message = await self.receive()
            self.latest = who
            if self.handshakes > len(self.ciphers):
                self.ciphers.append(self._of(who)[1].connection.get_cipher_name())
            if who not in self._sockets:
                self._sockets[who] = self._socket(who)
            self._sockets[who].send(message)

    def _socket(self, who: Any) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.connect(self._upstream)
        asyncio.get_running_loop().add_reader(made, self._answer, who, made)
        return made

    def _answer(self, who: Any, made: socket.socket) -> None:
        with contextlib.suppress(OSError, StopIteration):  # a datagram may be lost
            at, peer = self._of(who)
            peer.send(made.recv(4096))
            self._flush(at, peer)
