"""Faults of a store, on demand."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.errors import StoreUnavailable


@dataclass
class Faults:
    """Set from outside at any time. `changed` is called by `go`; the store sets it."""

    commits_fail: bool = False  # every group fails as a whole, as with a full disk
    reads_fail: bool = False
    commits_wait: bool = False  # commits wait until `go`
    reads_wait: bool = False  # reads wait until `go`
    changed: list[Callable[[], None]] = field(default_factory=list)

    def go(self) -> None:
        """Let everything that waits continue now."""
        self.commits_wait = self.reads_wait = False
        for one in self.changed:
            one()

    def refused(self) -> StoreUnavailable:
        """Return a new error like that of a disk."""
        return StoreUnavailable("the store cannot write: disk full, as the test wants it")

    def unreadable(self) -> StoreUnavailable:
        """Return a new error like that of a disk."""
        return StoreUnavailable("the store cannot be read: as the test wants it")
