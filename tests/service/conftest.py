"""What tests of the service share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import reading
from bridge.directory import Draft
from bridge.store.in_memory import InMemoryStore
from tests.service.kit import Kit
from tests.service.runner_bench import Bench
from tests.service.scripted_binding import ScriptedBinding
from tests.store.stores import postgres_server


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The configured ledger: a file, unless a module asks for both kinds with `both_ledgers`."""
    return postgres_server().uri() if getattr(request, "param", "sqlite") == "postgres" else "bridge.db"


@pytest.fixture
async def kit(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kit]:
    monkeypatch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
    made = Kit(tmp_path, database)
    yield made
    made.server.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    store = InMemoryStore()
    await store.directory.add([Draft("net", "dev@example.com", "urn:dev:1", ("srv",))], None, lambda: 0.0)
    made = Bench(store)
    yield made
    made.runner.stop()
    await store.close()
