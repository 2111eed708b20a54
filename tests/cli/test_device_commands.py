"""`lwm2m-bridge device` and `network`: the options are those of the bindings that are installed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import device, main
from bridge.config import reading
from tests.operations.abilities import AbleBinding
from tests.operations.test_devices import BINDINGS, CONFIG

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    (tmp_path / "bridge.toml").write_text(CONFIG)
    (tmp_path / "ring").write_text("007\n")
    monkeypatch.chdir(tmp_path)
    for module in (reading, device):
        monkeypatch.setattr(module, "binding_class", BINDINGS.__getitem__)
    monkeypatch.setattr(device, "installed_bindings", lambda: tuple(BINDINGS))
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def test_help_has_the_settings_of_each_binding_that_makes_devices(command: Command) -> None:
    shown = command("device", "add", "--help").output
    assert "Device in a network of binding able:" in shown
    assert "binding plain" not in shown
    assert "--colour TEXT" in shown
    assert "Metres a second.  [default: 20]" in shown
    assert "Number on its ring; as file:PATH, env:NAME, or itself." in " ".join(shown.split())


def test_a_secret_of_a_device_is_read_where_the_command_runs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    make = AbleBinding.make_device

    async def noting(self: AbleBinding, *arguments: object) -> object:
        given.append(arguments)
        return await make(self, *arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(AbleBinding, "make_device", noting)
    done = command("device", "add", "p1", "bert", "--network", "able", "--ring", "file:ring", "--speed", "30")
    assert done.output == "bert: p1 of network able in loft\nmade: a grey pigeon, endpoint bert\nfeed it\n"
    ((_, _, settings),) = given
    assert (settings.ring, settings.speed, settings.colour) == ("007", 30, "grey")
    assert "007" not in done.output


def test_a_device_is_shown_as_json(command: Command) -> None:
    done = json.loads(command("device", "add", "p1", "--network", "able", "--json").output)
    assert (done["endpoint"]["name"], done["changes"]) == ("urn:p1", ["a grey pigeon", "endpoint urn:p1"])


def test_an_option_of_no_device_is_a_wrong_use(command: Command) -> None:
    done = command("device", "add", "p1", "--network", "able", "--wings", "2")
    assert done.exit_code == 2
    assert "No such option" in done.output


def test_networks_are_listed_with_what_they_can_do(command: Command) -> None:
    lines = command("network", "list").output.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["able", "check,", "list", "devices,", "make", "devices,", "set", "integration"],
        ["plain"],
    ]
    assert [one["name"] for one in json.loads(command("network", "list", "--json").output)["items"]] == [
        "able",
        "plain",
    ]


def test_a_network_that_cannot_make_devices_says_so(command: Command) -> None:
    done = command("device", "add", "d1", "--network", "plain")
    assert done.exit_code == 1
    assert "network 'plain' cannot make devices" in done.output
