"""A network server made of nothing but the provider interface: no ChirpStack, no socket. Tests say what happens."""

import itertools
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from bindings.contract import Memory
from bindings.diagnosis import Finding
from bindings.lorawan.network_events import DataUplink, NetworkEvent, TxAck
from bindings.lorawan.notes import Profile
from bindings.lorawan.provider import DeviceSnapshot, NewItem, PortsOf, QueuedItem, ServerRecord, Session, Sink
from bindings.lorawan.wanted_device import ProvisioningResult, WantedDevice
from bridge.errors import CallFailed, CallTrouble

PROFILE_ID = "p"


class ScriptedServer:
    """Keeps queues in memory; `transmit` and `hear` are what the radio does."""

    up: bool | None = None
    capacity = 8
    answers_pass = True
    why_cut_off = "it is cut off"

    def __init__(self) -> None:
        self.queues: dict[str, list[QueuedItem]] = {}
        self.past: list[NetworkEvent] = []
        self.seen_at: float | None = None
        self.device_class = "A"
        self.away = False
        self.open_count = 0
        self._ids = itertools.count(1)

    async def open(self) -> None:
        self.open_count += 1

    calls_seen = None

    async def inherit(self, earlier: object) -> None:
        pass

    async def listen(self, sink: Sink, memory: Memory) -> None:
        self.sink = sink

    async def stop_listening(self) -> None:
        pass

    async def close(self) -> None:
        self.open_count -= 1

    def _called(self) -> None:
        self.up = not self.away
        if self.away:
            raise CallFailed(CallTrouble.OUT_OF_REACH, "away", unsure=False)

    async def ping(self) -> None:
        self._called()

    async def enqueue(self, item: NewItem, *, passing: bool) -> str:
        self._called()
        item_id = f"i{next(self._ids)}"
        waiting = [] if passing else self.queues.get(item.device, [])
        added = QueuedItem(item_id, item.f_port, item.data, item.confirmed, expires_at=item.expires_at)
        self.queues[item.device] = [*waiting, added]
        return item_id

    async def next_f_cnt_down(self, device: str) -> int:
        self._called()
        return 0

    async def queue(self, device: str) -> list[QueuedItem]:
        self._called()
        return list(self.queues.get(device, []))

    async def flush(self, device: str) -> None:
        self._called()
        self.queues.pop(device, None)

    async def server_record(self, device: str) -> ServerRecord:
        self._called()
        return ServerRecord(PROFILE_ID, self.device_class, self.seen_at)

    async def snapshot(self, device: str) -> DeviceSnapshot:
        uplinks = [event for event in self.past if isinstance(event, DataUplink)]
        session = Session("01020304", uplinks[-1].f_cnt + 1, 0) if uplinks else None
        return DeviceSnapshot(await self.server_record(device), session)

    async def radio(self, profile: str, region_config: str) -> Profile:
        self._called()
        return Profile(region="EU868", revision="A", mac_version="LORAWAN_1_0_3", rx1_dr_offset=0, known=True)

    async def history(self, device: str, *, expected: bool) -> AsyncGenerator[NetworkEvent]:
        self._called()
        for event in self.past:
            yield event

    def status(self) -> Mapping[str, Any]:
        return {"up": self.up}

    async def check(self, _ports_of: PortsOf) -> list[Finding]:
        return []

    async def make_device(self, wanted: WantedDevice) -> ProvisioningResult:
        return ProvisioningResult("a", PROFILE_ID, [f"device {wanted.device}"])

    async def devices(self) -> list[tuple[str, str]]:
        return []

    async def set_integration(self, application_id: str) -> bool:
        return False

    # What the radio does

    def uplink(self, device: str, data: bytes, f_cnt: int, *, at: float, dr: int = 5) -> DataUplink:
        """Return an uplink, to be heard now or to be found in the history."""
        return DataUplink(
            device, at, self.device_class, PROFILE_ID, f"d{f_cnt}", "01020304", f_cnt, 10, dr, data, False, "eu868"
        )

    async def hear(self, event: NetworkEvent) -> None:
        self.past.append(event)
        self.seen_at = event.time
        await self.sink.commit(event)

    async def transmit(self, device: str, *, at: float) -> None:
        item = self.queues[device].pop(0)
        await self.hear(TxAck(device, at, self.device_class, PROFILE_ID, item.id))
