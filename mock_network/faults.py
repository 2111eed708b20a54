"""Faults on purpose, drawn from a seeded generator: the same seed and the same traffic give the same faults.

An emulator publishes the kinds that it knows and calls `Faults.draw` wherever one of them could happen.
No I/O and no clock in here.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class FaultError(ValueError):
    """A fault is described with an unknown kind or member, or an impossible value."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that may happen."""

    kind: str
    probability: float = 1.0  # at each occasion
    count: int | None = None  # happens at most so often; None: without end
    after: int = 0  # lets so many occasions pass first
    where: Mapping[str, str] = field(default_factory=dict)  # occasions whose context holds these values
    params: Mapping[str, Any] = field(default_factory=dict)  # parameters of the kind

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "Fault":
        """Read a fault from a file or a control API. Raises FaultError."""
        known = {"kind", "probability", "count", "after", "where", "params"}
        if unknown := set(body) - known:
            raise FaultError(f"unknown member of a fault: {', '.join(sorted(unknown))}")
        kind, probability = body.get("kind"), body.get("probability", 1.0)
        count, after = body.get("count"), body.get("after", 0)
        where, params = body.get("where", {}), body.get("params", {})
        if not isinstance(kind, str):
            raise FaultError("a fault needs a kind")
        if isinstance(probability, bool) or not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
            raise FaultError("probability is a number from 0 to 1")
        if not _is_count(after) or not (count is None or (_is_count(count) and count > 0)):
            raise FaultError("count and after are whole numbers")
        if not isinstance(where, Mapping) or not isinstance(params, Mapping):
            raise FaultError("where and params are objects")
        return cls(kind, float(probability), count, after, {k: str(v) for k, v in where.items()}, dict(params))

    def to_json(self) -> dict[str, Any]:
        """Return the form that `parse` reads."""
        return {
            "kind": self.kind,
            "probability": self.probability,
            "count": self.count,
            "after": self.after,
            "where": dict(self.where),
            "params": dict(self.params),
        }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(slots=True)
class _Armed:
    fault: Fault
    passed: int = 0
    happened: int = 0


class Faults:
    """The faults of one emulator. `kinds` maps each kind to its effect; `happened` counts them by kind.

    `occasions` maps each kind to what its `where` may name: a fault that could never happen is refused.
    """

    def __init__(
        self,
        rng: random.Random,
        kinds: Mapping[str, str],
        faults: Iterable[Fault] = (),
        occasions: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.kinds = kinds
        self.happened: Counter[str] = Counter()
        self._occasions = occasions
        self._rng = rng
        self._armed: dict[int, _Armed] = {}
        self._next = 1
        for fault in faults:
            self.add(fault)

    @property
    def any_armed(self) -> bool:
        """Return whether any fault may happen."""
        return bool(self._armed)

    def add(self, fault: Fault) -> int:
        """Arm a fault and return its number. Raises FaultError for an unknown kind or `where`."""
        if fault.kind not in self.kinds:
            raise FaultError(f"unknown fault {fault.kind!r}; known are {', '.join(sorted(self.kinds))}")
        if self._occasions is not None and (unknown := fault.where.keys() - self._occasions[fault.kind]):
            names = ", ".join(sorted(self._occasions[fault.kind]))
            raise FaultError(f"{fault.kind} knows no {', '.join(sorted(unknown))}; where may name {names}")
        number, self._next = self._next, self._next + 1
        self._armed[number] = _Armed(fault)
        return number

    def remove(self, number: int) -> bool:
        """Disarm one; False if there is none of that number."""
        return self._armed.pop(number, None) is not None

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return the armed faults as JSON values."""
        return [{"id": n, **armed.fault.to_json(), "happened": armed.happened} for n, armed in self._armed.items()]

    def draw(self, kind: str, /, **context: str) -> Fault | None:
        """Return the fault that happens now, if one does; `context` describes the occasion."""
        if self._occasions is not None and context.keys() != self._occasions[kind]:
            raise FaultError(f"an occasion of {kind} is described by {sorted(context)}")
        for number, armed in list(self._armed.items()):
            fault = armed.fault
            if fault.kind != kind or any(context.get(key) != value for key, value in fault.where.items()):
                continue
            armed.passed += 1
            if armed.passed <= fault.after:
                continue
            if fault.probability < 1 and self._rng.random() >= fault.probability:
                continue
            armed.happened += 1
            self.happened[kind] += 1
            if fault.count is not None and armed.happened >= fault.count:
                del self._armed[number]
            return fault
        return None
