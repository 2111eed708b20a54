"""The Firmware Update object /5 (Core TS 1.1, Appendix E.6), pushed packages only, and the Firmware Bank /26251.

Any package is installed as a firmware that works; one that begins with the line

    #firmware {"version": "2.0", "boots": true, "settings": "keep", "restart": false, "sha256": "…"}

describes itself: its version; whether it boots (if not, the device returns to the old firmware with its settings);
whether it keeps the settings or comes with its own; whether the device restarts into it; and the digest of what follows
the line. The device saves the settings before each update. The Firmware Bank lets a server return to the firmware and
settings of before an update that succeeded, or bring back the settings alone.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mock_network.device.operations import Executable
from mock_network.device.refusal import NOT_ALLOWED, OperationError
from mock_network.device.tree import Instances, ObjectTree
from mock_network.lwm2m.definitions import (
    ACCESS_CONTROL,
    DEVICE,
    FIRMWARE,
    FIRMWARE_BANK,
    OSCORE,
    SECURE_COMPONENT,
    SECURITY,
    SERVER,
)
from mock_network.lwm2m.paths import Path

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)
INITIAL, SUCCESS, NO_FLASH, NO_RAM, CONNECTION_LOST, INTEGRITY, UNSUPPORTED_PACKAGE = range(7)
INVALID_URI, UPDATE_FAILED, UNSUPPORTED_PROTOCOL = 7, 8, 9
PULL, PUSH, BOTH = range(3)
UPDATE_TIME = 5.0  # seconds

PACKAGE: Path = (FIRMWARE, 0, 0)
PACKAGE_URI: Path = (FIRMWARE, 0, 1)
UPDATE: Path = (FIRMWARE, 0, 2)
_STATE: Path = (FIRMWARE, 0, 3)
_RESULT: Path = (FIRMWARE, 0, 5)
_NAME: Path = (FIRMWARE, 0, 6)
_PACKAGE_VERSION: Path = (FIRMWARE, 0, 7)
_VERSION: Path = (DEVICE, 0, 3)
_PREVIOUS: Path = (FIRMWARE_BANK, 0, 0)
_SAVED: Path = (FIRMWARE_BANK, 0, 1)
REVERT: Path = (FIRMWARE_BANK, 0, 2)
RESTORE_SETTINGS: Path = (FIRMWARE_BANK, 0, 3)
_NO_SETTINGS = frozenset({FIRMWARE, FIRMWARE_BANK, SECURE_COMPONENT})
_ACCOUNTS = frozenset({SECURITY, SERVER, ACCESS_CONTROL, OSCORE})
"""What even a firmware with settings of its own keeps: without it the device would be lost."""
_MARK = b"#firmware "


@dataclass(frozen=True, slots=True)
class Image:
    """The description in a package."""

    version: str | None = None
    boots: bool = True
    keeps_settings: bool = True
    restart: bool = False
    intact: bool = True
    understood: bool = True

    @classmethod
    def parse(cls, package: bytes) -> "Image":
        """Return the description in a package; empty without such a first line."""
        line, _, rest = package.partition(b"\n")
        if not line.startswith(_MARK):
            return cls()
        try:
            body: dict[str, Any] = dict(json.loads(line.removeprefix(_MARK)))
        except (ValueError, TypeError, RecursionError):
            return cls(understood=False)
        digest = body.get("sha256")
        return cls(
            version=None if body.get("version") is None else str(body["version"]),
            boots=body.get("boots", True) is True,
            keeps_settings=body.get("settings", "keep") == "keep",
            restart=body.get("restart", False) is True,
            intact=digest is None or digest == hashlib.sha256(rest).hexdigest(),
        )


class Firmware:
    """`later` calls something after so many seconds; `restart` lets the device go down and up again."""

    def __init__(
        self,
        tree: ObjectTree,
        later: Callable[[float, Callable[[], None]], None],
        restart: Callable[[], None],
    ) -> None:
        self._tree, self._later, self._restart = tree, later, restart
        self._saved: Instances | None = None
        self._image = Image()

    def written(self, path: Path) -> None:
        """Take note that a server wrote `path`; the package and its URI move the state."""
        if path == PACKAGE:
            self._take_package(self._tree.get(PACKAGE))
        elif path == PACKAGE_URI:
            # This device takes pushed packages only; an empty URI is a reset.
            self._state(IDLE, UNSUPPORTED_PROTOCOL if self._tree.get(PACKAGE_URI) else INITIAL)

    def _take_package(self, package: object) -> None:
        if not isinstance(package, bytes) or not package:  # an empty package is a reset (E.6 resource 0)
            self._state(IDLE, INITIAL)
            return
        self._image = Image.parse(package)
        if not self._image.understood:
            self._state(IDLE, UNSUPPORTED_PACKAGE)
        elif not self._image.intact:
            self._state(IDLE, INTEGRITY)
        else:
            self._tree.set(_NAME, "firmware")
            self._tree.set(_PACKAGE_VERSION, self._image.version or self._next_version())
            self._state(DOWNLOADED, INITIAL)

    def executable(self, path: Path) -> Executable | None:
        """Return what Execute does at a path of these two objects."""
        actions: dict[Path, Executable] = {
            UPDATE: lambda _arguments: self._update(),
            REVERT: lambda _arguments: self._revert(),
            RESTORE_SETTINGS: lambda _arguments: self._restore_settings(),
        }
        return actions.get(path)

    def _update(self) -> None:
        if self._tree.get(_STATE) != DOWNLOADED:
            raise OperationError(NOT_ALLOWED, "no package to install")
        self._state(UPDATING, INITIAL)
        self._later(UPDATE_TIME, self._finish)

    def _next_version(self) -> str:
        major, _, minor = str(self._tree.get(_VERSION)).partition(".")
        return f"{major}.{int(minor) + 1 if minor.isdigit() else 1}"

    def _finish(self) -> None:
        if self._tree.get(_STATE) != UPDATING:
            return
        image = self._image
        if not image.boots:
            # The boot loader finds that the new firmware does not come up, and starts the old one: nothing has changed.
            self._state(IDLE, UPDATE_FAILED)
        else:
            self._saved = self._settings()
            previous, version = str(self._tree.get(_VERSION)), image.version or self._next_version()
            if not image.keeps_settings:
                self._tree.reset(set(self._tree.objects()) - _NO_SETTINGS - _ACCOUNTS)
            self._tree.set(_VERSION, version)
            self._bank(previous)
            self._state(IDLE, SUCCESS)
        if image.restart:
            self._restart()

    def _settings(self) -> Instances:
        return self._tree.snapshot(set(self._tree.objects()) - _NO_SETTINGS)

    def _bank(self, previous: str) -> None:
        if FIRMWARE_BANK in self._tree.objects():
            self._tree.set(_PREVIOUS, previous)
            self._tree.set(_SAVED, value=self._saved is not None)

    def _revert(self) -> None:
        """Return to the firmware of before the last update, with its settings."""
        if self._saved is None:
            raise OperationError(NOT_ALLOWED, "there is no firmware to return to")
        saved, self._saved = self._saved, None
        self._tree.restore(saved)  # the version, resource /3/0/3, is among them
        self._bank("")

    def _restore_settings(self) -> None:
        """Bring back the settings of before the last update; the firmware stays."""
        if self._saved is None:
            raise OperationError(NOT_ALLOWED, "no settings were saved")
        version = self._tree.get(_VERSION)
        self._tree.restore(self._saved)
        self._tree.set(_VERSION, version)

    def _state(self, state: int, result: int) -> None:
        self._tree.set(_RESULT, result)
        self._tree.set(_STATE, state)
