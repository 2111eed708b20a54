"""What the tables of the store use: reads outside of the event loop, and work in the writer's thread."""

from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

import apsw

from bridge.store.contract import Done
from bridge.store.sqlite.loads import Loads
from bridge.store.sqlite.reads import SqliteReads

T = TypeVar("T")


class Engine(Protocol):
    """Implemented by `bridge.store.sqlite.store.SqliteStore`, which describes its methods."""

    loads: Loads
    reads: SqliteReads

    async def run(self, work: Callable[[apsw.Connection], T], *, directory: bool = False) -> T: ...

    def write(
        self, work: Callable[[apsw.Connection], None], done: Done, *, touches: tuple[Hashable, ...] = ()
    ) -> None: ...
