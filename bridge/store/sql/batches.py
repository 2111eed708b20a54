"""Batches: what is committed together, or not at all."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from bridge.delivery.rows import Change
from bridge.store.contract import Done
from bridge.store.sql.connection import Connection

Work = Callable[[Connection], Any]


class Batch:
    """Changes to rows, or work on the connection, that are committed together or not at all."""

    __slots__ = (
        "changes", "device", "directory", "done", "endpoint", "error", "fence", "generation", "refused", "result",
        "touches", "work",
    )  # fmt: skip

    def __init__(
        self,
        changes: Sequence[Change],
        work: Work | None,
        done: Done,
        endpoint: int | None,
        *,
        directory: bool = False,
        touches: tuple[Hashable, ...] = (),
        fence: tuple[int, int] | None = None,
        device: tuple[str, str] | None = None,
    ) -> None:
        self.changes = changes
        self.work = work
        self.done = done
        self.endpoint = endpoint
        self.directory = directory  # whether it changes the directory
        self.touches = touches  # what else it changes, as `bridge.store.sql.asked` names it
        self.fence = fence  # the shard that this node must hold, and with which epoch; None: any node may commit it
        self.device = device  # (network, device) whose endpoint's shard this node must hold
        self.generation = 0
        self.error: BaseException | None = None
        self.refused = False  # `error` is the considered answer of its own work
        self.result: Any = None

    @property
    def failed(self) -> bool:
        """Whether it should have been kept, and is not."""
        return self.error is not None and not self.refused

    def forget(self) -> None:
        """Forget what became of it: the transaction that it was in was rolled back, whatever its own work said."""
        self.error = None
        self.refused = False


class Wrong(Exception):  # says what it is
    """A batch cannot be stored; the group is written again one by one."""
