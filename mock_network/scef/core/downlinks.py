"""Downlinks of the emulated SCEF: sent, buffered, triggered for, replaced, cancelled, and how they end."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mock_network.scef.core import effects as e
from mock_network.scef.core.air import Air
from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.nidd_model import Configuration, Delivery, MemberResult
from mock_network.scef.core.nidd_tables import SENT_STATUS, SUBMIT, Action, Carried
from mock_network.scef.core.profile import PORT_VERIFICATION
from mock_network.scef.core.rate import RateWindow
from mock_network.scef.core.refusals import FAILED_REFUSAL, Refusal, RefusedError
from mock_network.scef.core.states import Situation
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema import DeliveryStatus
from mock_network.scef.schema.nidd import NiddDownlinkDataTransfer

_DEADLINE, _ANSWER, _RATE, _TRIGGER = "deadline", "answer", "rate", "trigger"


class Downlinks:
    """All downlinks of one emulated network. `failed` is called with UEs that could not be reached."""

    def __init__(self, context: Context, cell: Cell, air: Air, failed: Callable[[Ue], None]) -> None:
        self._context, self._profile, self._timers = context, context.profile, context.timers
        self._cell, self._air, self._failed = cell, air, failed
        self.configurations: dict[str, Configuration] = {}
        self.quotas: dict[str, int] = {}  # of single SCS/ASs, over the profile's
        self._deliveries: dict[str, Delivery] = {}
        self._used: dict[str, RateWindow] = {}
        self._timers.handle(_DEADLINE, self._deadline)
        self._timers.handle(_ANSWER, lambda name, _: self._pending(self._deliveries[name]))
        self._timers.handle(_RATE, lambda name, now: self.dispatch(cell.ues[name], now))
        self._timers.handle(_TRIGGER, lambda name, now: cell.trigger(cell.ues[name], now))

    # Asked

    def packet_size(self, ue: Ue) -> int:
        """Return the maximum packet size of a UE in bits."""
        return ue.settings.maximum_packet_size or self._profile.maximum_packet_size

    def status(self, delivery: Delivery) -> DeliveryStatus:
        """Return the status of a delivery as it is now."""
        if delivery.status.final:
            return delivery.status
        ue = self._cell.ues.get(delivery.ue)
        if ue is None or ue.in_flight is delivery:
            return DeliveryStatus.SENDING
        situation = self._cell.situation(ue)
        if situation is Situation.NO_PDN:
            return DeliveryStatus.TRIGGERED if delivery.triggered else DeliveryStatus.BUFFERING
        if situation is Situation.REACHABLE:
            return DeliveryStatus.SENDING
        return DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE

    def retry_at(self, delivery: Delivery) -> float | None:
        """Return when an unreachable UE will listen again, as requestedRetransmissionTime."""
        ue = self._cell.ues.get(delivery.ue)
        if ue is None or delivery.status.final or self._cell.situation(ue) is not Situation.UNREACHABLE:
            return None
        return self._cell.next_contact(ue)

    # POST

    def submit(
        self, configuration: Configuration, ue: Ue, terms: NiddDownlinkDataTransfer, now: float, *, as_pending: bool
    ) -> Delivery:
        """Send, buffer or trigger. The answer is a SubmitAnswered effect, within `answer_wait`. Raises RefusedError.

        With `as_pending` the answer is that the data is pending, and the end will be notified.
        """
        delivery = self.make(configuration, ue, terms, now)
        delivery.unanswered = True
        try:
            self.begin(configuration, ue, delivery, now, as_pending=as_pending)
        except RefusedError as refused:
            self._forget(delivery)
            self._context.counts[f"refused: {refused.why.value}"] += 1
            raise
        return delivery

    def make(self, configuration: Configuration, ue: Ue, terms: NiddDownlinkDataTransfer, now: float) -> Delivery:
        """Return a new delivery, which is not sent yet."""
        number, name = self._context.new_id()
        wanted = terms.reliable_data_service
        reliable = bool(configuration.terms.reliable_data_service) if wanted is None else wanted
        delivery = Delivery(name, number, configuration.id, ue.name, terms, reliable)
        self._set_deadline(delivery, now)
        self._deliveries[name] = delivery
        configuration.deliveries[name] = delivery
        return delivery

    def begin(
        self, configuration: Configuration, ue: Ue, delivery: Delivery, now: float, *, as_pending: bool = False
    ) -> None:
        """Send, buffer or trigger for a new delivery. Raises RefusedError."""
        self._check(configuration, ue, delivery)
        self._check_quota(configuration.scs_as, now)
        situation = self._cell.situation(ue)
        action = SUBMIT[situation, configuration.option(delivery.terms) or self._profile.pdn_option]
        if action is Action.SEND:
            as_pending |= self._must_wait(ue, now)
        else:
            if situation is Situation.UNREACHABLE:
                self._failed(ue)
            self._check_buffer(ue, delivery, action)
        if len(ue.queue) >= self._profile.queue_length:
            raise RefusedError(Refusal.QUEUE_FULL, downlink=True)
        self._used[configuration.scs_as].count(now, self._profile.quota_window)
        ue.queue.append(delivery)
        self._arm_deadline(delivery)
        if action is Action.TRIGGER:
            delivery.triggered = True
            self._context.air.write(now, ue.name, "trigger-sent", delivery=delivery.id)
            self._timers.set(_TRIGGER, ue.name, now + self._profile.trigger_latency)
        if action is not Action.SEND or as_pending:
            self._pending(delivery)
        elif delivery.unanswered:
            self._timers.set(_ANSWER, delivery.id, now + self._profile.answer_wait)
        self.dispatch(ue, now)

    def _check(self, configuration: Configuration, ue: Ue, delivery: Delivery) -> None:
        """Refuse what is forbidden whatever the UE's state is."""
        if len(delivery.terms.data) * 8 > self.packet_size(ue):
            raise RefusedError(Refusal.DATA_TOO_LARGE)
        if delivery.reliable and not ue.settings.rds_enabled:
            raise RefusedError(Refusal.RDS_DISABLED, downlink=True)
        port = delivery.terms.rds_port
        verified = configuration.features is not None and configuration.features & PORT_VERIFICATION
        if verified and port is not None and (port.ue, port.scef) not in configuration.ports_known():
            raise RefusedError(Refusal.RDS_PORT_UNKNOWN)

    def _check_quota(self, scs_as: str, now: float) -> None:
        limit = self.quotas.get(scs_as, self._profile.quota)
        used = self._used.setdefault(scs_as, RateWindow())
        if (wait := used.wait(now, limit, self._profile.quota_window)) > 0:
            raise RefusedError(Refusal.QUOTA_EXCEEDED, wait=wait)

    def _must_wait(self, ue: Ue, now: float) -> bool:
        """Return whether rate control holds a downlink back, where it does not refuse it."""
        for why, wait in (
            (Refusal.PLMN_RATE_EXCEEDED, ue.rate.plmn_wait(ue.settings, now)),
            (Refusal.APN_RATE_EXCEEDED, ue.rate.apn_wait(ue.settings, now)),
        ):
            if wait > 0 and self._profile.over_rate == "refuse":
                raise RefusedError(why, wait=wait)
            if wait > 0:
                return True
        return False

    def _check_buffer(self, ue: Ue, delivery: Delivery, action: Action) -> None:
        """Refuse a downlink that can neither be sent now nor kept."""
        unreachable = self._cell.situation(ue) is Situation.UNREACHABLE
        why = Refusal.UNREACHABLE if unreachable else Refusal.NO_PDN
        retry_at = self._cell.next_contact(ue) if unreachable else None
        limit = self._profile.maximum_buffered_size
        refused = action is Action.REFUSE or not self._buffering(ue, delivery)
        if limit is not None and len(delivery.terms.data) * 8 > limit:
            refused = True
        if unreachable and self._profile.refuse_short_latency and delivery.terms.maximum_latency and delivery.deadline:
            refused |= retry_at is None or retry_at > delivery.deadline
        if refused:
            raise RefusedError(why, downlink=True, retry_at=retry_at)

    def _buffering(self, ue: Ue, delivery: Delivery) -> bool:
        allowed = self._profile.buffering if ue.settings.buffering is None else ue.settings.buffering
        return allowed and delivery.terms.maximum_latency != 0 and delivery.group is None

    def _pending(self, delivery: Delivery) -> None:
        """Answer a POST that waits: accepted, its end will be notified."""
        delivery.status = self.status(delivery)
        delivery.announced = True
        if delivery.unanswered:
            delivery.unanswered = False
            answer = e.SubmitAnswered(delivery, delivery.status, self.retry_at(delivery))
            self._context.out.append(answer)

    # Time

    def _set_deadline(self, delivery: Delivery, now: float) -> None:
        latency = delivery.terms.maximum_latency or self._profile.default_latency  # 0 forbids buffering, not delivery
        delivery.deadline = None if latency is None else now + latency

    def _arm_deadline(self, delivery: Delivery) -> None:
        if delivery.deadline is None:
            self._timers.cancel(delivery.id, _DEADLINE)
            return
        when, sweep = delivery.deadline, self._profile.expiry_sweep
        if sweep is not None:
            when = (math.floor(when / sweep) + 1) * sweep
        self._timers.set(_DEADLINE, delivery.id, when)

    def _deadline(self, name: str, now: float) -> None:
        delivery = self._deliveries[name]
        if delivery in self._cell.ues[delivery.ue].queue:
            self.finish(delivery, DeliveryStatus.FAILURE_TIMEOUT, now)

    def _expired(self, delivery: Delivery, now: float) -> bool:
        return delivery.deadline is not None and delivery.deadline <= now and not self._profile.late_delivery

    # Sending

    def dispatch(self, ue: Ue, now: float) -> None:
        """Send the next downlink: the highest priority first, then the oldest; one at a time."""
        while ue.in_flight is None and ue.queue and self._cell.situation(ue) is Situation.REACHABLE:
            if (wait := ue.rate.downlink_wait(ue.settings, now)) > 0:
                self._timers.set(_RATE, ue.name, now + wait)
                return
            delivery = min(ue.queue, key=lambda one: (-one.priority, one.number))
            ue.queue.remove(delivery)
            if self._expired(delivery, now):
                self.finish(delivery, DeliveryStatus.FAILURE_TIMEOUT, now)
                continue
            if delivery.reliable and not ue.settings.rds_enabled:
                self.finish(delivery, DeliveryStatus.FAILURE_RDS_DISABLED, now)
                continue
            self._timers.cancel(delivery.id, _DEADLINE)
            ue.rate.take_downlink(ue.settings, now)
            if delivery.announced:
                self._progress(delivery, DeliveryStatus.SENDING)
            self._air.send(ue, delivery, now)

    def carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float, *, acknowledged: bool) -> None:
        """Set what the SCEF can know of a downlink, from its transmission."""
        if carried is Carried.NO_PDN:
            self.finish(delivery, DeliveryStatus.FAILURE_NEXT_HOP, now)
        elif carried is Carried.UNREACHABLE:
            self._not_reached(ue, delivery, now)
        else:
            status = SENT_STATUS[delivery.reliable, carried, acknowledged]
            if not delivery.reliable and not self._profile.detailed_success:
                status = DeliveryStatus.SUCCESS
            self.finish(delivery, status, now)

    def _not_reached(self, ue: Ue, delivery: Delivery, now: float) -> None:
        self._failed(ue)
        if delivery.on_air:  # only RDS sends again
            self.finish(delivery, DeliveryStatus.SUCCESS_UNACKNOWLEDGED, now)
        elif delivery.configuration not in self.configurations:
            self.drop(delivery, "configuration ended", now)
        elif not self._buffering(ue, delivery):
            retry_at = self._cell.next_contact(ue)
            self.finish(delivery, DeliveryStatus.FAILURE_TEMPORARILY_NOT_REACHABLE, now, retry_at=retry_at)
        elif self._expired(delivery, now):
            self.finish(delivery, DeliveryStatus.FAILURE_TIMEOUT, now)
        else:
            ue.queue.append(delivery)
            self._arm_deadline(delivery)
            self._timers.cancel(delivery.id, _ANSWER)
            if delivery.announced:
                self._progress(delivery, self.status(delivery))
            self._pending(delivery)

    def _progress(self, delivery: Delivery, status: DeliveryStatus) -> None:
        """Notify a change that is not the end, where the profile does."""
        configuration = self.configurations.get(delivery.configuration)
        if self._profile.notify_progress and configuration is not None and delivery.group is None:
            notice = e.NotifyDelivery(configuration, delivery, status, self.retry_at(delivery))
            self._context.out.append(notice)

    # The end

    def finish(self, delivery: Delivery, status: DeliveryStatus, now: float, *, retry_at: float | None = None) -> None:
        """End a downlink; answer its POST, notify the end, or report it to its group."""
        if not status.success:
            self._context.air.write(now, delivery.ue, "downlink-failed", delivery=delivery.id, status=status.value)
        self._forget(delivery)
        delivery.status = status
        self._context.counts[status.value] += 1
        configuration = self.configurations.get(delivery.configuration)
        if configuration is None:
            return
        configuration.finish(delivery.id, status)
        out = self._context.out
        if delivery.group is not None:
            group, settings = delivery.group, self._cell.ues[delivery.ue].settings
            group.parts.pop(delivery.ue, None)
            group.results.append(MemberResult(settings.external_id, settings.msisdn, status, retry_at))
            if not group.parts:
                configuration.group_deliveries.pop(group.id, None)
                configuration.finish(group.id, status)
                out.append(e.NotifyGroupDelivery(configuration, group))
        elif delivery.unanswered:
            delivery.unanswered = False
            refused = None if status.success else RefusedError(FAILED_REFUSAL[status], downlink=True, retry_at=retry_at)
            out.append(e.SubmitAnswered(delivery, status, retry_at, refused))
        elif delivery.announced:
            out.append(e.NotifyDelivery(configuration, delivery, status, retry_at))

    def drop(self, delivery: Delivery, reason: str, now: float) -> None:
        """Take a downlink out before it was sent, without a notification."""
        self._context.air.write(
            now, delivery.ue, "downlink-dropped", delivery=delivery.id, data=delivery.terms.data.hex(), reason=reason
        )
        self._forget(delivery)

    def _forget(self, delivery: Delivery) -> None:
        self._timers.cancel(delivery.id, _DEADLINE, _ANSWER)
        self._deliveries.pop(delivery.id, None)
        ue = self._cell.ues.get(delivery.ue)
        if ue is not None and delivery in ue.queue:
            ue.queue.remove(delivery)
        configuration = self.configurations.get(delivery.configuration)
        if configuration is not None:
            configuration.deliveries.pop(delivery.id, None)

    def forget_ue(self, ue: Ue) -> None:
        """Drop the timers of a removed UE."""
        self._timers.cancel(ue.name, _RATE, _TRIGGER)

    # PUT, PATCH, DELETE

    def waiting(self, configuration: Configuration, delivery_id: str) -> Delivery:
        """Return a downlink that may still be changed. Raises RefusedError."""
        delivery = configuration.deliveries.get(delivery_id)
        if delivery is not None and delivery in self._cell.ues[delivery.ue].queue:
            return delivery
        known = delivery is not None or delivery_id in configuration.group_deliveries
        status = DeliveryStatus.SENDING if known else configuration.finished.get(delivery_id)
        if status is None:
            raise RefusedError(Refusal.DELIVERY_UNKNOWN)
        if status.success or status is DeliveryStatus.SENDING:
            raise RefusedError(Refusal.ALREADY_SENT)
        raise RefusedError(Refusal.ALREADY_FAILED)

    def change(
        self, configuration: Configuration, delivery_id: str, changes: Mapping[str, Any], now: float
    ) -> Delivery:
        """Change members of a pending downlink's terms. Raises RefusedError; then nothing has changed."""
        delivery = self.waiting(configuration, delivery_id)
        ue, before = self._cell.ues[delivery.ue], (delivery.terms, delivery.reliable)
        delivery.terms = msgspec.structs.replace(delivery.terms, **changes)
        if "reliable_data_service" in changes:
            delivery.reliable = bool(delivery.terms.reliable_data_service)
        try:
            self._check(configuration, ue, delivery)
        except RefusedError:
            delivery.terms, delivery.reliable = before
            raise
        if "maximum_latency" in changes:
            self._set_deadline(delivery, now)
            self._arm_deadline(delivery)
        data = delivery.terms.data.hex()
        self._context.air.write(now, ue.name, "downlink-replaced", delivery=delivery.id, data=data)
        return delivery

    def cancel(self, configuration: Configuration, delivery_id: str, now: float) -> None:
        """Take a pending downlink out. Raises RefusedError."""
        self.drop(self.waiting(configuration, delivery_id), "cancelled", now)
