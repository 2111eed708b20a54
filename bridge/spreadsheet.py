"""Texts in CSV files that somebody may open in a spreadsheet.

A spreadsheet takes a cell that begins with one of some characters for a formula, and may carry it out. Names of
endpoints come from devices and networks. OWASP ("CSV Injection") advises to put an apostrophe before such a text.
"""

import re

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four are the full-width forms
_APOSTROPHE = "'"


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with one more apostrophe at its beginning if need be."""
    return _APOSTROPHE + text if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return the text that `guarded` was called with."""
    return text[1:] if text.startswith(_APOSTROPHE) and _FORMULA.match(text) else text
