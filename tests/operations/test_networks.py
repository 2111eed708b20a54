"""Checks of networks: one that cannot be checked hides no other."""

from types import SimpleNamespace
from typing import Any

import pytest

from bindings.diagnosis import Finding, Grade
from bridge.control.client import DirectClient
from bridge.errors import BindingError, ConfigurationError, NotFound
from bridge.operations.types.networks import CheckNetworks


class Down:
    async def check(self) -> list[Finding]:
        raise BindingError("network down is not running")


class Wrong:
    async def check(self) -> list[Finding]:
        raise ConfigurationError("api.key: is wrong")


class Up:
    async def check(self) -> list[Finding]:
        return [Finding("it", Grade.GOOD, "runs")]


@pytest.fixture
def client() -> DirectClient:
    bridge: Any = SimpleNamespace(networks={"down": Down(), "wrong": Wrong(), "mute": object(), "up": Up()})
    return DirectClient(bridge)


async def test_a_network_that_cannot_be_checked_hides_no_other(client: DirectClient) -> None:
    found = (await client.ask(CheckNetworks())).networks
    assert [(one.grade, one.detail) for one in found["down"]] == [(Grade.UNCHECKED, "network down is not running")]
    assert [(one.grade, one.cure) for one in found["wrong"]] == [
        (Grade.BAD, "correct this setting in [networks.wrong]")
    ]
    assert [one.grade for one in found["mute"]] == [Grade.UNCHECKED]
    assert found["up"] == (Finding("it", Grade.GOOD, "runs"),)


async def test_one_network_may_be_checked_alone(client: DirectClient) -> None:
    assert list((await client.ask(CheckNetworks("up"))).networks) == ["up"]
    with pytest.raises(NotFound, match=r"network 'x' is not configured \(known: down, wrong, mute, up\)"):
        await client.ask(CheckNetworks("x"))
