"""DTLS 1.2 with pre-shared keys for the emulators' sockets, by pyOpenSSL: a session for each peer.

A client begins one with its first message to a peer; a server takes one with each ClientHello. Retransmissions follow
the system's clock, whatever the event loop's is, for OpenSSL reads it by itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

_log = logging.getLogger(__name__)
_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

FIRST, LAST = 20, 63  # first bytes of records (RFC 9443 §2)
_DTLS1_2 = 0xFEFD
_SUITES = b"PSK-AES128-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=0"
_MTU = 1200  # bytes of a datagram
_WAITING = 16  # messages that wait for a session, at most
_READ = 20_000
_CB_READ_ALERT = 0x4004  # SSL_CB_READ_ALERT
_CLOSE_NOTIFY = 0
_HANDSHAKE, _CLIENT_HELLO = 22, 1  # RFC 5246 §6.2.1, §7.4
_HEADER = 13  # bytes of a record's header (RFC 6347 §4.1)

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """A client's identity and key."""

    identity: str
    key: bytes = field(repr=False)


def key_from(words: Mapping[str, str]) -> PreSharedKey:
    """Return the key that the words identity and key (hexadecimal) name; ValueError."""
    try:
        found = PreSharedKey(str(words["identity"]), bytes.fromhex(words["key"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError("a pre-shared key needs identity, and key in hexadecimal") from None
    if not found.identity or "\0" in found.identity or not found.key:
        raise ValueError("a pre-shared key needs an identity without NUL, and a key")
    return found


class DtlsSessions:
    """The sessions of one socket. `send` sends a datagram, `arrived` takes a message, each with the peer.

    `own`: this end is a client, by this key; None: a server, to the clients of `keys`, by identity.
    """

    def __init__(
        self,
        send: Callable[[bytes, Peer], None],
        arrived: Callable[[bytes, Peer], None],
        own: PreSharedKey | None,
        keys: Mapping[str, bytes],
        on_alert: Callable[[int], None] = lambda _description: None,
    ) -> None:
        self._send = send
        self._arrived = arrived
        self._own = own
        self._keys = keys
        self._on_alert = on_alert
        self._sessions: dict[Peer, _Session] = {}
        self._asking: _Session | None = None  # whose identity OpenSSL asks about
        self._context = self._make_context()

    def secures(self, peer: Peer) -> bool:
        """Whether messages with a peer go through a session, and no others count."""
        return self._own is not None or peer in self._sessions

    def identity_of(self, peer: Peer) -> str | None:
        """Return who a peer has proven to be; None without an open session."""
        session = self._sessions.get(peer)
        return session.identity if session is not None and session.open else None

    def send(self, message: bytes, peer: Peer) -> None:
        """Send a message, or let it wait for the handshake."""
        session = self._sessions.get(peer)
        if session is None:
            session = self._begin(peer)
            self._shake(session)
        if session.open:
            session.connection.send(message)
            self._flush(session)
        else:
            session.waiting.append(message)

    def receive(self, datagram: bytes, peer: Peer) -> None:
        """Take a datagram of records."""
        session = self._sessions.get(peer)
        if self._own is None and _is_client_hello(datagram) and (session is None or session.open):
            self._end(session)
            session = self._begin(peer)
        if session is None:
            return  # of a session that has ended
        session.connection.bio_write(datagram)
        if not session.open:
            self._shake(session)
        if session.open:
            self._read(session)

    def close(self) -> None:
        """Let go of all sessions, in silence."""
        for session in list(self._sessions.values()):
            self._end(session)

    # -- inside --------------------------------------------------------------------------------------------------

    def _make_context(self) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS1_2)
        context.set_cipher_list(_SUITES)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_info_callback(self._informed)
        as_client = "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
        as_server = "unsigned int(SSL *, const char *, unsigned char *, unsigned int)"
        if self._own is None:
            self._callback = _ffi.callback(as_server, self._find)
            _lib.SSL_CTX_set_psk_server_callback(context._context, self._callback)  # noqa: SLF001 there is no other way
        else:
            self._callback = _ffi.callback(as_client, self._show)
            _lib.SSL_CTX_set_psk_client_callback(context._context, self._callback)  # noqa: SLF001 as above
        return context

    def _show(self, _ssl: Any, _hint: Any, identity: Any, room: int, key: Any, key_room: int) -> int:
        own = self._own
        if own is None or len(own.identity.encode()) >= room or len(own.key) > key_room:
            return 0
        shown = own.identity.encode() + b"\0"
        _ffi.memmove(identity, shown, len(shown))
        _ffi.memmove(key, own.key, len(own.key))
        return len(own.key)

    def _find(self, _ssl: Any, identity: Any, key: Any, key_room: int) -> int:
        shown = _ffi.string(identity).decode("utf-8", "replace")
        found = self._keys.get(shown, b"")
        if self._asking is not None:
            self._asking.identity = shown
        if len(found) > key_room:
            return 0
        _ffi.memmove(key, found, len(found))
        return len(found)

    def _informed(self, _connection: SSL.Connection, where: int, value: int) -> None:
        if where == _CB_READ_ALERT and value & 0xFF != _CLOSE_NOTIFY:
            self._on_alert(value & 0xFF)

    def _begin(self, peer: Peer) -> "_Session":
        connection = SSL.Connection(self._context, None)
        if self._own is None:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        connection.set_ciphertext_mtu(_MTU)
        session = self._sessions[peer] = _Session(peer, connection)
        return session

    def _shake(self, session: "_Session") -> None:
        self._asking = session
        try:
            session.connection.do_handshake()
        except SSL.WantReadError:
            self._flush(session)
            self._wait(session)
            return
        except SSL.Error as error:
            _log.info("no DTLS session with %s: %s", session.peer, error)
            self._flush(session)
            self._end(session)
            return
        finally:
            self._asking = None
        session.open = True
        session.stop()
        while session.waiting:
            session.connection.send(session.waiting.popleft())
        self._flush(session)

    def _read(self, session: "_Session") -> None:
        messages: list[bytes] = []
        try:
            while True:
                messages.append(session.connection.recv(_READ))
        except SSL.WantReadError:
            pass
        except SSL.Error as error:  # its end, in good order or not
            _log.info("the DTLS session with %s is over: %s", session.peer, error)
            self._end(session)
        self._flush(session)
        for message in messages:
            self._arrived(message, session.peer)

    def _wait(self, session: "_Session") -> None:
        session.stop()
        due = session.connection.DTLSv1_get_timeout()
        if due is not None:
            session.timer = asyncio.get_running_loop().call_later(due, self._repeat, session)

    def _repeat(self, session: "_Session") -> None:
        try:
            session.connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self._end(session)  # no answer: the next message begins another
            return
        self._flush(session)
        self._wait(session)

    def _flush(self, session: "_Session") -> None:
        data = b""
        try:
            while True:
                data += session.connection.bio_read(_READ)
        except SSL.Error:
            pass  # nothing more
        while data:
            end = _HEADER + int.from_bytes(data[11:_HEADER], "big")
            self._send(data[:end], session.peer)
            data = data[end:]

    def _end(self, session: "_Session | None") -> None:
        if session is not None:
            session.stop()
            if self._sessions.get(session.peer) is session:
                del self._sessions[session.peer]


@dataclass(eq=False, slots=True)
class _Session:
    peer: Peer
    connection: SSL.Connection
    identity: str | None = None
    open: bool = False
    timer: asyncio.TimerHandle | None = None
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=_WAITING))

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _is_client_hello(datagram: bytes) -> bool:
    plain_handshake = len(datagram) > _HEADER and datagram[0] == _HANDSHAKE and datagram[3:5] == b"\0\0"
    return plain_handshake and datagram[_HEADER] == _CLIENT_HELLO
