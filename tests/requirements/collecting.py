"""Which test proves which requirement, found by collecting the test suite."""

import ast
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

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

Code = dict[str, str]
"""Test → digest of its code."""


def labels_of(item: pytest.Item) -> Iterator[str]:
    """Return the labels that a test is marked with. Raises UsageError for one that does not exist."""
    known = all_labels()
    for marker in item.iter_markers("requirement"):
        for label in marker.args:
            if label not in known:
                raise pytest.UsageError(f"{item.nodeid}: no requirement {label!r}; see tests/requirements/labels.toml")
            yield label


def check_labels(items: Iterable[pytest.Item]) -> None:
    """Raise UsageError if a mark has a label that does not exist, or stands where `collect` does not find it."""
    for item in items:
        if any(labels_of(item)) and item.path not in files_with_marks():
            raise pytest.UsageError(f"{item.nodeid}: the mark `requirement` does not stand in the test's own file")


def is_end_to_end(test: str) -> bool:
    """Return whether a test, given as path::name, is of the kind that counts."""
    return any(fnmatch(test.partition("::")[0], pattern) for pattern in END_TO_END)


def digest_of(function: Callable[..., Any]) -> str:
    """Return a digest of a test function's code, which comments, docstring and layout do not change."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = tree.body[0]
    if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(found) is not None:
        found.body = found.body[1:] or [ast.Pass()]
    return blake2b(ast.unparse(tree).encode(), digest_size=6).hexdigest()


def marked(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """Yield a marked test's name without parameters, and the digest of its code; nothing for other tests."""
    if isinstance(item, pytest.Function) and any(labels_of(item)):
        yield item.nodeid.partition("[")[0], digest_of(item.function)


class _Collector:
    def __init__(self) -> None:
        self.proofs: Proofs = {}
        self.code: Code = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.code.update(marked(item))
            test = item.nodeid.partition("[")[0]
            for label in labels_of(item):
                tests = self.proofs.setdefault(label, [])
                if test not in tests:
                    tests.append(test)


@cache
def files_with_marks() -> list[Path]:
    """Return the files of tests that may have requirement marks: those in which the mark's name stands."""
    return [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if "requirement" in file.read_text()]


def collect() -> tuple[Proofs, Code]:
    """Collect all tests with marks, slow ones too, without running them. Raises RuntimeError if that fails.

    Call it once in a process.
    """
    collector = _Collector()
    code = pytest.main(["--collect-only", "-qq", "--no-header", *map(str, files_with_marks())], plugins=[collector])
    if code:
        raise RuntimeError(f"the test suite cannot be collected (pytest ended with {int(code)})")
    return {label: sorted(tests) for label, tests in collector.proofs.items()}, collector.code


def collect_apart() -> tuple[int, str]:
    """Run `python -m tests.requirements --check` in a process of its own; return the exit code and what is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.requirements", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr or done.stdout[-3000:]
