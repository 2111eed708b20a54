"""`lwm2m-bridge doctor`: what could not be checked does not look healthy, and each finding is a block to read."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bindings.diagnosis import Finding, Grade
from bindings.nidd import NiddBinding
from bridge.cli import main

NIDD = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.operator]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
"""
LORAWAN = """
[networks.field]
binding = "lorawan"
api = { server = "http://127.0.0.1:1", key = "k" }
"""
NAME = "monitoring.per_device_event_log_max_history"

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.chdir(tmp_path)

    def run(config: str, *arguments: str) -> Result:
        Path("bridge.toml").write_text(config)
        return CliRunner().invoke(main, ["doctor", *arguments])

    return run


def test_a_network_that_cannot_be_checked_does_not_look_healthy(doctor: Doctor) -> None:
    done = doctor(NIDD)
    assert done.exit_code == 1
    assert "NOT CHECKED" in done.output
    assert "operator is not running" in done.output
    assert "lwm2m-bridge run" in done.output


def test_scripts_are_told_so_too(doctor: Doctor) -> None:
    found = json.loads(doctor(NIDD, "--json").output)["networks"]["operator"]
    assert {one["what"]: one["grade"] for one in found} == {"bridge": "warning", "checks": "unchecked"}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (NIDD.replace("http://127.0.0.1:9", "127.0.0.1:8010"), "api_root"),
        (NIDD + LORAWAN, "api.server"),
    ],
)
def test_the_cure_of_a_wrong_setting_is_to_mend_it(doctor: Doctor, config: str, names: str) -> None:
    network = "field" if "field" in config else "operator"
    done = doctor(config, "--network", network)
    assert done.exit_code == 1
    assert names in done.output
    assert "BAD" in done.output
    assert "ask again" not in done.output


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return the list of what the check of the network finds."""
    findings: list[Finding] = []

    async def check(_binding: object) -> list[Finding]:
        return findings

    monkeypatch.setattr(NiddBinding, "check", check)
    return findings


@pytest.mark.parametrize("width", [None, 40, 80])
def test_a_cure_stands_below_what_was_found_and_no_name_is_broken(
    doctor: Doctor, found: list[Finding], width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["bridge.cli.doctor"], "terminal_width", lambda: width)
    cure = f"check [mqtt]: host; raise {NAME} in ChirpStack's configuration, to 100 or more"
    found.append(Finding("event history", Grade.WARNING, "only the last 10 events are kept", cure))
    lines = doctor(NIDD).output.splitlines()
    at = next(number for number, line in enumerate(lines) if "event history" in line)
    assert lines[at].startswith("warning ")
    assert "operator" in lines[at]
    assert f"cure: {cure}" in " ".join(" ".join(lines[at:]).split())
    assert all(line.startswith("    ") for line in lines[at + 1 :])
    assert any(NAME in line for line in lines)


def test_warnings_leave_the_exit_code_at_0(doctor: Doctor, found: list[Finding]) -> None:
    found.append(Finding("x", Grade.WARNING, "y"))
    assert doctor(NIDD).exit_code == 0
    found.append(Finding("x", Grade.BAD, "y"))
    assert doctor(NIDD).exit_code == 1
