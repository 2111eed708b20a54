"""One set-up of all quirk profiles and two servers, shared by the tests that leave it as they found it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

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
