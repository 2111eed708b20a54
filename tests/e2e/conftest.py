"""One set-up of all quirk profiles and two servers, shared by the tests that leave it as they found it; its file."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.changing import File, reloaded
from tests.e2e.kit import SetUp, set_up


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("world"),
        networks={"nidd": "strict-r17"},
        servers={"lab": "127.0.0.1", "second": "127.0.0.1"},
        service='default_servers = ["lab"]',
    ) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def file(world: SetUp) -> AsyncIterator[File]:
    """The configuration of the module's set-up, which a test may change."""
    found = File(world.lab.directory / "bridge.toml")
    yield found
    found.path.write_text(found.first)
    await reloaded(world)
