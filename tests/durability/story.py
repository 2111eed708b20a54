"""What became of one message, line by line and in order of time, so that a verdict explains itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

KNOWN = (
    "pending",
    "in doubt",
    "held by the network",
    "gone from the network",
    "refused",
    "taken back",
    "left",
    "nacked",
    "delivered",
)
"""What may be known of an attempt, by the numbers in the ledger's column `attempts`."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was seen from outside.

    It concerns the message with these bytes, or all with this payload; with neither, it concerns everything.
    """

    time: float  # virtual seconds since 1970
    what: str
    message: tuple[str, bytes] | None = None  # device and bytes
    payload: str = ""  # digest, as a server names it


def tell(
    message: tuple[str, bytes] | None,
    happened: Iterable[Happening],
    uplinks: Iterable[Mapping[str, Any]] = (),
    downlinks: Iterable[Mapping[str, Any]] = (),
    *,
    payload: str = "",
) -> str:
    """Return a line for each thing that happened to a message, with its age since the first of them.

    `uplinks` and `downlinks` are the ledger's rows about the message. Lives of the bridge and jumps of the clock stand
    between the lines.
    """
    lines = [*(one for row in uplinks for one in _uplink(row)), *(one for row in downlinks for one in _downlink(row))]
    happened = list(happened)
    lines += [
        (one.time, one.what)
        for one in happened
        if (one.message is not None and one.message == message) or (one.payload and one.payload == payload)
    ]
    if not lines:
        return "    nothing is known of it"
    first, last = min(lines)[0], max(lines)[0]
    everything = [one for one in happened if one.message is None and not one.payload]
    lines += [(one.time, f"-- {one.what}") for one in everything if first <= one.time <= last]
    head = [] if message is None else [f"    {_named(*message)}"]
    return "\n".join([*head, *(f"    {_clock(time)} {time - first:+9.1f} s  {what}" for time, what in sorted(lines))])


def _named(device: str, data: bytes) -> str:
    length = data[0] & 0x0F if data else 0
    if len(data) < 4 + length:
        return f"{device}: {data.hex()}"
    mid, token = int.from_bytes(data[2:4], "big"), data[4 : 4 + length].hex()
    return f"device {device}, message ID {mid}, token {token}, {len(data)} bytes: {data.hex()}"


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%d %H:%M:%S.%f")[:-5]


def _uplink(row: Mapping[str, Any]) -> Iterable[tuple[float, str]]:
    name = f"ledger: uplink {row['id']} ({row['operation']})"
    answer = f", reply in downlink {row['reply_downlink']}" if row.get("reply_downlink") else ""
    yield row["received_at"], f"{name} received, message ID {row.get('north_mid')} to the server{answer}"
    if row.get("finished_at") is not None:
        reason = f": {row['reason']}" if row.get("reason") else ""
        yield row["finished_at"], f"{name} {row['state']}{reason}"


def _downlink(row: Mapping[str, Any]) -> Iterable[tuple[float, str]]:
    name = f"ledger: downlink {row['id']} ({row['operation']})"
    if row.get("accepted_at") is not None:
        yield row["accepted_at"], f"{name} accepted"
    for number, known, at, *_ in msgspec.msgpack.decode(row["attempts"]) if row.get("attempts") else ():
        yield at, f"{name} attempt {number}: {KNOWN[known] if known < len(KNOWN) else known}"
    if row.get("finished_at") is not None:
        reason = f": {row['reason']}" if row.get("reason") else ""
        yield row["finished_at"], f"{name} {row['state']}{reason}"
