"""What tests of the LoRaWAN binding share: an emulated ChirpStack over real gRPC, and a bridge that records."""

import sys
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent.parent / "relay"))  # its world of one endpoint in virtual time
sys.path.insert(2, str(Path(__file__).parent.parent / "mock_chirpstack"))  # its world of one device in virtual time

from emulated_chirpstack import STRANGER, Emulated  # found beside this file
from lorawan_kit import APP_KEY, device, lorawan_set_up

from tests.bindings.bridge_side import BridgeSide
from tests.conftest import running_broker


@pytest.fixture
async def chirpstack():
    async with Emulated() as one:
        yield one


@pytest.fixture
def side():
    return BridgeSide(STRANGER)


@pytest.fixture
def transport():
    """How ChirpStack is spoken to; modules whose stories must be the same over both have a fixture of their own."""
    return "grpc-web"


@pytest.fixture
async def make(chirpstack, side, transport):
    """Return a function that starts a binding; parts of its settings as keyword arguments."""
    made = []

    async def start(**parts):
        binding = await chirpstack.binding(parts.pop("side", side), **({"transport": transport} | parts))
        made.append(binding)
        return binding

    yield start
    for binding in made:
        await binding.stop()


@pytest.fixture
async def binding(make):
    return await make()


ALL_OBJECTS = "</1/0>,</3/0>,</3303/0>"
SESSION = {"dev_addr": "01020304", "nwk_s_key": APP_KEY, "app_s_key": APP_KEY[::-1]}
NAMES = ["meter", "bare", "slow", "sure", "listener", "personalised", "punctual", "victim"]
EUIS = {name: f"70b3d57ed000000{number}" for number, name in enumerate(NAMES, 1)}
NOBODIES = ("70b3d57ed00000ee", "70b3d57ed00000ef")  # devices without an endpoint


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory):
    """Return one set-up for all stories that leave it as they found it: a device of each kind, no client on any."""
    devices = {name: device(eui) for name, eui in EUIS.items()}
    devices["slow"] = device(EUIS["slow"], data_rate=2, adr=False)  # 51 bytes a frame
    devices["listener"] = device(EUIS["listener"], device_class="C")
    devices["personalised"] = {"dev_eui": EUIS["personalised"], "duty_cycle": False, **SESSION}
    endpoints = {name: {"name": name, "network": "lorawan", "address": eui} for name, eui in EUIS.items()}
    endpoints["bare"] |= {"address": "70-B3-D5-7E-D0-00-00-02", "object_list": ALL_OBJECTS}
    endpoints["slow"]["object_list"] = ALL_OBJECTS
    endpoints["sure"]["confirmed"] = True
    async with lorawan_set_up(
        tmp_path_factory.mktemp("world"),
        devices=[*devices.values(), *map(device, NOBODIES)],
        endpoints=[*endpoints.values()],
        profile={"class_c_timeout": 10},
        lines='name_template = "urn:dev:eui:{device}"',
    ) as found:
        await found.joined()
        yield found


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path, persistent=True) as one:
        yield one
