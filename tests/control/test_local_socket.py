"""The local socket: operations in, results or errors out, and nobody but the service's user and group."""

import logging
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from bridge.control import local_socket
from bridge.control.client import SocketClient
from bridge.control.local_socket import LocalSocket
from bridge.errors import (
    ConfigurationError,
    LocalError,
    NotRunning,
    NotServedHere,
    RequestError,
    ServiceFailed,
    StoreUnavailable,
)
from bridge.operations.types.endpoints import ImportEndpoints
from bridge.operations.types.state import GetMetrics, GetReadiness, GetStatus, Phase, Readiness
from bridge.operations.types.stories import ShowDownlink


class Bridge:
    """Answers some operations, each in its own way."""

    def readiness(self) -> Readiness:
        return Readiness(ready=True, phase=Phase.RUNNING)

    def status(self) -> None:
        raise ValueError("a mistake of ours")

    async def metrics_text(self) -> bytes:
        return b"up 1\n"

    @property
    def reads(self) -> "Bridge":
        return self

    async def downlink(self, _id: int) -> None:
        raise StoreUnavailable("the disk is full")

    async def ask_owner(self, *_asked: object) -> None:
        raise NotServedHere("the reason")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "control.sock"


@pytest.fixture
async def served(path: Path) -> AsyncIterator[LocalSocket]:
    bridge: Any = Bridge()
    socket = LocalSocket(bridge, path)
    await socket.start()
    yield socket
    await socket.stop()


@pytest.fixture
async def client(served: LocalSocket, path: Path) -> AsyncIterator[SocketClient]:
    async with SocketClient(path) as opened:
        yield opened


async def test_an_operation_is_answered_with_its_result(client: SocketClient) -> None:
    assert await client.ask(GetReadiness()) == Readiness(ready=True, phase=Phase.RUNNING)
    assert (await client.ask(GetMetrics())).text == "up 1\n"


async def test_an_error_comes_back_as_what_it_was(client: SocketClient) -> None:
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await client.ask(ShowDownlink(5))


def _local_errors(of: type[LocalError] = LocalError) -> Iterator[type[LocalError]]:
    yield of
    for kind in of.__subclasses__():
        yield from _local_errors(kind)


@pytest.mark.parametrize("kind", [*_local_errors()], ids=lambda kind: kind.__name__)
async def test_every_error_of_an_operation_comes_back_as_what_it_was(
    client: SocketClient, kind: type[LocalError], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_bridge: Bridge, _id: int) -> None:
        raise kind("the reason")

    monkeypatch.setattr(Bridge, "downlink", fails)
    with pytest.raises(kind, match="the reason") as raised:
        await client.ask(ShowDownlink(5))
    assert type(raised.value) is kind


async def test_a_mistake_of_the_bridge_is_logged_and_told_without_its_words(
    client: SocketClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ServiceFailed, match="failed to carry out status; its log says why"):
        await client.ask(GetStatus())
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert "a mistake of ours" in str(logged.exc_info[1])


async def test_a_request_that_is_too_large_is_refused_with_the_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "LARGEST_REQUEST", 1000)
    bridge: Any = Bridge()
    socket = LocalSocket(bridge, path)
    await socket.start()
    try:
        async with SocketClient(path) as client:
            with pytest.raises(RequestError, match="at most 1000 bytes"):
                await client.ask(ImportEndpoints(csv=bytes(1000)))
    finally:
        await socket.stop()


async def test_another_address_or_method_is_answered_with_an_error(served: LocalSocket, path: Path) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        async with session.get("http://bridge/ready") as answer:
            assert answer.status == 405
        async with session.post("http://bridge/a/b") as answer:
            assert answer.status == 404
        async with session.post("http://bridge/dance") as answer:
            assert answer.status == 404
            assert (await answer.json())["error"] == "NotFound"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leave(path: Path) -> None:
    path.parent.mkdir()
    path.touch()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_only_the_service_s_user_and_group_may_open_it_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        socket = LocalSocket(SimpleNamespace(), path)  # type: ignore[arg-type]  # nothing is asked
        await socket.start()
        assert mode(path) == 0o660
        assert os.umask(umask) == umask, "the process's own umask is as it was"
        await socket.stop()
    finally:
        os.umask(before)


async def test_a_socket_that_an_earlier_process_left_is_replaced(path: Path) -> None:
    leave(path)
    bridge: Any = Bridge()
    socket = LocalSocket(bridge, path)
    await socket.start()
    async with SocketClient(path) as client:
        assert (await client.ask(GetReadiness())).ready
    await socket.stop()


async def test_a_place_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    socket = LocalSocket(SimpleNamespace(), tmp_path / "file" / "control.sock")  # type: ignore[arg-type]  # as above
    with pytest.raises(ConfigurationError, match=r"control_socket .*control\.sock: File exists"):
        await socket.start()


async def test_nobody_behind_the_socket_is_told_as_that(path: Path) -> None:
    async with SocketClient(path) as client:
        with pytest.raises(NotRunning, match=f"nobody answers at {path}"):
            await client.ask(GetReadiness())
