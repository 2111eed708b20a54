"""A bridge whose nodes are not fenced. The proof must notice that.

They have no epochs, do not end with the lease or session, and keep shards of which they see that another node has them.
"""

from bridge.cli import main
from bridge.service.cluster import ClusterWork
from bridge.store.postgres import cluster, shard_rows
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.postgres.fence import Fence
from bridge.store.postgres.membership import Membership
from bridge.store.postgres.store import PostgresStore


def _nothing(*_: object) -> list[object]:
    return []


def _number(self: Membership) -> int:
    self._number += 1
    self._connection.execute(
        "UPDATE node SET committed = ?, until = clock_timestamp() + make_interval(secs => ?) WHERE name = ?",
        (self._number, self._span, self.node),
    )
    return self._number


def _confirmed(self: Membership) -> int:
    return self._number


def _declare_over(connection: PostgresConnection, _me: Membership) -> None:
    connection.execute("UPDATE node SET incarnation = '' WHERE until <= clock_timestamp()")


def _unlimited(_span: float, _hung: float) -> str:
    return ""


async def _keep(*_: object) -> None:
    pass


ClusterWork._lose = _keep  # type: ignore[method-assign,assignment]
Fence.lost = _nothing  # type: ignore[method-assign,assignment]
Membership.note_transaction = _number  # type: ignore[method-assign]
Membership._confirmed = _confirmed  # type: ignore[method-assign]
PostgresStore._watch = _nothing  # type: ignore[method-assign,assignment]
shard_rows._declare_over = _declare_over
cluster.session_of_lease = _unlimited

if __name__ == "__main__":
    main(prog_name="lwm2m-bridge")
