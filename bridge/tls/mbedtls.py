"""Sessions on Mbed TLS, through python-mbedtls: DTLS alone. An extra, since its authors no longer maintain it.

Mbed TLS reads the system's clock itself. Mbed TLS does not say when a flight is due, so it is called every POLL
seconds.
"""

from hashlib import sha256
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate
from mbedtls import pk, tls, version, x509
from mbedtls.exceptions import TLSError

from bridge.errors import ConfigurationError
from bridge.tls import alerts, records, verification
from bridge.tls.contract import Alert, Cause, Failure, Phase, Resumption
from bridge.tls.credentials import CertificateKey, Credentials, PreSharedKey
from bridge.tls.settings import SessionSettings, Suite, Trust

POLL = 0.25  # seconds between two checks whether a flight must be sent again
LONGEST_KEY = 32  # bytes of a pre-shared key (MBEDTLS_PSK_MAX_LEN)
_ROOM = 32 * 1024  # bytes, of the library's buffers
_DONE = "HANDSHAKE_OVER"
_ALERT_RECORD = 15  # bytes of a record with a plain alert
_PLAIN_ALERT = b"\x15\xfe\xfd"  # content type and version of its record
_FATAL = 2  # level of an alert
_CLOSED, _FATAL_ALERT = "0x7880", "0x7780"  # MBEDTLS_ERR_…, in the text of errors
_NOT_ACCEPTED = ("0x2700", "0x7A00")  # the same, of a certificate

_NAMES = {
    Suite.PSK_CCM_8: "TLS-PSK-WITH-AES-128-CCM-8",
    Suite.PSK_CBC: "TLS-PSK-WITH-AES-128-CBC-SHA256",
    Suite.ECDSA_CCM_8: "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8",
    Suite.ECDSA_GCM: "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    Suite.ECDSA_CBC: "TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256",
}
_SUITES = {name: suite.value for suite, name in _NAMES.items()}


class MbedTls:
    """`bridge.tls.contract.Backend`."""

    @property
    def name(self) -> str:
        return str(version.version)

    def check(self, settings: SessionSettings) -> None:
        """Raise ConfigurationError for what python-mbedtls does not offer."""
        cure = 'use dtls = "openssl"'
        if settings.stream:
            raise ConfigurationError(f"Mbed TLS is used for DTLS alone; {cure}")
        trust = settings.trust
        if trust is None:
            return
        if trust.revoked:
            raise ConfigurationError(f"Mbed TLS does not check revocation_lists; {cure}")
        if trust.asked:
            raise ConfigurationError(f"Mbed TLS does not show certificates, which revocation = ocsp needs; {cure}")
        if trust.name and trust.authorities is not None:
            if _is_address(trust.name):
                raise ConfigurationError(f"Mbed TLS cannot compare an IP address with a certificate; {cure}")
            if settings.server_name not in {"", trust.name}:
                raise ConfigurationError(
                    f"Mbed TLS has one name for server_name and certificate_name; make them equal, or {cure}"
                )
        if trust.authorities:
            verification.certificates(trust.authorities, "ca_bundle")

    def client(
        self,
        settings: SessionSettings,
        credentials: Credentials,
        resume: Resumption | None = None,  # noqa: ARG002
    ) -> "MbedTlsSession":
        """Return a session whose first flight is `outgoing`; none is ever resumed. Raises ConfigurationError."""
        trust = settings.trust
        checks = trust is not None and trust.authorities is not None
        configuration = tls.DTLSConfiguration(
            ciphers=tuple(_NAMES[suite] for suite in settings.suites),
            lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
            validate_certificates=checks,
            trust_store=_store(trust) if trust is not None and checks else None,
            pre_shared_key=_psk(credentials) if isinstance(credentials, PreSharedKey) else None,
            certificate_chain=_chain(credentials) if isinstance(credentials, CertificateKey) else None,
        )
        name = (trust.name if trust is not None and checks else "") or settings.server_name
        buffer = tls.ClientContext(configuration).wrap_buffers(name or None)
        buffer.setmtu(settings.mtu)
        return MbedTlsSession(buffer, settings)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _store(trust: Trust) -> tls.TrustStore:
    if not trust.authorities:
        return tls.TrustStore.system()
    found = verification.certificates(trust.authorities, "ca_bundle")
    return tls.TrustStore([x509.CRT.from_DER(one.public_bytes(Encoding.DER)) for one in found])


def _psk(credentials: PreSharedKey) -> tuple[str, bytes]:
    if len(credentials.key) > LONGEST_KEY:
        raise ConfigurationError(f'Mbed TLS accepts keys of at most {LONGEST_KEY} bytes; use dtls = "openssl"')
    try:
        return credentials.identity.decode(), credentials.key
    except UnicodeDecodeError:
        raise ConfigurationError('Mbed TLS accepts only identities in UTF-8; use dtls = "openssl"') from None


def _chain(credentials: CertificateKey) -> tuple[tuple[x509.CRT, ...], pk.ECC]:
    found = verification.certificates(credentials.chain, "certificate")
    key = verification.private_key(credentials.key)
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != found[0].public_key():
        raise ConfigurationError("private_key does not belong to certificate, or is not an elliptic-curve key")
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return tuple(x509.CRT.from_DER(one.public_bytes(Encoding.DER)) for one in found), pk.ECC.from_DER(der)


class MbedTlsSession:
    """`bridge.tls.contract.Session`."""

    def __init__(self, buffer: tls.TLSWrappedBuffer, settings: SessionSettings) -> None:
        self._buffer = buffer
        self._settings = settings
        self._data = b""  # encrypted, not yet taken by `outgoing`
        self.phase = Phase.HANDSHAKE
        self.failure: Failure | None = None
        self.alert: Alert | None = None
        self.heard = False
        self.proven = False
        self.suite = ""
        self.resumed = False
        self._shake()

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """Return nothing: python-mbedtls shows no certificates."""
        return ()

    def receive(self, data: bytes) -> list[bytes]:
        """Take one datagram; return the messages in it."""
        messages: list[bytes] = []
        if len(data) <= _ROOM:
            for record in records.split(data):  # the library reads the rest of a datagram only when the next one comes
                messages += self._receive(record)
        return messages

    def _receive(self, data: bytes) -> list[bytes]:
        if self.phase is Phase.OVER:
            return []
        self._note_alert(data, received=True)
        self._buffer.receive_from_network(data)
        if self.phase is Phase.HANDSHAKE:
            before = self._step()
            self._shake()
            self.heard = self.heard or self._step() != before
        return self._read() if self.phase is Phase.OPEN else []

    def send(self, message: bytes) -> None:
        """Encrypt one message."""
        try:
            self._buffer.write(message)
        except TLSError as error:
            self._fails(error)
        self._take()

    def outgoing(self) -> list[bytes]:
        """Return the datagrams that must be sent now."""
        data, self._data = self._data, b""
        return records.datagrams(data, self._settings.mtu)

    def deadline(self) -> float | None:
        """Return POLL while the handshake lasts."""
        return POLL if self.phase is Phase.HANDSHAKE else None

    def expire(self) -> None:
        """Let the library check whether a flight must be sent again."""
        if self.phase is Phase.HANDSHAKE:
            self._shake()

    def close(self) -> None:
        """Send close_notify, if the session is open."""
        if self.phase is Phase.OPEN:
            try:
                self._buffer.shutdown()
            except TLSError as error:
                self._fails(error)
            self._take()
        self.phase = Phase.OVER

    def resumption(self) -> Resumption | None:
        """Return None: python-mbedtls resumes nothing."""
        return None

    def _shake(self) -> None:
        try:
            while self._step() != _DONE:
                self._buffer.do_handshake()
        except (tls.WantReadError, tls.WantWriteError):
            pass
        except TLSError as error:
            self._fails(error)
        else:
            self._opened()
        self._take()

    def _step(self) -> str:
        return self._buffer._handshake_state.name  # noqa: SLF001  # there is no public way

    def _opened(self) -> None:
        pinned = self._settings.trust.pinned if self._settings.trust is not None else None
        if pinned and sha256(self._buffer.getpeercert(binary_form=True)).digest() not in pinned:
            self._refuse("it is not one of the pinned certificates")
            return
        name = str(self._buffer.cipher())
        self.suite = _SUITES.get(name, name)
        self._buffer.setmtu(0)  # a message is one record, whatever its size
        self.phase = Phase.OPEN

    def _read(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while message := self._buffer.read(_ROOM):
                messages.append(message)
        except (tls.WantReadError, tls.WantWriteError):
            pass
        except TLSError as error:
            self._fails(error)
        self._take()
        return messages

    def _take(self) -> None:
        """Move bytes to send from the library to `outgoing`."""
        data = self._buffer.peek_outgoing(_ROOM)
        if data:
            self._buffer.consume_outgoing(len(data))
            self._note_alert(data, received=False)
            self._data += data
            self.proven = self.proven or records.CHANGE_CIPHER_SPEC in records.types(data)

    def _note_alert(self, data: bytes, *, received: bool) -> None:
        """Read an unencrypted alert; the library does not report alerts."""
        at = data.rfind(_PLAIN_ALERT)
        if at >= 0 and len(data) == at + _ALERT_RECORD and data[at + 3 : at + 5] == b"\x00\x00" and data[-2] == _FATAL:
            self.alert = Alert(data[-1], received)

    def _fails(self, error: TLSError) -> None:
        text = str(error)
        if _CLOSED in text:
            self.phase = Phase.OVER
        elif any(code in text for code in _NOT_ACCEPTED):
            self._refuse('python-mbedtls does not say why; dtls = "openssl" does')
        elif _FATAL_ALERT in text and self.alert is not None and self.alert.received:
            self._ends(alerts.failure(self.alert.description))
        elif _FATAL_ALERT in text:
            self._ends(Failure(Cause.CUT_OFF, "the server ended the session by an alert"))
        else:
            self._ends(Failure(Cause.PROTOCOL, f"the session broke: {text}"))

    def _refuse(self, why: str) -> None:
        self._ends(Failure(Cause.CERTIFICATE, f"the server's certificate is not accepted: {why}"))

    def _ends(self, failure: Failure) -> None:
        self.failure = failure
        self.phase = Phase.OVER
