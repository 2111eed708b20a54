"""The AppSKey that a network server cannot read: wrapped under a key-encryption key (KEK), and the encryption with it.

A Join Server sends it wrapped (LoRaWAN Backend Interfaces 1.0 §8.2, RFC 3394) under a KEK that only the
application server has, too. End to end, LoRaWAN only encrypts payloads: whoever has the network
session keys cannot read a payload, but can change it unnoticed.
"""

import functools
from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from bridge.errors import ConfigurationError, KeyUnavailable

KEY_BYTES = 16
WRAPPED_BYTES = KEY_BYTES + 8
ZEROS = bytes(KEY_BYTES)
"""The value that the network server gets instead of an AppSKey that it must not know, if it requires one (ABP)."""

_KEK_BYTES = (16, 24, 32)
_ADDRESS_BYTES = 4
_KEPT = 4096  # unwrapped keys


class Envelope(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An AppSKey under a KEK. `wrapped` is empty if a Join Server sends only an id of the key."""

    kek_label: str = ""
    wrapped: bytes = b""

    @classmethod
    def parse(cls, text: str) -> "Envelope":
        """Read `LABEL:HEX`, the inverse of `str`. Raises ConfigurationError."""
        label, _, digits = text.rpartition(":")
        try:
            wrapped = bytes.fromhex(digits)
        except ValueError:
            wrapped = b""
        if not label or len(wrapped) != WRAPPED_BYTES:
            digits = str(2 * WRAPPED_BYTES)
            raise ConfigurationError(f"app_s_key: LABEL:{digits} hexadecimal digits, an AppSKey wrapped under a KEK")
        return cls(label, wrapped)

    def __str__(self) -> str:
        return f"{self.kek_label}:{self.wrapped.hex()}"


NO_ENVELOPE = Envelope()


class Keks:
    """The key-encryption keys of a network instance, by their labels."""

    def __init__(self, keks: Mapping[str, str]) -> None:
        """Read hexadecimal digits. Raises ConfigurationError."""
        self._keks = {label: _kek(label, digits) for label, digits in keks.items()}
        self.unwrap = functools.lru_cache(_KEPT)(self._unwrap)

    @property
    def labels(self) -> list[str]:
        """Return the labels, in the order of the configuration."""
        return list(self._keks)

    def wrap(self, label: str, app_s_key: bytes) -> Envelope:
        """Return a key under a KEK. Raises KeyUnavailable for an unknown label."""
        return Envelope(label, aes_key_wrap(self._kek(label), app_s_key))

    def _unwrap(self, envelope: Envelope) -> bytes:
        """Return the AppSKey. Raises KeyUnavailable."""
        if not envelope.wrapped:
            raise KeyUnavailable(
                "the Join Server sends only an id of the AppSKey: configure it to send the key, wrapped under a KEK"
            )
        try:
            key = aes_key_unwrap(self._kek(envelope.kek_label), envelope.wrapped)
        except (InvalidUnwrap, ValueError):
            raise KeyUnavailable(
                f"an AppSKey is not under the KEK {envelope.kek_label!r} of the configuration"
            ) from None
        if len(key) != KEY_BYTES:
            raise KeyUnavailable(f"the value wrapped under the KEK {envelope.kek_label!r} is not an AppSKey")
        return key

    def _kek(self, label: str) -> bytes:
        found = self._keks.get(label)
        if found is None:
            raise KeyUnavailable(f"the KEK {label!r} is unknown: add it to end_to_end.keks")
        return found


def crypt(app_s_key: bytes, payload: bytes, *, uplink: bool, dev_addr: str, f_cnt: int) -> bytes:
    """Encrypt or decrypt FRMPayload (TS001-1.0.4 §4.3.3): both are the same. `f_cnt` has 32 bits.

    Raises KeyUnavailable for an invalid DevAddr.
    """
    direction = b"\0" if uplink else b"\x01"
    first = b"\x01\0\0\0\0" + direction + _address(dev_addr) + f_cnt.to_bytes(4, "little") + b"\0\x01"
    # The specification's blocks A_1, A_2… are those of counter mode: they differ in the last byte; a payload has at
    # most 16.
    encryptor = Cipher(algorithms.AES(app_s_key), modes.CTR(first)).encryptor()
    return encryptor.update(payload) + encryptor.finalize()


def _address(dev_addr: str) -> bytes:
    try:
        address = bytes.fromhex(dev_addr)
    except ValueError:
        address = b""
    if len(address) != _ADDRESS_BYTES:
        raise KeyUnavailable(f"{dev_addr!r} is not a DevAddr, which is needed to encrypt payloads")
    return address[::-1]


def _kek(label: str, digits: str) -> bytes:
    try:
        kek = bytes.fromhex(digits)
    except ValueError:
        kek = b""
    if not label or len(kek) not in _KEK_BYTES:
        raise ConfigurationError(f"end_to_end.keks: {label!r} needs 32, 48 or 64 hexadecimal digits")
    return kek
