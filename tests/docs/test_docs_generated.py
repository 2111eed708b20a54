"""Pages that are made from code tell what the code does."""

import re
from pathlib import Path

import pytest

from tests.docs.generated import PAGES
from tests.docs.markdown import ROOT

_COUNTED = re.compile(r"""(?:\b_?count|\bCount|\bwatch|\bgauge)\(\s*"([a-z_]+)\"""")
_GIVEN = re.compile(r"`([a-z_]+)`")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_made_from_code_is_up_to_date(path):
    """Write the pages again with `python -m tests.docs.generated`."""
    assert path.read_text() == PAGES[path]()


def counted(*rooms: str) -> set[str]:
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return {name for path in files for name in _COUNTED.findall(Path(path).read_text())}


def test_every_counter_is_explained():
    told = set(_GIVEN.findall((ROOT / "docs" / "metrics.md").read_text()))
    missing = counted("bridge", "bindings") - told
    assert not missing, f"docs/metrics.md does not explain {sorted(missing)}"
