"""The emulated network server: frames, acknowledgements and commands in; events and downlink frames out.

Sans-I/O: the caller passes the time with everything it hands over, calls `advance` when `next_due` has come, and after
each call carries out `drain()`. The same seed and the same inputs give the same effects.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from chirpstack_api import gw, integration

from mock_network.faults import Faults
from mock_network.lorawan.frames import FrameError, FType, frame_type, parse_data

from . import device_queue, downlink, join, tx_ack, uplink
from .context import Context, Effect, Flight, Send, Uplink
from .errors import Refused
from .faults import make_faults, seconds_of
from .model import Settings
from .values import eui64, seconds, timestamp, uuid

MIN_DEDUPLICATION_LOCK = 0.2  # seconds
TX_ACK_DELAY = 0.02  # seconds from command to a gateway's answer, for answers made by faults


@dataclass(frozen=True, slots=True)
class _Received:
    """A frame of one gateway, and when it came; seconds."""

    frame: gw.UplinkFrame
    at: float


@dataclass(slots=True)
class _Collecting:
    """Copies of one frame, from the first one on; `locked_until` outlives the collection, and late copies are lost."""

    frames: list[_Received] = field(default_factory=list)
    locked_until: float = 0.0
    handled: bool = False


class NetworkServer:
    """The server. `context` holds its tables, air log and counters; change devices and queues through the API calls."""

    def __init__(self, settings: Settings, *, seed: int, now: float, faults: Faults | None = None) -> None:
        self.context = Context(settings, random.Random(seed), faults or make_faults(seed), now)
        self._collecting: dict[bytes, _Collecting] = {}
        self._held_command: Callable[[], None] | None = None
        self._tick_after(now)

    def next_due(self) -> float | None:
        """Return the time at which `advance` has something to do."""
        return self.context.next_due()

    def advance(self, now: float) -> None:
        """Do all that is due by `now`."""
        self._skip_missed(now)
        while self.context.run_next(now):
            pass
        self.context.now = max(self.context.now, now)

    def drain(self) -> list[Effect]:
        """Return the effects since the last call, in order; the caller carries each out once."""
        effects: list[Effect] = []
        for effect in self.context.effects:
            if isinstance(effect, Send):
                effects.extend(self._on_air(effect))
            else:
                effects.append(effect)
        self.context.effects.clear()
        return effects

    def uplink(self, frame: gw.UplinkFrame, now: float) -> None:
        """Process a frame from a gateway."""
        self.advance(now)
        context = self.context
        if not frame.HasField("tx_info") or not frame.HasField("rx_info") or not math.isfinite(frame.rx_info.snr):
            context.count("uplink_malformed")
            context.warn("uplink without tx_info, rx_info or a finite SNR dropped")
            return
        try:
            gateway = context.tables.gateways.rows.get(eui64(frame.rx_info.gateway_id))
        except Refused:
            context.count("uplink_malformed")
            context.warn("uplink with a malformed gateway id dropped")
            return
        if gateway is None and not context.settings.allow_unknown_gateways:
            context.count("uplink_unknown_gateway")
            context.warn(f"uplink of unknown gateway {frame.rx_info.gateway_id} dropped")
            return
        if gateway is not None:
            gateway.last_seen_at = now
        received = _Received(frame, now)
        key = frame.tx_info.SerializeToString(deterministic=True) + b"|" + frame.phy_payload
        known = self._collecting.get(key)
        if known is not None and now < known.locked_until:
            if not known.handled:
                known.frames.append(received)
            return
        wait = context.settings.deduplication_delay
        collecting = _Collecting([received], now + max(2 * wait, MIN_DEDUPLICATION_LOCK))
        self._collecting[key] = collecting
        context.at(now + wait, lambda: self._collected(collecting))
        context.at(collecting.locked_until, lambda: self._forget(key, collecting))

    def gateway_seen(self, gateway_id: str, now: float) -> None:
        """Record that a gateway was heard; one that is not registered is ignored."""
        self.advance(now)
        try:
            gateway = self.context.tables.gateways.rows.get(eui64(gateway_id))
        except Refused:
            gateway = None
        if gateway is not None:
            gateway.last_seen_at = now

    def tx_ack(self, ack: gw.DownlinkTxAck, now: float) -> None:
        """Process a gateway's answer to a downlink."""
        self.advance(now)
        flight = self.context.flights.get(ack.downlink_id)
        if flight and flight.is_data and self.context.faults.draw("tx_ack_lost", **_where(flight)):
            return
        tx_ack.handle(self.context, ack)

    def command_down(self, application_id: str, command: integration.DownlinkCommand, now: float) -> None:
        """Take an MQTT downlink command; whatever is wrong with it only shows in the log."""
        self.advance(now)
        faults = self.context.faults
        if faults.draw("command_lost", dev_eui=command.dev_eui):
            return
        swap = faults.draw("commands_swapped", dev_eui=command.dev_eui) if self._held_command is None else None
        if swap:
            self._held_command = lambda: self._command(application_id, command)
            self.context.at(now + seconds_of(swap), self._release_command)
            return
        self._command(application_id, command)
        self._release_command()

    def enqueued(self, dev_eui: bytes) -> None:
        """Record that an item was added to a device's queue: another user may flush it (a fault)."""
        flush = self.context.faults.draw("foreign_flush", dev_eui=dev_eui.hex())
        if flush:
            due = self.context.now + seconds_of(flush)
            self.context.at(due, lambda: self._flush(dev_eui))

    def restart(self, now: float) -> None:
        """Restart the server: rows stay, frames in flight, collections and events on their way are gone."""
        context = self.context
        fresh = Context(context.settings, context.rng, context.faults, now, context.join_server)
        fresh.tables, fresh.history, fresh.air = context.tables, context.history, context.air
        fresh.counters, fresh.flights = context.counters, context.flights  # Redis keeps the frames in flight
        self.context = fresh
        self._collecting = {}
        self._held_command = None
        self._tick_after(now)

    def _skip_missed(self, now: float) -> None:
        """Skip the runs of the scheduler that a delayed process missed, except one.

        The server itself sleeps between two runs. Run one after the other, they would send an item repeatedly before
        a gateway could report that it was sent.
        """
        if now - self._next_tick > self.context.settings.scheduler_interval:
            self._tick_at(now)

    def _tick(self) -> None:
        if self.context.now >= self._next_tick:  # else this run was left out
            downlink.run_scheduler(self.context)
            self._tick_after(self.context.now)

    def _tick_after(self, now: float) -> None:
        self._tick_at(now + self.context.settings.scheduler_interval)

    def _tick_at(self, when: float) -> None:
        self._next_tick = when
        self.context.at(when, self._tick)

    def _flush(self, dev_eui: bytes) -> None:
        device_queue.flush(self.context.tables, dev_eui)

    def _release_command(self) -> None:
        held, self._held_command = self._held_command, None
        if held is not None:
            held()

    def _command(self, application_id: str, command: integration.DownlinkCommand) -> None:
        context = self.context
        try:
            device = context.tables.devices.get(command.dev_eui)
            if device.application_id != uuid(application_id):
                context.warn("command refused: application ID of the topic is not that of the device")
                return
            item_id: UUID | None = uuid(command.id) if command.id else None
            expires_at = seconds(command.expires_at) if command.HasField("expires_at") else None
            device_queue.enqueue(
                context.tables,
                identifier=item_id,
                dev_eui=device.dev_eui,
                f_port=command.f_port,
                confirmed=command.confirmed,
                data=command.data,
                now=context.now,
                expires_at=expires_at,
            )
        except Refused as refusal:
            context.count("command_refused")
            context.warn(f"command refused: {refusal}")
            return
        self.enqueued(device.dev_eui)

    def _forget(self, key: bytes, collecting: _Collecting) -> None:
        if self._collecting.get(key) is collecting:
            del self._collecting[key]

    def _collected(self, collecting: _Collecting) -> None:
        collecting.handled = True
        try:
            merged = self._merge(collecting.frames)
            if merged is None:
                return
            kind = frame_type(merged.phy_payload)
            if kind is FType.JOIN_REQUEST:
                join.handle(self.context, merged)
            elif kind in (FType.UNCONFIRMED_UP, FType.CONFIRMED_UP):
                uplink.handle(self.context, merged, parse_data(merged.phy_payload))
            else:
                self.context.warn(f"uplink of type {kind.name} dropped")
        except (FrameError, Refused) as error:
            self.context.count("uplink_malformed")
            self.context.warn(f"uplink dropped: {error}")

    def _merge(self, frames: list[_Received]) -> Uplink | None:
        context, first = self.context, frames[0].frame
        lora = first.tx_info.modulation.lora
        dr = context.region.uplink_dr(lora.spreading_factor, lora.bandwidth)
        channel = None if dr is None else context.region.uplink_channel(first.tx_info.frequency, dr)
        if dr is None or channel is None:
            context.count("uplink_foreign_channel")
            context.warn(
                f"uplink on {first.tx_info.frequency} Hz SF{lora.spreading_factor}/{lora.bandwidth}: no such channel"
            )
            return None
        distinct = {one.frame.SerializeToString(deterministic=True): one for one in frames}
        receptions = [one.frame.rx_info for one in distinct.values()]
        times = [seconds(item.gw_time) for item in receptions if item.HasField("gw_time")]
        times += [seconds(item.ns_time) for item in receptions if item.HasField("ns_time")]
        for one, reception in zip(distinct.values(), receptions, strict=True):
            if not reception.HasField("ns_time"):  # the server's own clock, where the gateway did not say
                reception.ns_time.CopyFrom(timestamp(one.at))
        return Uplink(
            id=context.tables.new_id(),
            phy_payload=first.phy_payload,
            tx_info=first.tx_info,
            rx_info=receptions,
            dr=dr,
            channel=channel,
            time=times[0] if times else context.now,
        )

    def _on_air(self, effect: Send) -> list[Effect]:
        """Send the frame to the gateway, unless a fault answers instead."""
        context = self.context
        flight = context.flights.get(effect.frame.downlink_id)
        if flight is None or not flight.is_data:
            return [effect]
        refused = context.faults.draw("tx_error", **_where(flight))
        if refused:
            name = str(refused.params.get("status"))
            status = dict(gw.TxAckStatus.items()).get(name, gw.TOO_LATE)
            self._answer_for_gateway(effect.frame, status)
            return []
        if context.faults.draw("downlink_lost", **_where(flight)):
            self._answer_for_gateway(effect.frame, gw.OK)
            return []
        return [effect]

    def _answer_for_gateway(self, frame: gw.DownlinkFrame, status: int) -> None:
        items = [gw.DownlinkTxAckItem(status=gw.OK)]
        if status != gw.OK:
            items = [gw.DownlinkTxAckItem(status=status) for _ in frame.items]  # type: ignore[arg-type] # an enum value
        ack = gw.DownlinkTxAck(gateway_id=frame.gateway_id, downlink_id=frame.downlink_id, items=items)
        self.context.at(self.context.now + TX_ACK_DELAY, lambda: tx_ack.handle(self.context, ack))


def _where(flight: Flight) -> dict[str, str]:
    """Return the description of a downlink for faults."""
    return {"dev_eui": flight.dev_eui.hex(), "confirmed": str(flight.entry.confirmed).lower()}
