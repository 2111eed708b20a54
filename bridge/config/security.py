"""How endpoints and a server authenticate: the section [servers.NAME.security]."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.pem_files import refuse_token
from bindings.ranges import SpanOrZero
from bridge.errors import ConfigurationError
from bridge.north.identities import (
    CertificateFiles,
    DerivedKeys,
    KeySource,
    KeyTable,
    SharedKey,
    TokenKeys,
    check_key,
    read_token_uri,
)
from bridge.north.identities.files import read_pem
from bridge.north.identities.psk import SHORTEST_MASTER, check_template
from bridge.north.revocation.http import is_url
from bridge.north.sessions.gate import OpeningRate
from bridge.north.sessions.transport import LinkSettings
from bridge.tls.settings import CERTIFICATE_SUITES, DEFAULT_MTU, PSK_SUITES, SessionSettings, Suite, Trust

SMALLEST_MTU = 256  # bytes that handshakes of both libraries fit into

NONE = "none"  # mode without sessions, and a ca_bundle without authorities
_PACE = OpeningRate()
_PSK_ONLY = ("key", "key_table")
_CERTIFICATE_ONLY = (
    "certificate", "private_key", "ca_bundle", "certificate_name", "pinned", "revocation_lists",
)  # fmt: skip


class Security(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How endpoints authenticate to this server, and which certificates of the server they accept."""

    mode: Annotated[
        str,
        Meta(
            description="psk (pre-shared keys), certificate (X.509), or none for coap:// and coap+tcp://. Raw public "
            "keys are not offered by any library",
        ),
    ] = NONE
    identity: Annotated[
        str, Meta(description="psk: identity of an endpoint; {endpoint}, {network} and {device} are its names")
    ] = "{endpoint}"
    key_from: Annotated[
        Literal["shared", "derived", "pkcs11", "table"],
        Meta(
            description="psk: shared (key is that of all endpoints: for trials), derived (an endpoint's key is "
            "HMAC-SHA256 of its identity under key), pkcs11 (the same, computed by a token of PKCS #11, which has the "
            "key), table (a row for each in key_table)"
        ),
    ] = "derived"
    key: Annotated[
        str,
        Meta(
            description="psk: the key, or the master key, in hexadecimal; pkcs11: "
            "pkcs11:token=NAME;object=NAME?module-path=/path/of/library.so&pin-source=file:/path",
            extra={"secret": True},
        ),
    ] = ""
    key_table: Annotated[
        str,
        Meta(
            description="psk, table: CSV file that begins with the line endpoint,identity,key; keys in hexadecimal, an "
            "empty identity is made by the template. Read again when it changes"
        ),
    ] = ""
    certificate: Annotated[
        str,
        Meta(
            description="certificate: PEM file of an endpoint's certificate, and of those between it and its "
            "authority; {endpoint} as above, percent-encoded"
        ),
    ] = ""
    private_key: Annotated[
        str, Meta(description="certificate: PEM file of its key, without passphrase; empty: in the certificate's file")
    ] = ""
    ca_bundle: Annotated[
        str,
        Meta(
            description="certificate: PEM file of the authorities that may have signed the server's; empty: the "
            "system's; none: the pinned certificate needs no authority",
            extra={"file": True},
        ),
    ] = ""
    certificate_name: Annotated[
        str,
        Meta(
            description="certificate: DNS name or IP address that the server's must be for; empty: the host of uri; "
            "any: any name that the authority certified"
        ),
    ] = ""
    pinned: Annotated[
        list[str],
        Meta(description="certificate: SHA-256 of certificates, one of which the server's must be; hexadecimal"),
    ] = msgspec.field(default_factory=list)
    revocation_lists: Annotated[
        str,
        Meta(
            description="certificate: PEM file of revocation lists, one of each authority, which is read again "
            "each minute; empty: revocation is not checked",
            extra={"file": True},
        ),
    ] = ""
    revocation: Annotated[
        Literal["lists", "staple", "ocsp"],
        Meta(
            description="certificate: lists (revocation_lists, if given); staple (the server must bring along an "
            "OCSP response that its certificate is good; coaps+tcp:// alone); or ocsp (an OCSP responder is asked when "
            "a session opens, and nothing is sent before it has answered). Lists that are given count in any case"
        ),
    ] = "lists"
    ocsp_responder: Annotated[
        str,
        Meta(
            description="ocsp: URL of the responder that is asked about the server's certificate; empty: as the "
            "certificate says",
            examples=["http://ocsp.example.com"],
        ),
    ] = ""
    ocsp_unavailable: Annotated[
        Literal["refuse", "accept"],
        Meta(
            description="ocsp: what follows if no responder gives a valid answer: refuse (no session opens until one "
            "does) or accept (anybody who can block the responder can use a revoked certificate)"
        ),
    ] = "refuse"
    server_name: Annotated[
        str, Meta(description="name of the server that is asked for (SNI); empty: the host of uri, if it is a name")
    ] = ""
    suites: Annotated[
        list[Suite], Meta(description="cipher suites, the best first; empty: those that LwM2M demands")
    ] = msgspec.field(default_factory=list)
    dtls: Annotated[
        Literal["openssl", "mbedtls"],
        Meta(description="library for DTLS; mbedtls needs the extra [mbedtls], Python below 3.13"),
    ] = "openssl"
    mtu: Annotated[int, Meta(ge=SMALLEST_MTU, le=16384, description="largest datagram of a handshake, bytes")] = (
        DEFAULT_MTU
    )

    def __post_init__(self) -> None:
        if self.mode == "rpk":
            raise ValueError("mode rpk: no library that Python has offers raw public keys; use psk or certificate")
        if self.mode not in {NONE, "psk", "certificate"}:
            raise ValueError(f"mode {self.mode!r}: there are psk, certificate and none")
        others = {"psk": _CERTIFICATE_ONLY, "certificate": _PSK_ONLY, NONE: (*_PSK_ONLY, *_CERTIFICATE_ONLY)}
        for name in others[self.mode]:
            if getattr(self, name):
                raise ValueError(f"{name} has no effect with mode {self.mode}; remove it")
        for suite in self.suites:
            if suite.uses_psk is not (self.mode == "psk"):
                raise ValueError(f"suites: {suite.value} is not for mode {self.mode}")
        if self.mode == "psk":
            self._check_keys()
        elif self.mode == "certificate":
            if not self.certificate:
                raise ValueError("certificate: missing; name the PEM file of the endpoints' certificates")
            self.fingerprints()
            if self.ca_bundle == NONE and not self.pinned:
                raise ValueError('ca_bundle = "none" needs pinned: otherwise nothing proves who the server is')
        self._check_ocsp()
        refuse_token(self.private_key or self.certificate, "private_key")
        for template in (self.identity, self.certificate, self.private_key):
            check_template(template)

    def _check_ocsp(self) -> None:
        if self.revocation != "ocsp":
            for name, default in (("ocsp_responder", ""), ("ocsp_unavailable", "refuse")):
                if getattr(self, name) != default:
                    raise ValueError(f'{name} has no effect without revocation = "ocsp"; remove it')
        elif self.ocsp_responder and not is_url(self.ocsp_responder):
            raise ValueError(f"ocsp_responder {self.ocsp_responder[:200]!r} is not an http:// or https:// URL")

    def _check_keys(self) -> None:
        if self.key_from == "table":
            if not self.key_table or self.key:
                raise ValueError("key_from = table: give key_table, and no key")
        elif not self.key or self.key_table:
            raise ValueError(f"key_from = {self.key_from}: give key, in hexadecimal, and no key_table")

    def fingerprints(self) -> frozenset[bytes]:
        """Return `pinned` as bytes. Raises ConfigurationError."""
        found = set()
        for text in self.pinned:
            try:
                value = bytes.fromhex(text.replace(":", ""))
            except ValueError:
                value = b""
            if len(value) != 32:  # noqa: PLR2004  # bytes of SHA-256
                raise ConfigurationError(
                    f"pinned {text[:80]!r} is no SHA-256 of a certificate: openssl x509 -fingerprint -sha256 prints it"
                )
            found.add(value)
        return frozenset(found)

    def source(self, directory: Path) -> KeySource:
        """Return where credentials come from; relative paths start at `directory`. Raises ConfigurationError."""
        if self.mode == "certificate":
            return CertificateFiles(directory, self.certificate, self.private_key or self.certificate)
        if self.key_from == "table":
            return KeyTable(self.identity, directory / self.key_table)
        if self.key_from == "pkcs11":
            return TokenKeys(self.identity, read_token_uri(self.key))
        if self.key_from == "derived":
            return DerivedKeys(self.identity, check_key(self.key, "key", SHORTEST_MASTER))
        return SharedKey(self.identity, check_key(self.key, "key"))

    def session(self, directory: Path, host: str, *, stream: bool) -> SessionSettings:
        """Return the settings of sessions with the server at `host`. Raises ConfigurationError."""
        suites = tuple(self.suites) or (PSK_SUITES if self.mode == "psk" else CERTIFICATE_SUITES)
        name = self.server_name or ("" if _is_address(host) else host)
        trust = self._trust(directory, host) if self.mode == "certificate" else None
        if self.revocation == "ocsp" and (trust is None or trust.authorities is None):
            raise ConfigurationError("revocation = ocsp: needs mode certificate with a ca_bundle")
        if self.revocation == "staple" and not (stream and trust is not None and trust.authorities is not None):
            raise ConfigurationError("revocation = staple: needs coaps+tcp:// and mode certificate with a ca_bundle")
        return SessionSettings(suites, trust, name, stream, self.mtu)

    def lists(self, directory: Path) -> Callable[[], bytes] | None:
        """Return what reads the revocation lists as they are when it is called; None if there are none.

        The returned function raises ConfigurationError.
        """
        if not self.revocation_lists or self.mode != "certificate":
            return None
        return lambda: read_pem(directory / self.revocation_lists, "revocation_lists").encode()

    def _trust(self, directory: Path, host: str) -> Trust:
        def read(file: str, setting: str) -> bytes:
            return read_pem(directory / file, setting).encode() if file else b""

        name = "" if self.certificate_name == "any" else self.certificate_name or host
        if self.ca_bundle == NONE:
            return Trust(None, self.fingerprints())
        revoked = read(self.revocation_lists, "revocation_lists")
        return Trust(
            read(self.ca_bundle, "ca_bundle"),
            self.fingerprints(),
            name,
            revoked,
            self.revocation == "staple",
            self.revocation == "ocsp" or bool(self.revocation_lists),
        )


class Links(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """When sessions and connections with this server are opened and closed. Plain UDP has none."""

    openings_per_second: Annotated[
        float, Meta(gt=0, le=10_000, description="sessions or connections that are begun in a second, after a restart")
    ] = _PACE.per_second
    openings_at_once: Annotated[
        int, Meta(ge=1, le=10_000, description="of these, how many are under way at the same time")
    ] = _PACE.at_once
    idle_timeout: Annotated[
        SpanOrZero,
        Meta(
            description="seconds after which one that carries nothing is closed until there is something to send, so "
            "that the server cannot reach the endpoint meanwhile; 0: never"
        ),
    ] = 0.0

    def settings(self, *, identified: bool) -> LinkSettings:
        """Return it as the type of `bridge.north.sessions`."""
        return LinkSettings(OpeningRate(self.openings_per_second, self.openings_at_once), self.idle_timeout, identified)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()
