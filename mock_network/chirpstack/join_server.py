"""A Join Server outside the network server: it has the root keys, and hands over AppSKeys under a KEK or not at all.

The network server gets the network session keys in the clear (LoRaWAN Backend Interfaces 1.0 §8), and never sees an
application payload.
"""

from dataclasses import dataclass, field, replace

from Crypto.Cipher import AES

from mock_network.lorawan.crypto import SessionKeys

from .model import DeviceKeys, KeyEnvelope

KEY_SIZES = (16, 24, 32)  # bytes of a KEK


def wrap(kek: bytes, key: bytes) -> bytes:
    """Return a key under a key-encryption key (RFC 3394): 8 bytes longer."""
    return AES.new(kek, AES.MODE_KW).seal(key)


@dataclass(slots=True)
class JoinServer:
    """Devices' root keys, and how their AppSKeys are handed over.

    `session_key_id`: only an id of the key is sent; an application has to ask the Join Server for the key.
    """

    kek_label: str
    kek: bytes = field(repr=False)
    session_key_id: bool = False
    keys: dict[bytes, DeviceKeys] = field(default_factory=dict)  # by DevEUI
    _joins: int = 0

    def __post_init__(self) -> None:
        """Check the key. Raises ValueError."""
        if len(self.kek) not in KEY_SIZES:
            raise ValueError("kek: 32, 48 or 64 hexadecimal digits")

    def hand_over(self, keys: SessionKeys) -> tuple[SessionKeys, KeyEnvelope]:
        """Return a session's keys for the network server: without the AppSKey, but with its envelope."""
        self._joins += 1
        if self.session_key_id:
            envelope = KeyEnvelope(session_key_id=self._joins.to_bytes(8, "big"))
        else:
            envelope = KeyEnvelope(self.kek_label, wrap(self.kek, keys.app_s_key))
        return replace(keys, app_s_key=b""), envelope
