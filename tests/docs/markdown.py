"""What tests read out of Markdown: fenced blocks, indented commands, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"lwm2m-bridge(?= [a-z-])[^`\n|#&>\u2500-\u257f]*")


@dataclass(frozen=True)
class Block:
    """A fenced block; `language` is "" where none is named."""

    page: str
    language: str
    text: str


def pages() -> list[Path]:
    """Return README, change log, the page for contributors and everything under docs/."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path) -> Iterator[Block]:
    """Return all fenced blocks of a page, indentation taken away."""
    for indent, language, text in _FENCE.findall(path.read_text()):
        lines = [line.removeprefix(indent) for line in text.splitlines(keepends=True)]
        yield Block(path.name, language, "".join(lines))


def links(path: Path) -> list[str]:
    """Return the targets of all links that lead to other files of the project."""
    without_code = _FENCE.sub("", path.read_text())
    return [link for link in _LINK.findall(without_code) if "://" not in link and not link.startswith("#")]


def commands(path: Path) -> Iterator[str]:
    """Return every `lwm2m-bridge …` that a page names, in prose or in blocks, joined over broken lines."""
    text = path.read_text().replace("\\\n", " ")
    for found in _COMMAND.findall(text):
        yield found.strip().rstrip(".,;:)")
