"""An emulated server over real sockets, its gRPC stubs, and a Mosquitto of the test's own."""

import contextlib
import shutil
import socket
import subprocess
import time
from dataclasses import replace

import pytest
from mock_chirpstack_kit import TOKEN, Stubs

from mock_network.chirpstack.service import ChirpStack, Options


@pytest.fixture
async def serve():
    """Start emulated servers; all are stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**changes) -> tuple[ChirpStack, Stubs]:
            server = ChirpStack(replace(Options(token=TOKEN), **changes))
            await server.start()
            stack.push_async_callback(server.stop)
            stubs = Stubs(server.grpc_address)
            stack.push_async_callback(stubs.channel.close)
            return server, stubs

        yield start


@pytest.fixture
def mosquitto(need, tmp_path):
    """Give host and port of a broker that lives as long as the test."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    need(program, "mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(5)
