"""Authenticated encryption of one secret: AES-256-GCM (NIST SP 800-38D) with the id of its key."""

import os
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.errors import ConfigurationError

KEY_BYTES = 32
_MAGIC = b"\x00sealed1"  # a sealed value begins with it; then come the id of the key, the nonce, ciphertext and tag
_CLEAR = b"\x00inclear"  # begins a value in the clear that could be taken for a sealed one, or for a marked one
_ID_BYTES = 8
_NONCE_BYTES = 12


def read_key(text: str, setting: str) -> bytes:
    """Return a key from hexadecimal digits. Raises ConfigurationError, which does not show it."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{setting}: must be {2 * KEY_BYTES} hexadecimal digits; openssl rand -hex {KEY_BYTES} makes them"
        )
    return key


class Seal:
    """Seals under one key, and opens what was sealed under any of its keys, or was never sealed."""

    def __init__(self, key: bytes | None = None, *former: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        """`key`: None seals nothing. `former`: keys that open alone."""
        self._keys = {_id(one): AESGCM(one) for one in (key, *former) if one is not None}
        self._first = None if key is None else _id(key)
        self._random = random

    @property
    def seals(self) -> bool:
        """Return whether there is a key under which secrets are sealed."""
        return self._first is not None

    @property
    def opens(self) -> bool:
        """Return whether there is any key."""
        return bool(self._keys)

    @property
    def seals_under(self) -> str:
        """Return the id of the key under which secrets are sealed; "" if there is none."""
        return "" if self._first is None else self._first.hex()

    @property
    def opens_under(self) -> tuple[str, ...]:
        """Return the ids of all keys."""
        return tuple(one.hex() for one in self._keys)

    @property
    def rotates(self) -> bool:
        """Return whether there is a key that only opens."""
        return len(self._keys) > self.seals

    def under_former(self) -> "Seal":
        """Return a seal that seals under the first of the keys that only open, and opens what this one does.

        Call it where `rotates`.
        """
        made = Seal(random=self._random)
        made._keys, made._first = self._keys, next(one for one in self._keys if one != self._first)
        return made

    def seal(self, secret: bytes, context: str) -> bytes:
        """Return a secret sealed for one place in the store: `context` must be the same when it is opened.

        Without a key to seal under, it stays in the clear, and is marked if it begins as a sealed one does: another
        bridge on the same store may have a key.
        """
        if self._first is None:
            return self.marked(secret)
        nonce = self._random(_NONCE_BYTES)
        return _MAGIC + self._first + nonce + self._keys[self._first].encrypt(nonce, secret, context.encode())

    def open(self, stored: bytes, context: str) -> bytes:
        """Return the secret of a stored value. Raises ConfigurationError if none of the keys opens it."""
        if not stored.startswith(_MAGIC):
            return self.unmarked(stored)
        id_, nonce, rest = _parts(stored)
        key = self._keys.get(id_)
        if key is None:
            have = ", ".join(one.hex() for one in self._keys) or "none"
            raise ConfigurationError(
                f"[service] store_key: a {context.partition(':')[0]} in the database is encrypted under the key with "
                f"id {id_.hex()}, and there is: {have}. Set that key as store_key, or as former_store_key beside a new "
                "one"
            )
        try:
            return key.decrypt(nonce, rest, context.encode())
        except InvalidTag:
            raise ConfigurationError(
                f"[service] store_key: a {context.partition(':')[0]} in the database was changed since it was "
                "encrypted, or was moved from another place; restore a backup, or make it anew"
            ) from None

    def is_sealed(self, stored: bytes, context: str) -> bool:
        """Return whether one of the keys has sealed this value for this place."""
        if not stored.startswith(_MAGIC):
            return False
        id_, nonce, rest = _parts(stored)
        try:
            self._keys[id_].decrypt(nonce, rest, context.encode())
        except (KeyError, ValueError, InvalidTag):
            return False
        return True

    @staticmethod
    def marked(secret: bytes) -> bytes:
        """Return a secret as it is stored in the clear: with a mark before it, if it could be taken for another."""
        return _CLEAR + secret if secret.startswith((_MAGIC, _CLEAR)) else secret

    @staticmethod
    def unmarked(stored: bytes) -> bytes:
        """Return a value in the clear without its mark, if it has one."""
        return stored.removeprefix(_CLEAR)

    @staticmethod
    def looks_sealed(stored: bytes) -> bool:
        """Return whether a value begins as a sealed one does."""
        return stored.startswith(_MAGIC)

    def is_current(self, stored: bytes) -> bool:
        """Return whether a stored value is as `seal` makes it now: under the first key, or clear if there is none."""
        if self._first is None:
            return not stored.startswith(_MAGIC)
        return stored.startswith(_MAGIC) and _parts(stored)[0] == self._first


def _parts(stored: bytes) -> tuple[bytes, bytes, bytes]:
    nonce = len(_MAGIC) + _ID_BYTES
    rest = nonce + _NONCE_BYTES
    return stored[len(_MAGIC) : nonce], stored[nonce:rest], stored[rest:]


def _id(key: bytes) -> bytes:
    """Return the id of a key, from which nothing of the key can be learned."""
    return sha256(b"lwm2m-bridge store key id" + key).digest()[:_ID_BYTES]


NO_SEAL = Seal()
