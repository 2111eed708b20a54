"""What tests of several nodes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mock_network.lab import Broker
from tests.conftest import running_broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Yield a running Mosquitto that keeps what it has for nodes that are away."""
    with running_broker(tmp_path, persistent=True) as one:
        yield one
