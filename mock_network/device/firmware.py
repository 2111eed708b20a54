"""The states of the Firmware Update object /5 (Core TS 1.1, Appendix E.6). State only: no image is run."""

from collections.abc import Callable

from mock_network.device.objects import NOT_ALLOWED, ObjectTree, OperationError
from mock_network.lwm2m.definitions import DEVICE, FIRMWARE
from mock_network.lwm2m.paths import Path

IDLE, DOWNLOADED, UPDATING = 0, 2, 3
INITIAL, SUCCESS, UNSUPPORTED_PROTOCOL = 0, 1, 9
UPDATE_TIME = 5.0  # seconds

PACKAGE: Path = (FIRMWARE, 0, 0)
PACKAGE_URI: Path = (FIRMWARE, 0, 1)
UPDATE: Path = (FIRMWARE, 0, 2)
_STATE: Path = (FIRMWARE, 0, 3)
_RESULT: Path = (FIRMWARE, 0, 5)
_VERSION: Path = (DEVICE, 0, 3)


class Firmware:
    """`later` calls something after so many seconds."""

    def __init__(self, tree: ObjectTree, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._tree = tree
        self._later = later

    def written(self, path: Path) -> None:
        """A server wrote `path`; the package and its URI move the state."""
        if path == PACKAGE:
            # An empty package is a reset (E.6 resource 0).
            self._state(DOWNLOADED if self._tree.get(PACKAGE) else IDLE, INITIAL)
        elif path == PACKAGE_URI and self._tree.get(PACKAGE_URI):
            self._state(IDLE, UNSUPPORTED_PROTOCOL)  # this device takes pushed packages only
        elif path == PACKAGE_URI:
            self._state(IDLE, INITIAL)

    def update(self, _arguments: bytes) -> None:
        """Execute /5/0/2; OperationError unless a package is there."""
        if self._tree.get(_STATE) != DOWNLOADED:
            raise OperationError(NOT_ALLOWED, "no package to install")
        self._state(UPDATING, INITIAL)
        self._later(UPDATE_TIME, self._finish)

    def _finish(self) -> None:
        if self._tree.get(_STATE) == UPDATING:
            version = str(self._tree.get(_VERSION))
            major, _, minor = version.partition(".")
            self._tree.set(_VERSION, f"{major}.{int(minor or 0) + 1}")
            self._state(IDLE, SUCCESS)

    def _state(self, state: int, result: int) -> None:
        self._tree.set(_RESULT, result)
        self._tree.set(_STATE, state)
