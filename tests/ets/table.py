"""The cases as parameters of tests."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from tests.ets.cases import Case


def parameters(way: str, cases: Mapping[int, Case], core: Collection[int] | None = None) -> list[Any]:
    """Return cases, in order; one that is known to fail on a way must fail, for the reason in the table.

    `core`: numbers of those that are not slow; None: no case is.
    """
    found = []
    for number, case in sorted(cases.items()):
        marks = [pytest.mark.xfail(strict=True, reason=case.faults[way])] if way in case.faults else []
        if core is not None and number not in core:
            marks.append(pytest.mark.slow)
        found.append(pytest.param(case, id=str(number), marks=marks))
    return found
