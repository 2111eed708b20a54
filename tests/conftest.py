"""What all tests share: a component that is absent skips a test, or fails it where everything must be proven."""

import os
from collections.abc import Callable

import pytest

from tests.requirements.collecting import check_labels


def need(present: object, reason: str) -> None:
    """Skip with `reason` unless `present`; with REQUIRE_ALL=1 in the environment that is a failure instead."""
    if present:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"required here but absent: {reason}")
    pytest.skip(reason)


@pytest.fixture(name="need")
def need_fixture() -> Callable[[object, str], None]:
    """Give `need` to a test."""
    return need


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks with requirement labels that do not exist."""
    check_labels(items)
