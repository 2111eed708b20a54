"""Where the provisioning of each device is: what its network says is kept, and nothing else looks like health."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bindings.contract import Provisioned
from bindings.provisioning import ProvisioningState as State
from bridge.control.client import DirectClient
from bridge.directory import EndpointRecord
from bridge.errors import BindingError, NotServedHere, StoreUnavailable
from bridge.operations.types.endpoints import (
    GetEndpointState,
    ListEndpoints,
    ProvisionEndpoint,
    ProvisioningView,
    UpdateEndpoint,
)
from bridge.service.service import Service
from tests.service.kit import Kit
from tests.waiting import until


async def provisioning(service: Service, name: str = "e1") -> ProvisioningView:
    return (await DirectClient(service).ask(GetEndpointState(name))).provisioning


async def becomes(service: Service, state: State) -> ProvisioningView:
    async def there() -> ProvisioningView | None:
        found = await provisioning(service)
        return found if found.state is state else None

    found = await until(there)
    assert found is not None
    return found


async def test_a_device_whose_network_was_asked_is_pending_until_the_network_says_more(kit: Kit) -> None:
    async with kit.running() as service:
        await becomes(service, State.PENDING)
        kit.network.events.deliver(Provisioned("d1", State.FAILED, "the SCEF does not know it", 2e9))
        found = await becomes(service, State.FAILED)
        assert (found.reason, found.retry_at) == ("the SCEF does not know it", 2e9)
        assert found.since is not None
        await kit.network.events.deliver(Provisioned("d1", State.READY))
        found = await provisioning(service)
        assert (found.state, found.reason, found.retry_at) == (State.READY, "", None)


async def test_a_word_outlives_a_restart_and_a_new_start_does_not_unsay_it(kit: Kit) -> None:
    async with kit.running() as service:
        await becomes(service, State.PENDING)
        kit.network.events.deliver(Provisioned("d1", State.READY))  # not awaited: the stop keeps it
    async with kit.running() as service:
        await until(lambda: kit.network.provisioned == ["d1"])
        await service.parts.notes.flush()
        assert (await provisioning(service)).state is State.READY


async def test_a_refused_provisioning_is_a_failure_with_its_reason(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kit.running() as service:
        await becomes(service, State.PENDING)

        async def refuse(_device: str, _options: object) -> None:
            raise BindingError("no quota for d2")

        monkeypatch.setattr(kit.network, "provision", refuse)
        await DirectClient(service).ask(UpdateEndpoint(endpoint="e1", address="d2"))
        found = await becomes(service, State.FAILED)
        assert found.reason == "no quota for d2"


async def test_an_endpoint_whose_network_is_not_configured_any_more_is_a_failure(kit: Kit) -> None:
    async with kit.running() as service:
        await becomes(service, State.PENDING)
    network = replace(kit.config.networks["net"], name="renamed")
    kit.config = replace(kit.config, networks={"renamed": network}, endpoints=())
    service = Service(kit.config)
    await service.start()
    try:
        found = await becomes(service, State.FAILED)
        assert found.reason == "network 'net' is not configured (known: renamed)"
        listed = await DirectClient(service).ask(ListEndpoints(provisioning=(State.FAILED,)))
        assert [one.name for one in listed.items] == ["e1"]
    finally:
        await service.stop()


async def test_words_that_cannot_be_kept_are_kept_when_the_store_can(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.service.provisioning.AGAIN", 0.05)
    async with kit.running() as service:
        await becomes(service, State.PENDING)
        note, calls = service.store.fleet.note, 0

        async def failing(notes: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise StoreUnavailable("the disk is full")
            return await note(notes)

        monkeypatch.setattr(service.store.fleet, "note", failing)
        first = kit.network.events.deliver(Provisioned("d1", State.FAILED, "first"))
        await until(lambda: calls == 1)
        second = kit.network.events.deliver(Provisioned("d1", State.FAILED, "second"))
        await asyncio.gather(first, second)
        assert (await provisioning(service)).reason == "second"


async def test_a_node_that_does_not_serve_an_endpoint_does_not_say_that_its_network_was_asked(kit: Kit) -> None:
    handed_over = []

    def elsewhere(_record: EndpointRecord) -> None:
        raise NotServedHere("ask the others", 7)

    async def owner(*asked: object) -> bytes:
        handed_over.append(asked[:2])
        raise NotServedHere("nobody serves it", 7)

    async with kit.running() as service:
        await becomes(service, State.PENDING)
        asked = kit.network.provisioned.copy()
        service.parts.directory.may_change = elsewhere
        service.ask_owner = owner  # type: ignore[method-assign]
        with pytest.raises(NotServedHere):
            await DirectClient(service).ask(ProvisionEndpoint("e1"))
        assert kit.network.provisioned == asked
        assert handed_over == [(7, "endpoint.provision")]
