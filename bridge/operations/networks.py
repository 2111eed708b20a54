"""Operations on networks, and on devices in them. The type of its binding says what a network can do."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec

from bindings.contract import (
    Binding,
    ChecksItself,
    KnowsReachability,
    ListsDevices,
    MakesDevices,
    NetworkDevice,
    SetsIntegration,
)
from bindings.diagnosis import Finding, Grade
from bridge.directory import Draft
from bridge.errors import BridgeError, ConfigurationError, LocalError, NotFound, NotPossible, RequestError
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.owners import at_owner
from bridge.operations.standings import view
from bridge.operations.types.networks import (
    Ability,
    AddDevice,
    AdoptDevices,
    AdoptedDevice,
    CheckNetworks,
    DeviceAdded,
    DevicesAdopted,
    ForgetLimits,
    IntegrationSet,
    LimitsForgotten,
    ListNetworks,
    NetworkChecks,
    Networks,
    NetworkView,
    SetIntegration,
)

ABILITIES: dict[Ability, type[Any]] = {
    Ability.CHECK: ChecksItself,
    Ability.LIST_DEVICES: ListsDevices,
    Ability.MAKE_DEVICES: MakesDevices,
    Ability.SET_INTEGRATION: SetsIntegration,
}

OTHER_NODES = 5.0  # seconds in which another node of the cluster must answer

_INSTEAD = {
    Ability.LIST_DEVICES: "add its devices with `lwm2m-bridge endpoint add`, or import a file",
    Ability.MAKE_DEVICES: "create its devices in the network, and add their endpoints with `lwm2m-bridge endpoint add`",
    Ability.SET_INTEGRATION: "it needs no integration, or the integration is configured in the network itself",
}
"""The cure if a network lacks an ability."""


async def list_networks(bridge: Bridge, _asked: ListNetworks) -> Networks:
    states = bridge.network_states()
    return Networks(
        items=tuple(
            NetworkView(
                name=name,
                abilities=_abilities(bridge, name),
                up=_up(bridge.networks[name]) if name in states else None,
                status=dict(states.get(name, {})),
            )
            for name in bridge.networks
        )
    )


async def check_networks(bridge: Bridge, asked: CheckNetworks) -> NetworkChecks:
    names = list(bridge.networks) if asked.network is None else [asked.network]
    return NetworkChecks(networks={name: await _check(bridge, name) for name in names})


async def forget_limits(bridge: Bridge, asked: ForgetLimits) -> LimitsForgotten:
    existing(bridge, asked.network)
    if asked.only_here or bridge.holder(0) is None:
        return LimitsForgotten(limits=await bridge.forget_limits(asked.network))
    view = await bridge.cluster.view()
    shards = {view.holder(shard): shard for shard in view.shards}  # a node is asked as the holder of one of its shards
    others = [node.name for node in view.nodes.values() if node.is_alive and node.name != bridge.node]
    limits = await bridge.forget_limits(asked.network)
    answers = await asyncio.gather(*(_forgotten_at(bridge, shards.get(node), asked.network) for node in others))
    both = [*zip(others, answers, strict=True)]
    nodes = {node: answer.limits for node, answer in both if isinstance(answer, LimitsForgotten)}
    not_reached = {node: answer for node, answer in both if isinstance(answer, str)}
    return LimitsForgotten(limits=limits, nodes=nodes, not_reached=not_reached)


async def _forgotten_at(bridge: Bridge, shard: int | None, network: str) -> LimitsForgotten | str:
    """Have the node that holds a shard forget limits; return its answer, or why there is none."""
    if shard is None:
        return "it serves no shard at the moment"
    asked = ForgetLimits(network, only_here=True)
    try:
        async with asyncio.timeout(OTHER_NODES):
            answer: LimitsForgotten = await at_owner(bridge, shard, asked)
            return answer
    except TimeoutError:
        return f"no answer within {OTHER_NODES:.0f} s"
    except BridgeError as error:
        return error.text


async def set_integration(bridge: Bridge, asked: SetIntegration) -> IntegrationSet:
    network = existing(bridge, asked.network)
    if not isinstance(network, SetsIntegration):
        raise _cannot(asked.network, Ability.SET_INTEGRATION)
    return IntegrationSet(changed=await network.set_integration(asked.scope))


async def add_device(bridge: Bridge, asked: AddDevice) -> DeviceAdded:
    network = existing(bridge, asked.network)
    if not isinstance(network, MakesDevices):
        raise _cannot(asked.network, Ability.MAKE_DEVICES)
    try:
        settings = msgspec.convert(asked.settings, network.device_settings())
    except msgspec.ValidationError as error:
        raise RequestError(f"settings: {error}") from None
    draft = Draft(
        network=asked.network,
        device=asked.address,
        name=asked.name,
        servers=asked.servers,
        confirmed=asked.confirmed,
        options=asked.options,
    )
    # Before anything is created in the network: can its endpoint be added at all?
    wanted = bridge.directory.catalogue.check(draft)
    there = await bridge.directory.by_device(wanted.network, wanted.device)
    if there is None:
        await bridge.directory.check_free(wanted)
    made = await network.make_device(wanted.device, asked.name, settings)
    changes, advice = list(made.changes), list(made.advice)
    if there is None:
        try:
            there = await bridge.directory.add(replace(wanted, options={**wanted.options, **made.options}))
        except LocalError as error:
            raise type(error)(
                f"the endpoint cannot be added: {error}; made before that: {', '.join(changes) or 'nothing'}; the same "
                "command adds it once the cause is mended"
            ) from error
        changes.append(f"endpoint {there.name}")
    else:
        advice += [
            f"correct the endpoint: lwm2m-bridge endpoint set {there.name} {name}={value}"
            for name, value in made.options.items()
            if there.options.get(name) != value
        ]
    return DeviceAdded(endpoint=view(there), changes=tuple(changes), scope=made.scope, advice=tuple(advice))


async def adopt_devices(bridge: Bridge, asked: AdoptDevices) -> DevicesAdopted:
    network = existing(bridge, asked.network)
    if not isinstance(network, ListsDevices):
        raise _cannot(asked.network, Ability.LIST_DEVICES)
    listed = await network.network_devices()
    new = [one for one in listed if await bridge.directory.by_device(asked.network, one.device) is None]
    names = [None] * len(new) if asked.dry_run else await _adopt(bridge, asked, new)
    items = tuple(
        AdoptedDevice(address=one.device, name=one.name, endpoint=name) for one, name in zip(new, names, strict=True)
    )
    return DevicesAdopted(items=items, known=len(listed) - len(new))


async def _adopt(bridge: Bridge, asked: AdoptDevices, new: list[NetworkDevice]) -> list[str]:
    drafts = [Draft(network=asked.network, device=one.device, servers=asked.servers) for one in new]
    return [record.name for record in await bridge.directory.add_all(drafts)] if drafts else []


def existing(bridge: Bridge, name: str) -> Binding:
    """Return a network instance by its name. Raises NotFound, or ConfigurationError if it cannot be made."""
    found = bridge.networks.get(name)
    if found is None:
        known = ", ".join(bridge.networks) or "none"
        raise NotFound(f"network {name!r} is not configured (known: {known})")
    return found


def _cannot(name: str, ability: Ability) -> NotPossible:
    return NotPossible(f"network {name!r} cannot {ability}; {_INSTEAD[ability]}")


def _up(binding: Binding) -> bool | None:
    return binding.up if isinstance(binding, KnowsReachability) else None


def _abilities(bridge: Bridge, name: str) -> tuple[Ability, ...]:
    binding = bridge.networks[name]
    return tuple(ability for ability, capability in ABILITIES.items() if isinstance(binding, capability))


async def _check(bridge: Bridge, name: str) -> tuple[Finding, ...]:
    try:
        network = existing(bridge, name)
        if not isinstance(network, ChecksItself):
            return (Finding("checks", Grade.UNCHECKED, "its binding has none"),)
        return tuple(await network.check())
    except NotFound:
        raise
    except ConfigurationError as error:
        return (Finding("settings", Grade.BAD, str(error), f"correct this setting in [networks.{name}]"),)
    except BridgeError as error:  # the other networks are checked nevertheless
        cure = "start the service with `lwm2m-bridge run`, or see its log, and ask again"
        return (Finding("checks", Grade.UNCHECKED, str(error), cure),)


OPERATIONS = (
    Operation(ListNetworks, list_networks),
    Operation(CheckNetworks, check_networks),
    Operation(ForgetLimits, forget_limits),
    Operation(SetIntegration, set_integration),
    Operation(AddDevice, add_device),
    Operation(AdoptDevices, adopt_devices),
)
