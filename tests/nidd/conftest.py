"""Fixtures: a scripted SCEF, a bridge side that records, and a started binding between them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_scef import ScriptedScef  # found beside this file

from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.settings import Configurations, Downlinks, ZeroTouch
from bindings.reachability.settings import Reachability
from bindings.t8.settings import Callbacks, Credentials, Departures, Http
from tests.bindings.bridge_side import BridgeSide, DictMemory


@pytest.fixture
async def scef():
    async with ScriptedScef() as one:
        yield one


@pytest.fixture
def memory():
    return DictMemory()


@pytest.fixture
def side():
    return BridgeSide()


@pytest.fixture
async def make(scef, memory, side):
    """Return a function that starts a binding; parts of its settings as keyword arguments."""
    made = []
    scef.now = side.now

    async def start(**parts):
        settings = NiddSettings(
            api_root=parts.pop("api_root", scef.root),
            scs_as_id="as1",
            credentials=Credentials(**parts.pop("credentials", {})),
            http=Http(**({"connect_timeout": 2.0, "request_timeout": 3.0} | parts.pop("http", {}))),
            callbacks=Callbacks(**({"port": 0} | parts.pop("callbacks", {}))),
            configurations=Configurations(**({"retry_min": 0.5} | parts.pop("configurations", {}))),
            downlinks=Downlinks(**parts.pop("downlinks", {})),
            reachability=Reachability(**parts.pop("reachability", {})),
            zero_touch=ZeroTouch(**parts.pop("zero_touch", {})),
            quirks=Departures(**parts.pop("quirks", {})),
        )
        binding = NiddBinding("test", settings)
        await binding.start(parts.pop("side", side), memory)
        made.append(binding)
        return binding

    yield start
    for binding in made:
        await binding.stop()
