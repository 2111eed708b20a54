"""NIDD configurations: made, changed, ended; and which of them an uplink belongs to (TS 29.122 §4.4.5.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mock_network.scef.core import effects as e
from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.downlinks import Downlinks
from mock_network.scef.core.groups import Groups, failure
from mock_network.scef.core.nidd_model import Configuration, Delivery, GroupDelivery
from mock_network.scef.core.profile import GROUPS, PORT_VERIFICATION
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.subscribers import Subscribers, folded
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema import NiddStatus
from mock_network.scef.schema.nidd import NiddConfiguration, NiddDownlinkDataTransfer, RdsPort

_DURATION = "duration"


class Configurations:
    """All NIDD configurations of all SCS/ASs."""

    def __init__(
        self, context: Context, cell: Cell, subscribers: Subscribers, downlinks: Downlinks, groups: Groups
    ) -> None:
        self._context, self._profile, self._timers = context, context.profile, context.timers
        self._cell, self._subscribers, self._downlinks, self._groups = cell, subscribers, downlinks, groups
        self.all: dict[str, Configuration] = downlinks.configurations
        self._of_ue: dict[str, list[Configuration]] = {}
        self._timers.handle(_DURATION, lambda name, now: self.terminate(self.all[name], NiddStatus.TERMINATED, now))

    def of_ue(self, ue: str) -> list[Configuration]:
        """Return the configurations that serve a UE, its groups' among them, the newest last."""
        return self._of_ue.get(ue, [])

    # POST, PATCH, DELETE

    def create(self, scs_as: str, terms: NiddConfiguration, now: float) -> Configuration:
        """Make a configuration, and send the downlink that it may hold. Raises RefusedError."""
        offered, wanted = self._profile.features, terms.supported_features
        features = None if offered is None or wanted is None else offered & int(wanted or "0", 16)
        group = terms.external_group_id
        ues = self._subscribers.all_of(scs_as, terms, groups=bool((features or 0) & GROUPS))
        if not all(ue.settings.authorised for ue in ues):
            raise RefusedError(Refusal.UE_NOT_AUTHORISED)
        ue = None if group is not None else ues[0].name
        if self._profile.one_configuration and self.exists(scs_as, terms):
            raise RefusedError(Refusal.ALREADY_CONFIGURED)
        number, name = self._context.new_id()
        configuration = Configuration(name, number, scs_as, ue, group, terms, features)
        self.all[name] = configuration
        for one in ues:
            self._of_ue.setdefault(one.name, []).append(configuration)
        self._set_duration(configuration, now)
        return configuration

    def exists(self, scs_as: str, terms: NiddConfiguration) -> bool:
        """Return whether the SCS/AS has a configuration for the UE or group that `terms` name."""
        ue = self._subscribers.find(terms.identity)
        if ue is not None:
            return any(one.scs_as == scs_as and one.ue == ue.name for one in self.of_ue(ue.name))
        return any(one.scs_as == scs_as and one.group == terms.external_group_id for one in self.all.values())

    def first_downlink(self, configuration: Configuration, now: float) -> Delivery | GroupDelivery | None:
        """Send the downlink that came inside a new configuration, and return it: its end is notified, a refusal too."""
        if not configuration.terms.nidd_downlink_data_transfers:
            return None
        terms = configuration.terms.nidd_downlink_data_transfers[0]
        self.check_identity(configuration, terms)
        if configuration.ue is None:
            ues = self._subscribers.all_of(configuration.scs_as, terms)
            return self._groups.submit(configuration, ues, terms, now)
        ue = self._cell.ues[configuration.ue]
        delivery = self._downlinks.make(configuration, ue, terms, now)
        delivery.announced = True
        try:
            self._downlinks.begin(configuration, ue, delivery, now)
        except RefusedError as refused:
            self._downlinks.finish(delivery, failure(refused.why), now, retry_at=refused.retry_at)
        return delivery

    def modify(self, configuration: Configuration, changes: Mapping[str, Any], now: float) -> None:
        """Change members of the terms."""
        configuration.terms = msgspec.structs.replace(configuration.terms, **changes)
        if "duration" in changes:
            self._set_duration(configuration, now)

    def terminate(self, configuration: Configuration, status: NiddStatus, now: float) -> None:
        """End a configuration by order of the network, and notify that."""
        configuration.status = status
        self.remove(configuration, now)
        self._context.out.append(e.NotifyConfiguration(configuration, status))

    def remove(self, configuration: Configuration, now: float) -> None:
        """Forget a configuration; what it still holds is dropped without a report, what is on air ends there."""
        self._timers.cancel(configuration.id, _DURATION)
        for delivery in list(configuration.deliveries.values()):
            if delivery.unanswered:
                delivery.unanswered = False
                refused = RefusedError(Refusal.CONFIGURATION_UNKNOWN)
                self._context.out.append(e.SubmitAnswered(delivery, refused=refused))
            if self._cell.ues[delivery.ue].in_flight is not delivery:
                self._downlinks.drop(delivery, "configuration ended", now)
        del self.all[configuration.id]
        for name in list(self._of_ue) if configuration.ue is None else [configuration.ue]:
            if configuration in self._of_ue[name]:
                self._of_ue[name].remove(configuration)

    def _set_duration(self, configuration: Configuration, now: float) -> None:
        ends, limit = self._context.read(configuration.terms.duration), self._profile.maximum_duration
        if limit is not None:
            ends = min(ends or now + limit, now + limit)
        configuration.ends = ends
        self._timers.cancel(configuration.id, _DURATION)
        if ends is not None:
            self._timers.set(_DURATION, configuration.id, ends)

    # Downlinks

    def submit(
        self, configuration: Configuration, terms: NiddDownlinkDataTransfer, now: float, *, as_pending: bool = False
    ) -> str:
        """Take a downlink and return its id; the answer is a SubmitAnswered effect. Raises RefusedError."""
        self.check_identity(configuration, terms)
        if configuration.group is not None:
            ues = self._subscribers.all_of(configuration.scs_as, terms)
            group = self._groups.submit(configuration, ues, terms, now)
            self._context.out.append(e.SubmitAnswered(group))  # accepted, whatever becomes of it
            return group.id
        ue = self._cell.ues[configuration.ue or ""]
        return self._downlinks.submit(configuration, ue, terms, now, as_pending=as_pending).id

    def check_identity(self, configuration: Configuration, terms: NiddDownlinkDataTransfer) -> None:
        """Refuse a downlink that is not for the configuration's own UE or group."""
        if configuration.group is not None:
            good = folded(terms.identity) == folded(configuration.group)
        else:
            found = self._subscribers.find(terms.identity)
            good = found is not None and found.name == configuration.ue and terms.external_group_id is None
        if not good:
            raise RefusedError(Refusal.IDENTITY_MISMATCH)

    # Uplinks, and what the operator does

    def uplink(self, ue: Ue, uplink: e.Uplink, number: int, now: float) -> None:
        """Pass an uplink to the newest configuration that fits; without one it is lost (TS 23.502 §4.25.4)."""
        configurations = self.of_ue(ue.name)
        if not configurations:
            self._context.air.write(now, ue.name, "uplink-discarded", reason="no configuration", uplink=number)
            self._context.out.append(e.WantConfiguration(ue.name))
            return
        chosen = configurations[-1]
        if uplink.rds_port is not None:
            known = [one for one in configurations if uplink.rds_port in one.ports_known()]
            chosen = known[-1] if known else chosen
            if not known and (chosen.features or 0) & PORT_VERIFICATION:
                self._context.air.write(now, ue.name, "uplink-discarded", reason="unknown RDS port", uplink=number)
                port = RdsPort(ue=uplink.rds_port[0], scef=uplink.rds_port[1])
                status = NiddStatus.RDS_PORT_UNKNOWN
                self._context.out.append(e.NotifyConfiguration(chosen, status, rds_port=port))
                return
        self._context.out.append(e.NotifyUplink(chosen, ue.name, uplink, number))

    def revoke(self, ue: Ue, status: NiddStatus, now: float) -> None:
        """End the configurations of a UE; a group continues without it."""
        for configuration in list(self.of_ue(ue.name)):
            if configuration.group is None:
                self.terminate(configuration, status, now)
            else:
                self.of_ue(ue.name).remove(configuration)

    def tell_capability(self, ue: Ue) -> None:
        """Notify that the operator switched the reliable data service of a UE on or off."""
        for configuration in self.of_ue(ue.name):
            if configuration.group is None:
                enabled = ue.settings.rds_enabled
                effect = e.NotifyConfiguration(configuration, configuration.status, rds_capable=enabled)
                self._context.out.append(effect)

    def lose(self, configurations: Iterable[Configuration], now: float) -> None:
        """Forget configurations without a word, as a SCEF does that has lost its data."""
        for configuration in list(configurations):
            self.remove(configuration, now)
