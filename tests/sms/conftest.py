"""Fixtures: a scripted SMS centre, a bridge side that records, and a started binding between them."""

import pytest

from bindings.sms import SmsBinding, SmsSettings
from bindings.sms.settings import Downlinks, Uplinks
from bindings.t8.settings import Callbacks, Credentials, Departures, Http
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.sms.scripted_sms_centre import ScriptedSmsCentre


@pytest.fixture
async def centre():
    async with ScriptedSmsCentre() as one:
        yield one


@pytest.fixture
def side():
    return BridgeSide()


@pytest.fixture
async def make(centre, side):
    """Return a function that starts a binding; parts of its settings as keyword arguments."""
    made = []
    centre.now = side.now
    memory = DictMemory()

    async def start(**parts):
        settings = SmsSettings(
            api_root=parts.pop("api_root", centre.root),
            scs_as_id="as1",
            credentials=Credentials(**parts.pop("credentials", {})),
            http=Http(**({"connect_timeout": 2.0, "request_timeout": 3.0} | parts.pop("http", {}))),
            callbacks=Callbacks(**({"port": 0} | parts.pop("callbacks", {}))),
            downlinks=Downlinks(**parts.pop("downlinks", {})),
            uplinks=Uplinks(**parts.pop("uplinks", {})),
            quirks=Departures(**parts.pop("quirks", {})),
        )
        assert not parts
        binding = SmsBinding("sms", settings)
        await binding.start(side, memory)
        made.append(binding)
        return binding

    yield start
    for binding in made:
        await binding.stop()


@pytest.fixture
async def binding(make):
    return await make()


@pytest.fixture
def url(binding):
    """Where the operator was told to post SMS of devices."""
    return binding.listener.url
