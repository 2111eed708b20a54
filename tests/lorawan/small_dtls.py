"""Ends of a DTLS session whose every datagram has at most 51 bytes: Mbed TLS, and a ClientHello in fragments.

Mbed TLS fragments all of a handshake but the ClientHello, which it neither cuts nor joins; RFC 6347 §4.2.3 lets any
message of a handshake be fragmented, so here this is done around it. It does not begin before the first datagram.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from mbedtls import tls

SMALL = 51  # bytes: a LoRaWAN frame at EU868's data rates 0 to 2
IDENTITY, KEY = "i", bytes(range(16))
_RECORD, _MESSAGE = 13, 25  # bytes of headers: of a record, and of a record and a handshake message (RFC 6347 §4)
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_COOKIE = b"who asks"
_PATIENCE = {"handshake_timeout_min": 5.0, "handshake_timeout_max": 60.0}  # seconds of real time
_SUITE = ("TLS-PSK-WITH-AES-128-CCM-8",)


class SmallEnd(asyncio.DatagramProtocol):
    """One end, on a socket of its own. `peer` is where its datagrams go; a server learns it. `messages` came in."""

    def __init__(self, peer: tuple[str, int] | None = None) -> None:
        self.opened = False
        self.messages: list[bytes] = []
        self._peer, self._is_client = peer, peer is not None
        self._record_number = 0
        self._hello: dict[int, bytes] = {}
        if self._is_client:
            configuration = tls.DTLSConfiguration(ciphers=_SUITE, pre_shared_key=(IDENTITY, KEY), **_PATIENCE)
            self._tls = tls.ClientContext(configuration).wrap_buffers("")
        else:
            configuration = tls.DTLSConfiguration(ciphers=_SUITE, pre_shared_key_store={IDENTITY: KEY}, **_PATIENCE)
            self._tls = tls.ServerContext(configuration).wrap_buffers()
            self._tls.setcookieparam(_COOKIE)
        self._tls.setmtu(SMALL)

    def connection_made(self, transport: Any) -> None:
        self._socket = transport

    def begin(self) -> None:
        """Send the ClientHello, or what is due."""
        self._shake()
        self._flush()

    def expire(self) -> None:
        """Repeat a flight whose time is up; to be called now and then, since Mbed TLS has no timer of its own."""
        if not self.opened and self._peer is not None:
            self.begin()

    def send(self, message: bytes) -> None:
        self._tls.write(message)
        self._flush()

    def datagram_received(self, data: bytes, peer: Any) -> None:
        self._peer = peer
        for record in _records(data):
            whole = record if self._is_client else self._joined(record)
            if whole:
                self._tls.receive_from_network(whole)
                self._shake()
                self._read()
        self._flush()

    def _shake(self) -> None:
        for _ in range(2):  # Mbed TLS begins anew when it has asked for a cookie
            try:
                while self._tls._handshake_state.name != "HANDSHAKE_OVER":
                    self._tls.do_handshake()
            except (tls.WantReadError, tls.WantWriteError):
                return
            except tls.HelloVerifyRequest:
                self._tls.setcookieparam(_COOKIE)
            else:
                self.opened = True
                return

    def _read(self) -> None:
        try:
            while self.opened and (message := self._tls.read(1000)):
                self.messages.append(message)
        except tls.WantReadError:
            pass

    def _flush(self) -> None:
        """A client's datagrams have a record each, a server's have a whole flight."""
        data = self._tls.peek_outgoing(65536)
        self._tls.consume_outgoing(len(data))
        cut = [piece for record in _records(data) for piece in self._cut(record)]
        for datagram in cut if self._is_client else [data] * bool(data):
            self._socket.sendto(datagram, self._peer)

    def _cut(self, record: bytes) -> Iterator[bytes]:
        """Cut a record without protection that is too large; all such records are numbered anew."""
        if record[3:5] != b"\0\0":
            yield record
            return
        pieces = [record[_RECORD:]]
        if len(record) > SMALL:
            head, body = record[_RECORD:_MESSAGE], record[_MESSAGE:]
            room = SMALL - _MESSAGE
            starts = range(0, len(body), room)
            pieces = [head[:6] + _three(at) + _three(len(body[at : at + room])) + body[at : at + room] for at in starts]
        for piece in pieces:
            yield record[:5] + self._record_number.to_bytes(6, "big") + len(piece).to_bytes(2, "big") + piece
            self._record_number += 1

    def _joined(self, record: bytes) -> bytes:
        """Return a record, or that of a whole ClientHello with its last fragment; empty before."""
        is_hello = record[0] == _HANDSHAKE and record[3:5] == b"\0\0" and record[_RECORD] == _CLIENT_HELLO
        total, length = record[14:17], record[22:25]
        if not is_hello or total == length:
            return record
        self._hello[int.from_bytes(record[19:22], "big")] = record[_MESSAGE:]
        body = b"".join(self._hello[at] for at in sorted(self._hello))
        if len(body) < int.from_bytes(total, "big"):
            return b""
        self._hello.clear()
        message = record[_RECORD:19] + _three(0) + total + body
        return record[:11] + len(message).to_bytes(2, "big") + message


def _three(number: int) -> bytes:
    return number.to_bytes(3, "big")


def _records(data: bytes) -> Iterator[bytes]:
    while data:
        end = _RECORD + int.from_bytes(data[11:_RECORD], "big")
        yield data[:end]
        data = data[end:]
