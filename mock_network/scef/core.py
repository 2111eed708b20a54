"""The SCEF itself: configurations, deliveries, buffering. No I/O, no clock; `now` is wall-clock seconds.

`step` takes one event and gives the effects, the answers to T8 requests among them; `due` says when to call it with
`Tick` at the latest. Timers fire in their order, each at its own moment, also when much time has passed at once.
"""

import random
from collections import Counter
from typing import Any

from mock_network.scef import messages as m
from mock_network.scef.cell import TIMERS as CELL_TIMERS, Carried, Cell
from mock_network.scef.model import Configuration, Delivery, RateWindow, SettingsError, Ue, UeSettings
from mock_network.scef.profiles import Profile
from mock_network.scef.tables import (
    FAILED_REFUSAL,
    SENT_STATUS,
    SUBMIT,
    Action,
    NiddStatus,
    Refusal,
    Situation,
    Status,
)
from mock_network.scef.timers import Timers

FINISHED_REMEMBERED = 1_000  # deliveries per configuration that are known to be over
_DURATION, _DEADLINE, _ANSWER, _RATE, _TRIGGER = "duration", "deadline", "answer", "rate", "trigger"


class Scef:
    """One emulated network."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.profile = profile
        self.configurations: dict[str, Configuration] = {}
        self.counts: Counter[str] = Counter()
        self._rng = rng
        self._timers = Timers()
        self.cell = Cell(self, self._timers, rng, default_size=profile.maximum_packet_size)
        self._out: list[m.Effect] = []
        self._identities: dict[str, str] = {}
        self._of_ue: dict[str, list[Configuration]] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._quotas: dict[str, RateWindow] = {}
        self._count = 0

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

    def packet_size(self, ue: Ue) -> int:
        """Give the maximum packet size of a UE in bits."""
        return ue.settings.maximum_packet_size or self.profile.maximum_packet_size

    def status(self, delivery: Delivery) -> Status:
        """Give the status of a pending delivery as it is now."""
        ue = self.cell.ues.get(delivery.ue)
        if ue is None or ue.in_flight is delivery:
            return Status.SENDING
        situation = self.cell.situation(ue)
        if situation is Situation.NO_PDN:
            return Status.TRIGGERED if delivery.triggered else Status.BUFFERING
        return Status.SENDING if situation is Situation.REACHABLE else Status.BUFFERING_TEMPORARILY_NOT_REACHABLE

    def retry_at(self, delivery: Delivery) -> float | None:
        """Give when an unreachable UE will listen again, as requestedRetransmissionTime says it."""
        ue = self.cell.ues.get(delivery.ue)
        if ue is None or self.cell.situation(ue) is not Situation.UNREACHABLE:
            return None
        return self.cell.next_contact(ue)

    # Stepped

    def step(self, event: m.Event, now: float) -> list[m.Effect]:
        """Let time pass until `now`, then take the event; give what follows, in order."""
        self._run(now)
        self._take(event, now)
        self._run(now)
        out, self._out = self._out, []
        return out

    def remove_ue(self, ue: Ue, now: float) -> list[m.Effect]:
        """Take a UE away; its configurations are terminated."""
        for configuration in list(self._of_ue.get(ue.name, ())):
            self._terminate(configuration, NiddStatus.TERMINATED, now)
        if ue.in_flight is not None:
            self._drop(ue.in_flight, "UE removed", now)
        self.cell.remove(ue, now)
        self._timers.cancel((_RATE, ue.name), (_TRIGGER, ue.name))
        self._identities = {i: name for i, name in self._identities.items() if name != ue.name}
        out, self._out = self._out, []
        return out

    def _run(self, now: float) -> None:
        for when, (kind, name) in self._timers.pop(now):
            if kind in CELL_TIMERS:
                self.cell.fire(kind, name, when)
            elif kind == _DURATION:
                self._terminate(self.configurations[name], NiddStatus.TERMINATED, when)
            elif kind == _DEADLINE:
                self._deadline(self._deliveries[name], when)
            elif kind == _ANSWER:
                self._pending(self._deliveries[name])
            elif kind == _RATE:
                self._dispatch(self.cell.ues[name], when)
            else:
                self.cell.trigger(self.cell.ues[name], when)

    def _take(self, event: m.Event, now: float) -> None:
        match event:
            case m.Radio():
                if (ue := self.cell.ues.get(event.ue)) is not None:
                    self.cell.uplink(ue, event.data, now)
            case m.Submit():
                self._submit_request(event, now)
            case m.Replace():
                self._replace(event, now)
            case m.Cancel():
                self._cancel(event, now)
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

    def _new_id(self) -> tuple[int, str]:
        self._count += 1
        return self._count, str(self._count) if self.profile.numeric_ids else f"{self._rng.getrandbits(64):016x}"

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
            self._out.append(m.Refused(event.ticket, why or Refusal.UE_UNKNOWN))
            return
        number, name = self._new_id()
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
            delivery = self._delivery(configuration, ue, event.downlink, now)
            delivery.announced = True
            self._out.append(m.Configured(event.ticket, configuration, (delivery,)))
            refused = self._submit(configuration, ue, delivery, now)
            if refused is not None:
                self._finish(delivery, _failure(refused.why), now, retry_at=refused.retry_at)
        else:
            self._out.append(m.Configured(event.ticket, configuration, deliveries))
        if event.test:
            self._out.append(m.NotifyTest(configuration))

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
            self._out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        for name, value in event.changes.items():
            if name == "duration":
                self._set_duration(configuration, value, now)
            else:
                setattr(configuration, name, value)
        self._out.append(m.Configured(event.ticket, configuration))

    def _delete(self, event: m.Delete, now: float) -> None:
        configuration = self.configurations.get(event.configuration)
        if configuration is None:
            self._out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        self._remove(configuration, now)
        self._out.append(m.Done(event.ticket))

    def _terminate(self, configuration: Configuration, status: NiddStatus, now: float) -> None:
        configuration.status = status
        self._remove(configuration, now)
        self._out.append(m.NotifyConfiguration(configuration, status))

    def _remove(self, configuration: Configuration, now: float) -> None:
        """Forget a configuration; what it still holds is dropped without a report, what is on air ends there."""
        self._timers.cancel((_DURATION, configuration.id))
        del self.configurations[configuration.id]
        self._of_ue[configuration.ue].remove(configuration)
        for delivery in list(configuration.deliveries.values()):
            ticket, delivery.ticket, delivery.announced = delivery.ticket, None, False
            if ticket is not None:
                self._out.append(m.Refused(ticket, Refusal.CONFIGURATION_UNKNOWN))
            ue = self.cell.ues[delivery.ue]
            if ue.in_flight is not delivery:
                self._drop(delivery, "configuration ended", now)

    # Downlinks

    def _submit_request(self, event: m.Submit, now: float) -> None:
        configuration = self.configurations.get(event.configuration)
        if configuration is None:
            self._out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        ue = self.cell.ues[configuration.ue]
        if event.request.ue != ue.name:
            self._out.append(m.Refused(event.ticket, Refusal.IDENTITY_MISMATCH))
            return
        delivery = self._delivery(configuration, ue, event.request, now)
        delivery.ticket = event.ticket
        refused = self._submit(configuration, ue, delivery, now, as_pending=event.as_pending)
        if refused is not None:
            self._deliveries.pop(delivery.id)
            configuration.deliveries.pop(delivery.id)
            self.counts[f"refused: {refused.why.value}"] += 1
            self._out.append(refused)

    def _delivery(self, configuration: Configuration, ue: Ue, request: m.DownlinkRequest, now: float) -> Delivery:
        number, name = self._new_id()
        reliable = request.reliable if request.reliable is not None else bool(configuration.reliable)
        delivery = Delivery(
            name,
            number,
            configuration.id,
            ue.name,
            request.data,
            Status.SENDING,
            reliable=reliable,
            rds_port=request.rds_port,
            maximum_latency=request.maximum_latency,
            priority=request.priority or 0,
            has_priority=request.priority is not None,
            pdn_option=request.pdn_option,
        )
        self._set_deadline(delivery, now)
        self._deliveries[name] = delivery
        configuration.deliveries[name] = delivery
        return delivery

    def _set_deadline(self, delivery: Delivery, now: float) -> None:
        latency = delivery.maximum_latency or self.profile.default_latency  # 0 forbids buffering, not delivery
        delivery.deadline = None if latency is None else now + latency

    def _forbidden(self, configuration: Configuration, ue: Ue, delivery: Delivery) -> Refusal | None:
        """Give what forbids a downlink whatever the UE's state is."""
        if len(delivery.data) * 8 > self.packet_size(ue):
            return Refusal.DATA_TOO_LARGE
        if delivery.reliable and not ue.settings.rds_enabled:
            return Refusal.RDS_DISABLED
        verified = configuration.features is not None and configuration.features & 0b1000
        if verified and delivery.rds_port is not None and delivery.rds_port not in configuration.rds_ports:
            return Refusal.RDS_PORT_UNKNOWN
        return None

    def _submit(
        self, configuration: Configuration, ue: Ue, delivery: Delivery, now: float, *, as_pending: bool = False
    ) -> m.Refused | None:
        """Send, buffer or trigger; a refusal is returned and leaves nothing behind but the delivery itself."""
        profile, ticket = self.profile, delivery.ticket or 0
        if (why := self._forbidden(configuration, ue, delivery)) is not None:
            return m.Refused(ticket, why, downlink=why is Refusal.RDS_DISABLED)
        quota = self._quotas.setdefault(configuration.scs_as, RateWindow())
        if (wait := quota.wait(now, profile.quota, profile.quota_window)) > 0:
            return m.Refused(ticket, Refusal.QUOTA_EXCEEDED, wait=wait)
        situation = self.cell.situation(ue)
        action = SUBMIT[situation, delivery.pdn_option or configuration.pdn_option or profile.pdn_option]
        if action is Action.SEND:
            if (wait := ue.down_rate.wait(now, ue.settings.downlink_rate, ue.settings.rate_window)) > 0:
                return m.Refused(ticket, Refusal.RATE_EXCEEDED, wait=wait)
        elif (why := self._not_buffered(ue, delivery, action)) is not None:
            return m.Refused(ticket, why, downlink=True, retry_at=self.retry_at(delivery))
        if len(ue.queue) >= profile.queue_length:
            return m.Refused(ticket, Refusal.QUEUE_FULL, downlink=True)
        quota.take(now, profile.quota_window)
        ue.queue.append(delivery)
        if delivery.deadline is not None:
            self._timers.set((_DEADLINE, delivery.id), delivery.deadline)
        if action is Action.TRIGGER:
            delivery.triggered = True
            self.cell.log(now, ue.name, "trigger-sent", delivery=delivery.id)
            self._timers.set((_TRIGGER, ue.name), now + profile.trigger_latency)
        if action is not Action.SEND or as_pending:
            self._pending(delivery)
        else:
            self._timers.set((_ANSWER, delivery.id), now + profile.answer_wait)
        self._dispatch(ue, now)
        return None

    def _not_buffered(self, ue: Ue, delivery: Delivery, action: Action) -> Refusal | None:
        """Give why a downlink that cannot be sent now is not kept either; None if it is."""
        unreachable = self.cell.situation(ue) is Situation.UNREACHABLE
        why = Refusal.UNREACHABLE if unreachable else Refusal.NO_PDN
        if action is Action.REFUSE or not self._buffering(ue, delivery):
            return why
        if unreachable and self.profile.refuse_short_latency and delivery.maximum_latency and delivery.deadline:
            retry_at = self.cell.next_contact(ue)
            if retry_at is None or retry_at > delivery.deadline:
                return why
        return None

    def _buffering(self, ue: Ue, delivery: Delivery) -> bool:
        allowed = self.profile.buffering if ue.settings.buffering is None else ue.settings.buffering
        return allowed and delivery.maximum_latency != 0

    def _pending(self, delivery: Delivery) -> None:
        """Answer a POST that waits: accepted, its end will be notified."""
        delivery.status = self.status(delivery)
        delivery.announced = True
        if delivery.ticket is not None:
            ticket, delivery.ticket = delivery.ticket, None
            self._out.append(m.Taken(ticket, delivery, delivery.status, self.retry_at(delivery)))

    def _dispatch(self, ue: Ue, now: float) -> None:
        """Send the next downlink: the highest priority first, then the oldest; one at a time."""
        while ue.in_flight is None and ue.queue and self.cell.situation(ue) is Situation.REACHABLE:
            if (wait := ue.down_rate.wait(now, ue.settings.downlink_rate, ue.settings.rate_window)) > 0:
                self._timers.set((_RATE, ue.name), now + wait)
                return
            delivery = min(ue.queue, key=lambda d: (-d.priority, d.number))
            if delivery.reliable and not ue.settings.rds_enabled:
                self._finish(delivery, Status.FAILURE_RDS_DISABLED, now)
                continue
            ue.queue.remove(delivery)
            delivery.status = Status.SENDING
            ue.down_rate.take(now, ue.settings.rate_window)
            self.cell.send(ue, delivery, now)

    def _deadline(self, delivery: Delivery, now: float) -> None:
        if self.cell.ues[delivery.ue].in_flight is not delivery:
            self._finish(delivery, Status.FAILURE_TIMEOUT, now)

    def _finish(self, delivery: Delivery, status: Status, now: float, *, retry_at: float | None = None) -> None:
        """End a delivery and tell whoever waits for it."""
        if not status.success:
            self.cell.log(now, delivery.ue, "downlink-failed", delivery=delivery.id, status=status.value)
        self._forget(delivery)
        delivery.status = status
        self.counts[status.value] += 1
        configuration = self.configurations.get(delivery.configuration)
        if configuration is None:
            return
        configuration.finished[delivery.id] = status
        while len(configuration.finished) > FINISHED_REMEMBERED:
            configuration.finished.popitem(last=False)
        if delivery.ticket is not None:
            ticket, delivery.ticket = delivery.ticket, None
            if status.success:
                self._out.append(m.Taken(ticket, delivery, status))
            else:
                self._out.append(m.Refused(ticket, FAILED_REFUSAL[status], downlink=True, retry_at=retry_at))
        elif delivery.announced:
            self._out.append(m.NotifyDelivery(configuration, delivery, status, retry_at))

    def _drop(self, delivery: Delivery, reason: str, now: float) -> None:
        """Take a downlink out before it was sent."""
        self.cell.log(
            now, delivery.ue, "downlink-dropped", delivery=delivery.id, data=delivery.data.hex(), reason=reason
        )
        self._forget(delivery)

    def _forget(self, delivery: Delivery) -> None:
        self._timers.cancel((_DEADLINE, delivery.id), (_ANSWER, delivery.id))
        self._deliveries.pop(delivery.id, None)
        ue = self.cell.ues.get(delivery.ue)
        if ue is not None and delivery in ue.queue:
            ue.queue.remove(delivery)
        configuration = self.configurations.get(delivery.configuration)
        if configuration is not None:
            configuration.deliveries.pop(delivery.id, None)

    def _waiting(
        self, ticket: int, configuration_id: str, delivery_id: str
    ) -> tuple[Configuration, Ue, Delivery] | None:
        """Find a downlink that may still be changed; refuse the request otherwise."""
        configuration = self.configurations.get(configuration_id)
        if configuration is None:
            self._out.append(m.Refused(ticket, Refusal.CONFIGURATION_UNKNOWN))
            return None
        delivery = configuration.deliveries.get(delivery_id)
        if delivery is not None and delivery in self.cell.ues[delivery.ue].queue:
            return configuration, self.cell.ues[delivery.ue], delivery
        status = Status.SENDING if delivery is not None else configuration.finished.get(delivery_id)
        if status is None:
            why = Refusal.DELIVERY_UNKNOWN
        elif status.success or status is Status.SENDING:
            why = Refusal.ALREADY_SENT
        else:
            why = Refusal.ALREADY_FAILED
        self._out.append(m.Refused(ticket, why))
        return None

    def _replace(self, event: m.Replace, now: float) -> None:
        found = self._waiting(event.ticket, event.configuration, event.delivery)
        if found is None:
            return
        configuration, ue, delivery = found
        before: dict[str, Any] = {name: getattr(delivery, name) for name in event.changes}
        for name, value in event.changes.items():
            setattr(delivery, name, value)
        if (why := self._forbidden(configuration, ue, delivery)) is not None:
            for name, value in before.items():
                setattr(delivery, name, value)
            self._out.append(m.Refused(event.ticket, why, downlink=why is Refusal.RDS_DISABLED))
            return
        if "maximum_latency" in event.changes:
            self._set_deadline(delivery, now)
            self._timers.cancel((_DEADLINE, delivery.id))
            if delivery.deadline is not None:
                self._timers.set((_DEADLINE, delivery.id), delivery.deadline)
        self.cell.log(now, ue.name, "downlink-replaced", delivery=delivery.id, data=delivery.data.hex())
        delivery.status = self.status(delivery)
        self._out.append(m.Taken(event.ticket, delivery, delivery.status, self.retry_at(delivery)))

    def _cancel(self, event: m.Cancel, now: float) -> None:
        found = self._waiting(event.ticket, event.configuration, event.delivery)
        if found is not None:
            self._drop(found[2], "cancelled", now)
            self._out.append(m.Done(event.ticket))

    # What the cell tells

    def on_contact(self, ue: Ue, now: float) -> None:
        """Send what waits for the UE."""
        self._dispatch(ue, now)

    def on_uplink(self, ue: Ue, data: bytes, number: int, now: float) -> None:
        """Pass an uplink to the newest configuration of the UE; without one it is lost (TS 23.502 §4.25.4)."""
        configurations = self._of_ue.get(ue.name)
        if not configurations:
            self.cell.log(now, ue.name, "uplink-discarded", reason="no configuration", uplink=number)
            return
        self._out.append(m.NotifyUplink(configurations[-1], data, number))

    def on_carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float) -> None:
        """Conclude from what happened on air what the SCEF can know of a downlink."""
        if carried is Carried.DELIVERED:
            self._out.append(m.ToApplication(ue.name, delivery.data))
        if carried is Carried.NO_PDN:
            self._finish(delivery, Status.FAILURE_NEXT_HOP, now)
        elif carried is Carried.UNREACHABLE:
            self._not_reached(ue, delivery, now)
        else:
            delivered = carried is Carried.DELIVERED
            acknowledged = delivered and delivery.reliable and ue.settings.rds_ack
            status = SENT_STATUS[delivery.reliable, delivered, acknowledged]
            if not delivery.reliable and not self.profile.detailed_success:
                status = Status.SUCCESS
            self._finish(delivery, status, now)

    def _not_reached(self, ue: Ue, delivery: Delivery, now: float) -> None:
        retry_at = self.cell.next_contact(ue)
        if delivery.configuration not in self.configurations:
            self._drop(delivery, "configuration ended", now)
        elif not self._buffering(ue, delivery):
            self._finish(delivery, Status.FAILURE_TEMPORARILY_NOT_REACHABLE, now, retry_at=retry_at)
        elif delivery.deadline is not None and delivery.deadline <= now:
            self._finish(delivery, Status.FAILURE_TIMEOUT, now)
        else:
            ue.queue.append(delivery)
            self._timers.cancel((_ANSWER, delivery.id))
            self._pending(delivery)


def _folded(identity: str) -> str:
    """Give the form in which identities are compared: the domain of an External Identifier in any case."""
    local, at, domain = identity.partition("@")
    return local + at + domain.lower()


def _failure(why: Refusal) -> Status:
    """Give the delivery status for a downlink that came inside a configuration and was refused."""
    for status, refusal in FAILED_REFUSAL.items():
        if refusal is why and status is not Status.FAILURE:
            return status
    return Status.FAILURE
