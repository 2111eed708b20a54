"""What tests of the service share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import reading
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding


@pytest.fixture
async def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kit]:
    monkeypatch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
    made = Kit(tmp_path)
    yield made
    made.server.close()
