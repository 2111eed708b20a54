"""What a device executed: the judge of tests that ask whether something happened, when and how often."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Executed:
    """One operation of a server that reached the device's objects. Retransmissions of its message do not appear.

    `time` is seconds of the loop's clock, `wall` of 1970; `digest` the first 16 hex digits of the payload's SHA-256;
    `times` how often this operation on this path with this payload was executed, this time included.
    """

    time: float
    wall: float
    operation: str
    path: str
    code: str
    digest: str
    size: int
    mid: int
    token: str
    times: int


@dataclass(slots=True)
class OperationLog:
    """In order of execution; kept for the life of the emulated device, across its crashes and restarts."""

    entries: list[Executed] = field(default_factory=list)
    _times: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(
        self, time: float, wall: float, operation: str, path: str, code: str, payload: bytes, mid: int, token: bytes
    ) -> None:
        """Note an operation that was answered with `code`."""
        digest = hashlib.sha256(payload).hexdigest()[:16]
        key = (operation, path, digest)
        self._times[key] += 1
        self.entries.append(
            Executed(time, wall, operation, path, code, digest, len(payload), mid, token.hex(), self._times[key])
        )

    def times(self, operation: str, path: str | None = None) -> int:
        """Return how often an operation was executed, on one path or on all."""
        return sum(
            count for (name, where, _), count in self._times.items() if name == operation and path in {None, where}
        )

    def to_json(self) -> list[Mapping[str, Any]]:
        """Return all entries as JSON objects."""
        return [asdict(entry) for entry in self.entries]
