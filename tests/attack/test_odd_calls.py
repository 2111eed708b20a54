"""Calls of the local socket that make no sense."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from bindings.options import number_of_bytes
from bridge.errors import ConfigurationError
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


async def test_a_page_of_more_than_can_be_counted_is_refused(tmp_path: Path) -> None:
    store: Any = SimpleNamespace(ask=lambda question: question(SimpleNamespace(downlinks=None)))
    control = Control(SimpleNamespace(ready=True, store=store), tmp_path / "control.sock")  # type: ignore[arg-type]  # a stub
    await control.start()
    try:
        connector = aiohttp.UnixConnector(str(tmp_path / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://bridge/downlinks", params={"limit": "9" * 5000}) as answer,
        ):
            assert answer.status == 400
            assert "is not a number from 1" in (await answer.json())["error"]
    finally:
        await control.stop()


@pytest.mark.parametrize("value", ["\xb2", "\u0663", "9" * 5000, "-1", ""])
def test_a_number_of_bytes_is_one_or_a_clear_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"option max_payload .* is no number of bytes"):
        number_of_bytes("max_payload", value)
