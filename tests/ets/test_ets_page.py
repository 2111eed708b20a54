"""docs/ets.md tells of each case, and of results only."""

import re

from tests.ets.cases import CASES
from tests.ets.page import FILE, page
from tests.ets.secure import SECURE
from tests.ets.several import SEVERAL


def test_the_page_has_a_row_for_each_case():
    """Write it anew with `make ets`."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|", FILE.read_text(), re.MULTILINE)
    cases = [case for _, case in sorted({**CASES, **SEVERAL, **SECURE}.items())]
    assert [(int(number), title, shows) for number, title, shows in rows] == [
        (case.number, case.title, case.shows) for case in cases
    ]


def test_no_case_stands_in_both_tables():
    assert not CASES.keys() & SEVERAL.keys()
    assert not SECURE.keys() & (CASES.keys() | SEVERAL.keys())


def test_a_case_without_a_result_does_not_pass():
    text = page({("NIDD", 101): "passes", ("NIDD", 102): "fails: it is so"})
    assert "1 over NIDD; 0 over LoRaWAN; 0 over NIDD, Leshan; 0 over LoRaWAN, Leshan" in text
    assert re.search(r"^\| 101 .* passes \| not run \| not run \| not run \|$", text, re.MULTILINE)
    assert re.search(r"^\| 102 .* fails: it is so \| not run \| not run \| not run \|$", text, re.MULTILINE)
