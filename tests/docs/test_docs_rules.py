"""Every rule that is cited is in the rule book, every rule names its tests, and paths that people are sent to exist."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

RULES = ROOT / "docs" / "rules.md"
_RULE = re.compile(r"^### R(\d+)\. [^\n]+\n(.+?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\((\.\./tests/[^)]+)\)")
_CITED = re.compile(r"\bR(\d{1,2})\b(?!\.\d)")
_PATH = re.compile(r"`((?:bridge|bindings|mock_network|tests|docs|benchmarks)/[\w/.]+)`")
ROOMS = ("bridge", "bindings", "mock_network", "benchmarks")
BOOK = {int(number): text for number, text in _RULE.findall(RULES.read_text())}


def cited() -> dict[int, set[str]]:
    """Return the rules that code cites, with the files that cite them."""
    found: dict[int, set[str]] = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for number in _CITED.findall(path.read_text()):
                found.setdefault(int(number), set()).add(str(path.relative_to(ROOT)))
    return found


def proofs_of(rule: int) -> list[Path]:
    return [(RULES.parent / link).resolve() for link in _LINK.findall(BOOK[rule])]


def named_rules(test: Path) -> set[int]:
    """Return the rules in the name of a test file: `test_r16_to_r20_x.py` has five."""
    span = re.match(r"test_r(\d+)_to_r(\d+)_", test.name)
    if span is not None:
        return set(range(int(span[1]), int(span[2]) + 1))
    return {int(number) for number in re.findall(r"_r(\d+)(?=_)", test.name)}


def test_the_rules_are_numbered_without_a_gap():
    assert list(BOOK) == list(range(1, len(BOOK) + 1))


def test_every_rule_that_code_cites_is_in_the_book():
    unknown = {number: sorted(files) for number, files in cited().items() if number not in BOOK}
    assert not unknown


@pytest.mark.parametrize("rule", BOOK)
def test_every_rule_says_its_source_and_names_tests_that_exist(rule: int):
    assert "\nSource: " in BOOK[rule]
    assert proofs_of(rule)
    assert [path for path in proofs_of(rule) if not path.is_file()] == []


@pytest.mark.parametrize("test", sorted((ROOT / "tests").rglob("test_r[0-9]*_*.py")), ids=lambda path: path.name)
def test_a_test_file_that_is_named_after_rules_stands_beside_them(test: Path):
    assert named_rules(test)
    assert [rule for rule in named_rules(test) if test not in proofs_of(rule)] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/rules.md"])
def test_paths_that_pages_name_exist(page: str):
    assert [path for path in _PATH.findall((ROOT / page).read_text()) if not (ROOT / path).exists()] == []


def test_the_glossary_says_each_word_once():
    words = re.findall(r"^\| (?!word)([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 40
    assert sorted(words) == sorted(set(words))
