"""The nodes of a cluster: who serves how much, and letting one hand over."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.request import Access, Request, Result

NodeName = Annotated[str, Meta(min_length=1, max_length=253, description="name of a node ([cluster] node)")]


class ClusterNode(Result, frozen=True, kw_only=True):
    """One node."""

    name: str
    alive: bool  # its lease goes on
    lease: float  # seconds until it ends, by the database's clock
    draining: bool  # it hands over what it serves, and gets nothing
    leaving: bool  # its process is stopping
    unfit: bool  # it could serve none of the shards that it tried last, and gets none for a while; it keeps what it has
    failing: int  # shards that it could not serve at its latest attempt, lately
    failing_why: str  # why the last of them failed
    release: str
    started_at: float
    shards: int  # that it holds
    contradictions: tuple[str, ...]  # settings that must be alike, and differ from the asked node's ("here")
    differences: tuple[str, ...]  # settings that should be alike again when both nodes have been changed
    endpoints: int  # of these shards, as they were some seconds ago


class Cluster(Result, frozen=True, kw_only=True):
    """All nodes that share the ledger, as the database knows them."""

    node: str  # the one that was asked
    nodes: tuple[ClusterNode, ...]
    shards: int
    to_move: int  # shards that another node should have: they are handed over, a few at a time
    unserved: int  # shards that no living node holds


class GetCluster(Request[Cluster], frozen=True):
    """Show the nodes that share the ledger, with their leases and shards."""

    NAME: ClassVar[str] = "cluster.status"
    ACCESS: ClassVar[Access] = Access.READ


class ShardPlace(Result, frozen=True, kw_only=True):
    """One shard, and who serves it."""

    shard: int
    node: str  # "": none does at this moment
    epoch: int  # rises whenever a node takes it
    since: float  # when the node took it, or the last one released it; time of the database
    endpoints: int  # as they were some seconds ago


class ShardList(Result, frozen=True, kw_only=True):
    """All shards, by number."""

    items: tuple[ShardPlace, ...]


class ListShards(Request[ShardList], frozen=True):
    """Show which node serves each shard of the endpoints."""

    NAME: ClassVar[str] = "cluster.shards"
    ACCESS: ClassVar[Access] = Access.READ


class DrainNode(Request[Cluster], frozen=True, kw_only=True):
    """Let a node hand its shards over to the others, a few at a time, or end that."""

    NAME: ClassVar[str] = "cluster.drain"
    ACCESS: ClassVar[Access] = Access.ADMIN

    node: NodeName
    on: Annotated[bool, Meta(description="false: it may serve shards again")] = True
