"""Keys, message integrity codes and ciphers of LoRaWAN 1.0.x and 1.1 (TS001 §4.3, §4.4, §6.2).

EUIs and keys are bytes in the order in which they are printed; DevAddr, NetID and nonces are integers. What goes over
the air is little-endian. All keys are 16 bytes; every MIC is 4.
"""

from dataclasses import dataclass

from Crypto.Cipher import AES
from Crypto.Hash import CMAC

BLOCK = 16  # bytes of an AES block


def aes(key: bytes, block: bytes) -> bytes:
    """Encrypt whole blocks, one by one (ECB)."""
    return AES.new(key, AES.MODE_ECB).encrypt(block)


def cmac(key: bytes, message: bytes) -> bytes:
    """Return all 16 bytes of AES-CMAC (RFC 4493)."""
    return CMAC.new(key, message, ciphermod=AES).digest()


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What both ends derive at a join, or are given (ABP). In 1.0.x the three network keys are one, the NwkSKey.

    An empty AppSKey is not known: what is encrypted with it stays as it is.
    """

    f_nwk_s_int_key: bytes
    s_nwk_s_int_key: bytes
    nwk_s_enc_key: bytes
    app_s_key: bytes

    @classmethod
    def of_1_0(cls, nwk_s_key: bytes, app_s_key: bytes) -> "SessionKeys":
        """Make the keys of a 1.0.x session."""
        return cls(nwk_s_key, nwk_s_key, nwk_s_key, app_s_key)


def session_keys_1_0(app_key: bytes, *, join_nonce: int, net_id: int, dev_nonce: int) -> SessionKeys:
    """Derive a 1.0.x session from the AppKey (TS001-1.0.4 §6.2.5)."""
    tail = join_nonce.to_bytes(3, "little") + net_id.to_bytes(3, "little") + dev_nonce.to_bytes(2, "little")
    return SessionKeys.of_1_0(_derive(app_key, 1, tail), _derive(app_key, 2, tail))


def session_keys_1_1(
    nwk_key: bytes, app_key: bytes, *, join_nonce: int, join_eui: bytes, dev_nonce: int
) -> SessionKeys:
    """Derive a 1.1 session (TS001-1.1 §6.2.5)."""
    tail = join_nonce.to_bytes(3, "little") + join_eui[::-1] + dev_nonce.to_bytes(2, "little")
    return SessionKeys(
        f_nwk_s_int_key=_derive(nwk_key, 1, tail),
        s_nwk_s_int_key=_derive(nwk_key, 3, tail),
        nwk_s_enc_key=_derive(nwk_key, 4, tail),
        app_s_key=_derive(app_key, 2, tail),
    )


def js_enc_key(nwk_key: bytes, dev_eui: bytes) -> bytes:
    """Derive the key that a 1.1 Join-Accept to a Rejoin-Request is encrypted with."""
    return _derive(nwk_key, 5, dev_eui[::-1])


def js_int_key(nwk_key: bytes, dev_eui: bytes) -> bytes:
    """Derive the key of a 1.1 Join-Accept's MIC."""
    return _derive(nwk_key, 6, dev_eui[::-1])


def join_request_mic(key: bytes, message: bytes) -> bytes:
    """Return the MIC of a Join-Request from MHDR on; `key` is the AppKey (1.0.x) or NwkKey (1.1)."""
    return cmac(key, message)[:4]


def join_accept_mic_1_0(app_key: bytes, message: bytes) -> bytes:
    """Return the MIC of a 1.0.x Join-Accept, plain, from MHDR on."""
    return cmac(app_key, message)[:4]


def join_accept_mic_1_1(
    js_int: bytes, message: bytes, *, join_eui: bytes, dev_nonce: int, join_req_type: int = 0xFF
) -> bytes:
    """Return the MIC of a 1.1 Join-Accept, plain, from MHDR on; `join_req_type` is FF, or the rejoin type 0..2."""
    return cmac(js_int, bytes((join_req_type,)) + join_eui[::-1] + dev_nonce.to_bytes(2, "little") + message)[:4]


def encrypt_join_accept(key: bytes, plain: bytes) -> bytes:
    """Encrypt payload and MIC as a network does: by AES *decryption*, so that devices need only encrypt."""
    return AES.new(key, AES.MODE_ECB).decrypt(plain)


def decrypt_join_accept(key: bytes, encrypted: bytes) -> bytes:
    """Undo `encrypt_join_accept`. The length must be a multiple of 16."""
    return aes(key, encrypted)


def crypt_frm_payload(key: bytes, data: bytes, *, uplink: bool, dev_addr: int, f_cnt: int) -> bytes:
    """Encrypt or decrypt FRMPayload; `key` is AppSKey, for FPort 0 NwkSEncKey. `f_cnt` has 32 bits."""
    blocks = (len(data) + BLOCK - 1) // BLOCK
    head = b"\x01\0\0\0\0" + _where(uplink=uplink, dev_addr=dev_addr, f_cnt=f_cnt) + b"\0"
    stream = aes(key, b"".join(head + bytes((i & 0xFF,)) for i in range(1, blocks + 1))) if blocks else b""
    return _xor(data, stream)


def crypt_f_opts(key: bytes, data: bytes, *, uplink: bool, application: bool, dev_addr: int, f_cnt: int) -> bytes:
    """Encrypt or decrypt FOpts of 1.1 with the NwkSEncKey (TS001-1.1 §4.3.1.6 and its errata).

    `application`: a downlink with FPort > 0, counted by AFCntDown.
    """
    kind = 2 if application and not uplink else 1
    block = b"\x01\0\0\0" + bytes((kind,)) + _where(uplink=uplink, dev_addr=dev_addr, f_cnt=f_cnt) + b"\0\x01"
    return _xor(data, aes(key, block))


def data_mic(key: bytes, message: bytes, *, uplink: bool, dev_addr: int, f_cnt: int, conf_f_cnt: int = 0) -> bytes:
    """Return the MIC over block B0 and `message` (MHDR to FRMPayload).

    That is the whole MIC of 1.0.x and of 1.1 downlinks; there `conf_f_cnt` is the FCnt of the uplink that is
    acknowledged, 0 without the ACK bit and in 1.0.x.
    """
    b0 = _b(conf_f_cnt, 0, 0, len(message), uplink=uplink, dev_addr=dev_addr, f_cnt=f_cnt)
    return cmac(key, b0 + message)[:4]


def uplink_mic_1_1(
    keys: SessionKeys,
    message: bytes,
    *,
    dev_addr: int,
    f_cnt: int,
    conf_f_cnt: int,
    data_rate: int,
    channel: int,
) -> bytes:
    """Return the MIC of a 1.1 uplink: half over block B1 (which knows data rate and channel), half over B0."""
    b1 = _b(conf_f_cnt, data_rate, channel, len(message), uplink=True, dev_addr=dev_addr, f_cnt=f_cnt)
    first = cmac(keys.s_nwk_s_int_key, b1 + message)[:2]
    return first + data_mic(keys.f_nwk_s_int_key, message, uplink=True, dev_addr=dev_addr, f_cnt=f_cnt)[:2]


def _derive(key: bytes, kind: int, tail: bytes) -> bytes:
    return aes(key, (bytes((kind,)) + tail).ljust(BLOCK, b"\0"))


def _where(*, uplink: bool, dev_addr: int, f_cnt: int) -> bytes:
    return (b"\0" if uplink else b"\x01") + dev_addr.to_bytes(4, "little") + f_cnt.to_bytes(4, "little")


def _b(conf_f_cnt: int, data_rate: int, channel: int, length: int, *, uplink: bool, dev_addr: int, f_cnt: int) -> bytes:
    head = b"\x49" + (conf_f_cnt & 0xFFFF).to_bytes(2, "little") + bytes((data_rate, channel))
    return head + _where(uplink=uplink, dev_addr=dev_addr, f_cnt=f_cnt) + bytes((0, length))


def _xor(data: bytes, stream: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))
