"""The settings of OpenSSL for the emulators' sessions: suites, keys, certificates, and how these are checked."""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from mock_network.lwm2m.credentials import DOMAIN_ISSUED, PreSharedKey, Proven, ServerByName, ServerCertificate

_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

_DTLS1_2 = 0xFEFD
_PSK_SUITES = b"PSK-AES128-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=0"
_CERTIFICATE_SUITES = b"ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0"
_CB_READ_ALERT = 0x4004  # SSL_CB_READ_ALERT
_CLOSE_NOTIFY = 0

Alerted = Callable[[int], None]
Clock = Callable[[], float | None]
"""Seconds since 1970; None: this end does not know the time."""


def client_context(credentials: PreSharedKey | ServerByName, alerted: Alerted, now: Clock) -> "Settings":
    """Return the settings of a client; ValueError for a certificate or key that cannot be read."""
    if isinstance(credentials, PreSharedKey):
        settings = Settings(_PSK_SUITES, alerted, now)
        settings.show_key(credentials)
        return settings
    settings = Settings(_CERTIFICATE_SUITES, alerted, now)
    own = credentials.own
    settings.show_certificate(own.certificate, own.key)
    settings.trust((own.server,))
    server = x509.load_der_x509_certificate(own.server)

    def judge(_connection: SSL.Connection, shown: crypto.X509, _error: int, depth: int, good: int) -> bool:
        if own.usage == DOMAIN_ISSUED:  # neither its authority nor its dates nor its name count (RFC 7671 §5.1)
            return depth > 0 or _read(shown) == server
        if now() is None:  # nobody knows whether it is valid yet, or still
            return False
        return bool(good) and (depth > 0 or is_for(_read(shown), credentials.name))

    settings.context.set_verify(SSL.VERIFY_PEER, judge)
    return settings


def server_context(
    keys: Mapping[str, bytes],
    own: ServerCertificate | None,
    shown: Callable[[str], None],
    alerted: Alerted,
    now: Clock,
) -> "Settings":
    """Return the settings of a server to the clients of `keys`, and to those with a certificate.

    `shown` is called with each PSK identity that a client shows. ValueError as above.
    """
    suites = _PSK_SUITES if own is None else _CERTIFICATE_SUITES.partition(b"@")[0] + _PSK_SUITES
    settings = Settings(suites, alerted, now)
    settings.find_keys(keys, shown)
    if own is not None:
        settings.show_certificate(own.certificate, own.key)
        settings.trust(own.authorities)
        settings.context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda _c, _x, _error, _depth, good: bool(good)
        )
    return settings


class Settings:
    """A context of OpenSSL, and what must live as long as it does. Make a session with `connection`."""

    def __init__(self, suites: bytes, alerted: Alerted, now: Clock) -> None:
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self._alerted, self._now = alerted, now
        self._callback: Any = None
        self.context.set_min_proto_version(_DTLS1_2)
        self.context.set_cipher_list(suites)
        self.context.set_options(SSL.OP_NO_QUERY_MTU)
        self.context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.context.set_info_callback(self._informed)

    def connection(self, mtu: int) -> SSL.Connection:
        """Return a new session whose datagrams have at most `mtu` bytes; certificates are checked as of now."""
        now, store = self._now(), self.context.get_cert_store()
        if now is not None and store is not None:
            store.set_time(datetime.fromtimestamp(now, UTC))
        connection = SSL.Connection(self.context, None)
        connection.set_ciphertext_mtu(mtu)
        return connection

    def show_certificate(self, certificate: bytes, key: bytes) -> None:
        """Have this end show a certificate; ValueError."""
        try:
            self.context.use_certificate(x509.load_der_x509_certificate(certificate))
            self.context.use_privatekey(load_der_private_key(key, None))  # type: ignore[arg-type]  # or it is refused
        except (SSL.Error, TypeError):
            raise ValueError("the private key is not that of the certificate") from None

    def trust(self, authorities: tuple[bytes, ...]) -> None:
        """Trust these certificates, of authorities or not; ValueError."""
        store = self.context.get_cert_store()
        if store is not None:
            for one in authorities:
                store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(one)))
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # an anchor may be an authority below a root

    def show_key(self, own: PreSharedKey) -> None:
        """Have this end be the client with a key."""
        shown = own.identity.encode() + b"\0"

        def show(_ssl: Any, _hint: Any, identity: Any, room: int, key: Any, key_room: int) -> int:
            if len(shown) > room or len(own.key) > key_room:
                return 0
            _ffi.memmove(identity, shown, len(shown))
            _ffi.memmove(key, own.key, len(own.key))
            return len(own.key)

        kind = "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
        self._callback = _ffi.callback(kind, show)
        _lib.SSL_CTX_set_psk_client_callback(self.context._context, self._callback)  # noqa: SLF001 there is no other way

    def find_keys(self, keys: Mapping[str, bytes], shown: Callable[[str], None]) -> None:
        """Have this end be the server to clients with a key."""

        def find(_ssl: Any, identity: Any, key: Any, key_room: int) -> int:
            name = _ffi.string(identity).decode("utf-8", "replace")
            shown(name)
            found = keys.get(name, b"")
            if len(found) > key_room:
                return 0
            _ffi.memmove(key, found, len(found))
            return len(found)

        kind = "unsigned int(SSL *, const char *, unsigned char *, unsigned int)"
        self._callback = _ffi.callback(kind, find)
        _lib.SSL_CTX_set_psk_server_callback(self.context._context, self._callback)  # noqa: SLF001 as above

    def _informed(self, _connection: SSL.Connection, where: int, value: int) -> None:
        if where == _CB_READ_ALERT and value & 0xFF != _CLOSE_NOTIFY:
            self._alerted(value & 0xFF)


def proven_by(connection: SSL.Connection) -> Proven | None:
    """Return who a client of an open session is by its certificate; None if it showed none."""
    shown = connection.get_peer_certificate()
    certificate = None if shown is None else _read(shown)
    if certificate is None:
        return None
    return Proven(_common_name(certificate.subject), _common_name(certificate.issuer))


def is_for(certificate: x509.Certificate | None, name: str) -> bool:
    """Return whether a certificate is for a DNS name or an IP address: one of its alternative names, without `*`."""
    if certificate is None:
        return False
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return name.lower() in {one.lower() for one in names.get_values_for_type(x509.DNSName)}


def _read(shown: crypto.X509) -> x509.Certificate | None:
    try:
        return shown.to_cryptography()
    except ValueError:
        return None


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
