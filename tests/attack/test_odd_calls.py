"""Calls of the local socket that make no sense."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from bridge.service.control import Control


@pytest.mark.parametrize("number", ["9" * 30, "-1", "x"])
async def test_a_downlink_that_cannot_be_is_named_as_that(tmp_path: Path, number: str) -> None:
    """Also one beyond what the ledger can count to: no error of ours, and none in the log."""
    service: Any = SimpleNamespace(ready=True)
    control = Control(service, tmp_path / "control.sock")
    await control.start()
    try:
        connector = aiohttp.UnixConnector(str(tmp_path / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://bridge/downlinks/{number}/cancel") as answer,
        ):
            assert answer.status == 400
            assert "is no downlink's id" in (await answer.json())["error"]
    finally:
        await control.stop()
