"""Words of the bridge that pages quote are its words: log lines, errors, metrics, settings, columns."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridge.cli import main
from tests.docs.markdown import ROOT

DOCS = ROOT / "docs"
_FENCE = re.compile(r"```.*?```", re.DOTALL)
_QUOTED = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_VARIES = re.compile(r"%[-+.0-9]*[a-zA-Z]|\{[^{}]*\}")  # of a text that is filled in
_GAP = "…"
_NOT_SAID = re.compile(
    r"(?:lwm2m-bridge|systemctl|pip|ip|curl|bird|layer2|export|python|persistence|kill|GET|POST|DELETE) |deploy/|/|-"
    r"|\[[\w.]+\](?: \w+)?(?: =.*)?$|\[\[|\w+ ?=|[A-Z]\w+="
)
"""Beginnings of what people type or write, and the bridge does not say."""


def literals(folder: str) -> Iterator[str]:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield _VARIES.sub(_GAP, node.value)
            elif isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else _GAP for part in node.values)


@functools.cache
def said() -> str:
    """Return all texts of the bridge, one on each line, with a mark where something is filled in."""
    return "\n".join(" ".join(one.split()) for folder in ("bridge", "bindings") for one in literals(folder))


@functools.cache
def code() -> str:
    files = [
        path
        for folder in ("bridge", "bindings")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql"}
    ]
    return "\n".join(path.read_text() for path in files)


def is_command(quote: str) -> bool:
    """Return whether a quote begins with a command, `lwm2m-bridge` left out: `cluster status`."""
    first, second = quote.split()[:2]
    group = main.get_command(click.Context(main), first)
    return isinstance(group, click.Group) and group.get_command(click.Context(group), second) is not None


def section(page: Path, title: str) -> str:
    """Return the text of a page under a heading, without blocks of code; all of it if there is no title."""
    text = _FENCE.sub("", page.read_text())
    if not title:
        return text
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, f"{page.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


def unknown_texts(text: str) -> list[str]:
    """Return what a text quotes that the bridge does not say: parts between `…`, each as long as it stands there."""
    quotes = [
        quote
        for quote in _QUOTED.findall(text)
        if " " in quote.strip() and not _NOT_SAID.match(quote) and not is_command(quote)
    ]
    return [
        quote
        for quote in quotes
        if any(len(part.strip()) > 2 and part.strip() not in said() for part in quote.replace("...", _GAP).split(_GAP))
    ]


def unknown_names(text: str) -> list[str]:
    """Return names in a text, such as of metrics and settings, that no line of the code has."""
    quotes = [quote for quote in _QUOTED.findall(text) if "/" not in quote and not quote.startswith("python -m")]
    names = {name for quote in quotes for name in _NAME.findall(quote)}
    return sorted(name for name in names if not re.search(rf"\b{name}\b", code()))


OF_OTHERS = {"wal_retrieve_retry_interval", "synchronous_standby_names"}  # settings of PostgreSQL

PAGES = [
    ("cluster.md", ""),
    ("decisions/cluster.md", ""),
    ("decisions/postgresql.md", ""),
    ("guarantees.md", ""),
    ("how-to/three-nodes.md", ""),
    ("operations.md", "Log lines"),
    ("how-to/troubleshooting.md", "Several nodes"),
]


def reasons() -> list[str]:
    """Return why a message is not out yet: of the table in operations.md, and of the page of symptoms."""
    table = re.split(r"\n\| why +\|", (DOCS / "operations.md").read_text())[1].partition("\n\n")[0]
    symptoms = (DOCS / "how-to" / "troubleshooting.md").read_text()
    return [
        *(reason for row in table.splitlines()[2:] for reason in row.split("|")[1].strip().split(" · ")),
        *re.findall(r"^- \*([^*]+)\*:", symptoms, re.MULTILINE),
    ]


def test_the_reasons_are_found() -> None:
    assert len(reasons()) > 20


@pytest.mark.parametrize("reason", reasons())
def test_the_bridge_gives_each_reason_that_is_explained(reason: str) -> None:
    """What varies, or is in brackets, separates the parts of a reason."""
    parts = [one.strip(" ,") for one in re.split(r"…|; |, |[()]", reason)]
    assert [part for part in parts if part not in said()] == []


@pytest.mark.parametrize(("page", "title"), PAGES)
def test_what_a_page_quotes_is_what_the_bridge_says(page: str, title: str) -> None:
    assert unknown_texts(section(DOCS / page, title)) == []


@pytest.mark.parametrize(("page", "title"), PAGES)
def test_names_of_metrics_and_settings_are_in_the_code(page: str, title: str) -> None:
    assert [name for name in unknown_names(section(DOCS / page, title)) if name not in OF_OTHERS] == []


def test_a_quote_of_what_nobody_says_is_noticed() -> None:
    assert unknown_texts("See `shards taken` and `a node called … is in the cluster`.") == []
    assert unknown_texts("See `shards eaten`, `a node called … is in the kitchen`.") == [
        "shards eaten",
        "a node called … is in the kitchen",
    ]
    assert unknown_names("`shards_taken`, `shards_eaten_total`") == ["shards_eaten_total"]
