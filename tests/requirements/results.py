"""What came of the tests with requirement marks when they were last run, as data: `results.json` beside this file.

`pytest --requirements-report` records each marked test that it runs, and leaves the results of others as they are. A
result holds for the code of the test function that ran: a test that was changed since counts as not run.
"""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.requirements.collecting import ROOT, marked

FILE = Path(__file__).with_name("results.json")
PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"
_WORST_LAST = (PASSED, SKIPPED, FAILED)
_PROPERTY = "requirement_test"


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of one test; with parameters, the worst of all its cases that ran."""

    outcome: str
    commit: str  # that was checked out; with "+" where files differed from it
    date: str  # UTC
    code: str  # digest of the test function


Results = dict[str, Result]
"""By test, as path::name without parameters."""


def read() -> Results:
    """Return all results that are recorded."""
    return msgspec.json.decode(FILE.read_bytes(), type=Results) if FILE.exists() else {}


def write(results: Mapping[str, Result]) -> None:
    """Replace the recorded results; each test has a line of its own."""
    lines = (f"{json.dumps(test)}: {msgspec.json.encode(results[test]).decode()}" for test in sorted(results))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


class Recorder:
    """A pytest plugin that records what came of the marked tests, also of those that other processes run."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, str]] = {}  # test → outcome, digest

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for test in marked(item):
                item.user_properties.append((_PROPERTY, list(test)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and (report.when == "call" or not report.passed):
                test, code = value  # type: ignore[misc]  # a list of two texts, as above
                before = self.found.get(test, (PASSED, code))[0]
                self.found[test] = max(before, report.outcome, key=_WORST_LAST.index), code

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):  # one of several processes: the first one has all reports
            return
        commit, date = _commit(), datetime.now(UTC).date().isoformat()
        new = {test: Result(outcome, commit, date, code) for test, (outcome, code) in self.found.items()}
        write({**read(), **new})


def _commit() -> str:
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{FILE.relative_to(ROOT)}")
    return _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
