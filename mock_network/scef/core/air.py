"""Transmissions: downlinks with RDS, SMS in both directions, uplinks; lost, late or delivered by the UE's settings."""

from collections.abc import Callable
from typing import Protocol

from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.effects import ToApplication, Uplink
from mock_network.scef.core.nidd_model import Delivery
from mock_network.scef.core.nidd_tables import Carried
from mock_network.scef.core.sms_model import SMS_OCTETS, Trigger
from mock_network.scef.core.states import HAS_PDN, PAGEABLE, UeState, UeTrigger
from mock_network.scef.core.ue import Ue

_DOWN, _ACK, _SMS, _UP = "downlink on air", "RDS acknowledgement", "SMS on air", "uplink on air"


class AirListener(Protocol):
    """Is called with what has passed."""

    def on_carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float, *, acknowledged: bool) -> None:
        """Take the end of a downlink's transmission."""

    def on_uplink(self, ue: Ue, uplink: Uplink, number: int, now: float) -> None:
        """Take data that has arrived; `number` is that of its air log line."""

    def on_sms_carried(self, ue: Ue, trigger: Trigger, now: float, *, delivered: bool) -> None:
        """Take the end of an SMS's transmission."""

    def on_mo_sms(self, ue: Ue, data: bytes, number: int) -> None:
        """Take an SMS of a UE that has arrived."""


def channel(rds_port: tuple[int, int] | None) -> str:
    """Return the name of the modem's channel for a pair of RDS ports; None: the one for data without RDS ports."""
    return "data" if rds_port is None else f"rds-{rds_port[0]}-{rds_port[1]}"


class Air:
    """Transmissions of all UEs; one downlink and one SMS at a time for each."""

    def __init__(self, context: Context, cell: Cell, listener: AirListener) -> None:
        self._context, self._timers, self._log, self._rng = context, context.timers, context.air, context.rng
        self._cell = cell
        self._listener = listener
        self._pages_lost: set[str] = set()
        self._arrivals: dict[str, Callable[[float], None]] = {}
        for kind, handler in (
            (_DOWN, self._arrived),
            (_ACK, self._acknowledged),
            (_SMS, self._sms_arrived),
            (_UP, self._uplink_arrived),
        ):
            self._timers.handle(kind, handler)

    def forget(self, ue: Ue) -> None:
        """Drop transmissions to a removed UE."""
        self._timers.cancel(ue.name, _DOWN, _ACK, _SMS)
        ue.in_flight = ue.sms_in_flight = None

    # Down

    def send(self, ue: Ue, delivery: Delivery, now: float) -> None:
        """Begin to transmit; the listener is called at the end. The UE must be reachable and have nothing in flight."""
        ue.in_flight = delivery
        delivery.transmissions += 1
        self._timers.set(_DOWN, ue.name, self._reached(ue, now, delivery=delivery.id))

    def _reached(self, ue: Ue, now: float, **what: str) -> float:
        """Page the UE if it is idle; return when the data will have arrived, or when the network will give up."""
        self._pages_lost.discard(ue.name)
        took = ue.latency(self._rng)
        if ue.state in PAGEABLE and ue.state is not UeState.CONNECTED:
            self._log.write(now, ue.name, "page", **what)
            took += ue.settings.paging_latency
            if self._drawn(ue.settings.paging_loss):
                self._pages_lost.add(ue.name)
        if not ue.settings.in_coverage or ue.name in self._pages_lost:
            return now + ue.settings.paging_timeout
        self._cell.move(ue, UeTrigger.PAGED, now)
        return now + took

    def _arrived(self, name: str, now: float) -> None:
        ue = self._cell.ues[name]
        delivery = ue.in_flight
        if delivery is None:
            return
        if ue.state not in HAS_PDN:
            self._conclude(ue, Carried.NO_PDN, now)
        elif not ue.settings.in_coverage or name in self._pages_lost:
            ue.silent = True
            self._conclude(ue, Carried.UNREACHABLE, now)
        elif ue.state not in PAGEABLE:  # it was put to sleep meanwhile
            self._conclude(ue, Carried.UNREACHABLE, now)
        elif self._drawn(ue.settings.loss_down):
            delivery.on_air = True
            self._log_downlink(ue, "downlink-lost", now, reason=Carried.LOST.value)
            self._repeat_or_conclude(ue, delivery, now)
        else:
            self._receive(ue, delivery, now)

    def _receive(self, ue: Ue, delivery: Delivery, now: float) -> None:
        if delivery.received:
            self._log_downlink(ue, "downlink-repeated", now)  # RDS removes it
        else:
            delivery.on_air = delivery.received = True
            self._log_downlink(ue, "downlink", now)
            port = delivery.terms.rds_port
            pair = (port.ue, port.scef) if port is not None and ue.settings.rds_ports else None
            self._context.out.append(ToApplication(ue.name, delivery.terms.data, channel(pair)))
        if not delivery.reliable:
            self._conclude(ue, Carried.DELIVERED, now)
        elif ue.settings.rds_ack and not self._drawn(ue.settings.loss_up):
            self._timers.set(_ACK, ue.name, now + ue.latency(self._rng))
        else:
            self._repeat_or_conclude(ue, delivery, now)

    def _repeat_or_conclude(self, ue: Ue, delivery: Delivery, now: float) -> None:
        if delivery.reliable and delivery.transmissions < ue.settings.rds_attempts:
            delivery.transmissions += 1
            self._timers.set(_DOWN, ue.name, now + ue.settings.rds_timer)
        else:
            self._conclude(ue, Carried.DELIVERED if delivery.received else Carried.LOST, now)

    def _acknowledged(self, name: str, now: float) -> None:
        self._conclude(self._cell.ues[name], Carried.DELIVERED, now, acknowledged=True)

    def _conclude(self, ue: Ue, carried: Carried, now: float, *, acknowledged: bool = False) -> None:
        delivery, ue.in_flight = ue.in_flight, None
        if delivery is None:
            return
        if carried in {Carried.NO_PDN, Carried.UNREACHABLE}:
            self._log_downlink(ue, "downlink-lost", now, delivery=delivery, reason=carried.value)
        self._listener.on_carried(ue, delivery, carried, now, acknowledged=acknowledged)
        if self._cell.reach(ue).data:
            self._cell.move(ue, UeTrigger.PAGED, now)  # data restarts the inactivity timer

    def _log_downlink(self, ue: Ue, what: str, now: float, *, delivery: Delivery | None = None, **detail: str) -> None:
        delivery = delivery or ue.in_flight
        if delivery is not None:
            self._log.write(now, ue.name, what, delivery=delivery.id, data=delivery.terms.data.hex(), **detail)

    # SMS

    def send_sms(self, ue: Ue, trigger: Trigger, now: float) -> None:
        """Begin to transmit; the listener is called at the end. The UE must be reachable for SMS."""
        ue.sms_in_flight = trigger
        trigger.attempts += 1
        self._timers.set(_SMS, ue.name, self._reached(ue, now, transaction=trigger.id))

    def _sms_arrived(self, name: str, now: float) -> None:
        ue = self._cell.ues[name]
        trigger, ue.sms_in_flight = ue.sms_in_flight, None
        if trigger is None:
            return
        terms, reason = trigger.terms, None
        detail = {"transaction": trigger.id, "data": terms.trigger_payload.hex(), "port": terms.application_port_id}
        if not self._cell.reach(ue).sms or not ue.settings.in_coverage or name in self._pages_lost:
            ue.silent, reason = True, "absent subscriber"
        elif self._drawn(ue.settings.sms_loss):
            reason = "lost on air"
        if reason is not None:
            self._log.write(now, name, "sms-lost", reason=reason, **detail)
        elif ue.settings.sms_port in {None, terms.application_port_id}:
            self._log.write(now, name, "sms", **detail)
            self._context.out.append(ToApplication(name, terms.trigger_payload, "sms"))
        else:
            self._log.write(now, name, "sms-ignored", reason="no application on this port", **detail)
        if reason is None and self._drawn(ue.settings.sms_ack_loss):
            reason = "acknowledgement lost"
            self._log.write(now, name, "sms-ack-lost", transaction=trigger.id)
        self._listener.on_sms_carried(ue, trigger, now, delivered=reason is None)
        if self._cell.reach(ue).sms:
            self._cell.move(ue, UeTrigger.PAGED, now)

    def mo_sms(self, ue: Ue, data: bytes, now: float) -> None:
        """Let the modem send an SMS that its application hands in, or drop it as a modem does."""
        reason = None
        if ue.state is UeState.DETACHED:
            reason = "detached"
        elif not ue.settings.sms:
            reason = "no subscription for SMS"
        elif len(data) > SMS_OCTETS:
            reason = "too large"
        elif not ue.settings.in_coverage:
            reason = "no coverage"
        if reason is not None:
            self._log.write(now, ue.name, "mo-sms-dropped", reason=reason, data=data.hex())
            return
        number = self._log.write(now, ue.name, "mo-sms", data=data.hex())
        self._cell.move(ue, UeTrigger.UPLINK, now)
        if self._drawn(ue.settings.loss_up):
            self._log.write(now, ue.name, "mo-sms-lost", reason="lost on air", mo_sms=number)
            return
        self._arrives(ue, number, now, 0.0, lambda _: self._listener.on_mo_sms(ue, data, number))

    # Up

    def uplink(self, ue: Ue, uplink: Uplink, now: float) -> None:
        """Let the modem send what its application hands in, or drop it as a modem does."""
        settings, data = ue.settings, uplink.data
        size = settings.uplink_packet_size or settings.maximum_packet_size or self._context.profile.maximum_packet_size
        reason = None
        if ue.state not in HAS_PDN:
            reason = "no PDN connection"
        elif len(data) * 8 > size:
            reason = "too large"
        elif not settings.in_coverage:
            reason = "no coverage"
        elif not ue.rate.uplink_allowed(settings, now, exception=uplink.exception):
            reason = "rate control"
        if reason is not None:
            self._log.write(now, ue.name, "uplink-dropped", reason=reason, data=data.hex())
            return
        number = self._log.write(now, ue.name, "uplink", data=data.hex())
        self._cell.move(ue, UeTrigger.UPLINK, now)
        reliable = uplink.reliable and settings.rds_enabled
        for attempt in range(settings.rds_attempts if reliable else 1):
            if not self._drawn(settings.loss_up):
                late = attempt * settings.rds_timer
                self._arrives(ue, number, now, late, lambda when: self._listener.on_uplink(ue, uplink, number, when))
                return
        self._log.write(now, ue.name, "uplink-lost", reason="lost on air", uplink=number)

    def _arrives(self, ue: Ue, number: int, now: float, late: float, arrival: Callable[[float], None]) -> None:
        ue.last_arrival = max(ue.last_arrival, now + late + ue.latency(self._rng))
        self._arrivals[str(number)] = arrival
        self._timers.set(_UP, str(number), ue.last_arrival)

    def _uplink_arrived(self, number: str, now: float) -> None:
        self._arrivals.pop(number)(now)

    def _drawn(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability
