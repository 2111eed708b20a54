"""What a device holds between frames: keys, counters, and the radio settings that a network may change."""

from dataclasses import dataclass, field
from typing import Any

from mock_network.lorawan import frames
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.frames import Data, FrameError, MicInputs
from mock_network.lorawan.regions import Channel, Region

ADR_ACK_LIMIT = 64  # uplinks without any downlink before the device asks for one (RP002 §2.1)
ADR_ACK_DELAY = 32  # further uplinks before it changes its data rate


class DuplicateFrame(Exception):
    """An authentic downlink whose FCnt was used before."""

    def __init__(self, f_cnt: int) -> None:
        super().__init__(f"FCnt {f_cnt} was used before")
        self.f_cnt = f_cnt


class OtherDevice(Exception):
    """A frame for another DevAddr, or an uplink."""


@dataclass(slots=True)
class Session:
    """One activation. `f_cnt_up` is the next to send; the downlink counters are the last received.

    1.0.x uses `n_f_cnt_down` alone; 1.1 counts frames with FPort > 0 by `a_f_cnt_down`.
    """

    dev_addr: int
    keys: SessionKeys
    v1_1: bool = False
    f_cnt_up: int = 0
    n_f_cnt_down: int | None = None
    a_f_cnt_down: int | None = None
    confirmed_up: int = 0  # FCnt of the last confirmed uplink: a 1.1 downlink with ACK is signed with it

    def seal(self, frame: Data, *, conf_f_cnt: int, data_rate: int, channel: int) -> bytes:
        """Encrypt and sign an uplink. Raises FrameError."""
        return frames.seal_data(frame, self.keys, v1_1=self.v1_1, mic=MicInputs(conf_f_cnt, data_rate, channel))

    def open(self, phy_payload: bytes) -> Data:
        """Check and decrypt a downlink, and move the counter on.

        Raises OtherDevice, DuplicateFrame, or FrameError for an invalid frame, a wrong MIC, or a counter too far ahead.
        """
        frame = frames.parse_data(phy_payload)
        if frame.uplink or frame.dev_addr != self.dev_addr:
            raise OtherDevice
        application = self.v1_1 and bool(frame.f_port)
        last = self.a_f_cnt_down if application else self.n_f_cnt_down
        f_cnt = frames.full_f_cnt(frame.f_cnt, last)
        if f_cnt - (last or 0) > frames.MAX_FCNT_GAP:
            earlier = f_cnt - 0x10000
            if earlier >= 0 and self._authentic(phy_payload, earlier):
                raise DuplicateFrame(earlier)
            raise FrameError(f"FCnt leaps from {last} to {f_cnt}")
        opened = frames.open_data(phy_payload, f_cnt, self.keys, v1_1=self.v1_1, mic=MicInputs(self.confirmed_up))
        if f_cnt == last:
            raise DuplicateFrame(f_cnt)
        if application:
            self.a_f_cnt_down = f_cnt
        else:
            self.n_f_cnt_down = f_cnt
        return opened

    def _authentic(self, phy_payload: bytes, f_cnt: int) -> bool:
        try:
            frames.open_data(phy_payload, f_cnt, self.keys, v1_1=self.v1_1, mic=MicInputs(self.confirmed_up))
        except FrameError:
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values. They contain the session keys."""
        return {
            "dev_addr": f"{self.dev_addr:08x}",
            "f_nwk_s_int_key": self.keys.f_nwk_s_int_key.hex(),
            "s_nwk_s_int_key": self.keys.s_nwk_s_int_key.hex(),
            "nwk_s_enc_key": self.keys.nwk_s_enc_key.hex(),
            "app_s_key": self.keys.app_s_key.hex(),
            "v1_1": self.v1_1,
            "f_cnt_up": self.f_cnt_up,
            "n_f_cnt_down": self.n_f_cnt_down,
            "a_f_cnt_down": self.a_f_cnt_down,
            "confirmed_up": self.confirmed_up,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Session":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key")
        return cls(
            dev_addr=int(body["dev_addr"], 16),
            keys=SessionKeys(**{name: bytes.fromhex(body[name]) for name in names}),
            **{n: body[n] for n in ("v1_1", "f_cnt_up", "n_f_cnt_down", "a_f_cnt_down", "confirmed_up")},
        )


@dataclass(slots=True)
class RadioSettings:
    """How the device sends and where it listens. A join sets all of it back."""

    region: Region
    data_rate: int
    channels: dict[int, Channel] = field(default_factory=dict)
    enabled: frozenset[int] = frozenset()
    tx_power_index: int = 0
    nb_trans: int = 1
    rx1_delay: int = 1  # seconds
    rx1_offset: int = 0
    rx2_frequency: int = 0
    rx2_data_rate: int = 0
    max_duty_cycle: int = 0  # share 1 / 2**n of the time, over all bands
    adr_ack_limit: int = ADR_ACK_LIMIT
    adr_ack_delay: int = ADR_ACK_DELAY
    ping_frequency: int = 0
    ping_data_rate: int = 0

    @classmethod
    def of(cls, region: Region, data_rate: int) -> "RadioSettings":
        """Return the region's defaults."""
        return cls(
            region=region,
            data_rate=data_rate,
            channels=dict(enumerate(region.channels)),
            enabled=frozenset(range(len(region.channels))),
            rx2_frequency=region.rx2_frequency,
            rx2_data_rate=region.rx2_data_rate,
            ping_frequency=region.ping_frequency,
            ping_data_rate=region.ping_data_rate,
        )

    def usable(self, data_rate: int) -> list[int]:
        """Return the channels that are on and carry a data rate."""
        return [
            i
            for i in sorted(self.enabled)
            if self.channels[i].min_data_rate <= data_rate <= self.channels[i].max_data_rate
        ]

    def supports(self, data_rate: int, enabled: frozenset[int]) -> bool:
        """Return whether some channel of `enabled` carries a data rate."""
        return any(
            self.channels[i].min_data_rate <= data_rate <= self.channels[i].max_data_rate
            for i in enabled
            if i in self.channels
        )

    def apply_cf_list(self, frequencies: tuple[int, ...]) -> None:
        """Add the channels of a Join-Accept after the default ones."""
        first = len(self.region.channels)
        for i, frequency in enumerate(frequencies, first):
            if frequency:
                self.channels[i] = Channel(frequency, 0, 5)
                self.enabled |= {i}
