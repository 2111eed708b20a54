"""Commands that only read need the local socket or the ledger, and no secret of the service."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.control.local_socket import LocalSocket
from bridge.operations.types.state import Phase, Readiness
from bridge.store.sqlite import SqliteStore

CONFIG = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
credentials = { kind = "bearer", token = "env:NOT_SET_HERE" }
"""

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    (tmp_path / "bridge.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


@pytest.fixture
def ledger(tmp_path: Path) -> None:
    """Make a ledger, as a service that has run."""

    async def make() -> None:
        (tmp_path / "state").mkdir()
        await SqliteStore.open(tmp_path / "state" / "bridge.db").close()

    asyncio.run(make())


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("endpoint", "list"),
        ("endpoint", "export"),
        ("downlink", "list"),
        ("uplink", "list"),
    ],
)
def test_reading_the_ledger_of_a_bridge_that_is_down_needs_no_secret(
    command: Command, arguments: tuple[str, ...]
) -> None:
    done = command(*arguments)
    assert done.exit_code == (3 if arguments == ("status",) else 0), done.output


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("endpoint", "add", "e1", "--network", "nidd", "--address", "e1@iot.example")]
)
def test_what_needs_a_network_names_the_secret_that_is_missing(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.exit_code == 1
    assert "environment variable NOT_SET_HERE is not set" in done.output


class Running:
    """A service that only says that it runs."""

    def readiness(self) -> Readiness:
        return Readiness(ready=True, phase=Phase.RUNNING)

    @property
    def networks(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("by_socket", [False, True])
async def test_a_running_service_is_asked_without_its_secrets_and_even_without_its_configuration(
    command: Command, tmp_path: Path, by_socket: bool
) -> None:
    running: Any = Running()
    path = tmp_path / "state" / "control.sock"
    served = LocalSocket(running, path)
    await served.start()
    if by_socket:
        (tmp_path / "bridge.toml").unlink()
    options = ("--socket", str(path)) if by_socket else ()
    try:
        done = await asyncio.to_thread(command, "doctor", "--json", *options)
    finally:
        await served.stop()
    found = json.loads(done.output)["networks"]
    if by_socket:
        assert found == {}
    else:
        assert "the running service does not have this network" in found["nidd"][0]["detail"]


def test_a_socket_that_nobody_serves_is_named_with_the_cure(command: Command, tmp_path: Path) -> None:
    done = command("endpoint", "list", "--socket", str(tmp_path / "none.sock"))
    assert done.exit_code == 1
    assert "nobody answers at" in done.output
    assert "lwm2m-bridge run" in done.output
