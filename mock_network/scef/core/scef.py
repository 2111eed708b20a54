"""The whole emulated network: a radio side, and an SCEF with its services, which it connects.

A shell calls `run` when time has passed, then one of the services, then `run` and `drain`, and acts on the effects.
`due` is the moment for the next call at the latest. Timers fire in their order, each at its own moment, also when much
time has passed at once.
"""

import random
from collections.abc import Mapping
from typing import Any

from mock_network.scef.core import effects as e
from mock_network.scef.core.air import Air
from mock_network.scef.core.cell import Cell, Reach
from mock_network.scef.core.configurations import Configurations
from mock_network.scef.core.context import Context
from mock_network.scef.core.downlinks import Downlinks
from mock_network.scef.core.groups import Groups
from mock_network.scef.core.monitoring import Monitoring
from mock_network.scef.core.nidd_model import Delivery
from mock_network.scef.core.nidd_tables import Carried
from mock_network.scef.core.parameters import Parameters
from mock_network.scef.core.profile import Profile
from mock_network.scef.core.rds_ports import RdsPorts
from mock_network.scef.core.sms import SmsCentre
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.core.states import UPDATES, UeState, UeTrigger
from mock_network.scef.core.subscribers import Subscribers
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema import DeliveryStatus, NiddStatus


class Scef:
    """One emulated network; its services are public."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.context = Context(profile, rng)
        self.air_log = self.context.air
        self.cell = Cell(self.context, self)
        self._air = Air(self.context, self.cell, self)
        self.subscribers = Subscribers(self.cell)
        self.downlinks = Downlinks(self.context, self.cell, self._air, self._downlink_failed)
        self.groups = Groups(self.context, self.downlinks)
        self.configurations = Configurations(self.context, self.cell, self.subscribers, self.downlinks, self.groups)
        self.rds_ports = RdsPorts(self.context, self.cell)
        self.sms = SmsCentre(self.context, self.cell, self._air, self.subscribers)
        self.monitoring = Monitoring(self.context, self.cell, self.subscribers)
        self.parameters = Parameters(self.context, self.cell, self.subscribers)

    @property
    def profile(self) -> Profile:
        """Return what kind of SCEF this is."""
        return self.context.profile

    # Time

    def due(self) -> float | None:
        """Return the moment of the next timer; None if nothing is pending."""
        return self.context.timers.due()

    def run(self, now: float) -> None:
        """Let time pass until `now`."""
        self.context.timers.run(now)

    def drain(self) -> list[e.Effect]:
        """Take the effects of what has happened, in their order."""
        return self.context.drain()

    # UEs, by hand of the operator and of the UE's application

    def remove_ue(self, ue: Ue, now: float) -> None:
        """Remove a UE; its configurations are terminated."""
        self.configurations.revoke(ue, NiddStatus.TERMINATED, now)
        for delivery in [*ue.queue, *([ue.in_flight] if ue.in_flight else [])]:
            if delivery.group is None:
                self.downlinks.drop(delivery, "UE removed", now)
            else:
                self.downlinks.finish(delivery, DeliveryStatus.FAILURE, now)
        self.sms.remove_ue(ue, now)
        self._air.forget(ue)
        self.cell.remove(ue, now)
        self.monitoring.remove_ue(ue, now)
        self.parameters.remove_ue(ue)
        self.rds_ports.forget_ue(ue)
        self.downlinks.forget_ue(ue)
        self.subscribers.remove(ue)

    def change_ue(self, ue: Ue, values: Mapping[str, Any], now: float) -> None:
        """Change settings of a UE. Raises SettingsError; then nothing has changed."""
        before, ue.settings = ue.settings, ue.settings.changed(values)
        if ue.settings.in_coverage != before.in_coverage:
            self.cell.coverage(ue, now)
        if before.authorised and not ue.settings.authorised:
            self.configurations.revoke(ue, NiddStatus.TERMINATED_UE_NOT_AUTHORIZED, now)
        if ue.settings.rds_enabled != before.rds_enabled:
            self.configurations.tell_capability(ue)

    def move_ue(self, ue: Ue, trigger: UeTrigger, now: float) -> None:
        """Have a trigger happen to a UE; where it is void, that is noted in the air log."""
        if not self.cell.move(ue, trigger, now):
            self.air_log.write(now, ue.name, "void", cause=trigger.value)

    def uplink(self, ue: Ue, uplink: e.Uplink, now: float) -> None:
        """Have the application on a UE hand a datagram to its modem."""
        self._air.uplink(ue, uplink, now)

    def mo_sms(self, ue: Ue, data: bytes, now: float) -> None:
        """Have the application on a UE hand an SMS to its modem."""
        self._air.mo_sms(ue, data, now)

    # Called by the cell

    def on_contact(self, ue: Ue, now: float) -> None:
        """Send what waits for the UE."""
        self.downlinks.dispatch(ue, now)
        self.sms.dispatch(ue, now)
        self.rds_ports.contact(ue, now)

    def on_moved(self, ue: Ue, trigger: UeTrigger, was: Reach, before: UeState, now: float) -> None:
        """Report the change to monitoring and to network parameters."""
        self.monitoring.moved(ue, was, before, now)
        if trigger in UPDATES:
            self.parameters.updated(ue)
        if trigger is UeTrigger.PDN_CONNECT and not self.configurations.of_ue(ue.name):
            self.context.out.append(e.WantConfiguration(ue.name))

    def on_lost(self, ue: Ue, now: float) -> None:
        """Report the loss."""
        self.monitoring.lost(ue, now)

    def _downlink_failed(self, ue: Ue) -> None:
        self.monitoring.downlink_failed(ue)

    # Called by the air

    def on_carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float, *, acknowledged: bool) -> None:
        """Have the downlink concluded."""
        self.downlinks.carried(ue, delivery, carried, now, acknowledged=acknowledged)

    def on_uplink(self, ue: Ue, uplink: e.Uplink, number: int, now: float) -> None:
        """Pass the uplink on."""
        self.configurations.uplink(ue, uplink, number, now)

    def on_sms_carried(self, ue: Ue, trigger: Trigger, now: float, *, delivered: bool) -> None:
        """Have the device trigger concluded."""
        self.sms.carried(ue, trigger, now, delivered=delivered)

    def on_mo_sms(self, ue: Ue, data: bytes, number: int) -> None:
        """Pass the SMS on."""
        self.sms.originated(ue, data, number)
