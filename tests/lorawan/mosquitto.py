"""A Mosquitto of a test's own, which can go away and come back, with its sessions or without."""

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

from mock_network.lab import free_port

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Broker:
    """Keeps its files in `directory`, and its port over a restart."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {directory}/\nautosave_interval 1\nuser root\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self, *, forget: bool = False) -> None:
        """End it; `forget`: sessions, and what waits in them, are lost."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None
        if forget:
            (self._directory / "mosquitto.db").unlink(missing_ok=True)
