"""One end device, class A, B or C: joins, sends, repeats, listens (TS001). No I/O; time and randomness are passed in.

Its owner calls `wake` when `wake_at` is due and puts the Transmission it gives on air; asks `listening` when a gateway
begins to send, and then gives `heard` what arrived. Everything that happens is in the air log.
"""

import random
from dataclasses import dataclass

from mock_network.lorawan import frames
from mock_network.lorawan.air_log import AirEvent, AirEventKind, AirLog
from mock_network.lorawan.class_b import PingSlots
from mock_network.lorawan.command_answers import DeviceCondition, Outcome, answer
from mock_network.lorawan.device_config import Abp, DeviceConfig
from mock_network.lorawan.frames import Data, FrameError, FType
from mock_network.lorawan.joining import Joining
from mock_network.lorawan.mac_commands import Cid, parse
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.outbox import Outbox, Outgoing
from mock_network.lorawan.radio import DataRate
from mock_network.lorawan.session import DuplicateFrame, OtherDevice, RadioSettings, Session
from mock_network.lorawan.transmission import TOLERANCE, Transmission, Window
from mock_network.lorawan.transmitter import Transmitter, rx2

ACK_TIMEOUT = (1.0, 3.0)  # seconds, drawn: RETRANSMIT_TIMEOUT (RP002 §2.1)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a device received for its application."""

    payload: bytes
    f_port: int


@dataclass(slots=True)
class Exchange:
    """A frame being sent, up to `attempts` times under one FCnt."""

    frame: Data
    conf_f_cnt: int
    attempts: int
    next_at: float
    made: int = 0


class Device:
    """One emulated device. All methods take the present time and never raise, whatever comes over the air."""

    def __init__(
        self, config: DeviceConfig, rng: random.Random, log: AirLog, memory: DeviceMemory | None = None
    ) -> None:
        self.config = config
        self.memory = memory or DeviceMemory()
        self._rng = rng
        self._log = log
        self.settings = RadioSettings.of(config.region, config.first_data_rate())
        self.session: Session | None = None
        self.joining: Joining | None = None
        if isinstance(config.activation, Abp):
            self.session = Session(config.activation.dev_addr, config.activation.keys, config.activation.v1_1)
        else:
            self.joining = Joining(config, config.activation, self.memory, rng)
        if self.memory.session is not None:
            self.session = self.memory.session
            if self.memory.settings is not None:
                self.settings = self.memory.settings
        self.memory.session = self.session
        self._transmitter = Transmitter(config, rng)
        self._outbox = Outbox(config)
        self._tx: Transmission | None = None
        self._exchange: Exchange | None = None
        self._receiving_until = 0.0
        self._start_data()

    def _start_data(self) -> None:
        """Forget what belongs to an earlier session."""
        self._exchange = None
        self._adr_ack_count = 0
        self.ping_slots: PingSlots | None = None
        self.memory.settings = self.settings
        self._outbox.begin(self.session)

    # For the user of the device

    @property
    def joined(self) -> bool:
        """Return whether the device has a session."""
        return self.session is not None

    def limit(self) -> int:
        """Return the greatest payload of an uplink now, without MAC commands: N of the data rate."""
        return self.config.region.uplink_limits[self.settings.data_rate]

    def send(
        self, payload: bytes, now: float, *, confirmed: bool | None = None, f_port: int | None = None
    ) -> str | None:
        """Queue an uplink. None: taken; else why not: it is dropped, as a modem does."""
        why = None
        if f_port is not None and not 1 <= f_port <= 255:  # noqa: PLR2004  (FPort 0 is the MAC's own)
            why = f"FPort {f_port}"
        elif len(payload) > self.limit():
            why = f"{len(payload)} bytes; DR{self.settings.data_rate} carries {self.limit()}"
        elif len(self._outbox.payloads) >= self.config.queue:
            why = f"{len(self._outbox.payloads)} uplinks wait already"
        if why is not None:
            self._note(now, AirEventKind.DROPPED, payload=payload, detail=why)
            return why
        wants_ack = self.config.confirmed if confirmed is None else confirmed
        self._outbox.payloads.append(Outgoing(payload, self.config.f_port if f_port is None else f_port, wants_ack))
        return None

    def poll(self, now: float) -> None:
        """Send an empty uplink soon, to open windows for what may wait in the network."""
        self._outbox.hurry(now)

    def rejoin(self, now: float) -> None:
        """End the session and join anew; an ABP device begins its session again with all counters at 0."""
        self._note(now, AirEventKind.RESET, detail="session given up")
        self._tx = None
        activation = self.config.activation
        self.settings = RadioSettings.of(self.config.region, self.config.first_data_rate())
        if isinstance(activation, Abp):
            self.session = Session(activation.dev_addr, activation.keys, activation.v1_1)
        else:
            self.session = None
            self.joining = Joining(self.config, activation, self.memory, self._rng)
        self.memory.session = self.session
        self._start_data()

    def reset_counters(self, now: float) -> None:
        """Set the frame counters back to 0, as a device without memory does when it restarts."""
        self._note(now, AirEventKind.RESET, detail="frame counters")
        if self.session is not None:
            self.session.f_cnt_up = 0
            self.session.n_f_cnt_down = self.session.a_f_cnt_down = None

    def set_data_rate(self, data_rate: int, now: float) -> None:
        """Change the data rate by hand. Raises ValueError if no channel carries it."""
        if not self.settings.supports(data_rate, self.settings.enabled):
            raise ValueError(f"no channel of {self.config.dev_eui} carries DR{data_rate}")
        self.settings.data_rate = data_rate
        self._note(now, AirEventKind.RESET, detail=f"DR{data_rate}", data_rate=data_rate)

    # Sending

    def wake_at(self) -> float | None:
        """Return the time at which `wake` must be called, None: not before something else happens."""
        if self._tx is not None:
            return self._tx.closes
        wanted = self._wanted_at()
        if wanted is None:
            return None
        data_rate = self.settings.data_rate if self.joined else (self.joining.data_rate if self.joining else 0)
        return max(wanted, self._receiving_until, self._transmitter.free_at(self.settings, data_rate))

    def _wanted_at(self) -> float | None:
        """Return when the device would send without a duty cycle."""
        if not self.joined:
            return self.joining.next_at if self.joining else None
        if self._exchange is not None:
            return self._exchange.next_at
        return self._outbox.due()

    def wake(self, now: float) -> Transmission | None:
        """Do what is due; the returned transmission is on air from `now` on."""
        if self._tx is not None:
            if now < self._tx.closes:
                return None
            self._windows_over(self._tx.closes)
        due = self.wake_at()
        if due is None or due > now:
            return None
        if not self.joined:
            return self._send_join(now)
        if self._exchange is None:
            self._exchange = self._next_exchange(now)
            if self._exchange is None:
                return None
        return self._send_frame(self._exchange, now)

    def _send_join(self, now: float) -> Transmission | None:
        if self.joining is None:
            return None
        request, phy_payload = self.joining.request(now)
        data_rate, delay = self.joining.data_rate, self.joining.accept_delay
        channel = self._transmitter.channel(self.settings, data_rate, now)
        tx = self._transmitter.transmit(self.settings, phy_payload, data_rate, channel, now, delay=delay, join=True)
        self._tx = tx
        self._note(
            now,
            AirEventKind.JOIN_SENT,
            data_rate=data_rate,
            frequency=tx.frequency,
            detail=f"DevNonce {request.dev_nonce}",
        )
        return tx

    def _next_exchange(self, now: float) -> Exchange | None:
        """Build the next frame and spend an FCnt on it. An uplink that no longer fits is dropped."""
        session = self.session
        if session is None:
            return None
        limit = self.limit()
        for lost in self._outbox.drop_larger(limit):
            detail = f"{len(lost.payload)} bytes; DR{self.settings.data_rate} carries {limit} now"
            self._note(now, AirEventKind.DROPPED, payload=lost.payload, f_port=lost.f_port, detail=detail)
        load = self._outbox.next_load(limit)
        if load is None:
            return None
        outgoing, f_opts = load.outgoing, load.f_opts
        alone = len(f_opts) > frames.MAX_F_OPTS  # too many commands for FOpts: a frame of their own on FPort 0
        frame = Data(
            uplink=True,
            dev_addr=session.dev_addr,
            f_cnt=session.f_cnt_up,
            confirmed=outgoing.confirmed,
            adr=self.config.adr,
            adr_ack_req=self.config.adr and self._adr_ack_count >= self.settings.adr_ack_limit,
            ack=load.ack_f_cnt is not None,
            f_pending=self.ping_slots is not None,
            f_opts=b"" if alone else f_opts,
            f_port=0 if alone else outgoing.f_port,
            frm_payload=f_opts if alone else outgoing.payload,
        )
        session.f_cnt_up += 1
        if frame.confirmed:
            session.confirmed_up = frame.f_cnt
        self._count_for_adr(now)
        attempts = self.settings.nb_trans
        if frame.confirmed:
            attempts = max(attempts, self.config.confirmed_attempts)
        return Exchange(frame, load.ack_f_cnt or 0, attempts, now)

    def _send_frame(self, exchange: Exchange, now: float) -> Transmission | None:
        session = self.session
        if session is None:
            return None
        exchange.made += 1
        self._slow_down(exchange)
        data_rate = self.settings.data_rate
        channel = self._transmitter.channel(self.settings, data_rate, now)
        try:
            phy_payload = session.seal(
                exchange.frame, conf_f_cnt=exchange.conf_f_cnt, data_rate=data_rate, channel=channel
            )
        except FrameError as error:
            self._note(now, AirEventKind.DROPPED, payload=exchange.frame.frm_payload, detail=str(error))
            self._exchange = None
            return None
        tx = self._transmitter.transmit(
            self.settings, phy_payload, data_rate, channel, now, delay=self.settings.rx1_delay
        )
        self._tx = tx
        frame = exchange.frame
        self._note(
            now,
            AirEventKind.SENT,
            f_cnt=frame.f_cnt,
            f_port=frame.f_port,
            payload=frame.frm_payload,
            confirmed=frame.confirmed,
            ack=frame.ack,
            attempt=exchange.made,
            data_rate=data_rate,
            frequency=tx.frequency,
            detail=f"FOpts {frame.f_opts.hex()}" if frame.f_opts else "",
        )
        return tx

    def _slow_down(self, exchange: Exchange) -> None:
        """Before 1.0.4, every second repetition of a confirmed uplink goes one data rate down (TS001-1.0.2 §18.4)."""
        if not exchange.frame.confirmed or self.config.counts_nonces or exchange.made < 3 or exchange.made % 2 == 0:  # noqa: PLR2004
            return
        lower = self.settings.data_rate - 1
        size = len(exchange.frame.frm_payload) + len(exchange.frame.f_opts)
        limit = self.config.region.uplink_limits.get(lower)
        if limit is not None and size <= limit and self.settings.usable(lower):
            self.settings.data_rate = lower

    def _count_for_adr(self, now: float) -> None:
        """Ask for a downlink after a long silence, then slow down step by step (TS001 §4.3.1.1)."""
        if not self.config.adr:
            return
        self._adr_ack_count += 1
        over = self._adr_ack_count - self.settings.adr_ack_limit
        if over > 0 and over % self.settings.adr_ack_delay == 0:
            lower = self.settings.data_rate - 1
            self.settings.tx_power_index = 0
            if self.settings.usable(lower):
                self.settings.data_rate = lower
                self._note(now, AirEventKind.RESET, detail=f"no downlink for long: DR{lower}", data_rate=lower)

    def _windows_over(self, now: float) -> None:
        """Both windows passed, or a downlink ended them: repeat, give up, or continue."""
        self._tx = None
        exchange = self._exchange
        if exchange is None:
            if self.joining is not None and not self.joined:
                self.joining.failed(now)
            return
        if exchange.made < exchange.attempts:
            exchange.next_at = now + self._rng.uniform(*ACK_TIMEOUT)
            return
        if exchange.frame.confirmed:
            frame = exchange.frame
            self._note(now, AirEventKind.NOT_ACKED, f_cnt=frame.f_cnt, payload=frame.frm_payload, attempt=exchange.made)
        self._exchange = None
        self._outbox.follow(now)

    # Receiving

    def listening(self, frequency: int, data_rate: DataRate, at: float) -> Window | None:
        """Return whether the device hears a downlink that begins at `at`, and where."""
        if at < self._receiving_until:
            return None
        tx = self._tx
        if tx is not None:
            if at < tx.end:
                return None
            window = tx.window(frequency, data_rate, at)
            if window is not None:
                return window
        if self.session is None:
            return None
        if self.config.device_class == "C" and (frequency, data_rate) == rx2(self.settings):
            return Window.RXC
        if self.ping_slots is not None and self._in_ping_slot(self.ping_slots, frequency, data_rate, at):
            return Window.PING
        return None

    def _in_ping_slot(self, slots: PingSlots, frequency: int, data_rate: DataRate, at: float) -> bool:
        ours = self.settings.ping_frequency or slots.hopping_frequency(at)
        modulation = self.config.region.data_rates[self.settings.ping_data_rate]
        return (frequency, data_rate) == (ours, modulation) and slots.at(at, TOLERANCE / 2)

    def begin_reception(self, until: float) -> None:
        """Hold the receiver open until the frame that `listening` found is in."""
        self._receiving_until = until
        if self._tx is not None:
            self._tx.closes = max(self._tx.closes, until)

    def missed(self, window: Window, now: float) -> None:
        """Record that the frame was lost on its way."""
        self._note(now, AirEventKind.MISSED, window=window.value)

    def heard(self, phy_payload: bytes, window: Window, snr: float, now: float) -> Heard | None:
        """Take a whole frame. Return the application payload for the modem, if there is a new one."""
        try:
            if frames.frame_type(phy_payload) is FType.JOIN_ACCEPT:
                self._join_accept(phy_payload, window, now)
                return None
            if self.session is None:
                return None
            return self._downlink(self.session, phy_payload, window, snr, now)
        except OtherDevice:
            return None
        except DuplicateFrame as error:
            self._note(now, AirEventKind.DUPLICATE, f_cnt=error.f_cnt, window=window.value)
        except FrameError as error:
            self._note(now, AirEventKind.REJECTED, window=window.value, detail=str(error))
        return None

    def _join_accept(self, phy_payload: bytes, window: Window, now: float) -> None:
        tx = self._tx
        if self.joining is None or self.joined or tx is None or not tx.join:
            return
        self.session = self.joining.accept(phy_payload, self.settings)
        self.memory.session = self.session
        self._tx = None
        self._start_data()
        self._note(now, AirEventKind.JOINED, window=window.value, detail=f"DevAddr {self.session.dev_addr:08x}")

    def _downlink(self, session: Session, phy_payload: bytes, window: Window, snr: float, now: float) -> Heard | None:
        frame = session.open(phy_payload)
        self._note(
            now,
            AirEventKind.RECEIVED,
            f_cnt=frame.f_cnt,
            f_port=frame.f_port,
            payload=frame.frm_payload,
            confirmed=frame.confirmed,
            ack=frame.ack,
            window=window.value,
            detail=f"FOpts {frame.f_opts.hex()}" if frame.f_opts else "",
        )
        self._adr_ack_count = 0
        if window in (Window.RX1, Window.RX2):
            self._outbox.heard()
        if frame.confirmed:
            self._outbox.ack_f_cnt = frame.f_cnt
            if self.config.ack_delay is not None:
                self._outbox.hurry(now, self.config.ack_delay)
        commands = parse(frame.frm_payload if frame.f_port == 0 else frame.f_opts, uplink=False)
        self._obey(answer(commands, self.settings, DeviceCondition(self.config.battery, snr)), now)
        if self.session is not session:
            return None  # a new join was requested
        self._acknowledged(frame, window, now)
        if frame.f_pending and self.config.follow_f_pending and window is not Window.PING:
            self._outbox.hurry(now)
        return Heard(frame.frm_payload, frame.f_port) if frame.f_port else None

    def _acknowledged(self, frame: Data, window: Window, now: float) -> None:
        exchange = self._exchange
        if exchange is not None:
            if exchange.frame.confirmed and frame.ack:
                self._note(now, AirEventKind.ACKED, f_cnt=exchange.frame.f_cnt, attempt=exchange.made)
                self._exchange = None
            elif not exchange.frame.confirmed and window in (Window.RX1, Window.RX2):
                self._exchange = None  # NbTrans is over with the first downlink (TS001 §5.2)
        if window in (Window.RX1, Window.RX2) and self._tx is not None:
            self._windows_over(now)

    def _obey(self, outcome: Outcome, now: float) -> None:
        self._outbox.answered(outcome)
        if Cid.PING_SLOT_INFO in outcome.confirmed and self.session is not None:
            self.ping_slots = PingSlots(self.session.dev_addr, self.config.ping_periodicity)
            self._outbox.hurry(now)  # the class B bit tells the network
        if outcome.rejoin:
            self.rejoin(now)

    def _note(
        self,
        now: float,
        what: AirEventKind,
        *,
        f_cnt: int | None = None,
        f_port: int | None = None,
        payload: bytes = b"",
        confirmed: bool = False,
        ack: bool = False,
        attempt: int = 1,
        data_rate: int | None = None,
        frequency: int | None = None,
        window: str | None = None,
        detail: str = "",
    ) -> None:
        self._log.add(
            AirEvent(
                now,
                self.config.dev_eui,
                what,
                f_cnt,
                f_port,
                payload,
                confirmed,
                ack,
                attempt,
                data_rate,
                frequency,
                window,
                detail,
            )
        )
