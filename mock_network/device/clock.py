"""The device's own clock, resource /3/0/13: right from the start, or unknown until a server writes it. No I/O."""

from collections.abc import Callable

from mock_network.device.tree import Computed, ObjectTree
from mock_network.lwm2m.definitions import DEVICE
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.values import Value

CURRENT_TIME: Path = (DEVICE, 0, 13)


class DeviceClock:
    """Runs with `wall`, seconds since 1970; a server that writes the time moves it.

    A device without a clock of its own knows no time, and has no resource /3/0/13, until it is written: by a server or
    by Bootstrap-Write. Only then can it judge how long a certificate is valid.
    """

    def __init__(self, tree: ObjectTree, wall: Callable[[], float], *, known: bool) -> None:
        self._wall = wall
        self._known = known
        self._offset: float | None = 0.0 if known else None
        tree.computed[CURRENT_TIME] = Computed(self.read, self.write)

    def read(self) -> Value | None:
        """Return the time in whole seconds since 1970, None while it is unknown."""
        return None if self._offset is None else int(self._wall() + self._offset)

    def write(self, value: Value) -> None:
        """Set the time."""
        self._offset = int(value) - self._wall()  # type: ignore[arg-type]  # a time resource

    def reset(self) -> None:
        """Return to what the clock knew when the device was new; without a battery, also after a power cut."""
        self._offset = 0.0 if self._known else None

    @property
    def known(self) -> bool:
        """Return whether the device knows the time."""
        return self._offset is not None
