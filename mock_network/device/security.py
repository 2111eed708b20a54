"""How a device secures its messages to a server: by what the Security instance holds, or links in the OSCORE object."""

from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

from mock_network.device.accounts import OSCORE_LINK, URI
from mock_network.device.tree import ObjectTree, Resource
from mock_network.lwm2m.credentials import (
    DOMAIN_ISSUED,
    TRUST_ANCHOR,
    ClientCertificate,
    ClientCredentials,
    PreSharedKey,
    ServerByName,
)
from mock_network.lwm2m.definitions import OSCORE, SECURITY
from mock_network.lwm2m.oscore import AES_CCM_16_64_128, HKDF_SHA_256, OscoreKeys, new_context
from mock_network.lwm2m.paths import Path

_SECRET, _SENDER, _RECIPIENT, _AEAD, _HMAC, _SALT, _CONTEXT = range(7)
_MODE, _OWN, _SERVER, _KEY, _SNI, _USAGE = 2, 3, 4, 5, 14, 15  # resources of object 0
_HMAC_SHA_256, _HMAC_SHA_512 = 5, 7  # COSE numbers of what the HKDFs -10 and -11 are built on


class Mode(IntEnum):
    """Security Mode, /0/x/2."""

    PRE_SHARED_KEY = 0
    RAW_PUBLIC_KEY = 1
    CERTIFICATE = 2
    NO_SEC = 3


def credentials_of(tree: ObjectTree, security: Path) -> ClientCredentials | None:
    """Return what DTLS sessions with the server of a Security instance are made with; None: it wants none.

    ValueError for a mode that this device has not, or values that are missing.
    """

    def opaque(resource: int) -> bytes:
        value = tree.get_or((*security, resource), b"")
        return value if isinstance(value, bytes) else b""

    def integer(resource: int, default: int) -> int:
        value = tree.get_or((*security, resource), default)
        return value if isinstance(value, int) else default

    mode = integer(_MODE, Mode.NO_SEC)
    if mode == Mode.NO_SEC:
        return None
    if not opaque(_OWN) or not opaque(_KEY):
        raise ValueError(f"Security Mode {mode} without values of /0/{security[1]}/3 and /0/{security[1]}/5")
    if mode == Mode.PRE_SHARED_KEY:
        return PreSharedKey(opaque(_OWN).decode("utf-8", "replace"), opaque(_KEY))
    usage = integer(_USAGE, DOMAIN_ISSUED)
    if mode != Mode.CERTIFICATE or usage not in {TRUST_ANCHOR, DOMAIN_ISSUED} or not opaque(_SERVER):
        raise ValueError(f"this device has no Security Mode {mode} with Certificate Usage {usage}")
    name = str(tree.get_or((*security, _SNI), "")) or urlsplit(str(tree.get_or((*security, URI), ""))).hostname or ""
    own = ClientCertificate(opaque(_OWN), opaque(_KEY), opaque(_SERVER), usage)
    return ServerByName(own, name)


def instance_of(keys: OscoreKeys) -> dict[int, Resource]:
    """Return the instance of object 21 that holds these keys."""
    values: dict[int, Resource] = {
        _SECRET: keys.master_secret,
        _SENDER: keys.sender_id,
        _RECIPIENT: keys.recipient_id,
        _AEAD: keys.aead,
        _HMAC: _HMAC_SHA_256 if keys.hkdf == HKDF_SHA_256 else _HMAC_SHA_512,
        _SALT: keys.master_salt,
    }
    return values if keys.id_context is None else {**values, _CONTEXT: keys.id_context}


class SecurityContexts:
    """Contexts by their keys: each is made once, so that no sequence number is used twice.

    `fresh_values` makes the Echo values that re-establish a lost replay window.
    """

    def __init__(self, tree: ObjectTree, fresh_values: Any) -> None:
        self._tree, self._fresh_values = tree, fresh_values
        self._contexts: dict[OscoreKeys, Any] = {}

    def of(self, security: Path) -> Any:
        """Return the context of the server of a Security instance, None where it asks for none; OscoreError."""
        link = self._tree.get_or((*security, OSCORE_LINK), "")
        if not isinstance(link, tuple) or tuple(link) not in self._tree.instances((OSCORE,)):
            return None
        keys = self._keys(tuple(link))
        if keys not in self._contexts:
            self._contexts[keys] = new_context(keys)
        return self._contexts[keys]

    def _keys(self, instance: Path) -> OscoreKeys:
        def opaque(resource: int) -> bytes:
            value = self._tree.get_or((*instance, resource), b"")
            return value if isinstance(value, bytes) else b""

        hmac = self._tree.get_or((*instance, _HMAC), _HMAC_SHA_256)
        return OscoreKeys(
            opaque(_SECRET),
            opaque(_SENDER),
            opaque(_RECIPIENT),
            opaque(_SALT),
            opaque(_CONTEXT) or None,
            int(self._tree.get_or((*instance, _AEAD), AES_CCM_16_64_128)),  # type: ignore[arg-type]  # an integer
            -11 if hmac == _HMAC_SHA_512 else HKDF_SHA_256,
        )

    def find(self, kid: bytes, kid_context: bytes | None) -> Any:
        """Return the context of the server that calls itself `kid`, None if there is none (`FindContext`)."""
        for security in self._tree.instances((SECURITY,)):
            context = self.of(security)
            if context is not None and context.recipient_id == kid and kid_context in {None, context.id_context}:
                return context
        return None

    def lose_replay_windows(self) -> None:
        """Forget which sequence numbers of servers were seen, as a device does that lost its memory in part.

        The next request of each server is answered 4.01 with an Echo value (RFC 8613 §B.1.2).
        """
        for keys, context in list(self._contexts.items()):
            renewed = new_context(keys, fresh=self._fresh_values)
            renewed.sender_sequence_number = context.sender_sequence_number  # never used twice
            self._contexts[keys] = renewed
