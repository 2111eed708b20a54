"""Settings of several bridges on one ledger."""

import os
import re
import socket
from typing import Annotated

import msgspec
from msgspec import Meta

NODE_NAME = re.compile("[A-Za-z0-9._-]{1,63}")

WAKE_UPS = "(wake-ups)"
"""In place of a network in posts that wait for other nodes: see `bridge.service.wake_ups`. No network has this name."""

NODE = "LWM2M_BRIDGE_NODE"
"""Environment variable with the name of this node, so that nodes can share a configuration file."""


class Standby(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A second bridge on one ledger in PostgreSQL, which takes over when the first one ends (docs/operations.md)."""

    enabled: Annotated[
        bool,
        Meta(description="wait at the start while another bridge serves the ledger; needs PostgreSQL 14 or newer"),
    ] = False
    lease: Annotated[
        float,
        Meta(
            ge=1,
            le=60,
            description="seconds after which a bridge that the database hears nothing of is replaced; it ends itself "
            "after four fifths of that",
        ),
    ] = 5.0
    take_command: Annotated[
        list[str],
        Meta(description="program and arguments, run before the first message is accepted, e.g. to move a route here"),
    ] = msgspec.field(default_factory=list)
    release_command: Annotated[
        list[str], Meta(description="program and arguments, run after a stop has committed everything")
    ] = msgspec.field(default_factory=list)


class Cluster(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Several nodes on one ledger in PostgreSQL 14 or newer, each of which serves some endpoints (docs/cluster.md)."""

    enabled: Annotated[bool, Meta(description="share the ledger with other nodes, each with this setting")] = False
    node: Annotated[
        str,
        Meta(
            pattern=rf"^({NODE_NAME.pattern})?$",
            description="name of this node, which no other one may have; empty: the environment variable "
            "LWM2M_BRIDGE_NODE, else the name of its host",
        ),
    ] = ""
    lease: Annotated[
        float,
        Meta(
            ge=1,
            le=60,
            description="seconds after which other nodes take what a silent node served; it ends itself after four "
            "fifths of that",
        ),
    ] = 5.0
    renew: Annotated[
        float, Meta(ge=0.1, le=15, description="seconds between two renewals, at most a quarter of the lease")
    ] = 1.0
    take_command: Annotated[
        list[str],
        Meta(
            description="program and arguments, run before shards' endpoints are reached here, e.g. to move routes "
            "here; the part that each shard has of each prefix of [north] is added. It prints `done PREFIX` for each"
        ),
    ] = msgspec.field(default_factory=list)
    release_command: Annotated[
        list[str],
        Meta(description="program and arguments, run before shards go to other nodes; the same is added and printed"),
    ] = msgspec.field(default_factory=list)
    command_silence: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            description="seconds in which one of these commands must move its next shard, or end if it moves one; then "
            "it is killed. For so long one that hangs keeps other shards waiting",
        ),
    ] = 4.0
    command_limit: Annotated[
        float, Meta(ge=0.1, le=600, description="seconds for one of these commands that moves several shards")
    ] = 60.0
    command_kill_wait: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="seconds for which the next command waits for one that was killed and does not end, such as "
            "one of another user",
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        if self.renew > self.lease / 4:
            raise ValueError(f"renew {self.renew:g} is more than a quarter of lease {self.lease:g}")
        if self.command_silence > self.command_limit:
            raise ValueError(
                f"command_silence {self.command_silence:g} is more than command_limit {self.command_limit:g}"
            )

    @property
    def name(self) -> str:
        """Return the name of this node."""
        return self.node or os.environ.get(NODE, "") or socket.gethostname()
