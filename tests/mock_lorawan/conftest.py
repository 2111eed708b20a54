"""A real broker for the tests that need one."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest


class Mosquitto:
    """A broker on loopback that can be stopped and started again on its port."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._program = program
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def broker(need, tmp_path):
    """Give a running broker that ends with the test."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    need(program, "mosquitto is not installed")
    found = Mosquitto(program, tmp_path)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def mosquitto(broker):
    """Give the port of a running broker."""
    return broker.port
