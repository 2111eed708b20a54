"""MAC commands as bytes (TS001 §5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Cid(IntEnum):
    """Command identifiers; the same number is a request one way and its answer the other way."""

    RESET = 0x01
    LINK_CHECK = 0x02
    LINK_ADR = 0x03
    DUTY_CYCLE = 0x04
    RX_PARAM_SETUP = 0x05
    DEV_STATUS = 0x06
    NEW_CHANNEL = 0x07
    RX_TIMING_SETUP = 0x08
    TX_PARAM_SETUP = 0x09
    DL_CHANNEL = 0x0A
    REKEY = 0x0B
    ADR_PARAM_SETUP = 0x0C
    DEVICE_TIME = 0x0D
    FORCE_REJOIN = 0x0E
    REJOIN_PARAM_SETUP = 0x0F
    PING_SLOT_INFO = 0x10
    PING_SLOT_CHANNEL = 0x11
    BEACON_TIMING = 0x12
    BEACON_FREQ = 0x13
    DEVICE_MODE = 0x20


# Bytes that follow the CID, by direction.
DOWN_LENGTHS = {
    Cid.RESET: 1,
    Cid.LINK_CHECK: 2,
    Cid.LINK_ADR: 4,
    Cid.DUTY_CYCLE: 1,
    Cid.RX_PARAM_SETUP: 4,
    Cid.DEV_STATUS: 0,
    Cid.NEW_CHANNEL: 5,
    Cid.RX_TIMING_SETUP: 1,
    Cid.TX_PARAM_SETUP: 1,
    Cid.DL_CHANNEL: 4,
    Cid.REKEY: 1,
    Cid.ADR_PARAM_SETUP: 1,
    Cid.DEVICE_TIME: 5,
    Cid.FORCE_REJOIN: 2,
    Cid.REJOIN_PARAM_SETUP: 1,
    Cid.PING_SLOT_INFO: 0,
    Cid.PING_SLOT_CHANNEL: 4,
    Cid.BEACON_TIMING: 3,
    Cid.BEACON_FREQ: 3,
    Cid.DEVICE_MODE: 1,
}
UP_LENGTHS = {
    Cid.RESET: 1,
    Cid.LINK_CHECK: 0,
    Cid.LINK_ADR: 1,
    Cid.DUTY_CYCLE: 0,
    Cid.RX_PARAM_SETUP: 1,
    Cid.DEV_STATUS: 2,
    Cid.NEW_CHANNEL: 1,
    Cid.RX_TIMING_SETUP: 0,
    Cid.TX_PARAM_SETUP: 0,
    Cid.DL_CHANNEL: 1,
    Cid.REKEY: 1,
    Cid.ADR_PARAM_SETUP: 0,
    Cid.DEVICE_TIME: 0,
    Cid.REJOIN_PARAM_SETUP: 1,
    Cid.PING_SLOT_INFO: 1,
    Cid.PING_SLOT_CHANNEL: 1,
    Cid.BEACON_TIMING: 0,
    Cid.BEACON_FREQ: 1,
    Cid.DEVICE_MODE: 1,
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command; what it means depends on its direction."""

    cid: Cid
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return CID and payload."""
        return bytes((self.cid,)) + self.payload


def encode(commands: Iterable[Command]) -> bytes:
    """Put commands one after the other."""
    return b"".join(command.encode() for command in commands)


def parse(data: bytes, *, uplink: bool) -> list[Command]:
    """Read commands until the end, or until one is unknown or cut: the rest cannot be told apart (TS001 §5)."""
    lengths = UP_LENGTHS if uplink else DOWN_LENGTHS
    commands = []
    at = 0
    while at < len(data):
        try:
            cid = Cid(data[at])
            end = at + 1 + lengths[cid]
        except (ValueError, KeyError):
            break
        if end > len(data):
            break
        commands.append(Command(cid, data[at + 1 : end]))
        at = end
    return commands
