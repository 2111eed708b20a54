"""What systemd is told of the service: sd_notify(3)."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.service.systemd import Systemd
from mock_network.lab.process import LabProcess


class Listener:
    """The socket that systemd has for a unit."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    async def told(self, assignment: str, patience: float = 15.0) -> list[str]:
        """Wait for a message with an assignment that begins so, and return the whole message."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(patience):
            while True:
                message = (await loop.sock_recv(self._socket, 4096)).decode().splitlines()
                if any(line.startswith(assignment) for line in message):
                    return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(str(tmp_path / "notify"))
    yield made
    made.close()


@contextlib.asynccontextmanager
async def following(systemd: Systemd, *, is_ready: bool) -> AsyncIterator[None]:
    telling = asyncio.create_task(systemd.follow(lambda: "starting: endpoints, 40 %", is_ready=lambda: is_ready))
    yield
    telling.cancel()


async def test_a_start_is_given_more_time_for_as_long_as_it_tells_how_far_it_is(
    tmp_path: Path, listener: Listener
) -> None:
    async with following(Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")}), is_ready=False):
        assert await listener.told("STATUS=") == ["STATUS=starting: endpoints, 40 %", "EXTEND_TIMEOUT_USEC=30000000"]


async def test_the_watchdog_is_fed_where_it_is_meant_for_this_process(tmp_path: Path, listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000"}
    async with following(Systemd(environment), is_ready=True):
        for _ in range(3):
            assert "WATCHDOG=1" in await listener.told("STATUS=", 0.5)
    other = Systemd({**environment, "WATCHDOG_PID": str(os.getppid())})
    async with following(other, is_ready=True):
        while "WATCHDOG=1" in await listener.told("STATUS="):  # of the first one
            pass


async def test_an_address_may_be_abstract(listener: Listener) -> None:
    abstract = Listener(f"\0lwm2m-bridge-test-{os.getpid()}")
    Systemd({"NOTIFY_SOCKET": f"@lwm2m-bridge-test-{os.getpid()}"}).ready()
    assert await abstract.told("READY=1") == ["READY=1"]
    abstract.close()


def test_nothing_is_told_where_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Systemd({}).ready()
    assert not caplog.records
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "systemd cannot be notified" in caplog.text


async def test_a_service_says_that_it_is_ready_and_that_it_stops(tmp_path: Path, listener: Listener) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text('[service]\nstate_directory = "state"\n')
    arguments = ("-m", "bridge.cli", "run", "--config", str(config))
    process = LabProcess("bridge", arguments, tmp_path / "log", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    process.start()
    try:
        await listener.told("READY=1")
        os.kill(process.pid, signal.SIGTERM)
        await listener.told("STOPPING=1")
    finally:
        await asyncio.to_thread(process.stop)
