"""What operators look up in documents, log lines and reasons, is written by the code, in these words."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("bridge", "bindings")


def first_column(title: str) -> list[str]:
    """Return the first cells of the table in docs/operations.md whose first column has this title."""
    table = re.split(rf"\n\| {title} +\|", (DOCS / "operations.md").read_text())[1].partition("\n\n")[0]
    return [row.split("|")[1].strip() for row in table.splitlines()[2:]]


LINES = [line for cell in first_column("line") for line in re.findall(r"`([^`]+)`", cell)]
"""Log lines, each with `…` for what varies."""

REASONS = [reason for cell in first_column("why") for reason in cell.split(" · ")]
"""Why a message is not out yet, likewise."""

USUAL = re.findall(r"^- \*([^*]+)\*:", (DOCS / "how-to" / "troubleshooting.md").read_text(), re.MULTILINE)


@cache
def texts() -> frozenset[str]:
    """Return the texts in the code, with `…` for what is put in."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return frozenset(text for path in paths for text in _texts(ast.parse(path.read_text())))


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%[-.\d]*[a-z]", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


def is_written(line: str) -> bool:
    """Return whether texts of the code have all parts of a line; what varies, or is in brackets, separates them."""
    parts = [part for piece in re.split(r"…|; |, |[()]", line) if (part := piece.strip(" ,")).strip(":")]
    return all(any(part in text for text in texts()) for part in parts)


def test_the_tables_are_found() -> None:
    assert len(LINES) > 20
    assert len(REASONS) > 15
    assert len(USUAL) > 3


@pytest.mark.parametrize("line", LINES)
def test_the_code_writes_each_log_line(line: str) -> None:
    assert is_written(line), "the code writes no such line: what does an operator see instead?"


@pytest.mark.parametrize("reason", [*REASONS, *USUAL])
def test_the_code_gives_each_reason(reason: str) -> None:
    assert is_written(reason), "the code gives no such reason: what does an operator see instead?"


def test_words_that_the_code_has_not_are_noticed() -> None:
    assert not is_written("callback … answered in these words")
