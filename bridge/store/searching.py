"""Search for a text anywhere in a name, whatever the case: in the words of each kind of store, with one result.

Two characters are the same if Unicode's case folding makes one character of both. Where folding makes several
characters of one, as of ß, it counts as what it is in lower case. Databases differ in what they know of case, so a
pattern lists all characters that are looked for in each place.
"""

import re
from collections.abc import Mapping
from functools import cache

LONGEST = 1000  # characters; no name or address has as many, and SQLite takes patterns of at most 50 000 bytes
CASED = 0x20000  # no character from here on has a case


def may_be_found(text: str) -> bool:
    """Return whether a text can be in any name or address. Only of such a text a pattern may be made."""
    return len(text) <= LONGEST and "\0" not in text


def folded(text: str) -> str:
    """Return a text as it is compared."""
    return text.lower() if text.isascii() else "".join(map(_folded, text))


def glob_of(text: str) -> str:
    """Return the pattern for SQLite's GLOB of the texts that contain this one."""
    return f"*{''.join(_pattern(one, f'[{one}]' if one in '*?[' else one) for one in text)}*"


def regex_of(text: str) -> str:
    """Return the regular expression, for PostgreSQL's ~, of the texts that contain this one."""
    return "".join(_pattern(one, re.escape(one)) for one in text)


def _pattern(character: str, itself: str) -> str:
    """Return the pattern of a character; `itself` is what stands for one without a case."""
    alike = _alike().get(_folded(character))
    return itself if alike is None else f"[{alike}]"


def _folded(character: str) -> str:
    for one in (character.casefold(), character.lower()):
        if len(one) == 1:
            return one
    return character


@cache
def _alike() -> Mapping[str, str]:
    """Return all characters that are the same as one, by what these are when folded. It takes some milliseconds."""
    found: dict[str, str] = {}
    for one in map(chr, range(CASED)):
        if one.casefold() != one and (common := _folded(one)) != one:
            found[common] = found.get(common, common) + one
    return found
