"""Pages that are made from code tell what the code does."""

import re
from pathlib import Path

from tests.docs.generated import FILE, page
from tests.docs.markdown import ROOT

_COUNTED = re.compile(r"""(?:\b_?count|\bCount|\bwatch|\bgauge)\(\s*"([a-z_]+)\"""")
_GIVEN = re.compile(r"`([a-z_]+)`")


def test_the_page_of_settings_is_up_to_date():
    """Write it anew with `python -m tests.docs.generated`."""
    assert FILE.read_text() == page()


def counted(*rooms: str) -> set[str]:
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return {name for path in files for name in _COUNTED.findall(Path(path).read_text())}


def test_every_counter_is_explained():
    told = set(_GIVEN.findall((ROOT / "docs" / "metrics.md").read_text()))
    missing = counted("bridge", "bindings") - told
    assert not missing, f"docs/metrics.md does not explain {sorted(missing)}"
