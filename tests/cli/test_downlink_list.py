"""`lwm2m-bridge downlink list`: what the table shows of a message's way, and what only JSON has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli import ledger, main

WHY = "the device did not acknowledge the frame"


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    config = tmp_path / "bridge.toml"
    config.write_text("")

    def run(state: str, *arguments: str) -> str:
        row = {"id": 7, "endpoint_name": "e1", "operation": "Read /3", "state": state, "over": True}
        row |= {"accepted_at": 0.0, "deliver_by": 60.0, "reason": WHY}

        def use(_config: Any, _work: Any) -> list[dict[str, Any]]:
            return [row]

        monkeypatch.setattr(ledger, "use", use)
        return CliRunner().invoke(main, ["downlink", "list", "--config", str(config), *arguments]).output

    return run


@pytest.mark.parametrize("state", ["RESPONDED", "DELIVERED"])
def test_a_reason_of_an_earlier_attempt_does_not_stand_beside_a_success(listed: Callable[..., str], state: str) -> None:
    assert state in listed(state)
    assert WHY not in listed(state)
    assert json.loads(listed(state, "--json"))[0]["reason"] == WHY


@pytest.mark.parametrize("state", ["NACKED", "UNKNOWN"])
def test_the_reason_of_another_outcome_does(listed: Callable[..., str], state: str) -> None:
    assert WHY in listed(state)
