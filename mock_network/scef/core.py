"""The SCEF itself: its subscribers and their configurations; their downlinks are in `downlinks`.

No I/O, no clock; `now` is wall-clock seconds.

`step` takes one event and gives the effects, the answers to T8 requests among them; `due` says when to call it with
`Tick` at the latest. Timers fire in their order, each at its own moment, also when much time has passed at once.
"""

import random

from mock_network.scef import messages as m
from mock_network.scef.cell import TIMERS as CELL_TIMERS, Carried, Cell
from mock_network.scef.downlinks import RATE, TRIGGER, Downlinks
from mock_network.scef.model import Configuration, Delivery, SettingsError, Ue, UeSettings
from mock_network.scef.profiles import Profile
from mock_network.scef.shared import Shared
from mock_network.scef.tables import NiddStatus, Refusal
from mock_network.scef.timers import Timers

_DURATION = "duration"


class Scef:
    """One emulated network."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.profile = profile
        self._timers = Timers()
        self.cell = Cell(self, self._timers, rng, default_size=profile.maximum_packet_size)
        self._shared = Shared(profile, rng, self._timers, self.cell)
        self.configurations, self.counts = self._shared.configurations, self._shared.counts
        self.downlinks = Downlinks(self._shared)
        self._identities: dict[str, str] = {}
        self._of_ue: dict[str, list[Configuration]] = {}

    # Asked directly

    def due(self) -> float | None:
        """Give the moment of the next timer; None if nothing is pending."""
        return self._timers.due()

    def find(self, identity: str) -> Ue | None:
        """Find a UE by its name, External Identifier (domain in any case) or MSISDN."""
        name = self._identities.get(_folded(identity), identity)
        return self.cell.ues.get(name)

    def add_ue(self, settings: UeSettings, now: float, name: str | None = None) -> Ue:
        """Create a UE. Raises SettingsError if its name or identity is taken."""
        name = name or settings.external_id or settings.msisdn or ""
        identities = [_folded(i) for i in (settings.external_id, settings.msisdn) if i is not None]
        if name in self.cell.ues or any(i in self._identities for i in identities):
            raise SettingsError(f"there is a UE {name} already, or one of the same identity")
        ue = Ue(name, settings)
        self._identities.update(dict.fromkeys(identities, name))
        self.cell.add(ue, now)
        return ue

    # Stepped

    def step(self, event: m.Event, now: float) -> list[m.Effect]:
        """Let time pass until `now`, then take the event; give what follows, in order."""
        self._run(now)
        self._take(event, now)
        self._run(now)
        return self._shared.drain()

    def remove_ue(self, ue: Ue, now: float) -> list[m.Effect]:
        """Take a UE away; its configurations are terminated."""
        for configuration in list(self._of_ue.get(ue.name, ())):
            self._terminate(configuration, NiddStatus.TERMINATED, now)
        if ue.in_flight is not None:
            self.downlinks.drop(ue.in_flight, "UE removed", now)
        self.cell.remove(ue, now)
        self._timers.cancel((RATE, ue.name), (TRIGGER, ue.name))
        self._identities = {i: name for i, name in self._identities.items() if name != ue.name}
        return self._shared.drain()

    def _run(self, now: float) -> None:
        for when, (kind, name) in self._timers.pop(now):
            if kind in CELL_TIMERS:
                self.cell.fire(kind, name, when)
            elif kind == _DURATION:
                self._terminate(self.configurations[name], NiddStatus.TERMINATED, when)
            else:
                self.downlinks.fire(kind, name, when)

    def _take(self, event: m.Event, now: float) -> None:
        match event:
            case m.Radio():
                if (ue := self.cell.ues.get(event.ue)) is not None:
                    self.cell.uplink(ue, event.data, now)
            case m.Submit():
                self.downlinks.submit_request(event, now)
            case m.Replace():
                self.downlinks.replace(event, now)
            case m.Cancel():
                self.downlinks.cancel(event, now)
            case m.Create():
                self._create(event, now)
            case m.Modify():
                self._modify(event, now)
            case m.Delete():
                self._delete(event, now)
            case m.Move():
                self._move(event, now)
            case m.Change():
                self._change(event, now)
            case m.Terminate():
                if (configuration := self.configurations.get(event.configuration)) is not None:
                    self._terminate(configuration, event.status, now)
            case _:
                pass

    # The control API

    def _move(self, event: m.Move, now: float) -> None:
        ue = self.cell.ues.get(event.ue)
        if ue is not None and not self.cell.move(ue, event.trigger, now):
            self.cell.log(now, ue.name, "void", cause=event.trigger.value)

    def _change(self, event: m.Change, now: float) -> None:
        ue = self.cell.ues.get(event.ue)
        if ue is None:
            return
        before = (ue.settings.in_coverage, ue.settings.authorised)
        ue.settings.update(event.settings)
        if ue.settings.in_coverage != before[0]:
            self.cell.coverage(ue, now)
        if before[1] and not ue.settings.authorised:
            for configuration in list(self._of_ue.get(ue.name, ())):
                self._terminate(configuration, NiddStatus.TERMINATED_UE_NOT_AUTHORIZED, now)

    # Configurations

    def _create(self, event: m.Create, now: float) -> None:
        ue = self.cell.ues.get(event.ue) if event.ue is not None else None
        why = None
        if event.group:
            why = Refusal.GROUP_UNSUPPORTED
        elif ue is None:
            why = Refusal.UE_UNKNOWN
        elif not ue.settings.authorised:
            why = Refusal.UE_NOT_AUTHORISED
        elif self.profile.one_configuration and any(
            other.scs_as == event.scs_as for other in self._of_ue.get(ue.name, ())
        ):
            why = Refusal.ALREADY_CONFIGURED
        if ue is None or why is not None:
            self._shared.out.append(m.Refused(event.ticket, why or Refusal.UE_UNKNOWN))
            return
        number, name = self._shared.new_id()
        offered = self.profile.features
        configuration = Configuration(
            name,
            number,
            event.scs_as,
            ue.name,
            event.by_msisdn,
            event.destination,
            ue.settings.external_id,
            ue.settings.msisdn,
            None if event.features is None or offered is None else event.features & offered,
            reliable=event.reliable,
            rds_ports=event.rds_ports,
            pdn_option=event.pdn_option,
            mtc_provider=event.mtc_provider,
        )
        self.configurations[name] = configuration
        self._of_ue.setdefault(ue.name, []).append(configuration)
        self._set_duration(configuration, event.duration, now)
        deliveries = ()
        if event.downlink is not None:
            delivery = self.downlinks.make(configuration, ue, event.downlink, now)
            delivery.announced = True
            self._shared.out.append(m.Configured(event.ticket, configuration, (delivery,)))
            self.downlinks.submit_or_fail(configuration, ue, delivery, now)
        else:
            self._shared.out.append(m.Configured(event.ticket, configuration, deliveries))
        if event.test:
            self._shared.out.append(m.NotifyTest(configuration))

    def _set_duration(self, configuration: Configuration, duration: float | None, now: float) -> None:
        limit = self.profile.maximum_duration
        if limit is not None:
            duration = min(duration or now + limit, now + limit)
        configuration.duration = duration
        self._timers.cancel((_DURATION, configuration.id))
        if duration is not None:
            self._timers.set((_DURATION, configuration.id), duration)

    def _modify(self, event: m.Modify, now: float) -> None:
        configuration = self.configurations.get(event.configuration)
        if configuration is None:
            self._shared.out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        for name, value in event.changes.items():
            if name == "duration":
                self._set_duration(configuration, value, now)
            else:
                setattr(configuration, name, value)
        self._shared.out.append(m.Configured(event.ticket, configuration))

    def _delete(self, event: m.Delete, now: float) -> None:
        configuration = self.configurations.get(event.configuration)
        if configuration is None:
            self._shared.out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        self._remove(configuration, now)
        self._shared.out.append(m.Done(event.ticket))

    def _terminate(self, configuration: Configuration, status: NiddStatus, now: float) -> None:
        configuration.status = status
        self._remove(configuration, now)
        self._shared.out.append(m.NotifyConfiguration(configuration, status))

    def _remove(self, configuration: Configuration, now: float) -> None:
        """Forget a configuration; what it still holds is dropped without a report, what is on air ends there."""
        self._timers.cancel((_DURATION, configuration.id))
        del self.configurations[configuration.id]
        self._of_ue[configuration.ue].remove(configuration)
        for delivery in list(configuration.deliveries.values()):
            ticket, delivery.ticket, delivery.announced = delivery.ticket, None, False
            if ticket is not None:
                self._shared.out.append(m.Refused(ticket, Refusal.CONFIGURATION_UNKNOWN))
            ue = self.cell.ues[delivery.ue]
            if ue.in_flight is not delivery:
                self.downlinks.drop(delivery, "configuration ended", now)

    # What the cell tells

    def on_contact(self, ue: Ue, now: float) -> None:
        """Send what waits for the UE."""
        self.downlinks.dispatch(ue, now)

    def on_uplink(self, ue: Ue, data: bytes, number: int, now: float) -> None:
        """Pass an uplink to the newest configuration of the UE; without one it is lost (TS 23.502 §4.25.4)."""
        configurations = self._of_ue.get(ue.name)
        if not configurations:
            self.cell.log(now, ue.name, "uplink-discarded", reason="no configuration", uplink=number)
            return
        self._shared.out.append(m.NotifyUplink(configurations[-1], data, number))

    def on_carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float) -> None:
        """Have the downlink concluded."""
        self.downlinks.carried(ue, delivery, carried, now)


def _folded(identity: str) -> str:
    """Give the form in which identities are compared: the domain of an External Identifier in any case."""
    local, at, domain = identity.partition("@")
    return local + at + domain.lower()
