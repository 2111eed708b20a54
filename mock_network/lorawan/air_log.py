"""What each emulated device really sent and received: the truth that tests judge everything else by."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

KEPT = 20_000  # events; older ones are dropped, `AirLog.total` still counts them


class AirEventKind(Enum):
    """Kinds of event, from the device's side."""

    SENT = "sent"  # one transmission of a data frame; repetitions of an FCnt have a higher `attempt`
    JOIN_SENT = "join sent"
    JOINED = "joined"
    RECEIVED = "received"  # a downlink that passed MIC and counter; an application payload goes to the modem
    DUPLICATE = "duplicate"  # authentic, but its FCnt was used before: dropped
    REJECTED = "rejected"  # heard and dropped: wrong MIC, counter leap, too long, no frame
    MISSED = "missed"  # sent to the device while it listened, and lost on air
    ACKED = "acked"  # the network acknowledged a confirmed uplink
    NOT_ACKED = "not acked"  # the device gave up on a confirmed uplink
    DROPPED = "dropped"  # the device did not send: too long for the data rate, queue full, not joined
    RESET = "reset"  # counters set back, or the session given up, on command


@dataclass(frozen=True, slots=True)
class AirEvent:
    """One event. `f_cnt` has 32 bits; `payload` is plain text; `window` is RX1, RX2, RXC or PING."""

    time: float
    dev_eui: str
    what: AirEventKind
    f_cnt: int | None = None
    f_port: int | None = None
    payload: bytes = b""
    confirmed: bool = False
    ack: bool = False
    attempt: int = 1
    data_rate: int | None = None
    frequency: int | None = None
    window: str | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; bytes as hex."""
        return {**asdict(self), "what": self.what.value, "payload": self.payload.hex()}


class AirLog:
    """A bounded list of events, oldest first, and a count of each kind per device."""

    def __init__(self) -> None:
        self._events: deque[AirEvent] = deque(maxlen=KEPT)
        self.counts: Counter[tuple[str, AirEventKind]] = Counter()
        self.total = 0

    def add(self, event: AirEvent) -> None:
        """Append an event."""
        self._events.append(event)
        self.counts[event.dev_eui, event.what] += 1
        self.total += 1

    def __iter__(self) -> Iterator[AirEvent]:
        return iter(self._events)

    def of(self, dev_eui: str, *what: AirEventKind) -> list[AirEvent]:
        """Return a device's events, of these kinds if any are named."""
        return [e for e in self._events if e.dev_eui == dev_eui and (not what or e.what in what)]
