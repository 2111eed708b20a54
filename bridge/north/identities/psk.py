"""Pre-shared keys by a rule: one for all, or derived from a master key and the endpoint's identity."""

import hmac
from string import Formatter

from bridge.errors import ConfigurationError
from bridge.north.identities.contract import EndpointNames
from bridge.tls.credentials import MAX_IDENTITY, MAX_KEY, PreSharedKey

SHORTEST_KEY = 8  # bytes; anything shorter can be guessed
SHORTEST_MASTER = 16  # bytes
FIELDS = ("endpoint", "network", "device")


def check_template(template: str) -> str:
    """Return a valid template for identities or paths. Raises ConfigurationError."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"{template!r} is not a valid template: {error}") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in FIELDS or spec or conversion):
            raise ConfigurationError(f"{template!r} has the field {name!r}; there are {', '.join(FIELDS)}, as they are")
    return template


def fill(template: str, who: EndpointNames) -> str:
    """Return a template with an endpoint's names in it."""
    return template.format_map({"endpoint": who.endpoint, "network": who.network, "device": who.device})


def identity_of(template: str, who: EndpointNames) -> bytes:
    """Return the PSK identity of an endpoint. Raises ConfigurationError if it cannot be one."""
    identity = fill(template, who).encode()
    if not 0 < len(identity) <= MAX_IDENTITY or b"\0" in identity:
        raise ConfigurationError(
            f"the PSK identity {identity[:40].decode('utf-8', 'replace')!r} of endpoint {who.endpoint!r} is empty or "
            f"longer than {MAX_IDENTITY} bytes; see identity"
        )
    return identity


def check_key(text: str, setting: str, shortest: int = SHORTEST_KEY) -> bytes:
    """Return the bytes of a hexadecimal key. Raises ConfigurationError, which never shows it."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ConfigurationError(f"{setting} is not in hexadecimal, like 000102030405060708090a0b0c0d0e0f") from None
    if not shortest <= len(key) <= MAX_KEY:
        raise ConfigurationError(f"{setting} has {len(key)} bytes; it must have {shortest} to {MAX_KEY}")
    return key


class SharedKey:
    """`KeySource`: the same key for all endpoints. For trials: whoever has the key can act as any endpoint."""

    def __init__(self, identity: str, key: bytes) -> None:
        self._identity = check_template(identity)
        self._key = key

    def credentials(self, who: EndpointNames) -> PreSharedKey:
        """Return the endpoint's identity, and the key."""
        return PreSharedKey(identity_of(self._identity, who), self._key)

    def check(self) -> None:
        """Do nothing: nothing can be wrong."""


class DerivedKeys:
    """`KeySource`: an endpoint's key is HMAC-SHA256 of its identity under a master key, all 32 bytes."""

    def __init__(self, identity: str, master: bytes) -> None:
        self._identity = check_template(identity)
        self._master = master

    def credentials(self, who: EndpointNames) -> PreSharedKey:
        """Return the endpoint's identity, and its key."""
        identity = identity_of(self._identity, who)
        return PreSharedKey(identity, hmac.digest(self._master, identity, "sha256"))

    def check(self) -> None:
        """Do nothing: nothing can be wrong."""
