"""The rows of nodes and shards: what the cluster looks like, and how a shard changes hands.

Not on the connection that commits: whoever takes a shard waits for the transactions of others, and a group that holds
locks of its own must wait for nobody's.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from bridge.cluster.agreement import Agreement
from bridge.cluster.view import ClusterView, NodeView, ShardView
from bridge.errors import NotFound, StoreUnavailable
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.postgres.membership import Membership, agreements, lock_agreements, written
from bridge.store.sql.connection import Connection

SESSION = "SET lock_timeout = '4s'; SET statement_timeout = '8s'; SET idle_in_transaction_session_timeout = '2s'"
"""A node that hangs while it takes shards has locked them: the server ends that before a taker gives up its wait."""

DRAINING, LEAVING, UNFIT = 1, 2, 3  # values of `node.draining`; 0: the node serves what it should
TERMINATED = 3000  # milliseconds to wait until a session of a node that is over has ended

_NODES = (
    "SELECT name, CAST(extract(epoch FROM until - clock_timestamp()) AS double precision), draining, failing,"
    " failing_why, release,"
    " CAST(extract(epoch FROM started_at) AS double precision) FROM node ORDER BY name"
)

_SHARDS = "SELECT id, holder, epoch, CAST(extract(epoch FROM since) AS double precision) FROM shard ORDER BY id"


def view(connection: PostgresConnection) -> ClusterView:
    """Return all nodes and shards. Raises psycopg.Error."""
    nodes = {
        name: NodeView(name, max(left, 0.0), state in (DRAINING, LEAVING), state == LEAVING, state == UNFIT, *more)
        for name, left, state, *more in connection.execute(_NODES).fetchall()
    }
    shards = {shard: ShardView(*more) for shard, *more in connection.execute(_SHARDS).fetchall()}
    return ClusterView(nodes, shards)


def take(
    connection: PostgresConnection, me: Membership, shards: Sequence[int], block: int
) -> tuple[dict[int, int], int]:
    """Take shards that no living node holds; return the epochs of those taken, and the first of `block` new ids.

    These ids are larger than any in those shards. A node whose lease is over is declared so, and its session ended:
    its transactions have ended, too, and it commits nothing more. Raises StoreUnavailable if this node's own lease
    was declared over, psycopg.Error.
    """
    _declare_over(connection, me)
    with _transaction(connection):
        _require_member(connection, me)
        connection.execute("SELECT id FROM shard WHERE id = ANY(?) ORDER BY id FOR UPDATE", (list(shards),))
        taken = connection.execute(
            "UPDATE shard SET holder = ?, epoch = epoch + 1, since = clock_timestamp() WHERE id = ANY(?)"
            " AND (holder IN ('', ?) OR holder NOT IN (SELECT name FROM node WHERE incarnation <> ''))"
            " RETURNING id, epoch",
            (me.node, list(shards), me.node),
        ).fetchall()
    return dict(taken), reserve(connection, block)


def reserve(connection: Connection, block: int) -> int:
    """Reserve ids; return the first of them. Raises psycopg.Error."""
    found = connection.execute("UPDATE id_mark SET next = next + ? RETURNING next", (block,)).fetchone()
    if found is None:
        raise StoreUnavailable("the ledger has no row for ids")
    return int(found[0]) - block


def release(connection: PostgresConnection, me: Membership, shard: int, epoch: int) -> None:
    """Let other nodes take a shard; nothing happens if this node does not hold it. Raises psycopg.Error."""
    connection.execute(
        "UPDATE shard SET holder = '', since = clock_timestamp() WHERE id = ? AND holder = ? AND epoch = ?",
        (shard, me.node, epoch),
    )


def drain(connection: PostgresConnection, node: str, *, on: bool) -> None:
    """Ask a node to hand over its shards, or to take some again. Raises NotFound, psycopg.Error."""
    connection.execute(
        "UPDATE node SET draining = CASE WHEN draining = ? THEN draining ELSE ? END WHERE name = ?",
        (LEAVING, DRAINING if on else 0, node),
    )
    if not connection.changes():
        raise NotFound(f"there is no node {node!r} in the cluster")


def agree(
    connection: PostgresConnection,
    me: Membership,
    agreement: Agreement,
    check: Callable[[Mapping[str, Agreement]], None],
) -> None:
    """Replace what a node says of its settings, after `check` of what all say. Raises what that does, psycopg.Error."""
    with _transaction(connection):
        lock_agreements(connection)
        check(agreements(connection))
        connection.execute(
            "UPDATE node SET agreement = ? WHERE name = ? AND incarnation = ?",
            (written(agreement), me.node, me.incarnation),
        )


def unfit(connection: PostgresConnection, me: Membership, *, on: bool) -> None:
    """Let the other nodes know that this one can serve no shard now, or can again. Raises psycopg.Error."""
    connection.execute(
        "UPDATE node SET draining = ? WHERE name = ? AND incarnation = ? AND draining = ?",
        (UNFIT if on else 0, me.node, me.incarnation, 0 if on else UNFIT),
    )


def failing(connection: PostgresConnection, me: Membership, shards: int, why: str) -> None:
    """Let the other nodes know how many shards this one could not serve, and why. Raises psycopg.Error."""
    connection.execute(
        "UPDATE node SET failing = ?, failing_why = ? WHERE name = ? AND incarnation = ?",
        (shards, why, me.node, me.incarnation),
    )


def leave(connection: PostgresConnection, me: Membership) -> None:
    """Let the other nodes know that this one is stopping. Raises psycopg.Error."""
    connection.execute(
        "UPDATE node SET draining = ? WHERE name = ? AND incarnation = ?", (LEAVING, me.node, me.incarnation)
    )


def _declare_over(connection: PostgresConnection, me: Membership) -> None:
    """Declare the nodes whose lease is over to be so: from now on they commit nothing. End what is under way there."""
    connection.execute(
        "SELECT pg_terminate_backend(a.pid, ?) FROM node n JOIN pg_stat_activity a ON a.pid = n.backend"
        " WHERE n.until <= clock_timestamp() AND n.incarnation <> ''"
        " AND a.usename = current_user AND a.application_name = 'lwm2m-bridge'",
        (TERMINATED,),
    )
    connection.execute(
        "UPDATE node SET incarnation = '', first_id = NULL WHERE name IN"
        " (SELECT name FROM node WHERE until <= clock_timestamp() AND incarnation <> '' AND name <> ?"
        " ORDER BY name FOR UPDATE)",
        (me.node,),
    )
    connection.execute("DELETE FROM node WHERE incarnation = '' AND until < clock_timestamp() - interval '1 day'")


@contextlib.contextmanager
def _transaction(connection: PostgresConnection) -> Iterator[None]:
    """Begin a transaction, and commit it; it is rolled back if the caller raises."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.roll_back()
        raise
    connection.execute("COMMIT")


def _require_member(connection: PostgresConnection, me: Membership) -> None:
    """Raise StoreUnavailable if a node is not in the cluster; until the transaction ends, nobody changes that."""
    found = connection.execute(
        "SELECT 1 FROM node WHERE name = ? AND incarnation = ? FOR SHARE", (me.node, me.incarnation)
    ).fetchone()
    if found is None:
        raise StoreUnavailable(f"node {me.node!r} is not in the cluster any more")
