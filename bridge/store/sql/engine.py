"""What the tables of the store use: reads outside of the event loop, and work in the writer's thread."""

from collections.abc import Callable, Collection, Hashable
from typing import Protocol, TypeVar

from bridge.store.contract import Done
from bridge.store.sql.connection import Connection
from bridge.store.sql.loads import Loads
from bridge.store.sql.reads import SqlReads

T = TypeVar("T")


class Engine(Protocol):
    """Implemented by `bridge.store.sql.store.SqlStore`, which describes its methods."""

    loads: Loads
    reads: SqlReads

    async def run(
        self, work: Callable[[Connection], T], *, directory: bool = False, shards: Collection[int] = ()
    ) -> T: ...

    def write(
        self,
        work: Callable[[Connection], None],
        done: Done,
        *,
        touches: tuple[Hashable, ...] = (),
        device: tuple[str, str] | None = None,
    ) -> None: ...
