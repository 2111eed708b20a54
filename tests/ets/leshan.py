"""A Leshan for enabler test cases: unmodified, with its defaults but for the two times that are said here."""

from collections.abc import Iterator

import pytest

from tests.components import LESHAN
from tests.conftest import need_component
from tests.interop.leshan_server import LeshanProcess, start_leshan

CLEANING = 1
"""Seconds between two searches for registrations that are over; Leshan's default is 60."""
AWAKE = 2.0
"""Seconds for which a client in queue mode counts as awake; Leshan's default is 93. Its clock is a real one."""

CORE = {101, 104, 203, 205, 229, 230, 233, 241, 260, 301, 302, 304, 306, 755}
"""What runs with `make test`; `make ets` runs all."""


@pytest.fixture(scope="module")
def ets_leshan() -> Iterator[LeshanProcess]:
    need_component(LESHAN)
    process = start_leshan(cleaning_period=CLEANING, awake_window=AWAKE)
    yield process
    process.stop()
