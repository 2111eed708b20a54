"""A running service with its API on loopback, and clients with keys of each role."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.config import reading
from bridge.service.service import Service
from tests.api.kit import Api, serving, with_events
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding


@pytest.fixture
async def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kit]:
    monkeypatch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
    made = Kit(tmp_path)
    yield made
    made.server.close()


@pytest.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    async with with_events(kit).running() as service, serving(service) as made:
        made.kit = kit
        yield made


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL and admin key of an API that runs in a thread of its own, for clients that are not asynchronous."""
    ready = threading.Event()
    found: list[tuple[str, str]] = []
    stop: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []
    path = tmp_path_factory.mktemp("live")

    @asynccontextmanager
    async def running() -> AsyncIterator[Api]:
        kit = with_events(Kit(path))
        service = Service(kit.config)
        await service.start()
        try:
            async with serving(service) as made:
                yield made
        finally:
            await service.stop()
            kit.server.close()

    async def main() -> None:
        stop.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        async with running() as made:
            found.append((made.url, await made.key("admin")))
            ready.set()
            await stop[0].wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        assert ready.wait(20)
        yield found[0]
        loops[0].call_soon_threadsafe(stop[0].set)
        thread.join()
