"""Sessions on OpenSSL, through pyOpenSSL and the library that cryptography brings: DTLS and TLS.

OpenSSL reads the system's clock itself, for retransmissions and certificates: only this is
not passed in.
"""

from collections import OrderedDict
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL, crypto

from bridge.errors import ConfigurationError
from bridge.tls import alerts, psk, records, verification
from bridge.tls.contract import Alert, Cause, Failure, Phase, Resumption
from bridge.tls.credentials import CertificateKey, Credentials, PreSharedKey
from bridge.tls.settings import SessionSettings, Suite

_lib = Binding().lib

CONTEXTS = 64  # contexts that are kept: one for each server and chain of authorities of endpoints' certificates
_READ = 16 * 1024 + 512  # bytes: more than the largest record
_CB_ALERT = 0x4000  # SSL_CB_ALERT, SSL_CTX_set_info_callback(3)
_CB_READ = 0x04
_DTLS1_2 = 0xFEFD  # as versions stand in records (RFC 6347 §4.1)

_NAMES = {
    Suite.PSK_CCM_8: "PSK-AES128-CCM8",
    Suite.PSK_CBC: "PSK-AES128-CBC-SHA256",
    Suite.ECDSA_CCM_8: "ECDHE-ECDSA-AES128-CCM8",
    Suite.ECDSA_GCM: "ECDHE-ECDSA-AES128-GCM-SHA256",
    Suite.ECDSA_CBC: "ECDHE-ECDSA-AES128-SHA256",
}
_SUITES = {name: suite.value for suite, name in _NAMES.items()}


@dataclass(slots=True)
class _Notes:
    """What OpenSSL's callbacks record about one session.

    The notes have no reference to the session, to avoid a cycle.
    """

    alert: Alert | None = None
    refused: str = ""  # why the server's certificate is not accepted


class OpenSsl:
    """`bridge.tls.contract.Backend`. Equal settings and chains share one OpenSSL context."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[SessionSettings, bytes], SSL.Context] = OrderedDict()

    @property
    def name(self) -> str:
        return SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()

    def check(self, settings: SessionSettings) -> None:
        """Raise ConfigurationError for unusable files."""
        self._context(settings, b"")

    def client(
        self, settings: SessionSettings, credentials: Credentials, resume: Resumption | None = None
    ) -> "OpenSslSession":
        """Return a session whose first flight is `outgoing`. Raises ConfigurationError for unusable credentials."""
        own = certificates = None
        tail = b""
        if isinstance(credentials, CertificateKey):
            certificates = verification.certificates(credentials.chain, "certificate")
            own = certificates[0]
            tail = b"".join(crypto.dump_certificate(crypto.FILETYPE_PEM, _wrapped(one)) for one in certificates[1:])
        context = self._context(settings, tail)
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        if not settings.stream:
            connection.set_ciphertext_mtu(settings.mtu)
        if settings.server_name:
            connection.set_tlsext_host_name(settings.server_name.encode("idna"))
        if settings.trust is not None and settings.trust.name:
            verification.expect_name(connection, settings.trust.name)
        if settings.trust is not None and settings.trust.stapled:
            connection.request_ocsp()
        if isinstance(credentials, PreSharedKey):
            psk.set_key(connection, credentials)
        elif own is not None:
            _use_certificate(connection, own, credentials.key)
        if isinstance(resume, SSL.Session) and resume._context is context:  # noqa: SLF001  # else it raises ValueError
            connection.set_session(resume)
        return OpenSslSession(connection, settings)

    def _context(self, settings: SessionSettings, tail: bytes) -> SSL.Context:
        key = (settings, tail)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = _context(settings, tail)
            if len(self._contexts) > CONTEXTS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(key)
        return context


def _context(settings: SessionSettings, tail: bytes) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD if settings.stream else SSL.DTLS_CLIENT_METHOD)
    names = ":".join(_NAMES[suite] for suite in settings.suites)
    # OpenSSL counts suites with a tag of 8 bytes as weak; LwM2M demands them (Transport TS §5.2.8).
    context.set_cipher_list(f"{names}:@SECLEVEL=0".encode())
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_info_callback(_note_alert)
    if settings.stream:
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        if settings.trust is None:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)  # these suites are not in TLS 1.3
    else:
        context.set_min_proto_version(_DTLS1_2)
    if settings.trust is None:
        psk.offer(context)
    else:
        verification.prepare(context, settings.trust)
    for certificate in verification.certificates(tail, "certificate") if tail else ():
        context.add_extra_chain_cert(certificate)
    return context


def _wrapped(certificate: object) -> crypto.X509:
    return crypto.X509.from_cryptography(certificate)  # type: ignore[arg-type]


def _use_certificate(connection: SSL.Connection, certificate: object, key: bytes) -> None:
    private = verification.private_key(key)
    try:
        connection.use_certificate(certificate)  # type: ignore[arg-type]
        connection.use_privatekey(private)  # type: ignore[arg-type]
    except SSL.Error:
        raise ConfigurationError("private_key does not belong to certificate") from None


def _note_alert(connection: SSL.Connection, where: int, value: int) -> None:
    if where & _CB_ALERT and value & 0xFF != alerts.CLOSE_NOTIFY:
        connection.get_app_data().alert = Alert(value & 0xFF, received=bool(where & _CB_READ))


class OpenSslSession:
    """`bridge.tls.contract.Session`."""

    __slots__ = (
        "_connection",
        "_data",
        "_notes",
        "_shows",
        "_stream",
        "failure",
        "heard",
        "mtu",
        "phase",
        "proven",
        "suite",
    )

    def __init__(self, connection: SSL.Connection, settings: SessionSettings) -> None:
        self._connection = connection
        self._stream = settings.stream
        self._shows = settings.trust is not None and settings.trust.asked
        self._notes = _Notes()
        self._data = b""  # encrypted, not yet taken by `outgoing`
        self.mtu = settings.mtu
        self.phase = Phase.HANDSHAKE
        self.failure: Failure | None = None
        self.heard = False
        self.proven = False
        self.suite = ""
        connection.set_app_data(self._notes)
        self._shake()

    @property
    def alert(self) -> Alert | None:
        return self._notes.alert

    @property
    def resumed(self) -> bool:
        return self.phase is Phase.OPEN and bool(_lib.SSL_session_reused(self._connection._ssl))  # noqa: SLF001

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return verification.chain(self._connection) if self.phase is Phase.OPEN else ()

    def receive(self, data: bytes) -> list[bytes]:
        """Take one datagram, or bytes of a stream; return the messages in it."""
        if self.phase is Phase.OVER or not data:
            return []
        self._connection.bio_write(data)
        if self.phase is Phase.HANDSHAKE:
            before = self._connection.get_state_string()
            self._shake()
            self.heard = (
                self.heard or self.phase is not Phase.HANDSHAKE or (self._connection.get_state_string() != before)
            )
        return self._read() if self.phase is Phase.OPEN else []

    def send(self, message: bytes) -> None:
        """Encrypt one message, or a piece of a stream."""
        try:
            self._connection.send(message)
        except SSL.Error as error:
            self._fails(error)
        self._take()

    def outgoing(self) -> list[bytes]:
        """Return the bytes that must be sent now."""
        data, self._data = self._data, b""
        if not data:
            return []
        return [data] if self._stream else records.datagrams(data, self.mtu)

    def deadline(self) -> float | None:
        """Return the seconds until a flight must be sent again."""
        if self.phase is not Phase.HANDSHAKE or self._stream:
            return None
        return self._connection.DTLSv1_get_timeout()

    def expire(self) -> None:
        """Send a flight again, if it is due."""
        if self.phase is Phase.HANDSHAKE and not self._stream:
            try:
                self._connection.DTLSv1_handle_timeout()
            except SSL.Error as error:
                self._fails(error)
            self._take()

    def close(self) -> None:
        """Send close_notify, if the session is open."""
        if self.phase is Phase.OPEN:
            try:
                self._connection.shutdown()
            except SSL.Error as error:
                self._fails(error)
            self._take()
        self._over()

    def resumption(self) -> Resumption | None:
        """Return OpenSSL's session; None before it is open, or if its server's certificate must be shown each time."""
        return self._connection.get_session() if self.phase is Phase.OPEN and not self._shows else None

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._fails(error)
        else:
            self.phase = Phase.OPEN
            self.suite = _SUITES.get(self._connection.get_cipher_name() or "", self._connection.get_cipher_name() or "")
            psk.forget(self._connection)
        self._take()

    def _read(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while True:
                messages.append(self._connection.recv(_READ))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._over()
        except SSL.Error as error:
            self._fails(error)
        self._take()
        return messages

    def _take(self) -> None:
        """Move bytes to send from OpenSSL to `outgoing`."""
        try:
            while True:
                data = self._connection.bio_read(_READ)
                self._data += data
        except SSL.Error:
            pass  # nothing more
        if not self.proven and self._data and not self._stream:
            self.proven = records.CHANGE_CIPHER_SPEC in records.types(self._data)

    def _fails(self, error: SSL.Error) -> None:
        notes = self._notes
        if notes.refused:
            self.failure = Failure(Cause.CERTIFICATE, f"the server's certificate is not accepted: {notes.refused}")
        elif notes.alert is not None and notes.alert.received:
            self.failure = alerts.failure(notes.alert.description)
        else:
            self.failure = Failure(Cause.PROTOCOL, f"the session broke: {_reasons(error)}")
        self._over()

    def _over(self) -> None:
        self.phase = Phase.OVER
        psk.forget(self._connection)


def _reasons(error: SSL.Error) -> str:
    found = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in found) or repr(error)
