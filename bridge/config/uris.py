"""URIs of servers, in the four schemes of CoAP."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.errors import ConfigurationError

COAP_PORT = 5683  # RFC 7252 §6.1
COAPS_PORT = 5684  # RFC 7252 §6.2
SCHEMES = {"coap": COAP_PORT, "coaps": COAPS_PORT, "coap+tcp": COAP_PORT, "coaps+tcp": COAPS_PORT}  # and RFC 8323 §8

_CURE = "write coap://host:port, coaps://, coap+tcp:// or coaps+tcp://, IPv6 addresses like coap://[2001:db8::1]:5683"


@dataclass(frozen=True, slots=True)
class ServerUri:
    """A server's URI, read. The host is in lower case, an IPv6 address in its shortest form."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        """Return whether messages go through sessions of DTLS or TLS."""
        return self.scheme.startswith("coaps")

    @property
    def stream(self) -> bool:
        """Return whether messages go through connections."""
        return self.scheme.endswith("+tcp")


def read_uri(uri: str) -> ServerUri:
    """Return the parsed URI. Raises ConfigurationError with the cure."""
    parts = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    scheme = "" if parts is None else parts[1].lower()
    if scheme not in SCHEMES:
        raise ConfigurationError(f"uri {uri!r} does not start with coap://; {_CURE}")
    try:
        split = urlsplit(uri)
        host, port = split.hostname, split.port
        if host is not None and ":" in host:
            host = str(ipaddress.IPv6Address(host))
    except ValueError as error:
        raise ConfigurationError(f"uri {uri!r} cannot be read ({error}); {_CURE}") from None
    if not host or port == 0 or split.path not in {"", "/"} or split.query or split.fragment or "@" in split.netloc:
        raise ConfigurationError(f"uri {uri!r} must consist of a host and a port; {_CURE}")
    return ServerUri(scheme, host, SCHEMES[scheme] if port is None else port)
