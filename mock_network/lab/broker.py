"""A Mosquitto for a set-up, on loopback, which can be stopped and started."""

import base64
import hashlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from mock_network.lab.ports import free_port
from mock_network.lab.process import ProcessEnded

START_TIMEOUT = 10.0  # seconds of real time
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
ROUNDS = 1_000  # of PBKDF2


class Broker:
    """A broker that keeps its files in `directory` and its port over a restart; its sessions too if `persistent`."""

    def __init__(self, directory: Path, *, persistent: bool = False) -> None:
        self.port = free_port()
        self._database = directory / "mosquitto.db"
        self._configuration = directory / "mosquitto.conf"
        kept = f"persistence true\npersistence_location {directory}/\nautosave_interval 1\n"
        self._passwords = directory / "passwords"
        self.users({})
        self._configuration.write_text(
            # Started by root, Mosquitto becomes another user, who may neither read nor write there.
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\npassword_file {self._passwords}\n"
            f"{kept if persistent else 'persistence false'}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def users(self, passwords: Mapping[str, str]) -> None:
        """Know these users from the next start on. Whoever names no user is let in, too."""
        self._passwords.write_text("".join(f"{user}:{_hashed(word)}\n" for user, word in passwords.items()))
        self._passwords.chmod(0o644)

    def start(self) -> None:
        """Start it. Raises ProcessEnded if there is no Mosquitto, or it does not listen."""
        if MOSQUITTO is None:
            raise ProcessEnded("Mosquitto is not installed: apt install mosquitto")
        self._process = subprocess.Popen(  # noqa: S603 - the broker that was found
            [MOSQUITTO, "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise ProcessEnded("Mosquitto did not begin to listen")

    def stop(self, *, forget: bool = False) -> None:
        """End it; `forget`: sessions, and what waits in them, are lost."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
        if forget:
            self._database.unlink(missing_ok=True)


def _hashed(password: str) -> str:
    """Return a password as Mosquitto's password files have it (PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"
