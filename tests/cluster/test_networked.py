"""Three nodes, each a machine of its own on one network with a server, networks and devices, through faults."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.cluster.networked import NUMBERS, database, networked
from tests.cluster.networked_faults import suffer
from tests.namespaces import Machines, made
from tests.store.postgres_server import PostgresServer
from tests.store.stores import postgres_server

pytestmark = pytest.mark.slow


@pytest.fixture
def machines() -> Iterator[Machines]:
    with made(Machines(*NUMBERS.values())) as network:
        yield network


@pytest.fixture
def servers() -> Iterator[list[PostgresServer]]:
    """The database, and its synchronous standby."""
    postgres_server()  # skips where there is none
    with database() as both:
        yield both


@pytest.mark.timeout(600)
async def test_endpoints_keep_their_addresses_through_faults(
    tmp_path: Path, machines: Machines, servers: list[PostgresServer]
) -> None:
    """Nothing is lost, nothing is sent twice, and the server finds each endpoint where it was."""
    async with networked(tmp_path, servers, machines, devices=12) as one:
        one.draw = Random(14)
        await suffer(one, ("kill", "database", "fail-over", "servers"))
        assert one.story.moved
        assert one.posted()
        assert one.events()
