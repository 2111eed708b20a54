"""LoRaWAN frames as bytes (TS001 §4, §6.2): parse, build, protect, verify.

`parse` gives what can be read without keys; FRMPayload, and FOpts in 1.1, are still encrypted in it. `seal_*` and
`open_*` apply the keys. Whatever the bytes, nothing but `FrameError` is raised.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from mock_network.lorawan import crypto
from mock_network.lorawan.crypto import SessionKeys

MAX_PHY_PAYLOAD = 255  # bytes, what a LoRa modem can send at all
MAX_F_OPTS = 15
MAX_FCNT_GAP = 16384  # frames; a greater leap of a counter is taken for damage or replay (TS001-1.0.3 §4.3.1.5)
JOIN_REQUEST_LENGTH = 23
JOIN_ACCEPT_LENGTHS = (17, 33)  # without and with CFList
DATA_OVERHEAD = 12  # MHDR, FHDR without FOpts, MIC


class FrameError(Exception):
    """Bytes that are not a LoRaWAN frame, a wrong MIC, or a frame that cannot be built; the text says which."""


class FType(IntEnum):
    """Bits 7..5 of MHDR."""

    JOIN_REQUEST = 0
    JOIN_ACCEPT = 1
    UNCONFIRMED_UP = 2
    UNCONFIRMED_DOWN = 3
    CONFIRMED_UP = 4
    CONFIRMED_DOWN = 5
    REJOIN_REQUEST = 6
    PROPRIETARY = 7


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A device asks to join; nothing in it is encrypted."""

    join_eui: bytes
    dev_eui: bytes
    dev_nonce: int


@dataclass(frozen=True, slots=True)
class JoinAccept:
    """What a network gives a device. `rx_delay` 0 means 1 s; `opt_neg` means LoRaWAN 1.1."""

    join_nonce: int
    net_id: int
    dev_addr: int
    rx1_dr_offset: int = 0
    rx2_data_rate: int = 0
    rx_delay: int = 0
    opt_neg: bool = False
    cf_list: bytes = b""  # 16 bytes or none


@dataclass(frozen=True, slots=True)
class Data:
    """A data frame. `f_cnt` has 32 bits after its session was found, 16 as parsed.

    `f_pending` is the class B bit in an uplink; `adr_ack_req` means nothing in a downlink.
    """

    uplink: bool
    dev_addr: int
    f_cnt: int
    confirmed: bool = False
    adr: bool = False
    adr_ack_req: bool = False
    ack: bool = False
    f_pending: bool = False
    f_opts: bytes = b""
    f_port: int | None = None
    frm_payload: bytes = b""


@dataclass(frozen=True, slots=True)
class MicInputs:
    """What a 1.1 MIC covers beyond the frame (all zero in 1.0.x)."""

    conf_f_cnt: int = 0  # 32 or 16 bits; FCnt of the confirmed frame that this frame's ACK bit acknowledges
    data_rate: int = 0  # index, uplinks only
    channel: int = 0  # index, uplinks only


def frame_type(phy_payload: bytes) -> FType:
    """Return the type. Raises FrameError on an empty frame or another Major than LoRaWAN R1."""
    if not phy_payload:
        raise FrameError("empty frame")
    if phy_payload[0] & 0x03:
        raise FrameError(f"unknown major version in MHDR 0x{phy_payload[0]:02x}")
    return FType(phy_payload[0] >> 5)


def parse_join_request(phy_payload: bytes) -> JoinRequest:
    """Read a Join-Request without checking its MIC. Raises FrameError."""
    if frame_type(phy_payload) is not FType.JOIN_REQUEST or len(phy_payload) != JOIN_REQUEST_LENGTH:
        raise FrameError(f"no Join-Request: {len(phy_payload)} bytes, MHDR 0x{phy_payload[0]:02x}")
    return JoinRequest(phy_payload[8:0:-1], phy_payload[16:8:-1], int.from_bytes(phy_payload[17:19], "little"))


def seal_join_request(request: JoinRequest, key: bytes) -> bytes:
    """Build a Join-Request; `key` is the AppKey (1.0.x) or NwkKey (1.1)."""
    head = b"\0" + request.join_eui[::-1] + request.dev_eui[::-1] + request.dev_nonce.to_bytes(2, "little")
    return head + crypto.join_request_mic(key, head)


def open_join_request(phy_payload: bytes, key: bytes) -> JoinRequest:
    """Read a Join-Request and check its MIC. Raises FrameError."""
    request = parse_join_request(phy_payload)
    if crypto.join_request_mic(key, phy_payload[:-4]) != phy_payload[-4:]:
        raise FrameError("wrong MIC of a Join-Request")
    return request


def join_accept_message(accept: JoinAccept) -> bytes:
    """Return a Join-Accept in plain from MHDR on, without MIC. Raises FrameError."""
    if len(accept.cf_list) not in (0, 16):
        raise FrameError("a CFList has 16 bytes")
    return bytes((FType.JOIN_ACCEPT << 5,)) + (
        accept.join_nonce.to_bytes(3, "little")
        + accept.net_id.to_bytes(3, "little")
        + accept.dev_addr.to_bytes(4, "little")
        + bytes((accept.opt_neg << 7 | accept.rx1_dr_offset << 4 | accept.rx2_data_rate, accept.rx_delay))
        + accept.cf_list
    )


def seal_join_accept(accept: JoinAccept, request: JoinRequest, key: bytes) -> bytes:
    """Build a Join-Accept, encrypted; `key` is the AppKey, or with `opt_neg` the NwkKey. Raises FrameError."""
    message = join_accept_message(accept)
    mic = _join_accept_mic(message, request, key, opt_neg=accept.opt_neg)
    return message[:1] + crypto.encrypt_join_accept(key, message[1:] + mic)


def open_join_accept(phy_payload: bytes, request: JoinRequest, key: bytes) -> JoinAccept:
    """Decrypt a Join-Accept and check its MIC. Raises FrameError."""
    if frame_type(phy_payload) is not FType.JOIN_ACCEPT or len(phy_payload) not in JOIN_ACCEPT_LENGTHS:
        raise FrameError(f"no Join-Accept: {len(phy_payload)} bytes, MHDR 0x{phy_payload[0]:02x}")
    message = phy_payload[:1] + crypto.decrypt_join_accept(key, phy_payload[1:])
    body, mic = message[1:-4], message[-4:]
    opt_neg = bool(body[10] & 0x80)
    if _join_accept_mic(message[:-4], request, key, opt_neg=opt_neg) != mic:
        raise FrameError("wrong MIC of a Join-Accept")
    return JoinAccept(
        join_nonce=int.from_bytes(body[0:3], "little"),
        net_id=int.from_bytes(body[3:6], "little"),
        dev_addr=int.from_bytes(body[6:10], "little"),
        rx1_dr_offset=body[10] >> 4 & 0x07,
        rx2_data_rate=body[10] & 0x0F,
        rx_delay=body[11] & 0x0F,
        opt_neg=opt_neg,
        cf_list=body[12:],
    )


def _join_accept_mic(message: bytes, request: JoinRequest, key: bytes, *, opt_neg: bool) -> bytes:
    if not opt_neg:
        return crypto.join_accept_mic_1_0(key, message)
    js_int = crypto.js_int_key(key, request.dev_eui)
    return crypto.join_accept_mic_1_1(js_int, message, join_eui=request.join_eui, dev_nonce=request.dev_nonce)


def parse_data(phy_payload: bytes) -> Data:
    """Read a data frame without keys: payload (and FOpts of 1.1) encrypted, FCnt 16 bits, MIC unchecked.

    Raises FrameError.
    """
    kind = frame_type(phy_payload)
    if kind not in (FType.UNCONFIRMED_UP, FType.UNCONFIRMED_DOWN, FType.CONFIRMED_UP, FType.CONFIRMED_DOWN):
        raise FrameError(f"no data frame: {kind.name}")
    if len(phy_payload) < DATA_OVERHEAD:
        raise FrameError(f"a data frame of {len(phy_payload)} bytes")
    uplink = kind in (FType.UNCONFIRMED_UP, FType.CONFIRMED_UP)
    control = phy_payload[5]
    options_end = 8 + (control & 0x0F)
    rest = phy_payload[options_end:-4]
    if options_end > len(phy_payload) - 4:
        raise FrameError("FOptsLen goes past the end of the frame")
    if rest and rest[0] == 0 and control & 0x0F:
        raise FrameError("FOpts together with FPort 0")
    return Data(
        uplink=uplink,
        dev_addr=int.from_bytes(phy_payload[1:5], "little"),
        f_cnt=int.from_bytes(phy_payload[6:8], "little"),
        confirmed=kind in (FType.CONFIRMED_UP, FType.CONFIRMED_DOWN),
        adr=bool(control & 0x80),
        adr_ack_req=bool(control & 0x40) and uplink,
        ack=bool(control & 0x20),
        f_pending=bool(control & 0x10),
        f_opts=phy_payload[8:options_end],
        f_port=rest[0] if rest else None,
        frm_payload=rest[1:],
    )


def full_f_cnt(f_cnt_16: int, last: int | None) -> int:
    """Return the 32-bit counter that 16 bits on air stand for: the first value with these bits that is >= `last`.

    With `last` itself (a repetition) the result is `last`; None: no frame yet.
    """
    if last is None:
        return f_cnt_16
    return last + ((f_cnt_16 - last) & 0xFFFF)


def seal_data(frame: Data, keys: SessionKeys, *, v1_1: bool, mic: MicInputs | None = None) -> bytes:
    """Encrypt and sign a data frame whose `f_cnt` has 32 bits.

    For 1.1 `mic` says what else the MIC covers. Raises FrameError if the frame cannot be: FOpts too long or together
    with FPort 0, payload without FPort, more than 255 bytes.
    """
    if len(frame.f_opts) > MAX_F_OPTS:
        raise FrameError(f"{len(frame.f_opts)} bytes of FOpts")
    if frame.f_port == 0 and frame.f_opts:
        raise FrameError("FOpts together with FPort 0")
    if frame.f_port is None and frame.frm_payload:
        raise FrameError("a payload needs an FPort")
    head = _header(_crypt(frame, keys, v1_1=v1_1))
    if len(head) + 4 > MAX_PHY_PAYLOAD:
        raise FrameError(f"a frame of {len(head) + 4} bytes")
    return head + _data_mic(frame, head, keys, v1_1=v1_1, mic=mic or MicInputs())


def open_data(phy_payload: bytes, f_cnt: int, keys: SessionKeys, *, v1_1: bool, mic: MicInputs | None = None) -> Data:
    """Check the MIC of a data frame under a 32-bit `f_cnt` and decrypt it. Raises FrameError.

    In 1.1, `mic.conf_f_cnt` is used only if the frame has the ACK bit.
    """
    frame = replace(parse_data(phy_payload), f_cnt=f_cnt)
    head, found = phy_payload[:-4], phy_payload[-4:]
    if _data_mic(frame, head, keys, v1_1=v1_1, mic=mic or MicInputs()) != found:
        raise FrameError(f"wrong MIC of a data frame at FCnt {f_cnt}")
    return _crypt(frame, keys, v1_1=v1_1)


def _crypt(frame: Data, keys: SessionKeys, *, v1_1: bool) -> Data:
    key = keys.nwk_s_enc_key if frame.f_port == 0 else keys.app_s_key
    payload = frame.frm_payload
    if key:
        payload = crypto.crypt_frm_payload(
            key, payload, uplink=frame.uplink, dev_addr=frame.dev_addr, f_cnt=frame.f_cnt
        )
    options = frame.f_opts
    if v1_1 and options:
        options = crypto.crypt_f_opts(
            keys.nwk_s_enc_key,
            options,
            uplink=frame.uplink,
            application=bool(frame.f_port),
            dev_addr=frame.dev_addr,
            f_cnt=frame.f_cnt,
        )
    return replace(frame, f_opts=options, frm_payload=payload)


def _header(frame: Data) -> bytes:
    kind = (
        (FType.CONFIRMED_UP if frame.confirmed else FType.UNCONFIRMED_UP)
        if frame.uplink
        else (FType.CONFIRMED_DOWN if frame.confirmed else FType.UNCONFIRMED_DOWN)
    )
    control = frame.adr << 7 | frame.adr_ack_req << 6 | frame.ack << 5 | frame.f_pending << 4 | len(frame.f_opts)
    head = bytes((kind << 5,)) + frame.dev_addr.to_bytes(4, "little") + bytes((control,))
    head += (frame.f_cnt & 0xFFFF).to_bytes(2, "little") + frame.f_opts
    if frame.f_port is None:
        return head
    return head + bytes((frame.f_port,)) + frame.frm_payload


def _data_mic(frame: Data, head: bytes, keys: SessionKeys, *, v1_1: bool, mic: MicInputs) -> bytes:
    conf_f_cnt = mic.conf_f_cnt if v1_1 and frame.ack else 0
    if v1_1 and frame.uplink:
        return crypto.uplink_mic_1_1(
            keys,
            head,
            dev_addr=frame.dev_addr,
            f_cnt=frame.f_cnt,
            conf_f_cnt=conf_f_cnt,
            data_rate=mic.data_rate,
            channel=mic.channel,
        )
    return crypto.data_mic(
        keys.s_nwk_s_int_key,
        head,
        uplink=frame.uplink,
        dev_addr=frame.dev_addr,
        f_cnt=frame.f_cnt,
        conf_f_cnt=conf_f_cnt,
    )
