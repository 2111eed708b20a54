"""SMS with application ports: device triggers to UEs (TS 23.682 §5.2), and SMS that UEs without MSISDN send (§5.15)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from mock_network.scef.core import effects as e
from mock_network.scef.core.air import Air
from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.sms_model import SMS_OCTETS, Trigger
from mock_network.scef.core.subscribers import Subscribers
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema import DeliveryResult
from mock_network.scef.schema.sms import DeviceTriggering

REMEMBERED = 10_000  # transactions that are over

_VALIDITY, _RETRY = "validity", "SMS again"
_RETRY_AFTER = 10.0  # seconds, of an SMS that was lost on air


class SmsCentre:
    """All device triggers, and the SMS centre that tries to deliver them until their validity period has passed."""

    def __init__(self, context: Context, cell: Cell, air: Air, subscribers: Subscribers) -> None:
        self._context, self._timers, self._cell, self._air = context, context.timers, cell, air
        self._subscribers = subscribers
        self.all: OrderedDict[str, Trigger] = OrderedDict()
        self._timers.handle(_VALIDITY, lambda name, now: self._end(self.all[name], DeliveryResult.EXPIRED, now))
        self._timers.handle(_RETRY, lambda name, now: self.dispatch(cell.ues[name], now))

    def create(self, scs_as: str, terms: DeviceTriggering, now: float) -> Trigger:
        """Accept a trigger and try to deliver it; its end is notified. Raises RefusedError."""
        ue = self._subscribers.the_one(scs_as, terms)
        self._check(ue, terms)
        number, name = self._context.new_id()
        features = None
        if terms.supported_features is not None and self._context.profile.features is not None:
            features = int(terms.supported_features or "0", 16) & self._context.profile.triggering_features
        trigger = self.all[name] = Trigger(name, number, scs_as, ue.name, terms, features)
        self._remember_less()
        ue.sms_queue.append(trigger)
        self._arm(trigger, now)
        self._context.air.write(now, ue.name, "sms-accepted", transaction=name, data=terms.trigger_payload.hex())
        self.dispatch(ue, now)
        if terms.validity_period == 0 and trigger in ue.sms_queue:  # one attempt, and that cannot be made
            self._timers.set(_VALIDITY, name, now)
        return trigger

    def change(self, trigger: Trigger, changes: Mapping[str, Any], now: float) -> None:
        """Replace a trigger that is not delivered yet. Raises RefusedError."""
        ue = self._waiting(trigger)
        terms = msgspec.structs.replace(trigger.terms, **changes)
        self._check(ue, terms)
        trigger.terms, trigger.result = terms, DeliveryResult.REPLACED
        if "validity_period" in changes:
            self._arm(trigger, now)
        self._context.air.write(now, ue.name, "sms-replaced", transaction=trigger.id, data=terms.trigger_payload.hex())

    def recall(self, trigger: Trigger, now: float) -> None:
        """Take a trigger back that is not delivered yet. Raises RefusedError."""
        ue = self._waiting(trigger)
        ue.sms_queue.remove(trigger)
        self._timers.cancel(trigger.id, _VALIDITY)
        trigger.result = DeliveryResult.TERMINATE
        del self.all[trigger.id]
        self._context.air.write(now, ue.name, "sms-recalled", transaction=trigger.id)

    def dispatch(self, ue: Ue, now: float) -> None:
        """Send the next SMS: those with priority first, then the oldest; one at a time."""
        ready = [one for one in ue.sms_queue if one.not_before <= now]
        if ready and ue.sms_in_flight is None and self._cell.reach(ue).sms:
            trigger = min(ready, key=lambda one: (not one.urgent, one.number))
            ue.sms_queue.remove(trigger)
            self._air.send_sms(ue, trigger, now)
        elif ue.sms_queue and not ready:
            self._timers.set(_RETRY, ue.name, min(one.not_before for one in ue.sms_queue))

    def carried(self, ue: Ue, trigger: Trigger, now: float, *, delivered: bool) -> None:
        """Process a transmission: an SMS that was not delivered waits, until its validity period has passed."""
        if delivered:
            self._end(trigger, DeliveryResult.SUCCESS, now)
        elif not trigger.pending:
            self._notify(trigger, now)  # its time was over while it was on air
        elif trigger.terms.validity_period == 0:
            self._end(trigger, DeliveryResult.FAILURE, now)
        else:
            ue.sms_queue.append(trigger)
            if self._cell.reach(ue).sms:  # else the next contact is the time for it
                trigger.not_before = now + _RETRY_AFTER
                self._timers.set(_RETRY, ue.name, min(one.not_before for one in ue.sms_queue if one.not_before > now))

    def remove_ue(self, ue: Ue, now: float) -> None:
        """End what waits for a removed UE."""
        self._timers.cancel(ue.name, _RETRY)
        waiting = [*ue.sms_queue, *([ue.sms_in_flight] if ue.sms_in_flight else [])]
        ue.sms_in_flight = None
        for trigger in waiting:
            self._end(trigger, DeliveryResult.FAILURE, now)

    def originated(self, ue: Ue, data: bytes, number: int) -> None:
        """Pass on an SMS of a UE: to the SCS/AS, which knows the UE by its External Identifier."""
        self._context.out.append(e.DeliverSms(ue.name, data, ue.settings.sms_port or 0, number))

    def _end(self, trigger: Trigger, result: DeliveryResult, now: float) -> None:
        """End a trigger. One that is on air is ended by what becomes of it there, for it may be delivered still."""
        ue = self._cell.ues.get(trigger.ue)
        on_air = ue is not None and ue.sms_in_flight is trigger
        self._timers.cancel(trigger.id, _VALIDITY)
        trigger.result = result
        if ue is not None and trigger in ue.sms_queue:
            ue.sms_queue.remove(trigger)
        if not on_air:
            self._notify(trigger, now)

    def _notify(self, trigger: Trigger, now: float) -> None:
        self._context.counts[f"trigger {trigger.result.value}"] += 1
        self._context.air.write(now, trigger.ue, "sms-over", transaction=trigger.id, result=trigger.result.value)
        self._context.out.append(e.NotifyTrigger(trigger, trigger.result))

    def _arm(self, trigger: Trigger, now: float) -> None:
        if trigger.terms.validity_period:
            self._timers.set(_VALIDITY, trigger.id, now + trigger.terms.validity_period)

    def _check(self, ue: Ue, terms: DeviceTriggering) -> None:
        if not ue.settings.sms:
            raise RefusedError(Refusal.NO_SMS)
        if len(terms.trigger_payload) > SMS_OCTETS:
            raise RefusedError(Refusal.TRIGGER_TOO_LARGE)

    def _waiting(self, trigger: Trigger) -> Ue:
        """Return the UE of a trigger that can still be changed. Raises RefusedError."""
        ue = self._cell.ues.get(trigger.ue)
        if ue is None or trigger not in ue.sms_queue:
            raise RefusedError(Refusal.TRIGGER_OVER)
        return ue

    def _remember_less(self) -> None:
        while len(self.all) > REMEMBERED:
            oldest = next((one for one in self.all.values() if not one.pending), None)
            if oldest is None:
                return
            del self.all[oldest.id]
