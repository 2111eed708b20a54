"""What tests of the LoRaWAN binding share: an emulated ChirpStack over real gRPC, and a bridge that records."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent.parent / "relay"))  # its world of one endpoint in virtual time

from emulated_chirpstack import STRANGER, Emulated  # found beside this file

from tests.bindings.bridge_side import BridgeSide


@pytest.fixture
async def chirpstack():
    async with Emulated() as one:
        yield one


@pytest.fixture
def side():
    return BridgeSide(STRANGER)


@pytest.fixture
async def make(chirpstack, side):
    """Give a function that starts a binding; parts of its settings as keyword arguments."""
    made = []

    async def start(**parts):
        binding = await chirpstack.binding(parts.pop("side", side), **parts)
        made.append(binding)
        return binding

    yield start
    for binding in made:
        await binding.stop()


@pytest.fixture
async def binding(make):
    return await make()


class Broker:
    """A Mosquitto of the test's own, which can go away and come back, with its sessions or without."""

    def __init__(self, program, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.directory = directory
        self.config = directory / "mosquitto.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {directory}/\nautosave_interval 1\nuser root\n"
        )
        self.program = program
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self, *, forget=False):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(5)
            self.process = None
        if forget:
            (self.directory / "mosquitto.db").unlink(missing_ok=True)


@pytest.fixture
def broker(need, tmp_path):
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    need(program, "mosquitto is not installed")
    one = Broker(program, tmp_path)
    one.start()
    yield one
    one.stop()
