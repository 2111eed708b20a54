"""What the flows of the server share: its tables, its timers, and the effects they leave behind."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from chirpstack_api import api, gw, integration

from mock_network.faults import Faults

from . import messages
from .join_server import JoinServer
from .messages import IntegrationMessage
from .model import Application, Device, DeviceProfile, QueueItem, Settings, Tenant
from .region import REGIONS, Region
from .tables import Tables

MAX_FRAMES_IN_FLIGHT = 10_000
MAX_AIR_LOG = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """An integration event to publish and to post: `kind` is up, join, ack, txack, log or status."""

    kind: str
    application_id: UUID
    dev_eui: str
    message: IntegrationMessage


@dataclass(frozen=True, slots=True)
class Remembered:
    """A retained event; `position` (milliseconds and a sequence number) orders it within the stream."""

    position: tuple[int, int]
    event: Event

    def log_item(self) -> api.LogItem:
        """Return it as StreamDeviceEvents shows it."""
        message = self.event.message
        return api.LogItem(
            id=f"{self.position[0]}-{self.position[1]}",
            time=message.time,
            description=self.event.kind,
            body=messages.to_json(message).decode(),
            properties=messages.properties(message),
        )


@dataclass(frozen=True, slots=True)
class Send:
    """A downlink frame for the gateway it names."""

    frame: gw.DownlinkFrame


@dataclass(frozen=True, slots=True)
class Warn:
    """A line for the server's log."""

    text: str


Effect = Event | Send | Warn


@dataclass(slots=True)
class AirEntry:
    """One transmitted downlink: its content, its device, and the gateway's answer."""

    time: float
    downlink_id: int
    gateway_id: str
    dev_eui: str
    kind: str
    items: list[dict[str, object]]
    queue_item_id: str = ""
    f_cnt_down: int | None = None
    f_port: int | None = None
    confirmed: bool = False
    ack: bool = False
    f_pending: bool = False
    payload: bytes = b""
    status: str = "no tx ack"


@dataclass(slots=True)
class Flight:
    """A frame that waits for its gateway's acknowledgement; `with_payload`: for each of the frame's items."""

    frame: gw.DownlinkFrame
    dev_eui: bytes
    queue_item_id: UUID | None
    a_f_cnt_down: int
    with_payload: list[bool]
    is_data: bool
    entry: AirEntry


@dataclass(frozen=True, slots=True)
class Uplink:
    """One uplink after de-duplication."""

    id: UUID
    phy_payload: bytes
    tx_info: gw.UplinkTxInfo
    rx_info: list[gw.UplinkRxInfo]
    dr: int
    channel: int
    time: float


@dataclass(slots=True)
class Context:
    """State and helpers of the flows. Nothing here reads a clock: `now` is the time of the event or timer at hand."""

    settings: Settings
    rng: random.Random
    faults: Faults
    now: float
    join_server: JoinServer | None = None
    tables: Tables = field(init=False)
    region: Region = field(init=False)
    effects: list[Effect] = field(default_factory=list)
    flights: dict[int, Flight] = field(default_factory=dict)
    air: deque[AirEntry] = field(default_factory=lambda: deque(maxlen=MAX_AIR_LOG))
    history: dict[str, deque[Remembered]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    _timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _sequence: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.tables = Tables(self.rng, duplicates_already_exist=self.settings.duplicates_already_exist)
        region, rx2_dr = REGIONS[self.settings.region], self.settings.rx2_dr
        self.region = region if rx2_dr is None else replace(region, rx2_dr=rx2_dr)

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Run `action` when the time comes."""
        heapq.heappush(self._timers, (due, next(self._sequence), action))

    def next_due(self) -> float | None:
        """Return the time of the earliest timer."""
        return self._timers[0][0] if self._timers else None

    def run_next(self, limit: float) -> bool:
        """Run the earliest timer that is due by `limit`, at its own time; return whether there was one."""
        if not self._timers or self._timers[0][0] > limit:
            return False
        due, _, action = heapq.heappop(self._timers)
        self.now = max(self.now, due)
        action()
        return True

    def count(self, name: str) -> None:
        """Count something for the state page."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def warn(self, text: str) -> None:
        """Leave a line in the server's log."""
        self.effects.append(Warn(text))

    def owners(self, device: Device) -> tuple[Tenant, Application, DeviceProfile]:
        """Return the rows that a device belongs to."""
        application = self.tables.applications.rows[device.application_id]
        return (
            self.tables.tenants.rows[application.tenant_id],
            application,
            self.tables.profiles.rows[device.device_profile_id],
        )

    def info(self, device: Device, *, application_tags: bool = True) -> integration.DeviceInfo:
        """Describe a device for an event."""
        return messages.device_info(*self.owners(device), device, application_tags=application_tags)

    def emit(self, device: Device, kind: str, message: IntegrationMessage) -> None:
        """Send an integration event; events leave in any order within a short time, as each has a task of its own."""
        event = Event(kind, device.application_id, device.eui, message)
        self.count(f"event_{kind}")
        self._remember(event)
        delay = self.rng.uniform(0.0, self.settings.reorder_within)
        self.at(self.now + delay, lambda: self.effects.append(event))

    def log(
        self,
        device: Device,
        level: integration.LogLevel,
        code: integration.LogCode,
        description: str,
        context: dict[str, str] | None = None,
        *,
        time: float | None = None,
    ) -> None:
        """Send a `log` event."""
        at = self.now if time is None else time
        self.emit(device, "log", messages.log_event(self.info(device), at, level, code, description, context))

    def drop_item(self, item: QueueItem) -> None:
        """Remove a queue item."""
        self.tables.remove_item(item)

    def _remember(self, event: Event) -> None:
        if not self.settings.history_per_device:
            return
        kept = self.history.setdefault(event.dev_eui, deque(maxlen=self.settings.history_per_device))
        kept.append(Remembered((int(self.now * 1000), next(self._sequence)), event))
