"""`lwm2m-bridge endpoint import` shows how far it is, on a terminal only."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main, progress
from bridge.cli.access import Target
from bridge.config import parse, reading
from bridge.control.client import DirectClient
from bridge.directory import csvfile
from bridge.service.at_rest import BridgeAtRest
from tests.service.scripted_binding import ScriptedBinding

CONFIG = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.net]
binding = "net"
"""
LINES = 60


class Screen(io.StringIO):
    """Standard error that is a terminal, or is none."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of endpoints, for a bridge that imports a few lines at a time and is slow with each part."""
    monkeypatch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
    config = parse(CONFIG, "bridge.toml", tmp_path)

    @asynccontextmanager
    async def connect(_target: Target, *, changes: bool = False) -> AsyncIterator[DirectClient]:
        async with BridgeAtRest(config, lambda: config, changes=changes) as bridge:
            yield DirectClient(bridge)

    add = csvfile._add

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(0.02)
        await add(*given)

    monkeypatch.setattr(Target, "connect", connect)
    monkeypatch.setattr(csvfile, "CHUNK", 10)
    monkeypatch.setattr(csvfile, "_add", slowly)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    file = tmp_path / "fleet.csv"
    header = "endpoint,network,address,servers,profile,default_ttl,object_list\n"
    file.write_text(header + "".join(f"e{number},net,d{number},,,,\n" for number in range(LINES)))
    return file


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_import_shows_how_far_it_is_on_a_terminal(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    screen = Screen(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    main(["endpoint", "import", str(fleet)], standalone_mode=False)
    assert f"{LINES} added" in capsys.readouterr().out
    shown = screen.getvalue()
    assert (f"20/{LINES}" in shown or f"30/{LINES}" in shown) is is_terminal, shown
    assert ("importing" in shown) is is_terminal
