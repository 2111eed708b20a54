"""Networks: whether their set-ups will do, and what the bridge can set there."""

from typing import ClassVar

from bindings.diagnosis import Finding
from bridge.operations.types.request import Access, Request, Result


class NetworkChecks(Result, frozen=True, kw_only=True):
    """What the checks of each network found."""

    networks: dict[str, tuple[Finding, ...]]


class CheckNetworks(Request[NetworkChecks], frozen=True):
    """Check networks: reachable, credentials, settings that will hurt, the way back to the bridge. Changes nothing."""

    NAME: ClassVar[str] = "network.check"
    ACCESS: ClassVar[Access] = Access.READ

    network: str | None = None  # null: all of them


class IntegrationSet(Result, frozen=True, kw_only=True):
    changed: bool  # false: it was so already


class SetIntegration(Request[IntegrationSet], frozen=True, kw_only=True):
    """Have a network send what comes from its devices to this bridge. Only a running service can."""

    NAME: ClassVar[str] = "network.integration"
    ACCESS: ClassVar[Access] = Access.ADMIN

    network: str
    application_id: str = ""
