"""The cases as parameters of tests."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.ets.cases import Case


def parameters(network: str, cases: Mapping[int, Case]) -> list[Any]:
    """Return cases, in order; one that is known to fail on a network must fail, for the reason in the table."""
    return [
        pytest.param(
            case,
            id=str(number),
            marks=[pytest.mark.xfail(strict=True, reason=case.faults[network])] if network in case.faults else [],
        )
        for number, case in sorted(cases.items())
    ]
