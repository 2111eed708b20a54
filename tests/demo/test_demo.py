"""The tour holds, and notices when a promise is broken."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mock_network.demo.sabotage import PROMISES
from tests.conftest import need_program


def verdict(*arguments: str, patience: float = 110) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--once", *arguments],
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_tour_holds():
    code, found = verdict()
    assert [step for step in found["steps"] if not step["ok"]] == []
    assert found["ok"]
    assert code == 0


def test_a_demo_that_is_told_to_end_leaves_no_process_behind():
    with subprocess.Popen([sys.executable, "-m", "bridge.cli", "demo"], stdout=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout:
            if "1. register" in line:  # all of its processes run
                break
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert len(children) >= 5
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()
        assert demo.wait(20) == 0
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_after_the_tour_the_device_is_awake_and_the_read_that_is_proposed_is_answered():
    need_program("curl")
    with subprocess.Popen([sys.executable, "-m", "bridge.cli", "demo"], stdout=subprocess.PIPE, text=True) as demo:
        try:
            command = next(line for line in demo.stdout if line.strip().startswith("curl") and "/read" in line)
            done = subprocess.run(
                ["bash", "-c", f"{command.strip()} -sS"], capture_output=True, text=True, timeout=30, check=False
            )
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.stdout.read()
    assert json.loads(done.stdout)["ok"]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_tour_holds_over_a_broker_too():
    need_program("mosquitto")
    code, found = verdict("--mqtt", patience=180)
    assert [step for step in found["steps"] if not step["ok"]] == []
    assert code == 0


@pytest.mark.parametrize("promise", sorted(PROMISES))
def test_what_a_broken_promise_replaces_is_still_there(promise):
    replace = f"from mock_network.demo.sabotage import PROMISES; PROMISES[{promise!r}]()"
    subprocess.run([sys.executable, "-c", replace], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(600)  # a step that does not hold takes its whole time
@pytest.mark.parametrize(("promise", "step"), [("expiry", "expiry"), ("dedup", "duplicate"), ("store", "continue")])
def test_the_tour_notices_a_broken_promise(promise, step):
    code, found = verdict("--break", promise, patience=580)
    assert not found["ok"]
    assert code == 1
    assert not next(s for s in found["steps"] if s["step"] == step)["ok"]
