"""Maintains subscriptions and network parameters of devices, and translates reports to events of the bridge.

Each device has a durable note of its resources at the SCEF; each subscription has a note with its device, since a
report names only the subscription.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from bindings.contract import DeviceState, Events, Memory, Reachable
from bindings.http.client import NoAnswer, NotSent
from bindings.reachability import operations
from bindings.reachability.lost import LostDevices
from bindings.reachability.models import IdleStatus, Notification, Report, Subscribed
from bindings.reachability.settings import Reachability
from bindings.reachability.wake import SHORTEST_CYCLE, Sleep, plausible
from bindings.t8.answer import Answer
from bindings.t8.client import T8Client
from bindings.t8.identity import identity_member, same_identity
from bindings.t8.links import bare_name, resource_name
from bindings.t8.operations import Operation
from bindings.t8.reading import pick, read_json, read_tolerant
from bindings.t8.trouble import FailureCause, JobFailed, refused
from bridge.errors import BridgeError, NotificationError

log = logging.getLogger(__name__)

ON_DEMAND = frozenset({"UE_REACHABILITY", "AVAILABILITY_AFTER_DDN_FAILURE"})
"""Events reported once, requested only while a downlink waits: the first is by design (TS 23.682 §5.6.1)."""

PARAMETERS = ("maximum_latency", "maximum_response_time", "suggested_downlinks")
_MEMBERS = ("maximumLatency", "maximumResponseTime", "suggestedNumberOfDlPackets")

_WATCH = "w/"
_SUBSCRIPTION = "s/"
_GONE = {404, 410}
_NOT_OFFERED = {404, 405, 501}
_AGAIN = 300.0  # seconds until a failed request is tried again
_NEXT_DAY = 86_400.0  # seconds until a request that is not offered is tried again
_AT_ONCE = 8  # subscriptions on demand that are being created
_OVERTAKEN = 10.0  # seconds that a report waits for the answers to running subscriptions
_KEPT = 4096  # devices whose power saving is remembered


class Watched(msgspec.Struct, array_like=True, gc=False):
    """The bridge's resources at the SCEF for one device. Times are whole wall-clock seconds."""

    subscriptions: dict[str, tuple[str, int]] = {}  # kind of event to (id, end)
    configuration: str = ""  # of network parameters
    parameters: tuple[int, int, int] = (0, 0, 0)  # as requested

    def with_one(self, kind: str, name: str, end: float) -> "Watched":
        """Return a copy with a subscription to a kind of event."""
        return msgspec.structs.replace(self, subscriptions=self.subscriptions | {kind: (name, int(end))})

    def without(self, name: str) -> "Watched":
        """Return a copy without a subscription."""
        left = {kind: one for kind, one in self.subscriptions.items() if one[0] != name}
        return msgspec.structs.replace(self, subscriptions=left)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Watched).decode


class ReachabilityMonitor:
    """The reachability of one network instance's devices. `destination`: where the SCEF posts reports."""

    def __init__(self, settings: Reachability, client: T8Client, memory: Memory, events: Events) -> None:
        self._settings = settings
        self._client = client
        self._memory = memory
        self._events = events
        self._standing = [kind for kind in settings.events if kind not in ON_DEMAND]
        self._on_demand = [kind for kind in settings.events if kind in ON_DEMAND]
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._sleeps: dict[str, Sleep] = {}
        self._lost = LostDevices(memory)
        self._subscribing: set[asyncio.Future[None]] = set()  # completed when the new subscription's name is stored
        self.destination = ""
        self.last_error = ""

    def device_came(self, device: str) -> None:
        """Forget what is cached of a device that another node has served so far: `shards_came` follows."""
        self._lost.device_came(device)
        self._sleeps.pop(device, None)

    def device_left(self, device: str) -> None:
        """Forget what is cached of a device that another node serves from now on."""
        self._lost.device_left(device)
        self._sleeps.pop(device, None)

    def shards_came(self) -> None:
        """Read what other nodes have noted of this node's devices, in the background."""
        self._lost.read_again()

    async def start(self) -> None:
        """Read what was reported before a restart. Raises StoreUnavailable."""
        await self._lost.load()

    # Subscriptions of a device

    def wanted(self, options: Mapping[str, int]) -> int:
        """Return a checksum of the wanted resources of a device; 0: none. `options` are those of its endpoint."""
        parameters = self._parameters(options)
        if not self._standing and not any(parameters):
            return 0
        return zlib.crc32(repr((self._standing, parameters, self.destination)).encode()) or 1

    def _parameters(self, options: Mapping[str, int]) -> tuple[int, int, int]:
        first, second, third = (options.get(name, getattr(self._settings, name)) for name in PARAMETERS)
        return first, second, third

    async def see_to(self, device: str, options: Mapping[str, int]) -> float:
        """Create the wanted resources of a device at the SCEF, and return when to call again; 0: never.

        Failures are recorded and tried again; they never fail the device's other work. Raises StoreUnavailable.
        """
        watched = await self._load(device)
        try:
            watched = await self._set_parameters(device, watched, self._parameters(options))
            watched = await self._subscribe_all(device, watched)
        except (JobFailed, NotSent, NoAnswer) as error:
            self._tell(device, error)
            not_offered = isinstance(error, JobFailed) and error.whose is FailureCause.NOT_OFFERED
            return self._events.now() + (_NEXT_DAY if not_offered else _AGAIN)
        ends = [end for kind, (_, end) in watched.subscriptions.items() if kind in self._standing]
        now = self._events.now()
        return min((max(now + (end - now) / 2, now + _AGAIN) for end in ends), default=0.0)

    async def _set_parameters(self, device: str, watched: Watched, wanted: tuple[int, int, int]) -> Watched:
        if watched.parameters == wanted:
            return watched
        members = dict(zip(_MEMBERS, wanted, strict=True))
        if watched.configuration and not any(wanted):
            await self._drop(operations.DROP_PARAMETERS, watched.configuration)
            return await self._note_parameters(device, "", wanted)
        if watched.configuration:
            answer = await self._ask(operations.CHANGE_PARAMETERS, watched.configuration, body=members)
            if answer.ok:
                return await self._note_parameters(device, watched.configuration, wanted)
            if not (answer.own and answer.status in _GONE):
                raise self._refused("PATCH network parameters", answer)
        body = {name: value for name, value in members.items() if value} | {identity_member(device): device}
        answer = await self._ask(operations.SET_PARAMETERS, body=body)
        name = _name(answer, "configurations")
        if name is None:
            raise self._refused("POST network parameters", answer)
        self._events.count("reachability_parameters_set")
        return await self._note_parameters(device, name, wanted)

    async def _note_parameters(self, device: str, configuration: str, parameters: tuple[int, int, int]) -> Watched:
        members = {"configuration": configuration, "parameters": parameters}
        return await self._note(device, lambda noted: msgspec.structs.replace(noted, **members))

    async def _subscribe_all(self, device: str, watched: Watched) -> Watched:
        now = self._events.now()
        for kind in self._standing:
            before = watched.subscriptions.get(kind)
            if before is None or before[1] - now < self._settings.lifetime / 2:
                made = await self._subscribe(device, kind, {})
                if made is None:
                    continue
                watched = made
                if before is not None:  # after the new one: no report may be missed
                    await self._drop(operations.UNSUBSCRIBE, before[0])
                    await self._memory.put(_SUBSCRIPTION + before[0], None, device)
        return watched

    async def _subscribe(self, device: str, kind: str, more: dict[str, Any]) -> Watched | None:
        """Subscribe to one kind of event of a device, and return the changed note; None if nothing had to be done."""
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscribing.add(under_way)
        try:
            return await self._post_subscription(device, kind, more)
        finally:
            self._subscribing.discard(under_way)
            under_way.set_result(None)

    async def _post_subscription(self, device: str, kind: str, more: dict[str, Any]) -> Watched | None:
        end = self._events.now() + self._settings.lifetime
        body: dict[str, Any] = {
            "notificationDestination": self.destination,
            "monitoringType": kind,
            "monitorExpireTime": self._client.clock.theirs(end),
            identity_member(device): device,
        } | more
        if kind == "UE_REACHABILITY":
            body["reachabilityType"] = "DATA"
        if kind in ON_DEMAND:
            body["idleStatusIndication"] = True
        if kind == "LOSS_OF_CONNECTIVITY" and self._settings.detection_time:
            body["maximumDetectionTime"] = self._settings.detection_time
        answer = await self._ask(operations.SUBSCRIBE, body=body)
        name = _name(answer, "subscriptions")
        if name is None and answer.ok and answer.status == 200:  # noqa: PLR2004  # reported at once, nothing remains
            await self._report(device, pick(read_json(answer.body), Report))
            return None
        if name is None:
            raise self._refused(f"POST subscription to {kind}", answer)
        granted = self._client.clock.ours(read_tolerant(answer.body, Subscribed).monitorExpireTime)
        end = end if granted is None or granted <= self._events.now() else granted
        await self._memory.put(_SUBSCRIPTION + name, device.encode(), device)
        self._events.count("reachability_subscriptions_made")
        return await self._note(device, lambda noted: noted.with_one(kind, name, end))

    def cannot_be_reached(self, device: str) -> None:
        """Ask the SCEF to report once when a device can be reached: a downlink waits for it."""
        if self._on_demand and device not in self._tasks and len(self._tasks) < _AT_ONCE:
            task = self._tasks[device] = asyncio.create_task(self._await_device(device))
            task.add_done_callback(lambda _: self._tasks.pop(device, None))

    async def _await_device(self, device: str) -> None:
        try:
            watched = await self._load(device)
            for kind in self._on_demand:
                name, end = watched.subscriptions.get(kind, ("", 0))
                if not name or end <= self._events.now():
                    await self._subscribe(device, kind, {"maximumNumberOfReports": 1})
        except (JobFailed, NotSent, NoAnswer, BridgeError) as error:
            self._tell(device, error)

    async def forget(self, device: str) -> None:
        """Remove the bridge's resources for a device from the SCEF.

        Raises JobFailed, NotSent, NoAnswer or StoreUnavailable.
        """
        if device in self._tasks:
            await asyncio.wait([self._tasks[device]])  # a subscription that it creates is removed, too
        await self._lost.forget(device)
        watched = await self._load(device)
        if watched == Watched():
            return
        if watched.configuration:
            await self._drop(operations.DROP_PARAMETERS, watched.configuration)
        for name, _ in watched.subscriptions.values():
            await self._drop(operations.UNSUBSCRIBE, name)
            await self._memory.put(_SUBSCRIPTION + name, None, device)
        await self._memory.put(_WATCH + device, None, device)

    def status(self) -> dict[str, Any]:
        """Return the requested events, and the last failure."""
        return {
            "events": list(self._settings.events),
            "being_asked_for": len(self._tasks),
            "power_saving_known": len(self._sleeps),
            "reported_unreachable": len(self._lost),
            "last_error": self.last_error,
        }

    async def stop(self) -> None:
        """Make no further subscriptions."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._lost.stop()

    # Reports

    async def commit(self, body: bytes) -> None:
        """Commit one notification. Raises NotificationError, UnknownDevice or StoreUnavailable."""
        raw = read_json(body)
        if not isinstance(raw, dict):
            raise NotificationError("no monitoring notification: not a JSON object")
        notification = pick(raw, Notification)
        name = _last(notification.subscription or "", "subscriptions")
        if name is None:
            raise NotificationError("no monitoring notification: subscription is missing")
        reports = [pick(one, Report) for one in notification.monitoringEventReports or ()]
        if not reports and not notification.cancelInd:
            self._events.count("reachability_notifications_test")
            return
        device = await self._memory.load(_SUBSCRIPTION + name)
        if device is None and self._subscribing:  # the report may have overtaken the answer with its name
            await asyncio.wait(list(self._subscribing), timeout=_OVERTAKEN)
            device = await self._memory.load(_SUBSCRIPTION + name)
        if device is None:
            self._events.count("reachability_notifications_unknown")
            raise NotificationError(f"{name[:100]!r} is not a subscription of the bridge", 404)
        await self._events.check_served(device.decode())
        for report in reports:
            await self._report(device.decode(), report)
        await self._ended(device.decode(), name, over=bool(notification.cancelInd))

    async def _report(self, device: str, report: Report) -> None:
        if same_identity(device, report.externalId, report.msisdn) is False:
            self._events.count("reachability_notifications_wrong_identity")
            log.warning(
                "a monitoring report about device %s names another device, and is dropped",
                device,
                extra={"sample": "reachability identity"},
            )
            return
        kind = report.monitoringType or "none"
        known = kind in ON_DEMAND or kind in {"LOSS_OF_CONNECTIVITY", "PDN_CONNECTIVITY_STATUS"}
        self._events.count("reachability_reports", kind=kind if known else "other")
        if report.idleStatusInfo is not None:
            self._learn(device, report.idleStatusInfo)
        said = {one.status for one in report.pdnConnInfoList or () if one.pdnType == "NON_IP"}
        if kind in ON_DEMAND or (kind == "PDN_CONNECTIVITY_STATUS" and "CREATED" in said):
            self._lost.heard(device, self._event_time(report))
            await self._events.deliver(Reachable(device))
        elif kind == "LOSS_OF_CONNECTIVITY":
            reason = "" if report.lossOfConnectReason is None else f", reason {report.lossOfConnectReason}"
            detail = f"the network reported that it lost its connection (LOSS_OF_CONNECTIVITY{reason})"
            await self._lost.lost(device, DeviceState(self._event_time(report), detail))
        elif kind == "PDN_CONNECTIVITY_STATUS" and "RELEASED" in said:
            detail = "the network reported that its PDN connection was released"
            await self._lost.lost(device, DeviceState(self._event_time(report), detail))

    def _event_time(self, report: Report) -> float:
        """Return when a report says that it happened, on our clock; now, if it says nothing or a later time."""
        at, now = self._client.clock.ours(report.eventTime), self._events.now()
        return now if at is None or at > now else at

    def heard(self, device: str, now: float) -> None:
        """Record that a device is heard now (wall seconds): it can be reached, and its power saving begins anew."""
        self._lost.heard(device, now)
        sleep = self._sleeps.get(device)
        if sleep is not None:
            self._sleeps[device] = replace(sleep, idle_since=now, is_reported=False)

    def device_state(self, device: str) -> DeviceState | None:
        """Return what the network reported of a device that cannot be reached; None: nothing, or it was heard since."""
        lost = self._lost.of(device)
        if lost is not None:
            return lost
        sleep, until = self._sleeps.get(device), self.wakes_at(device)
        if sleep is None or until is None or not sleep.is_reported:
            return None
        return DeviceState(sleep.idle_since, "the network reported that it is idle, with timers of power saving", until)

    async def _ended(self, device: str, name: str, *, over: bool) -> None:
        """Forget a subscription that has no further report: one for a single report, or one that the SCEF ended."""
        watched = await self._load(device)
        kind = next((kind for kind, (noted, _) in watched.subscriptions.items() if noted == name), "")
        if kind and (over or kind in ON_DEMAND):
            await self._note(device, lambda noted: noted.without(name))
            await self._memory.put(_SUBSCRIPTION + name, None, device)

    def _learn(self, device: str, idle: IdleStatus) -> None:
        since = self._client.clock.ours(idle.idleStatusTimestamp)
        now = self._events.now()
        since = now if since is None or since > now else since
        self._sleeps.pop(device, None)
        self._sleeps[device] = Sleep(
            since,
            plausible(idle.activeTime, 0.0),
            plausible(idle.periodicAUTimer, SHORTEST_CYCLE),
            plausible(idle.edrxCycleLength, SHORTEST_CYCLE),
        )
        if len(self._sleeps) > _KEPT:
            del self._sleeps[next(iter(self._sleeps))]

    def wakes_at(self, device: str) -> float | None:
        """Return when a sleeping device can be reached next, from its reports; None if unknown."""
        sleep, now = self._sleeps.get(device), self._events.now()
        at = None if sleep is None else sleep.wakes_at(now)
        return at if at is not None and at > now else None

    # Common parts

    async def _load(self, device: str) -> Watched:
        raw = await self._memory.load(_WATCH + device)
        return Watched() if raw is None else _decode(raw)

    async def _note(self, device: str, change: Callable[[Watched], Watched]) -> Watched:
        """Commit a change of a device's note; changes of one device are made one after the other."""
        turn = self._turns.setdefault(device, asyncio.Lock())
        async with turn:
            changed = change(await self._load(device))
            await self._memory.put(_WATCH + device, _encode(changed), device)
            return changed

    async def _ask(self, operation: Operation, *names: str, body: dict[str, Any] | None = None) -> Answer:
        return await self._client.ask(operation, *names, body=body, bounded=False)

    async def _drop(self, operation: Operation, name: str) -> None:
        answer = await self._ask(operation, name)
        if not answer.ok and not (answer.own and answer.status in _GONE):
            raise self._refused("DELETE", answer)

    def _refused(self, what: str, answer: Answer) -> JobFailed:
        if answer.own and answer.status in _NOT_OFFERED:
            return JobFailed(f"{what}: {answer}", None, FailureCause.NOT_OFFERED)
        return refused(what, answer, self._client.clock)

    def _tell(self, device: str, error: Exception) -> None:
        self.last_error = f"{device}: {error}"
        self._events.count("reachability_failures")
        log.warning("reachability of device %s: %s", device, error, extra={"sample": "reachability"})


def _name(answer: Answer, collection: str) -> str | None:
    """Return the name of the created resource; None if there is none."""
    if not answer.ok:
        return None
    return _last(answer.location, collection) or _last(read_tolerant(answer.body, Subscribed).self or "", collection)


def _last(link: str, collection: str) -> str | None:
    return resource_name(link, collection) or bare_name(link)
