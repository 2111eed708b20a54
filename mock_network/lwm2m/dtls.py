"""DTLS 1.2 for the emulators' sockets, by pyOpenSSL: a session for each peer, with a pre-shared key or certificates.

A client begins one with its first message to a peer; a server takes one with each ClientHello. Retransmissions follow
the system's clock, whatever the event loop's is, for OpenSSL reads it by itself; how long a certificate is valid is
judged by the clock of the emulator.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from OpenSSL import SSL

from mock_network.lwm2m.credentials import ClientCredentials, Proven, ServerCertificate
from mock_network.lwm2m.dtls_contexts import Alerted, Clock, Settings, client_context, proven_by, server_context
from mock_network.lwm2m.small_records import HEADER, SmallRecords, records_of

_log = logging.getLogger(__name__)

FIRST, LAST = 20, 63  # first bytes of records (RFC 9443 §2)
_MTU = 1200  # bytes of a datagram
_WAITING = 16  # messages that wait for a session, at most
_KEPT = 10  # failures
_READ = 20_000
_VERSION_AND_RANDOM = 34  # bytes with which a ClientHello begins
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _CLIENT_HELLO = 20, 22, 1  # RFC 5246 §6.2.1, §7.4

Peer = tuple[str, int]
Passed = Callable[[bytes, Peer], None]


class DtlsSessions(ABC):
    """The sessions of one socket. `send` sends a datagram, `arrived` takes a message, each with the peer."""

    _is_server: ClassVar = False

    def __init__(self, send: Passed, arrived: Passed) -> None:
        self._send = send
        self._arrived = arrived
        self._sessions: dict[Peer, _Session] = {}
        self.largest_record: int | None = None
        """Bytes of a record of the handshake, for sessions that begin from now on; None: as OpenSSL makes them."""
        self.patience = 0.0
        """Seconds after which this end repeats records of the handshake at the earliest; 0: when OpenSSL does.

        OpenSSL does so after a second, which is less than a flight in small records needs on the air, and also when it
        is given a part of the other end's flight.
        """
        self.failures: deque[str] = deque(maxlen=_KEPT)
        """Why the last handshakes failed, and messages that do not fit `largest_record`."""
        self._shaking: _Session | None = None  # whose handshake goes on in OpenSSL

    @abstractmethod
    def secures(self, peer: Peer) -> bool:
        """Return whether messages with a peer go through a session, and no others count."""

    @abstractmethod
    def _settings(self, peer: Peer) -> Settings | None:
        """Return what a session with a peer is made with; None: there can be none."""

    def identity_of(self, peer: Peer) -> Proven | None:
        """Return who a peer has proven to be; None without an open session."""
        session = self._sessions.get(peer)
        return session.proven if session is not None and session.open else None

    def clients(self) -> dict[Peer, tuple[Proven | None, float]]:
        """Return who is at the other end of each open session, by peer, and since when: seconds of the loop's clock."""
        return {peer: (session.proven, session.opened_at) for peer, session in self._sessions.items() if session.open}

    def send(self, message: bytes, peer: Peer) -> None:
        """Send a message, or let it wait for the handshake; where there can be no session, it is lost."""
        session = self._sessions.get(peer)
        if session is None:
            session = self._begin(peer)
            if session is None:
                return
            self._shake(session)
        if session.open:
            session.connection.send(message)
            self._flush(session)
        else:
            session.waiting.append(message)

    def receive(self, datagram: bytes, peer: Peer) -> None:
        """Take a datagram of records."""
        session = self._sessions.get(peer)
        if self._is_server and _is_client_hello(datagram):
            random = _random_of(datagram)
            if session is None or session.open or (random and session.hello not in (None, random)):
                self._end(session)
                session = self._begin(peer)
            if session is not None:
                session.hello = random or session.hello
        if session is None:
            return  # of a session that has ended
        session.connection.bio_write(datagram)
        if not session.open:
            self._shake(session)
        if session.open:
            self._read(session)

    def close(self) -> None:
        """Forget all sessions, without telling anybody."""
        for session in list(self._sessions.values()):
            self._end(session)

    # -- inside --------------------------------------------------------------------------------------------------

    def _begin(self, peer: Peer) -> "_Session | None":
        settings = self._settings(peer)
        if settings is None:
            return None
        connection = settings.connection(_MTU)
        if self._is_server:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        smaller = None if self.largest_record is None else SmallRecords(self.largest_record)
        session = self._sessions[peer] = _Session(peer, connection, smaller)
        return session

    def _shake(self, session: "_Session") -> None:
        self._shaking = session
        try:
            session.connection.do_handshake()
        except SSL.WantReadError:
            self._flush(session)
            self._wait(session)
            return
        except SSL.Error as error:
            _log.info("no DTLS session with %s: %s", session.peer, error)
            self.failures.append(_reason(error))
            self._flush(session)
            self._end(session)
            return
        finally:
            self._shaking = None
        session.open, session.opened_at = True, asyncio.get_running_loop().time()
        session.proven = proven_by(session.connection) or session.proven
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
            session.timer = asyncio.get_running_loop().call_later(max(due, self.patience), self._repeat, session)

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
        for record in records_of(data):
            if self.patience and session.repeats(record, asyncio.get_running_loop().time(), self.patience):
                continue
            for sent in [record] if session.smaller is None else session.smaller.of(record):
                self._warn_of_its_size(sent, session)
                self._send(sent, session.peer)

    def _warn_of_its_size(self, record: bytes, session: "_Session") -> None:
        """Say so if a record is larger than the network's messages: a protected record cannot be cut."""
        if session.smaller is None or len(record) <= session.smaller.largest:
            return
        why = (
            f"a message needs a record of {len(record)} bytes, which is more than the {session.smaller.largest} of "
            "--largest-record: if the network does not carry it, give the device and its server shorter names, leave "
            "out what Register can do without (--omit root --omit ver), let the device have smaller blocks "
            "(--block-size), or a larger data rate"
        )
        if why not in self.failures:  # each repetition of the message would say it again
            _log.warning("%s: %s", session.peer, why)
            self.failures.append(why)

    def _end(self, session: "_Session | None") -> None:
        if session is not None:
            session.stop()
            if self._sessions.get(session.peer) is session:
                del self._sessions[session.peer]


class ClientSessions(DtlsSessions):
    """Sessions that this end begins, by the credentials that `use` sets for a peer.

    `strict`: messages with peers for which nothing is set do not count, else they go without a session.
    """

    def __init__(self, send: Passed, arrived: Passed, alerted: Alerted, now: Clock, *, strict: bool) -> None:
        super().__init__(send, arrived)
        self._alerted, self._now, self._strict = alerted, now, strict
        self._credentials: dict[Peer, ClientCredentials | None] = {}
        self._made: dict[ClientCredentials, Settings] = {}

    def secures(self, peer: Peer) -> bool:
        """Return whether messages with a peer go through a session, and no others count."""
        return self._credentials[peer] is not None if peer in self._credentials else self._strict

    def changes(self, peer: Peer, credentials: ClientCredentials | None) -> bool:
        """Return whether `use` would end an open session with a peer."""
        return peer in self._sessions and self._credentials.get(peer) != credentials

    def use(self, peer: Peer, credentials: ClientCredentials | None) -> None:
        """Use a session by these credentials for a peer from now on, or, by None, none. ValueError: they are unfit."""
        if credentials is not None and credentials not in self._made:
            self._made[credentials] = client_context(credentials, self._alerted, self._now)
        if self.changes(peer, credentials):
            self._end(self._sessions[peer])
        self._credentials[peer] = credentials

    def _settings(self, peer: Peer) -> Settings | None:
        credentials = self._credentials.get(peer)
        return None if credentials is None else self._made[credentials]


class ServerSessions(DtlsSessions):
    """Sessions that clients begin: those of `keys`, by identity, and with `use_certificate` those with certificates."""

    _is_server = True

    def __init__(self, send: Passed, arrived: Passed, keys: Mapping[str, bytes], now: Clock) -> None:
        super().__init__(send, arrived)
        self._keys, self._now = keys, now
        self._made = self._make(None)

    def use_certificate(self, own: ServerCertificate) -> None:
        """Take clients with certificates, too, from now on; ValueError for one that cannot be read."""
        self._made = self._make(own)

    def secures(self, peer: Peer) -> bool:
        """Return whether messages with a peer go through a session, and no others count."""
        return peer in self._sessions

    def _make(self, own: ServerCertificate | None) -> Settings:
        return server_context(self._keys, own, self._shown, lambda _description: None, self._now)

    def _settings(self, _peer: Peer) -> Settings | None:
        return self._made

    def _shown(self, identity: str) -> None:
        if self._shaking is not None:
            self._shaking.proven = Proven(identity)


@dataclass(eq=False, slots=True)
class _Session:
    peer: Peer
    connection: SSL.Connection
    smaller: SmallRecords | None
    proven: Proven | None = None
    open: bool = False
    opened_at: float = 0.0
    hello: bytes | None = None
    """The random bytes of the client's ClientHello: with other ones, another client is there, or it has restarted."""
    timer: asyncio.TimerHandle | None = None
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=_WAITING))
    sent_at: dict[bytes, float] = field(default_factory=dict)
    """When each record of the handshake was sent, but for its version and number."""

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def repeats(self, record: bytes, now: float, within: float) -> bool:
        """Return whether a record of the handshake was sent less than `within` seconds ago; if not, it is sent now."""
        if record[0] not in {_CHANGE_CIPHER_SPEC, _HANDSHAKE}:
            return False
        plain = record[3:5] == b"\0\0"
        # Without the version, for a ClientHello that is repeated has another one. Each Finished is encrypted anew.
        key = record[:1] + record[3:5] + (record[11:] if plain else record[11:HEADER])
        if now - self.sent_at.get(key, -within) < within:
            return True
        self.sent_at[key] = now
        return False


def _reason(error: SSL.Error) -> str:
    """Return OpenSSL's words for what went wrong, the last of them first."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in reversed(entries)) or repr(error)


def _is_client_hello(datagram: bytes) -> bool:
    plain_handshake = len(datagram) > HEADER and datagram[0] == _HANDSHAKE and datagram[3:5] == b"\0\0"
    return plain_handshake and datagram[HEADER] == _CLIENT_HELLO


def _random_of(hello: bytes) -> bytes | None:
    """Return the random bytes of a ClientHello, which its repeats have, too; None: they are not in this part of it."""
    part = hello[HEADER + 6 : HEADER + 12]  # where it begins, and its length (RFC 6347 §4.2.2)
    is_there = part[:3] == bytes(3) and int.from_bytes(part[3:]) >= _VERSION_AND_RANDOM
    return hello[HEADER + 14 : HEADER + 46] if is_there else None
