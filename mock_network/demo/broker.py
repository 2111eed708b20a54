"""A Mosquitto of the demo's own, on loopback, for `--mqtt`."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from mock_network.lab import ProcessEnded, free_port

START_TIMEOUT = 5.0  # seconds


class Broker:
    """A broker that keeps its files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it. Raises ProcessEnded if there is no Mosquitto, or it does not listen."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise ProcessEnded("--mqtt needs Mosquitto: apt install mosquitto; without --mqtt no broker is used")
        configuration = self._directory / "mosquitto.conf"
        configuration.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process = subprocess.Popen(  # noqa: S603 - the broker that was found
            [program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise ProcessEnded("Mosquitto did not begin to listen")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
