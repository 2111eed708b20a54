"""Settings of sessions: the same for all endpoints of a server, so that libraries can share contexts."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_MTU = 1200  # bytes of a datagram's payload that pass almost everywhere: IPv6's 1280 less headers and a tunnel's


class Suite(StrEnum):
    """Cipher suites that LwM2M names (Transport TS §5.2.8), by their IANA names."""

    PSK_CCM_8 = "TLS_PSK_WITH_AES_128_CCM_8"
    PSK_CBC = "TLS_PSK_WITH_AES_128_CBC_SHA256"
    ECDSA_CCM_8 = "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"
    ECDSA_GCM = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    ECDSA_CBC = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"

    @property
    def uses_psk(self) -> bool:
        return "_PSK_" in self.value


PSK_SUITES = (Suite.PSK_CCM_8, Suite.PSK_CBC)
CERTIFICATE_SUITES = (Suite.ECDSA_CCM_8, Suite.ECDSA_GCM)


@dataclass(frozen=True, slots=True)
class Trust:
    """Which server certificates are accepted.

    `authorities`: PEM of the accepted authorities; empty: the system's; None: a pinned certificate needs no other
    proof. `pinned`: SHA-256 of certificates in DER, one of which the server's must be; empty: any. `name`: DNS name or
    IP address that the certificate must be for; empty: any. `revoked`: certificate revocation lists, PEM, one for each
    authority of a chain; empty: no list is used. `stapled`: the server must send an OCSP response that says
    that its certificate is good. `asked`: the user of an OPEN session judges `Session.chain` by OCSP responders or
    newer lists before anything is sent; such sessions are never resumed, since a resumed one shows no certificate.
    """

    authorities: bytes | None = b""
    pinned: frozenset[bytes] = frozenset()
    name: str = ""
    revoked: bytes = b""
    stapled: bool = False
    asked: bool = False

    def __post_init__(self) -> None:
        if self.authorities is None and not self.pinned:
            raise ValueError("without an authority or a pinned certificate nothing proves the server's identity")


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of sessions with a server. `trust` is None with pre-shared keys.

    `stream`: TLS over a connection, else DTLS. `server_name`: sent as SNI (RFC 6066 §3); empty: none. `mtu`: largest
    datagram of a handshake, bytes.
    """

    suites: tuple[Suite, ...]
    trust: Trust | None = None
    server_name: str = ""
    stream: bool = False
    mtu: int = DEFAULT_MTU
