"""Devices in networks: what a network can do is told by its type, and asked for in generic words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from bridge.config import parse, reading
from bridge.control.client import DirectClient
from bridge.errors import BindingError, DirectoryError, NotPossible, RequestError, StoreUnavailable
from bridge.operations.types.endpoints import AddEndpoints, ListEndpoints, NewEndpoint
from bridge.operations.types.networks import (
    Ability,
    AddDevice,
    AdoptDevices,
    CheckNetworks,
    ListNetworks,
    SetIntegration,
)
from bridge.operations.types.request import Request
from bridge.service.at_rest import BridgeAtRest
from tests.operations.abilities import AbleBinding, DeviceSettings
from tests.service.scripted_binding import ScriptedBinding

CONFIG = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.able]
binding = "able"
name_template = "urn:{device}"
[networks.plain]
binding = "plain"
"""
BINDINGS = {"able": AbleBinding, "plain": ScriptedBinding}


@pytest.fixture
async def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BridgeAtRest]:
    monkeypatch.setattr(reading, "binding_class", BINDINGS.__getitem__)
    config = parse(CONFIG, "bridge.toml", tmp_path)
    async with BridgeAtRest(config, lambda: config, changes=True) as opened:
        yield opened


@pytest.fixture
def able(bridge: BridgeAtRest) -> AbleBinding:
    return cast("AbleBinding", bridge.networks["able"])


async def endpoints(client: DirectClient) -> dict[str, str]:
    return {one.address: one.name for one in (await client.ask(ListEndpoints())).items}


async def test_each_network_says_what_it_can_do(client: DirectClient) -> None:
    found = {one.name: set(one.abilities) for one in (await client.ask(ListNetworks())).items}
    assert found == {"able": set(Ability), "plain": set()}


async def test_a_device_is_made_in_its_network_and_gets_an_endpoint(client: DirectClient, able: AbleBinding) -> None:
    wanted = AddDevice(network="able", address="P1", name="bert", settings={"colour": "white", "ring": "007"})
    done = await client.ask(wanted)
    assert able.made == {"p1": ("bert", DeviceSettings(colour="white", ring="007"))}
    assert (done.endpoint.name, done.endpoint.address) == ("bert", "p1")
    assert (done.changes, done.scope, done.advice) == (("a white pigeon", "endpoint bert"), "loft", ("feed it",))
    again = await client.ask(wanted)
    assert (again.changes, again.endpoint) == ((), done.endpoint)


async def test_nothing_is_made_in_the_network_for_an_endpoint_that_could_not_be_added(
    client: DirectClient, able: AbleBinding
) -> None:
    await client.ask(AddEndpoints((NewEndpoint(network="plain", address="d1", name="bert"),)))
    with pytest.raises(DirectoryError, match="there is an endpoint 'bert' already"):
        await client.ask(AddDevice(network="able", address="p1", name="bert"))
    with pytest.raises(DirectoryError, match="server 'nowhere' is not configured"):
        await client.ask(AddDevice(network="able", address="p1", servers=("nowhere",)))
    assert able.made == {}


async def test_a_device_that_its_network_does_not_make_gets_no_endpoint(
    client: DirectClient, able: AbleBinding
) -> None:
    able.broken = "the loft is full"
    with pytest.raises(BindingError, match="the loft is full"):
        await client.ask(AddDevice(network="able", address="p1"))
    assert await endpoints(client) == {}


async def test_a_device_whose_endpoint_cannot_be_added_is_named_and_a_second_run_adds_it(
    client: DirectClient, bridge: BridgeAtRest, able: AbleBinding, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_draft: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(bridge.directory, "add", full)
        with pytest.raises(
            StoreUnavailable, match="the disk is full; made before that: a grey pigeon; the same command"
        ):
            await client.ask(AddDevice(network="able", address="p1", name="bert"))
    assert (list(able.made), await endpoints(client)) == (["p1"], {})
    done = await client.ask(AddDevice(network="able", address="p1", name="bert"))
    assert done.changes == ("endpoint bert",)
    assert await endpoints(client) == {"p1": "bert"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"color": "white"}, "unknown field `color`"),
        ({"speed": 0}, ">= 1 - at `$.speed`"),
        ({"speed": "fast"}, "Expected `int`, got `str` - at `$.speed`"),
    ],
)
async def test_settings_that_a_device_cannot_have_are_named(
    client: DirectClient, able: AbleBinding, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        await client.ask(AddDevice(network="able", address="p1", settings=settings))
    assert said in str(refused.value)
    assert able.made == {}


async def test_devices_of_a_network_are_adopted_by_its_rule(client: DirectClient, able: AbleBinding) -> None:
    await client.ask(AddDevice(network="able", address="p1"))
    able.made["p2"] = ("bella", DeviceSettings())
    dry = await client.ask(AdoptDevices(network="able", dry_run=True))
    assert ([(one.address, one.name, one.endpoint) for one in dry.items], dry.known) == ([("p2", "bella", None)], 1)
    done = await client.ask(AdoptDevices(network="able"))
    assert [(one.address, one.endpoint) for one in done.items] == [("p2", "urn:p2")]
    assert await endpoints(client) == {"p1": "urn:p1", "p2": "urn:p2"}
    assert (await client.ask(AdoptDevices(network="able"))).items == ()


async def test_the_integration_is_set_for_a_part_of_the_network(client: DirectClient, able: AbleBinding) -> None:
    assert (await client.ask(SetIntegration(network="able", scope="loft"))).changed
    assert not (await client.ask(SetIntegration(network="able", scope="loft"))).changed
    assert able.directed_to == ["loft", "loft"]


async def test_a_network_is_checked_by_itself(client: DirectClient) -> None:
    found = await client.ask(CheckNetworks("able"))
    assert [one.detail for one in found.networks["able"]] == ["0 in the loft"]


@pytest.mark.parametrize(
    ("asked", "cure"),
    [
        (AddDevice(network="plain", address="d1"), "cannot make devices; .*endpoint add"),
        (AdoptDevices(network="plain"), "cannot list devices; .*import a file"),
        (SetIntegration(network="plain"), "cannot set integration; "),
    ],
)
async def test_a_network_without_an_ability_says_what_to_do_instead(
    client: DirectClient, asked: Request[object], cure: str
) -> None:
    with pytest.raises(NotPossible, match=f"network 'plain' {cure}"):
        await client.ask(asked)
