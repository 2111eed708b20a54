"""Rules hold on every network: tests that ask for `south` run against each profile."""

import pytest
from world import LORAWAN, NIDD, World

from bindings.contract import SouthProfile


@pytest.fixture(params=[NIDD, LORAWAN], ids=["nidd", "lorawan"])
def south(request: pytest.FixtureRequest) -> SouthProfile:
    """Return each south profile in turn."""
    profile: SouthProfile = request.param
    return profile


@pytest.fixture
def world(south: SouthProfile) -> World:
    """Return one endpoint on each kind of network."""
    return World(south)
