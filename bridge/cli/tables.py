"""Tables as plain text: no cell is read as markup, and no name is broken."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import click
from rich.cells import cell_len

_FREE = frozenset({"why", "what happened", "details"})
"""Columns of sentences, which may be wrapped between words. All others have names, states, addresses or times."""
_GAP = "  "
_INDENT = "    "
_VALUE = re.compile(r"(?<=\w) \([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\)")
_NARROWEST = 24  # characters that a sentence needs; if fewer are left, it is printed below its row


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows under headings, or `empty` if there are none."""
    shown = [[plain(cell) for cell in row] for row in rows]
    if not shown:
        click.echo(empty)
        return
    heading, *lines = [list(lines) for lines in layout(columns, shown, terminal_width())]
    for line in heading:
        click.echo(click.style(line, bold=True))
    for line in chain.from_iterable(lines):
        click.echo(line)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None if the output is a pipe or a file, which has no width."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def plain(cell: object) -> str:
    """Return a cell's text, on one line and without characters that move the cursor."""
    return "" if cell is None else "".join(c if c.isprintable() else " " for c in str(cell))


def layout(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[Iterator[str]]:
    """Return the lines of the heading, then those of each row. A column that is empty in every row is left out.

    Without a width each row is one line. With one, columns that do not fit beside the others are printed below,
    unbroken.
    """
    kept = sorted((i for i in range(len(columns)) if any(row[i] for row in rows)), key=lambda i: columns[i] in _FREE)
    sizes = {i: max(cell_len(text) for text in (columns[i], *(row[i] for row in rows))) for i in kept}
    groups: list[list[int]] = [[]]
    used = 0
    for i in kept:
        least = min(sizes[i], _NARROWEST) if columns[i] in _FREE else sizes[i]
        if width is not None and groups[-1] and used + len(_GAP) + least > width:
            groups.append([])
            used = len(_INDENT)
        used += (len(_GAP) if groups[-1] else 0) + least
        groups[-1].append(i)
    for row in (columns, *rows):
        yield _lines(row, groups, sizes, {i for i in kept if columns[i] in _FREE}, width)


def _lines(
    row: Sequence[str], groups: Sequence[Sequence[int]], sizes: dict[int, int], free: set[int], width: int | None
) -> Iterator[str]:
    for number, group in enumerate(groups):
        line = _INDENT if number else ""
        for i in group:
            if i in free and width is not None:
                first, *more = broken(row[i], width - cell_len(line))
                yield (line + first).rstrip()
                yield from (" " * cell_len(line) + text for text in more)
                line = ""  # it is the last column
            else:
                line += row[i] + " " * (sizes[i] - cell_len(row[i])) + _GAP
        if line.strip():
            yield line.rstrip()


def in_words(reason: str) -> str:
    """Return a reason without the value of a network's interface that follows its words, as (FAILURE_TIMEOUT)."""
    return _VALUE.sub("", reason)


def broken(text: str, width: int | None) -> list[str]:
    """Wrap a sentence between words only: a name of a setting, a URL or a file is never broken."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]
