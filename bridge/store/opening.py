"""Which kind of store a configuration names, and that store opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bridge.cluster.agreement import Agreement
from bridge.cluster.ledger import ClusterLedger
from bridge.errors import ConfigurationError
from bridge.store import contract
from bridge.store.inbox import Ingress
from bridge.store.sqlite import ReadOnlyStore, SqliteStore


class LeasedStore(contract.Store, Protocol):
    """A store that is held by a lease."""

    async def alone(self) -> None:
        """Return when the bridge that held the ledger before has ended; send nothing before."""


class NodeStore(LeasedStore, ClusterLedger, Protocol):
    """The store of one of several nodes."""


def open_store(database: Path | str) -> contract.Store:
    """Open a ledger, and make it if need be: a file, or a PostgreSQL database by its URI. The call blocks.

    Raises ConfigurationError (it cannot be used, or another process uses it) or StoreUnavailable.
    """
    if isinstance(database, Path):
        return SqliteStore.open(database)
    check_uri(database)
    from bridge.store.postgres import PostgresStore

    return PostgresStore.open(database)


def open_in_turn(database: Path | str, span: float, lost: Callable[[], None]) -> LeasedStore:
    """Open a ledger in PostgreSQL by a lease of `span` seconds, so that another bridge can take it over.

    `lost` is called in another thread before the lease ends, or when another bridge is found to have the ledger, and
    must end everything at once. Raises LedgerInUse while
    another bridge serves the ledger, else as `open_store` does.
    """
    if isinstance(database, Path):
        raise ConfigurationError("[standby] enabled: needs a ledger in PostgreSQL; set [service] database to its URI")
    check_uri(database)
    from bridge.store.postgres import PostgresStore

    return PostgresStore.open(database, span, lost, wait=0.0)


def open_ingress(database: str) -> Ingress:
    """Open the inbox of a database for posts that this bridge receives; it connects later.

    Raises ConfigurationError if the URI cannot be used.
    """
    check_uri(database)
    from bridge.store.postgres.ingress import PostgresIngress

    return PostgresIngress(database)


def open_as_node(
    database: Path | str, node: str, span: float, pause: float, lost: Callable[[], None], agreement: Agreement
) -> NodeStore:
    """Open a ledger in PostgreSQL as one of several nodes, with a lease of `span` seconds.

    `pause`: seconds between two renewals. `lost` is called in another thread before the lease ends, or when other
    nodes have declared it over, and must end everything at once. Raises LedgerInUse while a node of this name is
    alive, or a bridge without [cluster] uses the ledger; else as `open_store` does. ConfigurationError is also that a
    living node has other settings that must be alike.
    """
    if isinstance(database, Path):
        raise ConfigurationError("[cluster] enabled: needs a ledger in PostgreSQL; set [service] database to its URI")
    check_uri(database)
    from bridge.store.postgres.cluster import NodeStore as Node

    return Node.join(database, node, span, pause, lost, wait=0.0, agreement=agreement)


def open_to_read(database: Path | str) -> contract.ReadOnlyStore:
    """Open a ledger for questions alone.

    Raises ConfigurationError or StoreUnavailable, NotRunning where there is no ledger yet in PostgreSQL.
    """
    if isinstance(database, Path):
        return ReadOnlyStore(database)
    check_uri(database)
    from bridge.store.postgres import ReadOnlyPostgresStore

    return ReadOnlyPostgresStore(database)


def check_uri(uri: str) -> None:
    """Raise ConfigurationError if a database's URI cannot be used: it is shown and logged, so it holds no secret."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ConfigurationError(
            "[service] database: PostgreSQL needs the package psycopg: pip install 'lwm2m-nonip-bridge[postgresql]'"
        ) from None
    try:
        members = conninfo_to_dict(uri)
    except ProgrammingError as error:
        raise ConfigurationError(f"[service] database: {error}") from None
    if members.get("password"):
        raise ConfigurationError(
            "[service] database: keep the password out of the URI: put it into a file that only this user may read, "
            "and name that in PGPASSFILE (or in the URI's passfile=)"
        )
