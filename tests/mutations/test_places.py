"""A mutation is found by the syntax around it, and says what to change when it is not found."""

from pathlib import Path

import pytest

from tests.mutations.places import Module, PlaceIsGone, find, mutate, read_modules

BEFORE = """
LIMIT = 30.0

class Queue:
    async def next(self, row, now):
        if self.call is not None:  # one at a time
            return None
        elif row.late and (row.due is None or now < row.due) and self.open:
            self.send(row, now, priority=1, quick=True)
        return min(row.size, LIMIT)
"""


@pytest.fixture
def modules(tmp_path: Path) -> list[Module]:
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "queue.py").write_text(BEFORE)
    return read_modules(tmp_path)


@pytest.mark.parametrize(
    ("function", "pattern", "replacement", "line"),
    [
        ("LIMIT", "30.0", "0.0", "LIMIT = 0.0"),
        ("Queue.next", "min($size, $most)", "max($most, $size)", "return max(LIMIT, row.size)"),
        ("Queue.next", "return min(...)", "return [...]", "return [row.size, LIMIT]"),
        ("Queue.next", "... and ($row.due is None or $_) and $last", "... and $last", "elif row.late and self.open:"),
        (
            "Queue.next",
            "$self.send(..., priority=1)",
            "$self.post(..., priority=2)",
            "(row, now, priority=2, quick=True)",
        ),
        ("Queue.next", "if $row.late and ...:\n    ...", "if True:\n    ...", "elif True:"),
        ("Queue.next", "self.send(...)", "", "            pass"),
    ],
)
def test_a_pattern_is_replaced(
    tmp_path: Path, modules: list[Module], function: str, pattern: str, replacement: str, line: str
):
    before = modules[0].text()
    mutate(tmp_path, modules, function, pattern, replacement)
    changed = (tmp_path / "bridge" / "queue.py").read_text()
    assert line in changed
    assert line not in before
    assert modules[0].text() == before, "the next mutation begins with the code as it was"


def test_moved_code_is_found(tmp_path: Path, modules: list[Module]):
    (tmp_path / "bindings").mkdir()
    (tmp_path / "bridge" / "queue.py").rename(tmp_path / "bindings" / "elsewhere.py")
    assert find(read_modules(tmp_path), "Queue.next", "$self.call is not None").file == Path("bindings/elsewhere.py")


def test_renamed_functions_are_named_where_the_pattern_fits(tmp_path: Path, modules: list[Module]):
    with pytest.raises(PlaceIsGone, match=r"(?s)no function or name Queue\.pump.*queue\.py:6 in Queue\.next"):
        find(modules, "Queue.pump", "$self.call is not None")


def test_names_like_a_function_that_is_gone_are_said(modules: list[Module]):
    with pytest.raises(PlaceIsGone, match=r"(?s)Names like it: Queue\.next.*point this mutation anew"):
        find(modules, "Queue.nexts", "$x / $y")


def test_rewritten_code_is_said(modules: list[Module]):
    with pytest.raises(PlaceIsGone, match=r"(?s)nothing in Queue\.next fits the pattern.*make test-slow"):
        find(modules, "Queue.next", "$x / $y")


def test_a_pattern_that_fits_twice_names_both(modules: list[Module]):
    with pytest.raises(PlaceIsGone, match=r"(?s)2 places.*queue\.py:7.*queue\.py:10"):
        find(modules, "Queue.next", "return $_")
