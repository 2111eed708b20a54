"""The binding's parts over the emulated network server itself, both in one virtual time: no socket, no sleep.

`Virtual` has a device on the air (`World` of the emulator's own tests), the binding's parts, and what was on the air.
"""

import json
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from chirpstack_api import api, common
from mock_chirpstack_kit import DEV_EUI, World

from bindings.contract import Cancellation, Kind, NetworkState, Refusal, Report, Submission
from bindings.lorawan.app_s_key import Keks
from bindings.lorawan.catch_up import CatchUp
from bindings.lorawan.chirpstack import events as cs, values
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.downlinks import Downlinks
from bindings.lorawan.evidence import Evidence
from bindings.lorawan.inbound import Inbound
from bindings.lorawan.network_events import NetworkEvent
from bindings.lorawan.notes import DeviceNote, DeviceNotes, Profile
from bindings.lorawan.outstanding import DoubtfulDevices, Outstanding, QueuesToRead
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.provider import DeviceSnapshot, NewItem, QueuedItem, ServerRecord
from bindings.lorawan.replay import Replay
from bindings.lorawan.reports import Reports
from bindings.lorawan.sealing import Sealing
from bindings.lorawan.settings import Api, EndToEnd, LorawanSettings
from bindings.lorawan.uplinks import Uplinks
from mock_network.chirpstack import device_queue
from mock_network.chirpstack.messages import to_json
from tests.bindings.bridge_side import BridgeSide, DictMemory


class VirtualProvider:
    """Asks the emulated server directly."""

    up = True
    capacity = 64
    answers_pass = True
    why_cut_off = "it is cut off"

    def __init__(self, world: World) -> None:
        self.world = world
        self.when_flushed = lambda: None  # what happens between the look at the queue and its flush
        self.when_counted = lambda: None  # what happens while the next frame counter is asked for

    @property
    def _tables(self) -> Any:
        return self.world.server.context.tables

    async def enqueue(self, item: NewItem, *, passing: bool) -> str:
        if passing:
            device_queue.flush(self._tables, self.world.device.dev_eui, keep_pending=True)
        values = {"confirmed": item.confirmed, "expires_at": item.expires_at}
        if item.f_cnt_down is not None:
            values |= {"is_encrypted": True, "f_cnt_down": item.f_cnt_down}
        return str(self.world.enqueue(item.data, item.f_port, **values))

    async def next_f_cnt_down(self, device: str) -> int:
        self.when_counted()
        row = self.world.device
        queued = [item.f_cnt_down for item in self.world.queue if item.f_cnt_down is not None]
        return max(row.session.a_f_cnt_down if row.session else 0, max(queued, default=0) + 1)

    async def queue(self, device: str) -> list[QueuedItem]:
        return [
            QueuedItem(
                str(item.id),
                item.f_port,
                item.data,
                item.confirmed,
                item.is_pending,
                item.expires_at,
                item.f_cnt_down or 0,
                item.is_encrypted,
            )
            for item in self.world.queue
        ]

    async def flush(self, device: str) -> None:
        self.when_flushed()
        device_queue.flush(self._tables, self.world.device.dev_eui)

    async def server_record(self, device: str) -> ServerRecord:
        return (await self.snapshot(device)).server_record

    async def snapshot(self, device: str) -> DeviceSnapshot:
        row = self.world.device
        found = api.GetDeviceResponse(device=row.message, class_enabled=row.enabled_class)
        if row.last_seen_at is not None:
            found.last_seen_at.FromMicroseconds(int(row.last_seen_at * 1e6))
        activation = api.GetDeviceActivationResponse()
        if row.session is not None:
            there = row.session
            activation.device_activation.CopyFrom(
                api.DeviceActivation(
                    dev_addr=f"{there.dev_addr:08x}",
                    f_nwk_s_int_key=there.keys.f_nwk_s_int_key.hex(),
                    s_nwk_s_int_key=there.keys.s_nwk_s_int_key.hex(),
                    f_cnt_up=row.f_cnt_up,
                    n_f_cnt_down=there.n_f_cnt_down,
                    a_f_cnt_down=there.a_f_cnt_down_1_1,
                )
            )
        return DeviceSnapshot(values.server_record_of(found), values.session_of(activation))

    async def radio(self, profile: str, region_config: str) -> Profile:
        return Profile(region="EU868", revision="A", mac_version="LORAWAN_1_0_3", known=True)

    async def history(self, device: str, *, expected: bool) -> AsyncGenerator[NetworkEvent]:
        for one in list(self.world.server.context.history.get(device, ())):
            yield cs.read(one.event.kind, to_json(one.event.message)).event


@dataclass
class Virtual:
    """One device, of class A unless its profile says otherwise; our wall clock is `skew` seconds ahead."""

    world: World
    lose_events: float = 0.0  # probability
    seed: int = 0
    skew: float = 0.0
    side: BridgeSide = field(default_factory=BridgeSide)
    memory: DictMemory = field(default_factory=DictMemory)
    number: int = 0
    end_to_end: EndToEnd = field(default_factory=EndToEnd)
    claimed: dict[str, str] = field(
        default_factory=dict
    )  # handle → what the binding says certainly kept it off the air

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.provider = VirtualProvider(self.world)
        self.side.now = lambda: self.world.now + self.skew
        self.memory.notes = {}
        self.start()

    def start(self) -> None:
        """Make the binding's parts, as a start of the service does."""
        settings = LorawanSettings(api=Api(server="none:1", key="k"), end_to_end=self.end_to_end)
        started_at = self.world.now
        records = self.records = DeviceNotes(self.memory)
        if records.held(DEV_EUI) is None:
            records.changed(DEV_EUI, DeviceNote())
        monotonic = lambda: self.world.now - started_at  # noqa: E731
        self.outstanding = Outstanding(records, monotonic)
        self.queues_to_read, doubts = QueuesToRead(monotonic), DoubtfulDevices()
        clock = self.clock = NetworkClock()
        self.evidence = Evidence(self.provider, records, self.outstanding, clock, self.side)
        profiles = Profiles(self.provider, records, self.side)
        keks = Keks(self.end_to_end.keks)
        sealing = Sealing(keks, self.provider, records, self.side, required=self.end_to_end.required)
        uplinks = Uplinks(settings, records, self.outstanding, profiles, sealing, clock, self.side)
        reports = Reports(self.outstanding, self.evidence, self.side)
        self.inbound = Inbound(records, self.outstanding, uplinks, reports, clock, doubts, self.side)
        self.downlinks = Downlinks(
            settings,
            self.provider,
            sealing,
            records,
            self.outstanding,
            self.evidence,
            clock,
            doubts,
            self.queues_to_read,
            self.side,
        )
        replay = Replay(records, uplinks, reports, self.side)
        self.catch_up = CatchUp(settings, self.provider, records, replay, self.side)
        profiles.see = lambda *_: None  # its tasks have no place in virtual time
        for key in ("", str(self.world.device_profile.id)):
            records._profiles[key] = Profile(region="EU868", revision="A", mac_version="LORAWAN_1_0_3", known=True)

    async def restart(self, *, kept: bool) -> None:
        """Start anew; `kept`: the notes were written before."""
        if kept:
            await self.records.write()
        self.start()

    async def passes(self, seconds: float) -> None:
        """Let time pass, and bring the binding what happened meanwhile."""
        self.world.run(seconds)
        await self.deliver()

    async def deliver(self) -> None:
        brought, self.world.events[:] = list(self.world.events), []
        for kind, body in brought:
            if self.random.random() >= self.lose_events:
                await self.commit(kind, body)

    async def commit(self, kind: str, body: Any) -> None:
        await self.inbound.commit(cs.read(kind, body if isinstance(body, bytes) else _json(body)).event)

    async def join(self) -> None:
        self.world.hear(self.world.node.join_request())
        self.world.run(1)
        frames = [frame for frame in self.world.frames if frame.items[0].phy_payload[0] == 0x20]
        self.world.node.joined(frames[-1].items[0].phy_payload)
        await self.deliver()

    async def up(self, *, seconds: float = 1.0, **more: Any) -> None:
        self.world.up(seconds=seconds, **more)
        await self.deliver()

    async def submit(self, payload: bytes = b"request", *, ttl: float | None = 60.0, **members: Any) -> str:
        self.number += 1
        kind = members.pop("kind", Kind.REQUEST)
        deadline = None if ttl is None else self.side.now() + ttl
        attempt = Submission(self.number, 1, DEV_EUI, payload, kind, deadline, **members)
        return (await self.downlinks.submit(attempt, None)).handle

    async def cancel(self, handle: str) -> Cancellation:
        result = await self.downlinks.cancel(DEV_EUI, handle)
        if result is Cancellation.REMOVED:
            self.claimed[handle] = "removed"
        return result

    def reports(self, handle: str) -> list[NetworkState | Refusal | None]:
        return [one.outcome for one in self.side.of(Report) if one.handle == handle]

    def refused(self) -> dict[str, str]:
        """Return what the binding says certainly never reached the device."""
        reported = {one.handle: one.outcome.value for one in self.side.of(Report) if isinstance(one.outcome, Refusal)}
        return self.claimed | reported

    def on_the_air(self) -> set[str]:
        """Return the queue items that a gateway was given, whether it said so or not."""
        return {entry.queue_item_id for entry in self.world.server.context.air if entry.queue_item_id and entry.f_port}

    def class_c(self) -> None:
        self.world.device.enabled_class = common.CLASS_C


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()
