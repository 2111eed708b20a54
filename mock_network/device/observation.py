"""When a notification is due, and why (Core TS 1.1 §5.1.2, §6.4). No I/O; `now` is passed in, in seconds."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mock_network.device.attributes import Attributes
from mock_network.lwm2m.paths import Path, covers
from mock_network.lwm2m.values import Record

CHANGE, PMAX = "change", "pmax"


class Mode(enum.IntEnum):
    """Which transitions over gt, lt and st are reported (resource 1 of the Report Control object)."""

    BOTH = 0
    RISING = 1
    FALLING = 2


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for one observed path: its attributes, further sets of thresholds, and the mode for all of them."""

    attributes: Attributes = field(default_factory=Attributes)
    further: tuple[Mapping[str, float], ...] = ()
    mode: Mode = Mode.BOTH

    def sets(self) -> Iterable[Mapping[str, float]]:
        """Yield every set of thresholds that is not empty."""
        own = {name: getattr(self.attributes, name) for name in ("gt", "lt", "st")}
        yield from (found for found in ({k: v for k, v in own.items() if v is not None}, *self.further) if found)


@dataclass(slots=True)
class Watched:
    """One path under observation."""

    path: Path
    conditions: Conditions
    last_sent: float | None
    """Numeric value of the last notification."""
    last_evaluated: float
    last_value: float | None
    """Numeric value at the last evaluation."""
    changed: bool = False
    """A change waits for its evaluation."""
    causes: list[str] = field(default_factory=list)

    def evaluate(self, value: float | None, now: float) -> None:
        """Compare the value with the one before, and note each cause for a notification."""
        previous, self.last_value = self.last_value, value
        self.last_evaluated, self.changed = now, False
        sets = list(self.conditions.sets())
        if not sets or value is None or previous is None or self.last_sent is None:
            self._add(CHANGE)
            return
        for thresholds in sets:
            for name, limit in thresholds.items():
                rising = _crossed(name, limit, previous, value, self.last_sent)
                if rising is None or self.conditions.mode not in {Mode.BOTH, Mode.RISING if rising else Mode.FALLING}:
                    continue
                self._add(f"{name}={limit:g} {'rising' if rising else 'falling'}")

    def _add(self, cause: str) -> None:
        if cause not in self.causes:
            self.causes.append(cause)

    def evaluation_due(self) -> float | None:
        """Return when the value is to be evaluated next, None if nothing asks for it (epmin, epmax)."""
        attributes = self.conditions.attributes
        if self.changed:
            return self.last_evaluated + attributes.epmin
        return None if attributes.epmax is None else self.last_evaluated + attributes.epmax


def _crossed(name: str, limit: float, previous: float, value: float, sent: float) -> bool | None:
    """Return whether a threshold was crossed upward (True), downward (False) or not at all (None)."""
    if name == "st":
        return None if abs(value - sent) < limit else value > sent
    return None if (previous > limit) == (value > limit) else value > previous


@dataclass(slots=True)
class Observation:
    """State of one observation of one server: of one path, or of several with Observe-Composite."""

    watched: list[Watched]
    last_sent: float

    @classmethod
    def begin(cls, paths: Sequence[Path], conditions: Sequence[Conditions], now: float) -> "Observation":
        """Return an observation whose first response leaves now; `sent` must be called with its values."""
        return cls([Watched(path, own, None, now, None) for path, own in zip(paths, conditions, strict=True)], now)

    @property
    def paths(self) -> list[Path]:
        """Return the observed paths."""
        return [watched.path for watched in self.watched]

    def observes(self, path: Path) -> bool:
        """Return whether what is at `path`, or below or above it, is observed."""
        return any(covers(one.path, path) or covers(path, one.path) for one in self.watched)

    def change(self, changed: Path, records: Sequence[Record], now: float) -> None:
        """Take note that something changed at `changed`; `records` are the values now."""
        for one in self.watched:
            if covers(one.path, changed) or covers(changed, one.path):
                one.changed = True
        self.evaluate(records, now)

    def evaluate(self, records: Sequence[Record], now: float) -> None:
        """Evaluate each path whose time for it has come."""
        for one in self.watched:
            due = one.evaluation_due()
            if due is not None and due <= now:
                periodic = not one.changed
                value = numeric(records, one.path)
                if not periodic or value != one.last_value:
                    one.evaluate(value, now)
                else:
                    one.last_evaluated = now

    def due(self) -> float | None:
        """Return when something is to be done next, a notification or an evaluation; None: not before a change."""
        times = [self.notification_due(), *(one.evaluation_due() for one in self.watched)]
        return min((time for time in times if time is not None), default=None)

    def notification_due(self) -> float | None:
        """Return when the next notification is due; None: not before something changes."""
        pmins = [one.conditions.attributes.pmin for one in self.watched if one.causes]
        pmaxs = [one.conditions.attributes.pmax for one in self.watched]
        periods = [*pmins, *(pmax for pmax in pmaxs if pmax is not None)]
        return self.last_sent + min(periods) if periods else None

    def causes(self) -> Mapping[Path, list[str]]:
        """Return, by path, why the next notification is sent; PMAX where nothing else asked for it."""
        found = {one.path: list(one.causes) for one in self.watched if one.causes}
        return found or {one.path: [PMAX] for one in self.watched}

    def sent(self, records: Sequence[Record], now: float) -> None:
        """Take note that a notification with these values leaves now."""
        self.last_sent = now
        for one in self.watched:
            value = numeric(records, one.path)
            one.last_sent = one.last_value = value
            one.causes.clear()
            one.changed = False


def numeric(records: Sequence[Record], path: Path) -> float | None:
    """Return the one number at an observed path, None if there is none or more than one value."""
    own = [record for record in records if covers(path, record.path)]
    if len(own) != 1 or own[0].path != path:
        return None
    value = own[0].value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
