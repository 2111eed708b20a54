"""When a notification is due: the attributes pmin, pmax, gt, lt and st (Core TS 1.1 §5.1.2, §7.3). No I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mock_network.device.objects import BAD_REQUEST, OperationError
from mock_network.lwm2m.paths import INSTANCE_LEVEL, RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import INTEGERS, DataType, Record

PERIODS = ("pmin", "pmax")
THRESHOLDS = ("gt", "lt", "st")


@dataclass(frozen=True, slots=True)
class Attributes:
    """Effective attributes of an observed path. `pmin`, `pmax` in seconds; no or zero `pmax` means none."""

    pmin: float = 0.0
    pmax: float | None = None
    gt: float | None = None
    lt: float | None = None
    st: float | None = None

    @property
    def thresholds(self) -> bool:
        """Whether a change alone is not enough for a notification."""
        return self.gt is not None or self.lt is not None or self.st is not None


@dataclass(slots=True)
class AttributeTable:
    """What servers attached to paths by Write-Attributes."""

    _attached: dict[Path, dict[str, float]] = field(default_factory=dict)

    def write(self, path: Path, query: Sequence[str], data_type: DataType | None) -> None:
        """Write-Attributes (§6.3.4): `pmin=10`; a name without value removes it. OperationError, changing nothing."""
        attached = dict(self._attached.get(path, {}))
        for item in query:
            name, separator, text = item.partition("=")
            if name not in (*PERIODS, *THRESHOLDS):
                raise OperationError(BAD_REQUEST, f"unknown attribute {name[:20]}")
            if name in THRESHOLDS and not (
                len(path) >= RESOURCE_LEVEL and (data_type in INTEGERS or data_type is DataType.FLOAT)
            ):
                raise OperationError(BAD_REQUEST, f"{name} is for numeric resources")
            if not separator:
                attached.pop(name, None)
                continue
            try:
                value = float(text) if name in THRESHOLDS else int(text)
            except ValueError:
                raise OperationError(BAD_REQUEST, f"{name} is no number") from None
            if name in (*PERIODS, "st") and value < 0:
                raise OperationError(BAD_REQUEST, f"{name} is negative")
            attached[name] = value
        low, high = attached.get("lt"), attached.get("gt")
        if low is not None and high is not None and low + 2 * attached.get("st", 0.0) >= high:
            raise OperationError(BAD_REQUEST, "lt + 2 st must be below gt")  # §5.1.2
        self._attached[path] = attached

    def attached(self, path: Path) -> Mapping[str, str]:
        """What is attached to exactly this path, as Discover says it."""
        return {
            name: str(int(value)) if float(value).is_integer() else repr(value)
            for name, value in sorted(self._attached.get(path, {}).items())
        }

    def effective(self, path: Path, default_pmin: float, default_pmax: float) -> Attributes:
        """Attributes of an observation: the nearest level's count, the Server object's defaults fill in."""
        merged: dict[str, float] = {"pmin": default_pmin, "pmax": default_pmax}
        for level in range(1, len(path) + 1):
            merged.update(self._attached.get(path[:level], {}))
        pmax: float | None = merged["pmax"] or None
        if pmax is not None and pmax < merged["pmin"]:
            pmax = None  # §5.1.2: a pmax below pmin is ignored
        return Attributes(merged["pmin"], pmax, merged.get("gt"), merged.get("lt"), merged.get("st"))

    def forget(self, path: Path) -> None:
        """The object instance is gone, and its attributes with it."""
        for attached in [known for known in self._attached if known[:INSTANCE_LEVEL] == path[:INSTANCE_LEVEL]]:
            if len(attached) >= INSTANCE_LEVEL:
                del self._attached[attached]


@dataclass(slots=True)
class Observation:
    """State of one observation; `now` is always passed in, in seconds."""

    path: Path
    attributes: Attributes
    last_sent: float
    last_value: float | None = None
    """Numeric value of the last notification."""
    last_seen: float | None = None
    """Numeric value before the latest change."""
    pending: bool = False

    def change(self, value: float | None) -> None:
        """The observed value was written; it may be the same."""
        previous, self.last_seen = self.last_seen, value
        if not self.attributes.thresholds or value is None or self._worth(previous, value):
            self.pending = True

    def _worth(self, previous: float | None, value: float) -> bool:
        if previous is None or self.last_value is None:
            return True
        attributes = self.attributes
        if any(limit is not None and (previous > limit) != (value > limit) for limit in (attributes.gt, attributes.lt)):
            return True
        return attributes.st is not None and abs(value - self.last_value) >= attributes.st

    def due(self) -> float | None:
        """When the next notification is due; None: not before something changes."""
        if self.pending:
            return self.last_sent + self.attributes.pmin
        return None if self.attributes.pmax is None else self.last_sent + self.attributes.pmax

    def sent(self, now: float, value: float | None) -> None:
        """A notification with this value left."""
        self.last_sent = now
        self.last_value = self.last_seen = value
        self.pending = False


def numeric(records: Sequence[Record], path: Path) -> float | None:
    """The one number at an observed path, None if there is none or more than one value."""
    if len(records) != 1 or records[0].path != path:
        return None
    value = records[0].value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
