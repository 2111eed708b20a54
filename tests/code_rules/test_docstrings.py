"""Docstrings tell a caller what a function does: each begins with a verb, and none with a pronoun."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bridge", "bindings", "mock_network")
_VERBS = """
Abort Accept Acknowledge Act Add Adopt Allow Announce Answer Append Apply Arm Ask Assign Attach Begin Bind Bootstrap
Bring Build Call Cancel Carry Change Check Checkpoint Close Commit Compare Complete Connect Continue Convert Copy
Count Crash Create Cut De-register Declare Decrypt Delete DELETE Deliver Deprovision Derive Describe Disable Disarm
Disconnect Discover Do Draw Drop Emulate Enable Encrypt End Enqueue Estimate Evaluate Execute Expose Fill Find
Finish Fire Flush Forget GET Go Hand Have Hide Hold Ignore Import Increment Index Insert Interpret Issue Join Judge
Keep Kill Know Learn Leave Let List Listen Load Lock Log Look Make Mark Measure Migrate Move Name Note Notify Observe
Open Own Pass Ping Poll POST Post Prepare Print Process Protect Provision Publish Put Queue Raise Reach Read Record
Refund Refuse Register Relay Release Remember Remove Replace Replay Report Request Require Reserve Resolve Restart
Return Revoke Run Schedule Seal Search Send Serve Set Shorten Show Shrink Sleep Sort Stamp Start Stop Store
Subscribe Subtract Switch Take Tell Trust Try Undo Update Use Verify Wait Wake Work Wrap Write Yield
"""
VERBS = frozenset(_VERBS.split())
"""The verbs that docstrings of functions begin with. Choose one of them; add one only if none says what happens."""

PRONOUNS = frozenset({"He", "I", "It", "She", "That", "These", "They", "This", "Those", "We", "You"})


_LATER_IT = re.compile(r"[.?!]\s+It\b|\n\nIt\b")


class Docstring(NamedTuple):
    """A docstring: `kind` is module, class, function, group (of commands) or property."""

    kind: str
    name: str
    text: str
    line: int

    @property
    def first(self) -> str:
        """Return the first word."""
        return self.text.split()[0].rstrip(".,:;")


def docstrings(source: str) -> Iterator[Docstring]:
    """Yield the docstring of a module, and those of what is public in the module."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree)
    if text:
        yield Docstring("module", "the module", text, 1)
    yield from _inside(tree, "")


def _inside(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[Docstring]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        text = ast.get_docstring(child)
        if text:
            yield Docstring(_kind(child), prefix + child.name, text, child.lineno)
        if isinstance(child, ast.ClassDef):
            yield from _inside(child, f"{child.name}.")


def _kind(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if isinstance(node, ast.ClassDef):
        return "class"
    decorators = [ast.unparse(one) for one in node.decorator_list]
    if node.name.endswith("_group") and any(one.startswith("click.") for one in decorators):
        return "group"
    is_property = any(one in {"property", "cached_property", "functools.cached_property"} for one in decorators)
    return "property" if is_property else "function"


def faults(docstring: Docstring) -> Iterator[str]:
    """Yield what is wrong with a docstring, with the cure."""
    first = docstring.first
    if first in PRONOUNS:
        yield f"begins with the pronoun {first!r}: name what is meant"
    elif docstring.kind == "property" and first not in {"Return", "Set"}:
        yield f"is of a property, and begins with {first!r}: write what it returns, as `Return …`"
    elif docstring.kind == "function" and first in {"Give", "Gives", "Returns"}:
        yield f"begins with {first!r}: write `Return …`"
    elif docstring.kind == "function" and first not in VERBS:
        yield f"begins with {first!r}: begin with a verb that says what the function does, such as one of VERBS"

    if _LATER_IT.search(docstring.text):
        yield "has a sentence that begins with 'It': name what is meant"


def faults_of_a_test(docstring: Docstring) -> Iterator[str]:
    """Yield what is wrong with a docstring of a test, a fixture or a helper: it may say a rule, or what a thing is."""
    if docstring.first in PRONOUNS:
        yield f"begins with the pronoun {docstring.first!r}: name what is meant"
    elif docstring.first in {"Give", "Gives", "Returns", "Yields"}:
        yield f"begins with {docstring.first!r}: write `Return …` or `Yield …`"


def found(path: Path, check: Callable[[Docstring], Iterator[str]] = faults) -> list[str]:
    """Return the faults in a file, each with its place."""
    where = path.relative_to(ROOT)
    return [
        f"{where}:{one.line}: the docstring of {one.name} {fault}"
        for one in docstrings(path.read_text())
        for fault in check(one)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_docstring_of_a_function_begins_with_a_verb_and_none_with_a_pronoun(package: str) -> None:
    paths = sorted((ROOT / package).rglob("*.py"))
    assert len(paths) > 50, "the walk finds the modules"
    assert [fault for path in paths for fault in found(path)] == []


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_no_docstring_of_a_test_begins_with_a_pronoun_or_gives_something(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert [fault for path in paths for fault in found(path, faults_of_a_test)] == []


BROKEN = '''
class Queue:
    """It holds messages."""

    @property
    def length(self):
        """The number of messages."""

    def next(self):
        """Gives the oldest message."""

    def clear(self):
        """All messages are gone."""

    def close(self):
        """Close the queue. It raises nothing."""

    def _private(self):
        """Whatever."""
'''


def test_each_kind_of_fault_is_seen() -> None:
    seen = [(one.name, fault.partition(":")[0]) for one in docstrings(BROKEN) for fault in faults(one)]
    assert seen == [
        ("Queue", "begins with the pronoun 'It'"),
        ("Queue.length", "is of a property, and begins with 'The'"),
        ("Queue.next", "begins with 'Gives'"),
        ("Queue.clear", "begins with 'All'"),
        ("Queue.close", "has a sentence that begins with 'It'"),
    ]
