"""What servers send before a network has started waits for it, and is not taken for a sign that the network is down."""

import asyncio
from typing import Any

import pytest

from bridge.service.service import Service
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding
from tests.waiting import until


async def test_a_request_that_comes_first_is_submitted_as_soon_as_the_network_has_started(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_start = asyncio.Event()
    begun: list[ScriptedBinding] = []

    async def start(self: ScriptedBinding, *_: Any) -> None:
        begun.append(self)
        await may_start.wait()

    async with kit.running():
        pass  # the endpoint has its address now
    monkeypatch.setattr(ScriptedBinding, "start", start)
    service = Service(kit.config)
    starting = asyncio.create_task(service.start())
    try:
        await until(lambda: begun)
        kit.service = service
        kit.ask(1)

        async def accepted() -> bool:
            return len(await kit.rows()) == 1

        await until(accepted)
        assert begun[0].attempts == []
        may_start.set()
        await starting
        await until(lambda: begun[0].attempts)
        assert service.metrics.value("network_pauses", network="net") == 0
    finally:
        may_start.set()
        await asyncio.wait({starting})
        await service.stop()
