"""The place of one node among those that share a ledger: a row with its lease, by the database's clock.

Each transaction of the node changes the row, and thereby renews the lease. A node whose row another process has, or
whose lease others have declared over, finds no row of its own: its transaction fails, however late it comes.

Nodes hold the lock of `bridge.store.postgres.ownership` together, so that no bridge without [cluster] uses the ledger.
"""

import logging
from importlib.metadata import version

import msgspec

from bridge.cluster.agreement import NOTHING_SAID, Agreement, conflicts, differences
from bridge.errors import ConfigurationError, LedgerInUse
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.postgres.ownership import LOCK_OF_SCHEMA, Ownership
from bridge.store.postgres.schema import migrations, pending

log = logging.getLogger(__name__)

AGREEMENTS = 0x4C324E4A << 32  # the key of the lock for what nodes say of themselves, beside `ownership.KEY`
CLUSTER = "a cluster"  # the owner's name in `id_mark`: a bridge without [cluster] that lost its session commits nothing


class Membership(Ownership):
    """The place of a node."""

    LOCK = LOCK_OF_SCHEMA.format("_shared")
    OTHER = "a bridge without [cluster] uses the database: stop it, or enable [cluster] there"

    def __init__(self, connection: PostgresConnection, node: str, span: float, agreement: Agreement) -> None:
        """`span`: seconds that the lease lasts after each transaction. `agreement`: of this node."""
        super().__init__(connection)
        self._agreement = agreement
        self.node = node
        self.incarnation = self._name
        self._span = span

    def take_place(self) -> bool:
        """Join the cluster, once the lock is there and the tables are; return whether a former owner may still act.

        Raises LedgerInUse if a living node has the name, ConfigurationError if a living one has other settings that
        must be alike, psycopg.Error.
        """
        connection = self._connection
        connection.execute("BEGIN")
        lock_agreements(connection)  # before any row: who holds it waits for rows
        former = connection.execute("SELECT owner FROM id_mark FOR UPDATE").fetchone()
        try:
            differing = self._compare()
        except ConfigurationError:
            connection.execute("ROLLBACK")
            raise
        found = connection.execute(
            # It gives no id yet; those that it will give are not reserved, so they are not smaller than `next`.
            "INSERT INTO node AS n"
            " (name, incarnation, release, started_at, until, backend, committed, first_id, draining, agreement)"
            " VALUES (?, ?, ?, clock_timestamp(), clock_timestamp() + make_interval(secs => ?), ?, 0,"
            " (SELECT next FROM id_mark), 0, ?)"
            " ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, release = excluded.release,"
            " started_at = excluded.started_at, until = excluded.until, backend = excluded.backend, committed = 0,"
            " first_id = excluded.first_id, draining = 0, failing = 0, failing_why = '',"
            " agreement = excluded.agreement"
            " WHERE n.until <= clock_timestamp() RETURNING 1",
            (
                self.node,
                self._name,
                version("lwm2m-nonip-bridge"),
                self._span,
                connection.backend,
                written(self._agreement),
            ),
        ).fetchone()
        if found is None:
            connection.execute("ROLLBACK")
            raise LedgerInUse(
                f"a node called {self.node!r} is in the cluster: give each one its own name ([cluster] node); "
                "after a crash the name is free when the lease is over"
            )
        connection.execute("SELECT id FROM shard WHERE holder = ? ORDER BY id FOR UPDATE", (self.node,))
        connection.execute("UPDATE shard SET holder = '', since = clock_timestamp() WHERE holder = ?", (self.node,))
        connection.execute("UPDATE id_mark SET owner = ?", (CLUSTER,))
        connection.execute("COMMIT")
        self._backend = connection.backend
        for name, what in differing:  # not before: who waits for the name tries again and again
            log.warning("beside node %r: %s; make both alike", name, what, extra={"sample": f"differs {what}"})
        return former is not None and former[0] not in ("", CLUSTER)

    def _compare(self) -> list[tuple[str, str]]:
        """Compare what this node says of itself with what the living ones do; no other one joins meanwhile.

        Return what should become alike: the name of the other node, and a setting with both values. Raises
        ConfigurationError for what must be alike now.
        """
        differing: list[tuple[str, str]] = []
        for name, there in agreements(self._connection).items():
            if name == self.node:
                continue  # who has this name is told by the lease
            for what in conflicts(self._agreement, there):
                raise ConfigurationError(f"node {self.node!r} cannot join the cluster beside node {name!r}: {what}")
            differing += [(name, what) for what in differences(self._agreement, there)]
        return differing

    def note_transaction(self) -> int:
        """Store the number of the running transaction, and renew the lease; return the number.

        Raises StoreUnavailable if another process has the name, or if other nodes have declared the lease over.
        """
        self._number += 1
        self._connection.execute(
            "UPDATE node SET committed = ?, until = clock_timestamp() + make_interval(secs => ?)"
            " WHERE name = ? AND incarnation = ?",
            (self._number, self._span, self.node, self._name),
        )
        if not self._connection.changes():
            raise self._lost()
        return self._number

    def _confirmed(self) -> int | None:
        found = self._connection.execute(
            "UPDATE node SET backend = ? WHERE name = ? AND incarnation = ? RETURNING committed",
            (self._connection.backend, self.node, self._name),
        ).fetchone()
        return None if found is None else int(found[0])

    def _give_up_place(self) -> None:
        """Leave the cluster. The caller has released its shards; any others can be taken at once."""
        self._connection.execute("DELETE FROM node WHERE name = ? AND incarnation = ?", (self.node, self._name))


def lock_agreements(connection: PostgresConnection) -> None:
    """Let no other node join, or say something else of itself, until the transaction ends. Raises psycopg.Error."""
    connection.execute(LOCK_OF_SCHEMA.replace("try_advisory_lock{}", "advisory_xact_lock"), (AGREEMENTS,))


def agreements(connection: PostgresConnection) -> dict[str, Agreement]:
    """Return what each living node says of itself, by the names of the nodes, in their order. Raises psycopg.Error."""
    found = connection.execute(
        "SELECT name, agreement FROM node"
        " WHERE incarnation <> '' AND until > clock_timestamp() AND agreement <> '' ORDER BY name"
    ).fetchall()
    return {name: said for name, text in found if (said := _read(text)) != NOTHING_SAID}


class _Release(msgspec.Struct):
    """What a node says of its release, beside its agreement."""

    schema: int = 0  # the newest version of the schema that it knows; 0: it does not say so


def check_releases(connection: PostgresConnection) -> None:
    """Check that no living node needs what the migrations that are to come take away.

    Raises ConfigurationError, which names the node and the cure; psycopg.Error.
    """
    needs = max((step.needs for step in pending(connection)), default=0)
    if not needs:
        return
    living = connection.execute(
        # A column that the database does not have yet is nothing here.
        "SELECT name, release, coalesce(to_jsonb(n) ->> 'agreement', '') FROM node n"
        " WHERE incarnation <> '' AND until > clock_timestamp() ORDER BY name"
    ).fetchall()
    for name, release, said in living:
        if _schema_of(said) < needs:
            raise ConfigurationError(
                f"this release takes away from the database what node {name!r} uses (release {release}): first replace "
                f"each node by one of a release that knows schema version {needs}, one after the other, or stop all "
                "nodes; nothing is changed"
            )


def _schema_of(said: str) -> int:
    try:
        return msgspec.json.decode(said or "{}", type=_Release).schema
    except msgspec.DecodeError:
        return 0


def written(agreement: Agreement) -> str:
    """Return what a node says of itself, as the column has it: its agreement, and the schema that it knows."""
    said = {**msgspec.to_builtins(agreement), "schema": len(migrations())}
    return msgspec.json.encode(said).decode()


def _read(text: str) -> Agreement:
    """Return what another node says of itself; a newer release may say more, and what cannot be read is nothing."""
    try:
        return msgspec.json.decode(text, type=Agreement)
    except msgspec.DecodeError:
        return NOTHING_SAID
