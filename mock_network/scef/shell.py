"""What the HTTP side of the emulated SCEF sees of its shell: the parts, and how they are moved."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from aiohttp import web

from mock_network.clock import Clock
from mock_network.faults import Faults
from mock_network.scef.auth import Authority
from mock_network.scef.core import Scef, Ue, effects as e
from mock_network.scef.core.nidd_model import ManagedPort
from mock_network.scef.core.profile import Profile
from mock_network.scef.destinations import Destinations
from mock_network.scef.findings import Findings
from mock_network.scef.modems import Modems
from mock_network.scef.notifier import Notifier
from mock_network.scef.schema.common import Identified
from mock_network.scef.t8.bodies import Bodies
from mock_network.scef.waiting import Happenings

_T = TypeVar("_T")


class Requests(Protocol):
    """The record of the requests of T8."""

    records: list[dict[str, Any]]

    def note(self, request: web.Request, **what: Any) -> None: ...

    def race(self, api: str, resource: str, scs_as: str, ue: str) -> float | None: ...


class Shell(Protocol):
    """`mock_network.scef.service.ScefService` is one."""

    profile: Profile
    clock: Clock
    core: Scef
    faults: Faults
    findings: Findings
    notifier: Notifier
    authority: Authority
    modems: Modems
    bodies: Bodies
    destinations: Destinations
    happenings: Happenings
    origin: str

    @property
    def guard(self) -> Requests: ...

    def ready(self) -> dict[str, Any]:
        """Return what a user needs to connect."""

    def now(self) -> dt.datetime:
        """Return the time of the SCEF's own clock."""

    async def add_ue(self, values: dict[str, Any]) -> Ue:
        """Create a UE and open its modem's ports. Raises SettingsError or OSError."""

    def remove_ue(self, ue: Ue) -> None:
        """Remove a UE and its ports."""

    async def first_use(self, terms: Identified) -> None:
        """Create the UE that a request names, where UEs are made on first use."""

    def act(self, call: Callable[[float], _T]) -> _T:
        """Let time pass, call the core, and carry out the effects; return or raise what the call does."""

    def emit(self, effect: e.Effect) -> None:
        """Act on one effect that is not the core's."""

    async def submit_answer(self, delivery: str) -> e.SubmitAnswered:
        """Return the answer to the POST of a downlink, when it is known."""

    async def port_answer(self, port: ManagedPort) -> e.PortAnswered:
        """Return the answer to the PUT or DELETE of an RDS port, once it is known."""

    async def settled(self, delivery: str, seconds: float) -> None:
        """Return when the end of a delivery or device trigger has been notified, or after a time."""
