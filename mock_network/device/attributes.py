"""Attributes that servers attach to paths by Write-Attributes (Core TS 1.1 §5.1.2, §6.3.4). No I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mock_network.device.refusal import BAD_REQUEST, OperationError
from mock_network.lwm2m.paths import INSTANCE_LEVEL, RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import INTEGERS, DataType

PERIODS = ("pmin", "pmax", "epmin", "epmax")
THRESHOLDS = ("gt", "lt", "st")


@dataclass(frozen=True, slots=True)
class Attributes:
    """Effective attributes of an observed path. Periods in seconds; no or zero `pmax`, `epmax` means none."""

    pmin: float = 0.0
    pmax: float | None = None
    epmin: float = 0.0
    epmax: float | None = None
    gt: float | None = None
    lt: float | None = None
    st: float | None = None

    @property
    def thresholds(self) -> bool:
        """Return whether a change alone is not enough for a notification."""
        return self.gt is not None or self.lt is not None or self.st is not None


@dataclass(slots=True)
class AttributeTable:
    """What one server attached to paths; each server has its own."""

    _attached: dict[Path, dict[str, float]] = field(default_factory=dict)

    def write(self, path: Path, query: Sequence[str], data_type: DataType | None) -> None:
        """Attach `pmin=10` and the like; a name without value removes it. OperationError, changing nothing."""
        attached = dict(self._attached.get(path, {}))
        for item in query:
            name, separator, text = item.partition("=")
            _check_place(name, path, data_type)
            if separator:
                attached[name] = _number(name, text)
            else:
                attached.pop(name, None)
        check_thresholds(attached)
        self._attached[path] = attached

    def attached(self, path: Path) -> Mapping[str, str]:
        """Return the attributes attached to exactly this path, for Discover."""
        return {
            name: str(int(value)) if float(value).is_integer() else repr(value)
            for name, value in sorted(self._attached.get(path, {}).items())
        }

    def effective(self, path: Path, default_pmin: float, default_pmax: float) -> Attributes:
        """Return the attributes of an observation: the nearest level's count, the Server object's defaults fill in."""
        merged: dict[str, float] = {"pmin": default_pmin, "pmax": default_pmax}
        for level in range(1, len(path) + 1):
            merged.update(self._attached.get(path[:level], {}))
        pmin, pmax = merged["pmin"], merged["pmax"] or None
        epmin, epmax = merged.get("epmin", 0.0), merged.get("epmax") or None
        return Attributes(
            pmin,
            None if pmax is not None and pmax < pmin else pmax,  # §5.1.2: a pmax below pmin is ignored
            epmin,
            None if epmax is not None and epmax < epmin else epmax,
            merged.get("gt"),
            merged.get("lt"),
            merged.get("st"),
        )

    def forget(self, path: Path) -> None:
        """Forget all below an object instance that is gone."""
        for attached in [known for known in self._attached if known[:INSTANCE_LEVEL] == path[:INSTANCE_LEVEL]]:
            if len(attached) >= INSTANCE_LEVEL:
                del self._attached[attached]


def _check_place(name: str, path: Path, data_type: DataType | None) -> None:
    if name not in (*PERIODS, *THRESHOLDS):
        raise OperationError(BAD_REQUEST, f"unknown attribute {name[:20]}")
    numeric = data_type in INTEGERS or data_type is DataType.FLOAT
    if name in THRESHOLDS and not (len(path) >= RESOURCE_LEVEL and numeric):
        raise OperationError(BAD_REQUEST, f"{name} is for numeric resources")


def _number(name: str, text: str) -> float:
    try:
        value = float(text) if name in THRESHOLDS else int(text)
    except ValueError:
        raise OperationError(BAD_REQUEST, f"{name} is not a number") from None
    if name in (*PERIODS, "st") and value < 0:
        raise OperationError(BAD_REQUEST, f"{name} is negative")
    return value


def check_thresholds(attached: Mapping[str, float]) -> None:
    """Raise OperationError where gt, lt and st contradict each other (§5.1.2)."""
    low, high = attached.get("lt"), attached.get("gt")
    if low is not None and high is not None and low + 2 * attached.get("st", 0.0) >= high:
        raise OperationError(BAD_REQUEST, "lt + 2 st must be below gt")


def parse_condition(text: str) -> Mapping[str, float]:
    """Return the thresholds written as `gt=30;st=5`; OperationError if there is none or they contradict each other."""
    found = {}
    for item in text.split(";"):
        name, _, value = item.strip().partition("=")
        if name not in THRESHOLDS:
            raise OperationError(BAD_REQUEST, f"a condition is of gt, lt and st, not {name[:20]!r}")
        found[name] = _number(name, value)
    check_thresholds(found)
    return found
