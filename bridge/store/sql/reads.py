"""`bridge.store.contract.Reads`: a `SqlReader` in a thread of its own, so that a slow query delays nothing else."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridge.delivery.downlinks import Downlink
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Response, Uplink, Verdict
from bridge.errors import StoreUnavailable
from bridge.quota.report import UsageSum
from bridge.quota.usage import Usage
from bridge.store.sealing import NO_BODIES
from bridge.store.sql import usage_rows
from bridge.store.sql.reader import SqlReader

T = TypeVar("T")


class SqlReads:
    """Runs one query at a time. The thread and its connection are made with the first one."""

    def __init__(self, connect: Callable[[], SqlReader], error: type[Exception]) -> None:
        """`connect` is called in the thread; `error` is what a connection raises when it cannot read."""
        self._connect = connect
        self._error = error
        self._thread: ThreadPoolExecutor | None = None
        self._reader: SqlReader | None = None
        self._closed = False
        self.bodies = NO_BODIES

    async def ask(self, question: Callable[[SqlReader], T]) -> T:
        """Run `question` in the thread, and return its result. Raises StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "store-reads")

        def answer() -> T:
            if self._reader is None:
                self._reader = self._connect()
            self._reader.bodies = self.bodies
            return question(self._reader)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, answer)
        except self._error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    def close(self) -> None:
        """Finish the running query, and close the connection."""
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown()
        if self._reader is not None:
            self._reader.close()

    async def downlinks(
        self,
        *,
        endpoint: int | None = None,
        state: DownlinkState | None = None,
        over: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Downlink]:
        return await self.ask(
            lambda reader: reader.downlinks(endpoint=endpoint, state=state, over=over, before=before, limit=limit)
        )

    async def uplinks(
        self,
        *,
        endpoint: int | None = None,
        state: UplinkState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Uplink]:
        return await self.ask(lambda reader: reader.uplinks(endpoint=endpoint, state=state, before=before, limit=limit))

    async def downlink(self, id_: int) -> Downlink | None:
        return await self.ask(lambda reader: reader.downlink(id_))

    async def uplink(self, id_: int) -> Uplink | None:
        return await self.ask(lambda reader: reader.uplink(id_))

    async def answers(self, downlinks: Sequence[Downlink]) -> list[Response | Verdict]:
        return await self.ask(lambda reader: reader.answers(downlinks))

    async def usage(
        self,
        first: int,
        last: int,
        *,
        by_endpoint: bool = True,
        endpoint: int | None = None,
        network: str | None = None,
        after: tuple[int, str, int] | None = None,
        limit: int = 100,
    ) -> list[UsageSum]:
        def question(reader: SqlReader) -> list[UsageSum]:
            return usage_rows.sums(
                reader.connection, first, last,
                by_endpoint=by_endpoint, endpoint=endpoint, network=network, after=after, limit=limit,
            )  # fmt: skip

        return await self.ask(question)

    async def usage_since(self, day: int) -> list[Usage]:
        return await self.ask(lambda reader: usage_rows.since(reader.connection, day))

    async def downlink_counts(self, endpoint: int | None = None) -> Counter[tuple[DownlinkState, bool]]:
        return await self.ask(lambda reader: reader.downlink_counts(endpoint))

    async def uplink_counts(self, endpoint: int | None = None) -> Counter[UplinkState]:
        return await self.ask(lambda reader: reader.uplink_counts(endpoint))

    async def has_uplink(
        self, endpoint: int, duplicate_key: str | None, digest: bytes, after: float, before: float
    ) -> bool:
        return await self.ask(lambda reader: reader.has_uplink(endpoint, duplicate_key, digest, after, before))
