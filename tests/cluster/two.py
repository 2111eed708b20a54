"""Two nodes of a cluster in one process: a service, and another node of which there is the ledger alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from bridge.cluster.balance import wanted
from bridge.config import reading
from bridge.control.client import DirectClient
from bridge.north.udp.prefixes import SHARDS
from bridge.operations.types.request import Request
from bridge.service import gauges, owner_requests
from bridge.service.service import Service
from bridge.store.postgres.cluster import NodeStore
from tests.api.kit import with_events
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding
from tests.store.stores import postgres_server
from tests.waiting import until

T = TypeVar("T")

ENDPOINTS = 30
RIGHT = [wanted(shard, ("a", "b")) for shard in range(SHARDS)]
UNSERVED = 10.0  # seconds after which it is said that no node serves an endpoint
LEASE = 60.0  # seconds: longer than any pause of a busy machine


class OnNodes(ScriptedBinding):
    """A network that several nodes can use."""

    def device_came(self, device: str) -> None:
        """Keep nothing of a device."""


@dataclass(frozen=True)
class TwoNodes:
    """Node a is a service; `b` is the ledger of the other one."""

    kit: Kit
    service: Service
    b: NodeStore

    async def ask(self, asked: Request[T]) -> T:
        """Ask node a."""
        return await DirectClient(self.service).ask(asked)


@asynccontextmanager
async def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_key: str = "") -> AsyncIterator[TwoNodes]:
    """Yield two nodes, each of which has the shards that it should have, and 30 endpoints, e1 to e30.

    Node a encrypts under `store_key`, if there is one.
    """
    monkeypatch.setattr(reading, "binding_class", lambda _name: OnNodes)
    monkeypatch.setattr(gauges, "FRESH", 0.0)
    monkeypatch.setattr(owner_requests, "TAKEN_OVER", UNSERVED - LEASE)  # nobody answers as node b
    where = postgres_server().uri()
    kit = with_events(Kit(tmp_path, where))
    kit.have_endpoints(ENDPOINTS)
    cluster = msgspec.structs.replace(kit.config.cluster, enabled=True, node="a", lease=LEASE, renew=0.1)
    keys = msgspec.structs.replace(kit.config.service, store_key=store_key)
    kit.config = replace(kit.config, cluster=cluster, service=keys)
    b = NodeStore.join(where, "b", LEASE, 0.1, lambda: None)
    await b.take([shard for shard, node in enumerate(RIGHT) if node == "b"])
    async with kit.running() as service:
        await service.seed(kit.config)
        await until(lambda: [service.holder(shard) for shard in range(SHARDS)] == RIGHT)
        yield TwoNodes(kit, service, b)
        await b.close()  # nobody is left then to whom node a would hand over
    kit.server.close()
