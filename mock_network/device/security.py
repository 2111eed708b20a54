"""The OSCORE contexts of a device, as its OSCORE object /21 holds them and its Security instances link them."""

from typing import Any

from mock_network.device.accounts import OSCORE_LINK
from mock_network.device.tree import ObjectTree, Resource
from mock_network.lwm2m.definitions import OSCORE, SECURITY
from mock_network.lwm2m.oscore import AES_CCM_16_64_128, HKDF_SHA_256, OscoreKeys, new_context
from mock_network.lwm2m.paths import Path

_SECRET, _SENDER, _RECIPIENT, _AEAD, _HMAC, _SALT, _CONTEXT = range(7)
_HMAC_SHA_256, _HMAC_SHA_512 = 5, 7  # COSE numbers of what the HKDFs -10 and -11 are built on


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
