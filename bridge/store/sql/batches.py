"""Batches: what is committed together, or not at all."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgspec

from bridge.delivery.rows import Change
from bridge.store.contract import Done
from bridge.store.sql.connection import Connection

Work = Callable[[Connection], Any]


class Batch(msgspec.Struct, eq=False):
    """Changes to rows, or work on the connection, that are committed together or not at all."""

    changes: Sequence[Change]
    work: Work | None
    done: Done
    endpoint: int | None
    directory: bool = False  # whether it changes the directory
    touches: tuple[Hashable, ...] = ()  # what else it changes, as `bridge.store.sql.asked` names it
    fence: tuple[int, int] | None = (
        None  # the shard that this node must hold, and with which epoch; None: any may commit
    )
    fences: tuple[tuple[int, int], ...] = ()  # further ones
    device: tuple[str, str] | None = None  # (network, device) whose endpoint's shard this node must hold
    generation: int = 0
    error: BaseException | None = None
    refused: bool = False  # `error` is the considered answer of its own work
    result: Any = None

    @property
    def failed(self) -> bool:
        """Return whether the batch should have been committed, and was not."""
        return self.error is not None and not self.refused

    def forget(self) -> None:
        """Forget what became of it: the transaction that it was in was rolled back, whatever its own work said."""
        self.error = None
        self.refused = False


def failed_of(group: Sequence[Batch]) -> list[Batch]:
    """Return the batches of a group that should have been kept, and are not."""
    return [batch for batch in group if batch.error is not None and batch.failed]


class Wrong(Exception):  # says what it is
    """A batch cannot be stored; the group is written again one by one."""
