"""The temperature sensor, object 3303: extremes follow the value."""

from mock_network.device.operations import Executable
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import TEMPERATURE
from mock_network.lwm2m.paths import Path

_VALUE, _MIN_MEASURED, _MAX_MEASURED, _RESET_MEASURED = 5700, 5601, 5602, 5605


class TemperatureSensors:
    """All instances of object 3303 in a tree."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree

    def measured(self, path: Path) -> None:
        """Take note that the sensor at `path` has a new value, where it is one."""
        if len(path) != 3 or path[0] != TEMPERATURE or path[2] != _VALUE:  # noqa: PLR2004  # a resource's path
            return
        value = float(self._tree.get(path))  # type: ignore[arg-type]  # a float resource
        for resource, extreme in ((_MIN_MEASURED, min), (_MAX_MEASURED, max)):
            target = (*path[:2], resource)
            known = self._tree.get_or(target, "")
            new = extreme(known, value) if isinstance(known, float) else value
            if new != known:
                self._tree.set(target, new)

    def executable(self, path: Path) -> Executable | None:
        """Return what Execute does at a path of this object."""
        if path[0] == TEMPERATURE and path[2] == _RESET_MEASURED:
            return lambda _arguments: self._reset(path[:2])
        return None

    def _reset(self, sensor: Path) -> None:
        value = self._tree.get((*sensor, _VALUE))
        self._tree.set((*sensor, _MIN_MEASURED), value)
        self._tree.set((*sensor, _MAX_MEASURED), value)
