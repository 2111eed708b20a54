"""Which test proves which requirement, found by collecting the test suite."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.requirements.labels import all_labels

ROOT = Path(__file__).parents[2]

END_TO_END = (
    "tests/e2e/*",
    "tests/end_to_end_security/*",
    "tests/demo/*",
    "tests/interop/*through_bridge*",
    "tests/lorawan/*e2e*",
    "tests/sms/*e2e*",
    "tests/lorawan_e2e/*",
)
"""Where tests run device → emulated network → bridge → server. A label that is marked elsewhere stays open."""

Proofs = dict[str, list[str]]
"""Label → tests, as path::name without parameters, in order."""


def labels_of(item: pytest.Item) -> Iterator[str]:
    """Return the labels that a test is marked with. Raises UsageError for one that does not exist."""
    known = all_labels()
    for marker in item.iter_markers("requirement"):
        for label in marker.args:
            if label not in known:
                raise pytest.UsageError(f"{item.nodeid}: no requirement {label!r}; see tests/requirements/labels.toml")
            yield label


def check_labels(items: Iterable[pytest.Item]) -> None:
    """Raise UsageError if a test is marked with a label that does not exist."""
    for item in items:
        for _ in labels_of(item):
            pass


def is_end_to_end(test: str) -> bool:
    """Return whether a test, given as path::name, is of the kind that counts."""
    return any(fnmatch(test.partition("::")[0], pattern) for pattern in END_TO_END)


class _Collector:
    def __init__(self) -> None:
        self.proofs: Proofs = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("[")[0]
            for label in labels_of(item):
                tests = self.proofs.setdefault(label, [])
                if test not in tests:
                    tests.append(test)


def collect() -> Proofs:
    """Collect all tests, slow ones too, without running them. Raises RuntimeError if that fails; call it once."""
    collector = _Collector()
    code = pytest.main(["--collect-only", "-qq", "--no-header", str(ROOT / "tests")], plugins=[collector])
    if code:
        raise RuntimeError(f"the test suite cannot be collected (pytest ended with {int(code)})")
    return {label: sorted(tests) for label, tests in collector.proofs.items()}


def collect_apart() -> tuple[int, str]:
    """Run `python -m tests.requirements --check` in a process of its own; give exit code and what is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.requirements", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr or done.stdout[-3000:]
