"""The judge of crashes: holds what server, network and radio saw from outside against the ledger's rows, at the end.

It knows nothing of the bridge's code but the names of ledger columns, and of networks only their `Rules`.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from mock_network.lab import Api
from tests.durability.story import Happening, tell
from tests.interop.raw_device import Message, decode

Of = tuple[str, bytes]
"""A message with the device that sent it or is sent it, as the ledger names that: two may choose the same bytes."""

REFUSALS = {"4.13", "5.03"}  # answers to requests that were never accepted: no row
REPEATABLE = {"Read", "Discover", "Observe", "Cancel Observation", "Write", "Write-Attributes"}
"""What may be submitted more than once (R8, R9). Whatever else there is, such as Delete and OSCORE, may not."""

IN_DOUBT = {1, 3}
"""What is known of an attempt, as the ledger's column `attempts` has it, of which the network may have sent a copy."""

LEFT = 6
"""What is known of an attempt that was transmitted."""


@dataclass(frozen=True)
class Rules:
    """What a network and the bridge owe each other."""

    accepted: str  # how the network learns that an uplink is accepted
    retransmitted_after: float  # seconds from one transmission to the next of the same message, at least (R8)
    to_listeners_after: float = 0.0  # the same for devices that listen all the time


NIDD = Rules("answered 204", 59.0)
LORAWAN_HTTP = Rules("answered 200", 299.0, 49.0)
LORAWAN_MQTT = Rules("acknowledged to the broker", 299.0, 49.0)


@dataclass
class Evidence:
    """What was seen from outside, and the ledger's rows as dictionaries."""

    rules: Rules
    devices: frozenset[str] = frozenset()  # of this network, as the ledger names them; none: the ledger has no others
    listeners: frozenset[str] = frozenset()  # of them, those that listen all the time: class C
    asked: set[str] = field(default_factory=set)  # tokens of the server's requests
    acknowledged: set[str] = field(default_factory=set)  # of those that it saw acknowledged and not refused
    sent: list[Of] = field(default_factory=list)  # messages that devices sent
    accepted: list[Of] = field(default_factory=list)  # of those that the network saw accepted
    retained: list[Of] = field(default_factory=list)  # of those that the network keeps, to be asked for: as accepted
    on_air: list[tuple[float, Of]] = field(default_factory=list)  # when, messages that were sent to devices
    taken: list[str] = field(default_factory=list)  # payload digests of Sends that the server took, once for each MID
    downlinks: list[dict[str, Any]] = field(default_factory=list)
    uplinks: list[dict[str, Any]] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)  # what was seen and when, to explain what is wrong


@dataclass(frozen=True)
class Fault:
    """Something that is wrong: in a sentence, and the whole story of the message that it is wrong with."""

    text: str
    story: str = ""

    def __str__(self) -> str:
        return f"{self.text}\n{self.story}" if self.story else self.text


def digest(data: bytes) -> bytes:
    """Return how the ledger names a message of a device."""
    return blake2b(data, digest_size=12).digest()


def judge(seen: Evidence) -> list[Fault]:
    """Return all that is wrong; nothing means that every accepted message has exactly one outcome."""
    return [*_rows(seen), *_requests(seen), *_uplinks(seen), *_sends(seen), *_radio(seen)]


def _rows(seen: Evidence) -> Iterable[Fault]:
    for row in seen.downlinks:
        if not row["over"]:
            yield Fault(f"downlink {row['id']} ({row['operation']}) has no outcome: {row['state']}", _down(seen, [row]))
        if row["kind"] == "request" and row["north_token"].hex() not in seen.asked:
            yield Fault(f"downlink {row['id']} ({row['operation']}) is invented: no server asked", _down(seen, [row]))
    known = {_key(one) for one in seen.sent}
    for row in seen.uplinks:
        if row["state"] == "RECEIVED":
            yield Fault(f"uplink {row['id']} ({row['operation']}) has no outcome", tell(None, seen.happened, [row]))
        if row["kind"] != "verdict" and (row["device"], row["digest"]) not in known:
            text = f"uplink {row['id']} ({row['operation']}) is invented: no device sent it"
            yield Fault(text, tell(None, seen.happened, [row]))


def _requests(seen: Evidence) -> Iterable[Fault]:
    rows = Counter(row["north_token"].hex() for row in seen.downlinks if row["kind"] == "request")
    for token in seen.acknowledged:
        if rows[token] != 1:
            same = [row for row in seen.downlinks if row["kind"] == "request" and row["north_token"].hex() == token]
            text = f"request {token} was acknowledged and has {rows[token]} rows"
            yield Fault(text, tell(None, seen.happened, downlinks=same, payload=_request_name(token)))


def _uplinks(seen: Evidence) -> Iterable[Fault]:
    """Each has one row. The same bytes may answer two requests, for tokens are short: each may have a row then."""
    rows = Counter((row["device"], row["digest"]) for row in seen.uplinks if row["kind"] != "verdict")
    sent = Counter(seen.sent)
    for device, data in {(device, data) for device, data in seen.accepted if len(data) > 4}:  # not Empty messages
        found = rows[device, digest(data)]
        most = 1 if _request(data) is not None else sent[device, data]
        if not 1 <= found <= most:
            text = f"uplink {data.hex()} of {device} was {seen.rules.accepted} and has {found} rows"
            yield Fault(text, _up(seen, (device, data)))


def _sends(seen: Evidence) -> Iterable[Fault]:
    """A Send that was accepted reaches the server once; one that was not, at most once."""
    taken = Counter(seen.taken)
    owed = {*seen.accepted, *seen.retained}
    for one in {(device, data) for device, data in seen.sent if is_send(data)}:
        data = one[1]
        name = sha256(decode(data).payload).hexdigest()[:16]
        if taken[name] > 1 or (one in owed and not taken[name]):
            what = seen.rules.accepted if one in seen.accepted else "retained" if one in owed else "not accepted"
            yield Fault(f"Send {name} was {what} and reached the server {taken[name]} times", _up(seen, one))


def _up(seen: Evidence, one: Of) -> str:
    """Return the story of a device's message: transmissions, rows, the replies to it, and what its server took."""
    rows = [row for row in seen.uplinks if row["kind"] != "verdict" and (row["device"], row["digest"]) == _key(one)]
    numbers = {row["id"] for row in rows}
    replies = [row for row in seen.downlinks if row.get("answers") in numbers]
    payload = decode(one[1]).payload if len(one[1]) > 4 else b""
    return tell(one, seen.happened, rows, replies, payload=sha256(payload).hexdigest()[:16] if payload else "")


def _down(seen: Evidence, rows: list[dict[str, Any]]) -> str:
    """Return the story of a server's request, or of several with the same bytes."""
    sent = next(((row["device"], datagram(row)) for row in rows if row.get("south_mid") is not None), None)
    return tell(sent, seen.happened, downlinks=rows)


def _request_name(token: str) -> str:
    """Name a server's request in the story of what happened, by its token."""
    return f"request {token}"


def _key(one: Of) -> Of:
    return one[0], digest(one[1])


def is_send(data: bytes) -> bool:
    """Return whether a device's message is a Send."""
    message = _request(data)
    return message is not None and message.path() == "/dp"


def _request(data: bytes) -> Message | None:
    if len(data) <= 4 or not 0 < data[1] < 32:
        return None
    return decode(data)


def datagram(row: Mapping[str, Any]) -> bytes:
    """Make a downlink's message as the device sees it, out of the ledger's columns."""
    token: bytes = row["south_token"]
    head = bytes((0x40 | row["coap_type"] << 4 | len(token), row["code"]))
    return head + row["south_mid"].to_bytes(2, "big") + token + row["body"]


def _radio(seen: Evidence) -> Iterable[Fault]:
    """What was on air was submitted, and only as often as R8 and R9 allow. Two requests may have the same bytes."""
    rows: dict[Of, list[dict[str, Any]]] = {}
    for row in seen.downlinks:
        if row["kind"] == "request":
            rows.setdefault((row["device"], datagram(row)), []).append(row)
    times: dict[Of, list[float]] = {}
    for when, one in seen.on_air:
        if _request(one[1]) is not None:
            times.setdefault(one, []).append(when)
    for one, moments in times.items():
        same = rows.get(one, [])
        if not same:
            yield Fault(f"on air and in no row: {one[1].hex()} to {one[0]}", tell(one, seen.happened))
            continue
        pause = seen.rules.to_listeners_after if one[0] in seen.listeners else seen.rules.retransmitted_after
        quick = sum(1 for before, after in pairwise(moments) if after - before < pause)
        row = same[0]
        copies = len(moments) if row["operation"] in REPEATABLE else len(same)  # that R8 allows, if far enough apart
        if quick > sum(map(_repetitions, same)) or len(moments) > copies:
            text = f"downlink {row['id']} ({row['operation']}) was on air {len(moments)} times: {moments}"
            yield Fault(text, _down(seen, same))


def _repetitions(row: dict[str, Any]) -> int:
    """Return how many copies the row itself says were submitted after an ambiguity, as far as R9 allows them.

    Where an attempt was in doubt first, the network's word that it had left may come after the next one was submitted.
    Then its detail still says why it was in doubt; an attempt that simply left has none. The last attempt permits
    nothing: no copy came after it.
    """
    if row["operation"] not in REPEATABLE or not row["attempts"]:
        return 0
    attempts = msgspec.msgpack.decode(row["attempts"])
    return sum(
        known in IN_DOUBT or (known == LEFT and bool(more) and more[-1] != "") for _, known, _, *more in attempts[:-1]
    )


EXCHANGE_LIFETIME = 247.0  # seconds for which a server knows a message ID again (RFC 7252 §4.8.2)


async def hear_server(seen: Evidence, server: Api) -> None:
    """Take what an emulated server has seen.

    A message whose acknowledgement could not be committed is repeated under its message ID. A server that has forgotten
    the message ID by then takes the message once more: no sender can prevent that.
    """
    before: dict[tuple[str, str, int], float] = {}
    for entry in await server.get("/seen"):
        if entry["kind"] in ("request", "acknowledged", "response", "not acknowledged"):
            words = " ".join(filter(None, (entry["kind"], entry["detail"], entry["code"])))
            what = f"server: {words}, message ID {entry['mid']}, {entry['endpoint']} at {entry['peer']}"
            seen.happened.append(Happening(entry["wall"], what, payload=_request_name(entry["token"])))
        if entry["kind"] == "request":
            seen.asked.add(entry["token"])
        elif entry["kind"] == "acknowledged" and entry["code"] not in REFUSALS:
            seen.acknowledged.add(entry["token"])
        elif entry["kind"] == "send":
            one = entry["digest"], entry["peer"], entry["mid"]
            what = f"server: took the Send, message ID {entry['mid']} from {entry['peer']}"
            seen.happened.append(Happening(entry["wall"], what, payload=entry["digest"]))
            if entry["time"] - before.get(one, -EXCHANGE_LIFETIME) >= EXCHANGE_LIFETIME and one in before:
                continue
            before[one] = entry["time"]
            seen.taken.append(entry["digest"])


_WITH_DEVICE = "SELECT {0}.*, endpoint.device FROM {0} LEFT JOIN endpoint ON endpoint.id = {0}.endpoint"


def read_ledger(seen: Evidence, path: Path) -> None:
    """Take the downlinks and uplinks of these devices from a database that nobody writes to."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        seen.downlinks, seen.uplinks = (
            [
                dict(row)
                for row in connection.execute(_WITH_DEVICE.format(table))
                if not seen.devices or row["device"] in seen.devices
            ]
            for table in ("downlink", "uplink")
        )
        seen.happened += [
            Happening(
                row["joined_at"], f"ledger: device {row['device']} began anew: what it repeats from now on is new"
            )
            for row in connection.execute(_WITH_DEVICE.format("relay"))
            if row["joined_at"] and (not seen.devices or row["device"] in seen.devices)
        ]
    finally:
        connection.close()
