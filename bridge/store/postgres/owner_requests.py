"""Requests to the node that holds a shard, in PostgreSQL: `bridge.cluster.requests.OwnerRequests`.

They are rare, and each is a statement of its own on the connection for questions about the cluster.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from bridge.cluster.requests import OwnerAnswer, OwnerRequest
from bridge.store.inbox import ANSWERS
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.postgres.ingress import CHANNEL

FORGOTTEN = "1 hour"  # after its time a request is removed, whoever asked

_ASK = (
    "INSERT INTO owner_request (shard, operation, body, who, until)"
    " VALUES (?, ?, ?, ?, clock_timestamp() + make_interval(secs => ?)) RETURNING id"
)
_TELL = f"SELECT pg_notify({CHANNEL}, ?)"
_FORGET = f"DELETE FROM owner_request WHERE until < clock_timestamp() - interval '{FORGOTTEN}'"  # noqa: S608  # our own
_WAITING = (
    "SELECT shard, operation, body, who, id, begun FROM owner_request WHERE shard = ANY(?) AND answer IS NULL"
    " AND id <> ALL(CAST(? AS bigint[]))"
    " AND until > clock_timestamp() ORDER BY id LIMIT 100"
)
_BEGIN = "UPDATE owner_request SET begun = 1 WHERE id = ?"
_ANSWER = "UPDATE owner_request SET answer = ? WHERE id = ?"
_ANSWERS = "DELETE FROM owner_request WHERE id = ANY(?) AND answer IS NOT NULL RETURNING id, answer"
_WITHDRAW = "DELETE FROM owner_request WHERE id = ? AND begun = 0"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OwnerAnswer).decode

Ask = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Answers a question in the thread of the connection. Raises StoreUnavailable."""


class PostgresOwnerRequests:
    """`ask` runs what uses `connection`, which commits each statement by itself."""

    def __init__(self, connection: PostgresConnection, ask: Ask) -> None:
        self._connection = connection
        self._ask = ask

    async def ask(self, request: OwnerRequest, seconds: float) -> int:
        def work() -> int:
            self._connection.execute(_FORGET)
            values = (request.shard, request.operation, request.body, request.who, seconds)
            (id_,) = self._connection.execute(_ASK, values).fetchall()[0]
            self._connection.execute(_TELL, (str(request.shard),))
            return int(id_)

        return int(await self._ask(work))

    async def waiting(self, shards: Collection[int], running: Collection[int] = ()) -> Sequence[OwnerRequest]:
        found = await self._rows(_WAITING, ([*shards], [*running]))
        return [
            OwnerRequest(shard, name, bytes(body), who, id_, begun == 1) for shard, name, body, who, id_, begun in found
        ]

    async def begin(self, id_: int) -> bool:
        return bool(await self._changed(_BEGIN, (id_,)))

    async def answer(self, id_: int, answer: OwnerAnswer) -> None:
        def work() -> None:
            self._connection.execute(_ANSWER, (_encode(answer), id_))
            self._connection.execute(_TELL, (str(ANSWERS),))

        await self._ask(work)

    async def answers(self, ids: Collection[int]) -> Mapping[int, OwnerAnswer]:
        return {id_: _decode(bytes(answer)) for id_, answer in await self._rows(_ANSWERS, ([*ids],))}

    async def withdraw(self, id_: int) -> bool:
        return bool(await self._changed(_WITHDRAW, (id_,)))

    async def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self._ask(lambda: self._connection.execute(statement, values).fetchall())
        return rows

    async def _changed(self, statement: str, values: tuple[Any, ...]) -> int:
        def work() -> int:
            self._connection.execute(statement, values)
            return self._connection.changes()

        return int(await self._ask(work))
