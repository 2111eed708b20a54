"""The tour holds, and notices when a promise is broken."""

import json
import subprocess
import sys

import pytest


def verdict(*arguments: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--once", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_the_tour_holds():
    code, found = verdict()
    assert [step for step in found["steps"] if not step["ok"]] == []
    assert found["ok"]
    assert code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("promise", "step"), [("expiry", "expiry"), ("dedup", "duplicate"), ("store", "continue")])
def test_the_tour_notices_a_broken_promise(promise, step):
    code, found = verdict("--break", promise)
    assert not found["ok"]
    assert code == 1
    assert not next(s for s in found["steps"] if s["step"] == step)["ok"]
