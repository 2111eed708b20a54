"""Sums over rows of usage."""

from typing import Any

from bridge.quota.report import UsageSum
from bridge.quota.usage import Usage
from bridge.store.sql.connection import Connection


def _sum(column: str) -> str:
    return f"CAST(sum({column}) AS BIGINT)"  # else PostgreSQL returns a decimal number


_SUMS = ", ".join(map(_sum, ("down_messages", "down_bytes", "up_messages", "up_bytes")))
_COUNTED = Usage.__struct_fields__[5:]
_OF_ALL = ", ".join(name if name in {"hour", "minute"} else _sum(name) for name in _COUNTED)
_SINCE = (
    f'SELECT day, network, "group", {_OF_ALL} FROM usage INDEXED BY usage_day'  # noqa: S608  # names of our own
    ' WHERE day >= ? GROUP BY day, network, "group", hour, minute'
)


def sums(
    connection: Connection,
    first: int,
    last: int,
    *,
    by_endpoint: bool,
    endpoint: int | None,
    network: str | None,
    after: tuple[int, str, int] | None,
    limit: int,
) -> list[UsageSum]:
    """Return the sums of `bridge.store.contract.Reads.usage`."""
    whose = "endpoint" if by_endpoint else "0"
    where = ["day BETWEEN ? AND ?"]
    values: list[int | str] = [first, last]
    conditions: list[tuple[str, Any]] = [("endpoint = ?", endpoint), ("network = ?", network)]
    for text, value in conditions:
        if value is not None:
            where.append(text)
            values.append(value)
    if after is not None:
        where.append(f"(day, network, {whose}) > (?, ?, ?)")
        values += after
    rows = connection.execute(
        f"SELECT day, network, {whose} AS whose, {_SUMS} FROM usage WHERE {' AND '.join(where)}"  # noqa: S608  # as above
        " GROUP BY day, network, whose ORDER BY day, network, whose LIMIT ?",
        (*values, limit),
    )
    return [UsageSum(*row) for row in rows]


def since(connection: Connection, day: int) -> list[Usage]:
    """Return the usage of all endpoints together, see `bridge.store.contract.Reads.usage_since`."""
    return [
        Usage(0, of_day, network, group, 0, *counted)
        for of_day, network, group, *counted in connection.execute(_SINCE, (day,))
    ]


def prune(connection: Connection, before: int) -> int:
    """Remove usage before a day; return how many rows that were."""
    connection.execute("DELETE FROM usage WHERE day < ?", (before,))
    return connection.changes()
