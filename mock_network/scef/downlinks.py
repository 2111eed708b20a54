"""Downlinks of the emulated SCEF: sent, buffered, triggered for, replaced, cancelled, and how they end.

No I/O, no clock; `now` is wall-clock seconds.
"""

from typing import Any

from mock_network.scef import messages as m
from mock_network.scef.cell import Carried
from mock_network.scef.model import Configuration, Delivery, RateWindow, Ue
from mock_network.scef.shared import Shared
from mock_network.scef.tables import FAILED_REFUSAL, SENT_STATUS, SUBMIT, Action, Refusal, Situation, Status

FINISHED_REMEMBERED = 1_000  # deliveries per configuration that are known to be over
DEADLINE, ANSWER, RATE, TRIGGER = "deadline", "answer", "rate", "trigger"


class Downlinks:
    """All downlinks of one emulated network."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._profile, self._timers, self._cell = shared.profile, shared.timers, shared.cell
        self._deliveries: dict[str, Delivery] = {}
        self._quotas: dict[str, RateWindow] = {}

    def packet_size(self, ue: Ue) -> int:
        """Give the maximum packet size of a UE in bits."""
        return ue.settings.maximum_packet_size or self._profile.maximum_packet_size

    def status(self, delivery: Delivery) -> Status:
        """Give the status of a pending delivery as it is now."""
        ue = self._cell.ues.get(delivery.ue)
        if ue is None or ue.in_flight is delivery:
            return Status.SENDING
        situation = self._cell.situation(ue)
        if situation is Situation.NO_PDN:
            return Status.TRIGGERED if delivery.triggered else Status.BUFFERING
        return Status.SENDING if situation is Situation.REACHABLE else Status.BUFFERING_TEMPORARILY_NOT_REACHABLE

    def retry_at(self, delivery: Delivery) -> float | None:
        """Give when an unreachable UE will listen again, as requestedRetransmissionTime says it."""
        ue = self._cell.ues.get(delivery.ue)
        if ue is None or self._cell.situation(ue) is not Situation.UNREACHABLE:
            return None
        return self._cell.next_contact(ue)

    def fire(self, kind: str, name: str, now: float) -> None:
        """Do what a timer is due for: that of a delivery, or of a UE."""
        if kind == DEADLINE:
            self._deadline(self._deliveries[name], now)
        elif kind == ANSWER:
            self._pending(self._deliveries[name])
        elif kind == RATE:
            self.dispatch(self._cell.ues[name], now)
        else:
            self._cell.trigger(self._cell.ues[name], now)

    def submit_request(self, event: m.Submit, now: float) -> None:
        configuration = self._shared.configurations.get(event.configuration)
        if configuration is None:
            self._shared.out.append(m.Refused(event.ticket, Refusal.CONFIGURATION_UNKNOWN))
            return
        ue = self._cell.ues[configuration.ue]
        if event.request.ue != ue.name:
            self._shared.out.append(m.Refused(event.ticket, Refusal.IDENTITY_MISMATCH))
            return
        delivery = self.make(configuration, ue, event.request, now)
        delivery.ticket = event.ticket
        refused = self.submit(configuration, ue, delivery, now, as_pending=event.as_pending)
        if refused is not None:
            self._deliveries.pop(delivery.id)
            configuration.deliveries.pop(delivery.id)
            self._shared.counts[f"refused: {refused.why.value}"] += 1
            self._shared.out.append(refused)

    def make(self, configuration: Configuration, ue: Ue, request: m.DownlinkRequest, now: float) -> Delivery:
        number, name = self._shared.new_id()
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
        latency = delivery.maximum_latency or self._profile.default_latency  # 0 forbids buffering, not delivery
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

    def submit(
        self, configuration: Configuration, ue: Ue, delivery: Delivery, now: float, *, as_pending: bool = False
    ) -> m.Refused | None:
        """Send, buffer or trigger; a refusal is returned and leaves nothing behind but the delivery itself."""
        profile, ticket = self._profile, delivery.ticket or 0
        if (why := self._forbidden(configuration, ue, delivery)) is not None:
            return m.Refused(ticket, why, downlink=why is Refusal.RDS_DISABLED)
        quota = self._quotas.setdefault(configuration.scs_as, RateWindow())
        if (wait := quota.wait(now, profile.quota, profile.quota_window)) > 0:
            return m.Refused(ticket, Refusal.QUOTA_EXCEEDED, wait=wait)
        situation = self._cell.situation(ue)
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
            self._timers.set((DEADLINE, delivery.id), delivery.deadline)
        if action is Action.TRIGGER:
            delivery.triggered = True
            self._cell.log(now, ue.name, "trigger-sent", delivery=delivery.id)
            self._timers.set((TRIGGER, ue.name), now + profile.trigger_latency)
        if action is not Action.SEND or as_pending:
            self._pending(delivery)
        else:
            self._timers.set((ANSWER, delivery.id), now + profile.answer_wait)
        self.dispatch(ue, now)
        return None

    def submit_or_fail(self, configuration: Configuration, ue: Ue, delivery: Delivery, now: float) -> None:
        """Submit what came inside a new configuration: what is refused has failed, and that is notified."""
        refused = self.submit(configuration, ue, delivery, now)
        if refused is not None:
            self.finish(delivery, _failure(refused.why), now, retry_at=refused.retry_at)

    def _not_buffered(self, ue: Ue, delivery: Delivery, action: Action) -> Refusal | None:
        """Give why a downlink that cannot be sent now is not kept either; None if it is."""
        unreachable = self._cell.situation(ue) is Situation.UNREACHABLE
        why = Refusal.UNREACHABLE if unreachable else Refusal.NO_PDN
        if action is Action.REFUSE or not self._buffering(ue, delivery):
            return why
        if unreachable and self._profile.refuse_short_latency and delivery.maximum_latency and delivery.deadline:
            retry_at = self._cell.next_contact(ue)
            if retry_at is None or retry_at > delivery.deadline:
                return why
        return None

    def _buffering(self, ue: Ue, delivery: Delivery) -> bool:
        allowed = self._profile.buffering if ue.settings.buffering is None else ue.settings.buffering
        return allowed and delivery.maximum_latency != 0

    def _pending(self, delivery: Delivery) -> None:
        """Answer a POST that waits: accepted, its end will be notified."""
        delivery.status = self.status(delivery)
        delivery.announced = True
        if delivery.ticket is not None:
            ticket, delivery.ticket = delivery.ticket, None
            self._shared.out.append(m.Taken(ticket, delivery, delivery.status, self.retry_at(delivery)))

    def dispatch(self, ue: Ue, now: float) -> None:
        """Send the next downlink: the highest priority first, then the oldest; one at a time."""
        while ue.in_flight is None and ue.queue and self._cell.situation(ue) is Situation.REACHABLE:
            if (wait := ue.down_rate.wait(now, ue.settings.downlink_rate, ue.settings.rate_window)) > 0:
                self._timers.set((RATE, ue.name), now + wait)
                return
            delivery = min(ue.queue, key=lambda d: (-d.priority, d.number))
            if delivery.reliable and not ue.settings.rds_enabled:
                self.finish(delivery, Status.FAILURE_RDS_DISABLED, now)
                continue
            ue.queue.remove(delivery)
            delivery.status = Status.SENDING
            ue.down_rate.take(now, ue.settings.rate_window)
            self._cell.send(ue, delivery, now)

    def _deadline(self, delivery: Delivery, now: float) -> None:
        if self._cell.ues[delivery.ue].in_flight is not delivery:
            self.finish(delivery, Status.FAILURE_TIMEOUT, now)

    def finish(self, delivery: Delivery, status: Status, now: float, *, retry_at: float | None = None) -> None:
        """End a delivery and tell whoever waits for it."""
        if not status.success:
            self._cell.log(now, delivery.ue, "downlink-failed", delivery=delivery.id, status=status.value)
        self._forget(delivery)
        delivery.status = status
        self._shared.counts[status.value] += 1
        configuration = self._shared.configurations.get(delivery.configuration)
        if configuration is None:
            return
        configuration.finished[delivery.id] = status
        while len(configuration.finished) > FINISHED_REMEMBERED:
            configuration.finished.popitem(last=False)
        if delivery.ticket is not None:
            ticket, delivery.ticket = delivery.ticket, None
            if status.success:
                self._shared.out.append(m.Taken(ticket, delivery, status))
            else:
                self._shared.out.append(m.Refused(ticket, FAILED_REFUSAL[status], downlink=True, retry_at=retry_at))
        elif delivery.announced:
            self._shared.out.append(m.NotifyDelivery(configuration, delivery, status, retry_at))

    def drop(self, delivery: Delivery, reason: str, now: float) -> None:
        """Take a downlink out before it was sent."""
        self._cell.log(
            now, delivery.ue, "downlink-dropped", delivery=delivery.id, data=delivery.data.hex(), reason=reason
        )
        self._forget(delivery)

    def _forget(self, delivery: Delivery) -> None:
        self._timers.cancel((DEADLINE, delivery.id), (ANSWER, delivery.id))
        self._deliveries.pop(delivery.id, None)
        ue = self._cell.ues.get(delivery.ue)
        if ue is not None and delivery in ue.queue:
            ue.queue.remove(delivery)
        configuration = self._shared.configurations.get(delivery.configuration)
        if configuration is not None:
            configuration.deliveries.pop(delivery.id, None)

    def _waiting(
        self, ticket: int, configuration_id: str, delivery_id: str
    ) -> tuple[Configuration, Ue, Delivery] | None:
        """Find a downlink that may still be changed; refuse the request otherwise."""
        configuration = self._shared.configurations.get(configuration_id)
        if configuration is None:
            self._shared.out.append(m.Refused(ticket, Refusal.CONFIGURATION_UNKNOWN))
            return None
        delivery = configuration.deliveries.get(delivery_id)
        if delivery is not None and delivery in self._cell.ues[delivery.ue].queue:
            return configuration, self._cell.ues[delivery.ue], delivery
        status = Status.SENDING if delivery is not None else configuration.finished.get(delivery_id)
        if status is None:
            why = Refusal.DELIVERY_UNKNOWN
        elif status.success or status is Status.SENDING:
            why = Refusal.ALREADY_SENT
        else:
            why = Refusal.ALREADY_FAILED
        self._shared.out.append(m.Refused(ticket, why))
        return None

    def replace(self, event: m.Replace, now: float) -> None:
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
            self._shared.out.append(m.Refused(event.ticket, why, downlink=why is Refusal.RDS_DISABLED))
            return
        if "maximum_latency" in event.changes:
            self._set_deadline(delivery, now)
            self._timers.cancel((DEADLINE, delivery.id))
            if delivery.deadline is not None:
                self._timers.set((DEADLINE, delivery.id), delivery.deadline)
        self._cell.log(now, ue.name, "downlink-replaced", delivery=delivery.id, data=delivery.data.hex())
        delivery.status = self.status(delivery)
        self._shared.out.append(m.Taken(event.ticket, delivery, delivery.status, self.retry_at(delivery)))

    def cancel(self, event: m.Cancel, now: float) -> None:
        found = self._waiting(event.ticket, event.configuration, event.delivery)
        if found is not None:
            self.drop(found[2], "cancelled", now)
            self._shared.out.append(m.Done(event.ticket))

    def carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float) -> None:
        """Conclude from what happened on air what the SCEF can know of a downlink."""
        if carried is Carried.DELIVERED:
            self._shared.out.append(m.ToApplication(ue.name, delivery.data))
        if carried is Carried.NO_PDN:
            self.finish(delivery, Status.FAILURE_NEXT_HOP, now)
        elif carried is Carried.UNREACHABLE:
            self._not_reached(ue, delivery, now)
        else:
            delivered = carried is Carried.DELIVERED
            acknowledged = delivered and delivery.reliable and ue.settings.rds_ack
            status = SENT_STATUS[delivery.reliable, delivered, acknowledged]
            if not delivery.reliable and not self._profile.detailed_success:
                status = Status.SUCCESS
            self.finish(delivery, status, now)

    def _not_reached(self, ue: Ue, delivery: Delivery, now: float) -> None:
        retry_at = self._cell.next_contact(ue)
        if delivery.configuration not in self._shared.configurations:
            self.drop(delivery, "configuration ended", now)
        elif not self._buffering(ue, delivery):
            self.finish(delivery, Status.FAILURE_TEMPORARILY_NOT_REACHABLE, now, retry_at=retry_at)
        elif delivery.deadline is not None and delivery.deadline <= now:
            self.finish(delivery, Status.FAILURE_TIMEOUT, now)
        else:
            ue.queue.append(delivery)
            self._timers.cancel((ANSWER, delivery.id))
            self._pending(delivery)


def _failure(why: Refusal) -> Status:
    """Give the delivery status for a downlink that came inside a configuration and was refused."""
    for status, refusal in FAILED_REFUSAL.items():
        if refusal is why and status is not Status.FAILURE:
            return status
    return Status.FAILURE
