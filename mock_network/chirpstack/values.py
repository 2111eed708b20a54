"""Reading what API callers write: EUIs, keys, addresses, UUIDs and times, refused as the real server refuses them."""

from uuid import UUID

from chirpstack_api import common
from google.protobuf.timestamp_pb2 import Timestamp

from .errors import Refused, Status
from .model import Session

NANOSECONDS = 1_000_000_000
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # google/protobuf/timestamp.proto


def _hex(text: str, size: int) -> bytes:
    # lrwn parses an empty string as all zeros; any other fault is an lrwn error, which the API turns into INTERNAL
    if not text:
        return bytes(size)
    try:
        value = bytes.fromhex(text) if text.isalnum() else b""
    except ValueError:
        value = b""
    if len(value) != size:
        raise Refused(Status.INTERNAL, "Invalid hexadecimal string")
    return value


def eui64(text: str) -> bytes:
    """Read a DevEUI, JoinEUI or gateway id, letter case ignored; INTERNAL when it is not 16 hexadecimal digits."""
    return _hex(text, 8)


def aes_key(text: str) -> bytes:
    """Read an AES-128 key; empty means all zeros; INTERNAL when it is not 32 hexadecimal digits."""
    return _hex(text, 16)


def dev_addr(text: str) -> int:
    """Read a DevAddr; INTERNAL when it is not 8 hexadecimal digits."""
    return int.from_bytes(_hex(text, 4), "big")


def uuid(text: str) -> UUID:
    """Read a UUID; INVALID_ARGUMENT when it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise Refused(Status.INVALID_ARGUMENT, "invalid UUID") from None


def timestamp(seconds: float) -> Timestamp:
    """Return a protobuf timestamp of UNIX seconds."""
    stamp = Timestamp()
    stamp.FromNanoseconds(round(seconds * NANOSECONDS))
    return stamp


def seconds(stamp: Timestamp) -> float:
    """Return the UNIX seconds of a protobuf timestamp; INTERNAL when it lies outside the years 1 to 9999."""
    if not (FIRST_SECOND <= stamp.seconds <= LAST_SECOND and 0 <= stamp.nanos < NANOSECONDS):
        raise Refused(Status.INTERNAL, "timestamp is not representable")
    return stamp.seconds + stamp.nanos / NANOSECONDS


def join_server_context(session: Session) -> common.JoinServerContext | None:
    """Return the envelope of an AppSKey that the server cannot read; None: it can read it."""
    envelope = session.app_s_key
    if envelope is None:
        return None
    if envelope.session_key_id:
        return common.JoinServerContext(session_key_id=envelope.session_key_id.hex())
    wrapped = common.KeyEnvelope(kek_label=envelope.kek_label, aes_key=envelope.aes_key)
    return common.JoinServerContext(app_s_key=wrapped)
