"""Three nodes, each a machine of its own on one network with a server and devices, through faults."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.cluster.networked import NUMBERS, networked, suffer
from tests.namespaces import Machines, made
from tests.store.stores import postgres_server

pytestmark = pytest.mark.slow


@pytest.fixture
def machines() -> Iterator[Machines]:
    with made(Machines(*NUMBERS.values())) as network:
        yield network


@pytest.mark.timeout(300)
async def test_endpoints_keep_their_addresses_when_their_node_is_killed(tmp_path: Path, machines: Machines) -> None:
    """Nothing is lost, nothing is sent twice, and the server finds each endpoint where it was."""
    faults = iter(("kill",))
    async with networked(tmp_path, postgres_server(), machines, devices=12) as one:
        await suffer(one, lambda: next(faults, None), Random(14))
        assert one.story.moved
