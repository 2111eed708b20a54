"""Operations on networks."""

from bindings.contract import Binding
from bindings.diagnosis import Finding, Grade
from bridge.errors import BridgeError, ConfigurationError, NotFound
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.networks import CheckNetworks, IntegrationSet, NetworkChecks, SetIntegration


async def check_networks(bridge: Bridge, asked: CheckNetworks) -> NetworkChecks:
    names = list(bridge.networks) if asked.network is None else [asked.network]
    return NetworkChecks(networks={name: await _check(bridge, name) for name in names})


async def set_integration(bridge: Bridge, asked: SetIntegration) -> IntegrationSet:
    set_up = getattr(existing(bridge, asked.network), "set_integration", None)
    if set_up is None:
        raise ConfigurationError(f"network {asked.network!r} has no integration that could be set")
    return IntegrationSet(changed=await set_up(asked.application_id))


def existing(bridge: Bridge, name: str) -> Binding:
    """Return a network instance by its name. Raises NotFound."""
    found = bridge.networks.get(name)
    if found is None:
        known = ", ".join(bridge.networks) or "none"
        raise NotFound(f"network {name!r} is not configured (known: {known})")
    return found


async def _check(bridge: Bridge, name: str) -> tuple[Finding, ...]:
    try:
        check = getattr(existing(bridge, name), "check", None)  # not every binding can check itself
        if check is None:
            return (Finding("checks", Grade.UNCHECKED, "its binding has none"),)
        return tuple(await check())
    except NotFound:
        raise
    except ConfigurationError as error:
        return (Finding("settings", Grade.BAD, str(error), f"mend this setting in [networks.{name}]"),)
    except BridgeError as error:  # the other networks are checked all the same
        cure = "start the service with `lwm2m-bridge run`, or see its log, and ask again"
        return (Finding("checks", Grade.UNCHECKED, str(error), cure),)


OPERATIONS = (
    Operation(CheckNetworks, check_networks),
    Operation(SetIntegration, set_integration),
)
