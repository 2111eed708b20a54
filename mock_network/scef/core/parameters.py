"""Network parameters wanted by SCS/ASs (TS 23.682 §4.5.21): latencies that become timers of UEs at an update."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mock_network.scef.core import effects as e
from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.subscribers import Subscribers
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema.parameters import AppliedParameterConfiguration, ConfigResult, NpConfiguration

_VALIDITY, _GUARD = "validityTime", "groupReportingGuardTime"
# Steps in seconds, of which 0 to 31 can be coded, the finest first: T3412 extended (TS 24.008 §10.5.7.4a), T3324 (GPRS
# timer 2, §10.5.7.4)
T3412_STEPS = (2, 30, 60, 600, 3_600, 36_000, 1_152_000)
T3324_STEPS = (2, 60, 360)
_MOST = 31


def codable(seconds: float, steps: tuple[int, ...]) -> int:
    """Return the longest time that is not above `seconds` and can be coded with one of the steps."""
    return max(min(int(seconds // step), _MOST) * step for step in steps)


class Parameters:
    """All resources of 3gpp-network-parameter-configuration. Where several want a timer, the shortest latency holds."""

    def __init__(self, context: Context, cell: Cell, subscribers: Subscribers) -> None:
        self._context, self._timers, self._cell, self._subscribers = context, context.timers, cell, subscribers
        self.all: dict[str, Provision] = {}
        self._waiting: dict[str, list[Provision]] = {}  # by UE that has not got them yet
        self._timers.handle(_VALIDITY, self._over)
        self._timers.handle(_GUARD, self._notify_refused)

    def create(self, scs_as: str, terms: NpConfiguration, now: float) -> Provision:
        """Create a resource; each UE gets the timers at its next attach or update. Raises RefusedError."""
        named = self._subscribers.all_of(scs_as, terms)
        ues = [ue for ue in named if ue.settings.parameters_allowed]
        if terms.external_group_id is None and not ues:
            raise RefusedError(Refusal.PARAMETERS_NOT_ALLOWED)
        number, name = self._context.new_id()
        features = None
        if terms.supported_features is not None and self._context.profile.features is not None:
            features = int(terms.supported_features or "0", 16) & self._context.profile.parameters_features
        provision = Provision(name, number, scs_as, tuple(ue.name for ue in ues), terms, features)
        self.all[name] = provision
        self._provide(provision)
        refused = [ue for ue in named if ue not in ues]
        if refused:
            provision.refused = _refused(refused)
            self._timers.set(_GUARD, name, now + (terms.group_reporting_guard_time or 0))
        return provision

    def change(self, provision: Provision, changes: Mapping[str, Any]) -> None:
        """Change members of the terms; who they are for does not change."""
        provision.terms = msgspec.structs.replace(provision.terms, **changes)
        self._provide(provision)

    def remove(self, provision: Provision) -> tuple[ConfigResult, ...]:
        """Delete a resource, and return the refusals that were not notified yet.

        The UEs return to their own timers at their next attach or update.
        """
        self._timers.cancel(provision.id, _VALIDITY, _GUARD)
        del self.all[provision.id]
        for name in provision.ues:
            self._provision_ue(name)
        return provision.refused

    def remove_ue(self, ue: Ue) -> None:
        """Forget a UE; resources for this UE alone stay, without effect."""
        for provision in self.all.values():
            provision.ues = tuple(name for name in provision.ues if name != ue.name)
        self._waiting.pop(ue.name, None)

    def updated(self, ue: Ue) -> None:
        """Notify the SCS/ASs of the timers that came into force, at an attach or update of a UE."""
        for provision in self._waiting.pop(ue.name, ()):
            if provision.id in self.all and provision.terms.notification_destination is not None:
                self._context.out.append(e.NotifyParameters(provision, _applied(ue, provision)))

    def _over(self, name: str, _now: float) -> None:
        self.remove(self.all[name])

    def _notify_refused(self, name: str, _now: float) -> None:
        provision = self.all[name]
        refused, provision.refused = provision.refused, ()
        if provision.terms.notification_destination is not None:
            self._context.out.append(e.NotifyParameters(provision, failed=refused))

    def _provide(self, provision: Provision) -> None:
        ends = self._context.read(provision.terms.validity_time)
        self._timers.cancel(provision.id, _VALIDITY)
        if ends is not None:
            self._timers.set(_VALIDITY, provision.id, ends)
        for name in provision.ues:
            waiting = self._waiting.setdefault(name, [])
            if provision not in waiting:
                waiting.append(provision)
            self._provision_ue(name)

    def _provision_ue(self, name: str) -> None:
        """Find out which timers hold for a UE from its next attach or update on."""
        mine = [one.terms for one in self.all.values() if name in one.ues]
        latencies = [one.maximum_latency for one in mine if one.maximum_latency is not None]
        responses = [one.maximum_response_time for one in mine if one.maximum_response_time is not None]
        ue = self._cell.ues[name]
        ue.provisioned_t3412 = float(max(2, codable(min(latencies), T3412_STEPS))) if latencies else None
        ue.provisioned_t3324 = float(codable(max(responses), T3324_STEPS)) if responses else None


def _refused(ues: list[Ue]) -> tuple[ConfigResult, ...]:
    """Return that UEs may not be configured, by External Identifier, or by MSISDN where a UE has no other."""
    external = [ue.settings.external_id for ue in ues if ue.settings.external_id is not None]
    msisdns = [ue.settings.msisdn for ue in ues if ue.settings.external_id is None and ue.settings.msisdn is not None]
    why = "ROAMING_NOT_ALLOWED"
    results = [ConfigResult(result_reason=why, external_ids=external)] if external else []
    return (*results, *([ConfigResult(result_reason=why, msisdns=msisdns)] if msisdns else []))


def _applied(ue: Ue, provision: Provision) -> AppliedParameterConfiguration:
    by_msisdn = provision.terms.msisdn is not None or ue.settings.external_id is None
    identity = ue.settings.msisdn if by_msisdn else ue.settings.external_id
    return AppliedParameterConfiguration(
        external_ids=None if by_msisdn or identity is None else [identity],
        msisdns=[identity] if by_msisdn and identity is not None else None,
        maximum_latency=None if ue.t3412 is None else int(ue.t3412),
        maximum_response_time=None if ue.t3324 is None else int(ue.t3324),
    )
