"""Pages that are made from code tell what the code does."""

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import ROOT

_COUNTED = re.compile(r"""(?:\b_?count|\bCount|\bwatch|\bgauge)\(\s*"([a-z_]+)\"""")
_GIVEN = re.compile(r"`([a-z_]+)`")


def test_pages_made_from_code_are_up_to_date():
    """In a process of its own: click keeps the help option that a command was first asked with."""
    command = [sys.executable, "-m", "tests.docs.generated", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def counted(*rooms: str) -> set[str]:
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return {name for path in files for name in _COUNTED.findall(Path(path).read_text())}


def test_every_counter_is_explained():
    told = set(_GIVEN.findall((ROOT / "docs" / "metrics.md").read_text()))
    missing = counted("bridge", "bindings") - told
    assert not missing, f"docs/metrics.md does not explain {sorted(missing)}"
