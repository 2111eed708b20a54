"""The bridge itself: whether it accepts messages, its state, its metrics."""

from enum import StrEnum
from typing import Any, ClassVar

from bridge.operations.types.request import Access, Request, Result


class Phase(StrEnum):
    """The phases of a bridge between its start and its stop."""

    DOWN = "down"  # the ledger is read from its file
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class StoreStatus(Result, frozen=True, kw_only=True):
    """Counters since the start, commits that wait, and bytes on the disk.

    `failures` counts commits. `volume_full` counts transactions that were refused because the volume had no room, and
    `files_lost` those that were refused because a file of the store was removed, replaced or overwritten.
    """

    rows: int
    groups: int
    failures: int
    waiting: int
    bytes: int
    volume_full: int
    files_lost: int


class WorkView(Result, frozen=True, kw_only=True):
    """Running long work, such as the rest of a start."""

    name: str
    done: int
    total: int | None  # null: unknown


class NodeStatus(Result, frozen=True, kw_only=True):
    """The part of this node in its cluster, and the cluster as this node saw it last."""

    name: str
    endpoints: int  # of the shards that it serves
    shards: int  # that it serves
    nodes: tuple[str, ...]  # whose lease goes on
    to_move: int  # shards that another node should have: they are handed over, a few at a time
    unserved: int  # shards that no living node holds
    contradicts: tuple[str, ...]  # nodes with settings that must not differ from this one's; `cluster status` has them
    differs_from: tuple[str, ...]  # nodes with other settings of servers, networks and quotas
    clock_ahead: float | None  # seconds by which its wall clock is certainly ahead of the database's; < 0: behind


class Status(Result, frozen=True, kw_only=True):
    """The state of the bridge."""

    phase: Phase
    ready: bool  # messages of servers and networks are accepted
    work: tuple[WorkView, ...]  # background work
    time: float
    endpoints: int  # of the directory; in a cluster all nodes' together, as they were some seconds ago
    node: NodeStatus | None  # null: the service does not run, or shares its ledger with nobody
    in_memory: int | None  # endpoints whose state is loaded; null: the service does not run
    scheme: str | None  # of addresses toward servers: prefix or ports; null: the service does not run
    store: StoreStatus
    servers: dict[str, str | None]  # HOST:PORT of each; null: its name could not be resolved yet
    networks: dict[str, dict[str, Any]]  # status of each binding; empty: the service does not run


class GetStatus(Request[Status], frozen=True):
    """Show the state of the bridge."""

    NAME: ClassVar[str] = "status"
    ACCESS: ClassVar[Access] = Access.READ


class Readiness(Result, frozen=True, kw_only=True):
    """Whether messages of servers and networks are accepted."""

    ready: bool
    phase: Phase
    reason: str = ""  # why it is not ready


class GetReadiness(Request[Readiness], frozen=True):
    """Return whether messages are accepted; cheap enough to be called every second."""

    NAME: ClassVar[str] = "ready"
    ACCESS: ClassVar[Access] = Access.READ


class MetricsText(Result, frozen=True, kw_only=True):
    text: str  # in Prometheus' text format


class GetMetrics(Request[MetricsText], frozen=True):
    """Return all metrics since the service's start."""

    NAME: ClassVar[str] = "metrics"
    ACCESS: ClassVar[Access] = Access.READ
