"""`pytest tests/ets --write-page`, which is `make ets`: docs/ets.md tells what came of the cases in this run."""

import pytest

from tests.ets.page import Results


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-page", action="store_true", help="write docs/ets.md from the results of this run")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-page", default=False):
        config.pluginmanager.register(Results())
