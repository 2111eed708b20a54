"""What `make site` adds to MkDocs: pages of the root folder, the decisions by title, links to source as text."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """List the decisions by title under "Decisions"."""
    for section in config["nav"]:
        for entries in section.values():
            if isinstance(entries, list):
                for entry in entries:
                    if entry.get("Decisions") == "decisions/":
                        entry["Decisions"] = _decisions()
    return config


def _decisions() -> list[str]:
    folder = ROOT / "docs" / "decisions"
    others = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    return [f"decisions/{name}" for name in ("README.md", *others)]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are in the root folder."""
    for name, page in FROM_ROOT.items():
        files.append(File.generated(config, page, content=_moved(ROOT / name)))
    return files


def _moved(path: Path) -> str:
    return _linked(path.read_text(), posixpath.normpath)


def on_page_markdown(markdown: str, page: Any, **_others: Any) -> str:
    """Turn links that leave docs/ into links to pages of the site, or into text where there is no such page."""
    if page.file.src_uri in FROM_ROOT.values():
        return markdown
    here = posixpath.dirname(f"docs/{page.file.src_uri}")
    return _linked(markdown, lambda target: posixpath.normpath(posixpath.join(here, target)), here)


def _linked(markdown: str, resolve: Any, here: str = "docs") -> str:
    """Rewrite all links outside fenced blocks; `resolve` returns a target's path from the root folder."""

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, mark, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:") or not path:
            return found[0]
        source = resolve(path)
        if source == "README.md":
            source = "docs/index.md"
        page = f"docs/{FROM_ROOT[source]}" if source in FROM_ROOT else source
        if page.startswith("docs/") and page.endswith(".md"):
            return f"[{text}]({posixpath.relpath(page, here)}{mark}{anchor})"
        return text

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))
