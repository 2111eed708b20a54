"""Commands and the service are often different users: whoever comes first must not shut the other out."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from bridge.cli import main
from mock_network.lab.process import LabProcess
from tests import forked
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

SERVICE = 65534  # the user that the service runs as: nobody
STRANGER = 65533  # in no group of the service
CONFIG = """
[service]
state_directory = "{state}"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
"""
ADD = ("endpoint", "add", "e1", "--network", "nidd", "--address", "e1@iot.example")


class Ended(NamedTuple):
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that every user can read; pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def state(place: Path) -> Path:
    (place / "bridge.toml").write_text(CONFIG.format(state=place / "state"))
    return place / "state"


@pytest.fixture
def command(place: Path) -> Command:
    def run(*arguments: str, user: int = 0) -> Ended:
        if user == 0:
            ended = CliRunner().invoke(main, [*arguments, "--config", str(place / "bridge.toml")])
            return Ended(ended.exit_code, ended.stdout, ended.stderr)
        words = ["-m", "tests.cli.as_user", str(user), *arguments, "--config", str(place / "bridge.toml")]
        done = forked.run([sys.executable, *words])
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def made_for(user: int, directory: Path) -> None:
    directory.mkdir(mode=0o750)
    os.chown(directory, user, user)


@pytest.mark.parametrize("arguments", [("status",), ("endpoint", "list"), ("doctor",), ("network", "list")])
def test_a_question_makes_nothing_on_the_disk(command: Command, state: Path, arguments: tuple[str, ...]) -> None:
    command(*arguments)
    assert not state.exists()


def test_a_service_that_never_ran_is_told_as_that(command: Command, state: Path) -> None:
    done = command("status")
    assert done.returncode == 3
    assert f"there is no ledger {state}/bridge.db yet" in done.stderr
    assert json.loads(command("status", "--json").stdout)["error"] == "NotRunning"


def test_root_makes_no_state_directory_for_a_service_of_another_user(command: Command, state: Path) -> None:
    done = command(*ADD)
    assert done.returncode == 1
    assert f"install -d -m 750 -o USER {state}" in done.stderr
    assert not state.exists()


def test_what_root_makes_belongs_to_the_service_s_user(command: Command, state: Path) -> None:
    made_for(SERVICE, state)
    assert command(*ADD).returncode == 0
    assert {file.name for file in state.iterdir()} >= {"bridge.db", "bridge.db.lock"}
    assert {file.stat().st_uid for file in state.iterdir()} == {SERVICE}
    assert command("endpoint", "show", "e1", user=SERVICE).returncode == 0
    assert command("endpoint", "set", "e1", "default_ttl=60", user=SERVICE).returncode == 0


@pytest.mark.parametrize("arguments", [("endpoint", "list"), ADD])
def test_another_user_is_told_who_may(command: Command, state: Path, arguments: tuple[str, ...]) -> None:
    made_for(SERVICE, state)
    assert command("endpoint", "add", "e0", "--network", "nidd", "--address", "e0@iot", user=SERVICE).returncode == 0
    done = command(*arguments, user=STRANGER)
    assert done.returncode == 1
    assert "sudo -u nobody" in done.stderr


async def test_another_user_is_not_advised_to_stop_a_running_service(
    command: Command, state: Path, place: Path
) -> None:
    (place / "bridge.toml").write_text(f'[service]\nstate_directory = "{state}"\n')
    service = LabProcess("bridge", ("-m", "bridge.cli", "run", "-c", str(place / "bridge.toml")), place / "log")
    service.start()
    try:
        await until((state / "control.sock").exists)
        done = command("status", user=STRANGER)
    finally:
        service.stop()
    assert done.returncode == 1
    assert "sudo -u root" in done.stderr
    assert "member of the group root" in done.stderr
    assert "stop that one" not in done.stderr
