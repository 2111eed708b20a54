"""The rows of budgets and allotments: how nodes are given their part of a quota (`bridge.quota.allotment`).

A budget's row stays locked until the transaction ends, so one node after the other is given its part. Rows of several
budgets are locked in the order of their keys.
"""

from collections.abc import Mapping, Sequence

from bridge.quota.allotment import Budget, Claim, Grant, grant
from bridge.quota.pairs import Pair
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.sql.connection import value_of

CLOCK = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
_NEW = (
    "INSERT INTO quota_budget (key, starts, before_messages, before_bytes)"
    " SELECT unnest(?::text[]), 0, 0, 0 ON CONFLICT DO NOTHING"
)
_LOCKED = (
    "SELECT key, starts, before_messages, before_bytes FROM quota_budget WHERE key = ANY(?) ORDER BY key FOR UPDATE"
)
# A node that has died is thought to have used all that it had.
_OTHERS = (
    "SELECT a.key, CAST(sum(a.messages) AS bigint), CAST(sum(a.bytes) AS bigint),"
    " CAST(sum(CASE WHEN n.name IS NULL THEN a.messages ELSE a.used_messages END) AS bigint),"
    " CAST(sum(CASE WHEN n.name IS NULL THEN a.bytes ELSE a.used_bytes END) AS bigint)"
    " FROM allotment a LEFT JOIN node n ON n.incarnation = a.incarnation"
    " WHERE a.key = ANY(?) AND a.incarnation <> ? GROUP BY a.key"
)
_USED = (
    "SELECT b.key, b.starts, CAST(sum(a.used_messages) AS bigint), CAST(sum(a.used_bytes) AS bigint)"
    " FROM quota_budget b JOIN allotment a ON a.key = b.key GROUP BY b.key"
)
_GIVE = (
    "INSERT INTO allotment AS a (key, incarnation, number, messages, bytes, used_messages, used_bytes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, incarnation) DO UPDATE SET number = excluded.number,"
    " messages = excluded.messages, bytes = excluded.bytes, used_messages = excluded.used_messages,"
    " used_bytes = excluded.used_bytes WHERE a.number < excluded.number"
)
_BEGIN = "UPDATE quota_budget SET starts = ?, before_messages = ?, before_bytes = ? WHERE key = ?"


def accounted(connection: PostgresConnection) -> tuple[Mapping[str, tuple[int, Pair]], float]:
    """Return what `bridge.cluster.ledger.ClusterLedger.accounted` does. Raises psycopg.Error."""
    found = connection.execute(_USED).fetchall()
    return {key: (starts, (messages, size)) for key, starts, messages, size in found}, value_of(connection, CLOCK)


def allot(connection: PostgresConnection, incarnation: str, asked: Sequence[Claim], number: int) -> list[Grant]:
    """Return what a process of a node may use of quotas from now on, and write it down.

    `number` rises with each call of the process: what an earlier one gives later, since its connection broke, is not
    kept. The process may have lost its place in the cluster: then it submits nothing, and what it was given is lost.
    Raises psycopg.Error.
    """
    connection.execute("BEGIN")
    try:
        answers = _allot(connection, incarnation, asked, number)
    except BaseException:
        connection.roll_back()
        raise
    connection.execute("COMMIT")
    return answers


def _allot(connection: PostgresConnection, me: str, asked: Sequence[Claim], number: int) -> list[Grant]:
    keys = [one.key for one in asked]
    connection.execute(_NEW, (sorted(keys),))
    locked = connection.execute(_LOCKED, (keys,)).fetchall()
    budgets = {key: Budget(starts, (messages, size)) for key, starts, messages, size in locked}
    now = value_of(connection, CLOCK)
    changed = {one.key: budgets[one.key] for one in asked if budgets[one.key].begin(one, now)}
    if changed:
        ended = [key for key, budget in changed.items() if budget.is_new]
        connection.execute("DELETE FROM allotment WHERE key = ANY(?)", (ended,))
        connection.executemany(_BEGIN, [(one.starts, *one.before, key) for key, one in changed.items()])
    for key, *numbers in connection.execute(_OTHERS, (keys, me)).fetchall():
        budgets[key].given, budgets[key].used = (numbers[0], numbers[1]), (numbers[2], numbers[3])
    answers = [grant(one, budgets[one.key], now) for one in asked]
    rows = [(one.key, me, number, *its.all, *its.used) for one, its in zip(asked, answers, strict=True)]
    connection.executemany(_GIVE, rows)
    return answers
