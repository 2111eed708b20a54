"""What a device has to send: payloads in order, MAC commands, an acknowledgement; and what is in the next frame."""

from collections import deque
from dataclasses import dataclass

from mock_network.lorawan import frames
from mock_network.lorawan.command_answers import STICKY, Outcome
from mock_network.lorawan.device_config import Abp, DeviceConfig
from mock_network.lorawan.mac_commands import Cid, Command, encode
from mock_network.lorawan.session import Session

SOON = 1.0  # seconds before an empty uplink that nothing else hurries
CLASS_C_MODE = 2  # DeviceModeInd
LORAWAN_1_1 = 1  # minor version in RekeyInd and ResetInd


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An uplink that waits; no FPort: empty."""

    payload: bytes
    f_port: int | None
    confirmed: bool


EMPTY = Outgoing(b"", None, confirmed=False)


@dataclass(frozen=True, slots=True)
class Load:
    """What one frame carries. `ack_f_cnt`: the confirmed downlink that it acknowledges."""

    outgoing: Outgoing
    f_opts: bytes
    ack_f_cnt: int | None


class Outbox:
    """Holds what waits for a frame. Payloads outlive a session, all else begins anew with it."""

    def __init__(self, config: DeviceConfig) -> None:
        self._config = config
        self.payloads: deque[Outgoing] = deque()
        self.begin(None)

    def begin(self, session: Session | None) -> None:
        """Forget what belongs to an earlier session, and have the indications of this one sent."""
        self.ack_f_cnt: int | None = None
        self._empty_at: float | None = None
        self._answers: list[Command] = []
        self._sticky: dict[Cid, Command] = {}
        self._indications: dict[Cid, Command] = {}
        self._commands_went_alone = False
        if session is None:
            return
        config = self._config
        if session.v1_1:
            first = Cid.RESET if isinstance(config.activation, Abp) else Cid.REKEY
            self._indications[first] = Command(first, bytes((LORAWAN_1_1,)))
            if config.device_class == "C":
                self._indications[Cid.DEVICE_MODE] = Command(Cid.DEVICE_MODE, bytes((CLASS_C_MODE,)))
        if config.device_class == "B":
            self._indications[Cid.PING_SLOT_INFO] = Command(Cid.PING_SLOT_INFO, bytes((config.ping_periodicity,)))

    def due(self) -> float | None:
        """Return the time from which something shall go, were the air free; None: nothing waits."""
        return 0.0 if self.payloads else self._empty_at

    def hurry(self, now: float, delay: float = SOON) -> None:
        """Have an uplink go before long, an empty one if there is nothing else."""
        due = now + delay
        self._empty_at = due if self._empty_at is None else min(self._empty_at, due)

    def answered(self, outcome: Outcome) -> None:
        """Add the device's answers to the network's commands, and remove the device's confirmed ones."""
        for command in outcome.answers:
            if command.cid in STICKY:
                self._sticky[command.cid] = command
            else:
                self._answers.append(command)
        for cid in outcome.confirmed:
            self._indications.pop(cid, None)

    def heard(self) -> None:
        """Take note of a downlink in RX1 or RX2: the network has the answers that were repeated until now."""
        self._sticky.clear()

    def follow(self, now: float) -> None:
        """Let commands that could not go with a payload be sent before long; called after the windows."""
        if len(encode(self._answers)) > frames.MAX_F_OPTS:
            self.hurry(now)

    def drop_larger(self, limit: int) -> list[Outgoing]:
        """Remove and return the first payloads that no longer fit."""
        dropped = []
        while self.payloads and len(self.payloads[0].payload) > limit:
            dropped.append(self.payloads.popleft())
        return dropped

    def next_load(self, limit: int) -> Load | None:
        """Remove and return the content of the next frame, at most `limit` bytes; None if there is nothing.

        Answers to repeated commands are sent alone once; after that payloads are first.
        """
        head = self.payloads[0] if self.payloads else None
        if head is None and self._empty_at is None:
            return None
        options = [*self._indications.values(), *self._sticky.values(), *self._answers]
        length = len(encode(options))
        if head is not None and (length > frames.MAX_F_OPTS or len(head.payload) + length > limit):
            if not self._commands_went_alone:
                self._commands_went_alone = True
                self._answers = []
                return self._load(EMPTY, options)
            options = _fitting(options, min(frames.MAX_F_OPTS, limit - len(head.payload)))
        self._answers = [command for command in self._answers if command not in options]
        if head is not None:
            self.payloads.popleft()
            self._commands_went_alone = False
        return self._load(head or EMPTY, options)

    def _load(self, outgoing: Outgoing, options: list[Command]) -> Load:
        """Take what an empty uplink was wanted for into this one."""
        load = Load(outgoing, encode(options), self.ack_f_cnt)
        self.ack_f_cnt = self._empty_at = None
        return load


def _fitting(commands: list[Command], room: int) -> list[Command]:
    """Return the first commands that fit, whole."""
    taken: list[Command] = []
    for command in commands:
        if len(encode(taken)) + len(command.encode()) > room:
            break
        taken.append(command)
    return taken
