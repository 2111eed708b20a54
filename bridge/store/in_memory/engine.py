"""What the directory and the notes need of their store."""

from collections.abc import Callable
from typing import Any, Protocol

from bridge.errors import StoreUnavailable
from bridge.store.contract import Done
from bridge.store.in_memory.disk import Disk

Work = Callable[[], Any]
"""Changes the disk, and returns a result. If it raises, it has undone its changes."""


class Engine(Protocol):
    @property
    def disk(self) -> Disk: ...

    def write(self, work: Work, done: Done) -> None:
        """Run `work` within a commit; `done` is called when that is durable, as with `commit`."""

    async def run(self, work: Work) -> Any:
        """Run `work` within a commit; return its result when that is durable. Raises what it raises."""

    def ask(self, answer: Callable[[StoreUnavailable | None], None]) -> None:
        """Answer a query later, together with all queries that come meanwhile."""

    async def readable(self) -> None:
        """Return when reads are answered. Raises StoreUnavailable if they fail."""
