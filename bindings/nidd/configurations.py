"""The life of NIDD configurations: made, adopted, renewed, made again, removed (TS 29.122 §4.4.5.2).

One job per device at a time. Jobs are found by going over the records for those that are due, page by page, so that
100 000 devices to provision are no more in memory than a few; a downlink for a device that has no configuration yet
does its job at once. All progress is in the records: a restart goes on where it stopped.
"""

import asyncio
import logging
import zlib
from collections import deque
from typing import Any

import msgspec

from bindings.contract import Events, Flushed
from bindings.http.client import NoAnswer, NotSent
from bindings.nidd import operations
from bindings.nidd.models import Configuration
from bindings.nidd.packet_size import unit_warning
from bindings.nidd.records import Record, Records, State
from bindings.nidd.settings import NiddSettings
from bindings.t8.answer import Answer
from bindings.t8.client import T8Client
from bindings.t8.identity import canonical_device, identity_member
from bindings.t8.links import configuration_id
from bindings.t8.problems import describe
from bindings.t8.reading import read_tolerant, read_tolerant_list
from bindings.t8.times import format_time, parse_time
from bridge.errors import BridgeError, ConfigurationError, UnknownDevice

log = logging.getLogger(__name__)

_FRESH = 1000  # devices noted for work at once; more of them are found by the next pass
_STRIDE = 200  # records looked at before others get their turn
_REST = 0.00025  # real seconds of rest for each record after a pass: passes cost a few per cent of a core at most
_TICK = 0.25  # seconds between looks at the clock of the bridge, which may run faster than real time
_STORE_PAUSE = 5.0  # real seconds before a device's next job when the store fails, at most
_LISTING_GOOD = 60.0  # real seconds that a list of configurations is good for after a refusal that may be a conflict
_LISTING_GOOD_CONFLICT = 2.0  # the same after a plain conflict
_SIZE_WARNINGS = 10  # different sizes warned about
_TEST_NOTIFICATION = 0x2  # feature 2 of 3gpp-nidd: Notification_test_event (TS 29.122 §5.6.4)


class _Failed(Exception):
    """A job could not be done; tried again later, `after` seconds if the SCEF said so."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Configurations:
    """Keeps the configuration of every provisioned device. `start` once, `stop` once."""

    def __init__(self, settings: NiddSettings, client: T8Client, records: Records, events: Events) -> None:
        self._settings = settings.configurations
        self._downlinks = settings.downlinks
        self._client = client
        self._records = records
        self._events = events
        self._url = ""
        self._mark = 0
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._strays: dict[str, Configuration] = {}
        self._listed_at: float | None = None
        self._list_lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(self._settings.parallelism)
        self._wake = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._next_due = 0.0
        self._rest_until = 0.0
        self._stopping = False
        self._fresh: deque[str] = deque()
        self.last_error = ""
        self.done = 0
        self.size_warnings: list[str] = []

    def start(self, url: str) -> None:
        """Begin to work through what is due; `url` is where the SCEF is to send notifications."""
        self._url = url
        self._mark = zlib.crc32(url.encode()) or 1
        self._records.count()
        self._runner = asyncio.create_task(self._run(), name="nidd-configurations")

    async def stop(self, patience: float = 5.0) -> None:
        """Begin nothing new, let the jobs under way finish within `patience` seconds."""
        self._stopping = True  # beside the cancellation, which a library may swallow
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        jobs = list(self._jobs.values())
        if jobs:
            _, late = await asyncio.wait(jobs, timeout=patience)
            for job in late:
                job.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def want(self, device: str, record: Record) -> None:
        """Commit a new or changed record that needs work, and see to it soon. Raises StoreUnavailable."""
        await self._records.put(device, record)
        if self._when(record) > self._events.now():
            self._next_due = min(self._next_due, self._when(record))
        elif len(self._fresh) < _FRESH:
            self._fresh.append(device)
        else:
            self._next_due = 0.0
        self._wake.set()

    async def lost(self, device: str, record: Record, why: str, after: float = 0.0) -> None:
        """Note that the SCEF ended or forgot a configuration: tell the core (R31), make it again after `after` seconds.

        Raises StoreUnavailable.
        """
        log.warning("configuration of %s is gone: %s", device, why)
        self._events.count("nidd_configurations_lost")
        try:
            await self._events.deliver(Flushed(device, why))
        except UnknownDevice:
            log.info("%s is not in the directory: nobody to tell", device)
        due = int(self._events.now() + after)
        await self.want(device, msgspec.structs.replace(record, state=State.LOST, due=due, learned=0))

    async def ensure(self, device: str) -> Record | None:
        """Give the record of a device that has a configuration, making it now if need be; None if that failed."""
        record = self._records.get(device)
        if record is not None and record.state is State.ACTIVE:
            return record
        waiting = record is not None and record.failures and record.due > self._events.now()
        if record is None or record.state is State.REMOVING or waiting:
            return None
        await asyncio.shield(self._begin(device))
        record = self._records.get(device)
        return record if record is not None and record.state is State.ACTIVE else None

    async def settled(self, device: str | None) -> None:
        """Wait for a job of the device that is under way: its configuration may be made, its id not yet known."""
        job = self._jobs.get(device) if device else None
        if job is not None:
            await asyncio.wait([job])

    async def _run(self) -> None:
        while not self._stopping:
            try:
                while self._fresh:
                    await self._launch(self._fresh.popleft())
                if self._events.now() >= self._next_due and asyncio.get_running_loop().time() >= self._rest_until:
                    await self._pass()
                self._wake.clear()
                if not self._fresh:
                    async with asyncio.timeout(_TICK):
                        await self._wake.wait()
            except TimeoutError:
                continue
            except Exception:
                log.exception("provisioning stumbled and goes on")
                self._events.count("nidd_internal_errors")
                await asyncio.sleep(1.0)

    async def _pass(self) -> None:
        """Go over all records once, beginning the jobs that are due, and find out when to look again."""
        self._next_due = soonest = float("inf")
        seen = 0
        for device, record in self._records.all():
            seen += 1
            when = self._when(record)
            if when > self._events.now():
                soonest = min(soonest, when)
                if seen % _STRIDE == 0:
                    await asyncio.sleep(0)
                continue
            while self._fresh:  # a device that was just added does not wait for a pass over all of them
                await self._launch(self._fresh.popleft())
            await self._launch(device)
        self._next_due = min(self._next_due, soonest)
        self._rest_until = asyncio.get_running_loop().time() + seen * _REST

    def _when(self, record: Record) -> float:
        """Say when a record needs work; never: infinity."""
        if record.state is not State.ACTIVE:
            return record.due
        if record.destination != self._mark:
            return record.due if record.failures else 0
        return record.due or float("inf")

    async def _launch(self, device: str) -> None:
        """Begin the job of a device if it needs one now, within parallelism and pace."""
        record = self._records.get(device)
        if record is None or device in self._jobs or self._when(record) > self._events.now():
            return
        await self._slots.acquire()
        self._begin(device).add_done_callback(lambda _: self._slots.release())
        await asyncio.sleep(1.0 / self._settings.pace)

    def _begin(self, device: str) -> asyncio.Task[None]:
        job = self._jobs.get(device)
        if job is None:
            job = self._jobs[device] = asyncio.create_task(self._job(device), name=f"nidd-configuration-{device}")
            job.add_done_callback(lambda _: self._ended(device))
        return job

    def _ended(self, device: str) -> None:
        self._jobs.pop(device, None)
        record = self._records.get(device)
        if record is not None and self._when(record) <= self._events.now():
            self._next_due = 0.0  # it changed meanwhile and needs another one
            self._wake.set()

    async def _job(self, device: str) -> None:
        """Do what the record asks for; a failure is noted in it and tried again, with growing pauses."""
        record = self._records.get(device)
        if record is None:
            return
        try:
            match record.state:
                case State.REMOVING:
                    await self._remove(device, record)
                case State.ACTIVE if record.destination != self._mark:
                    await self._redirect(device, record)
                case State.ACTIVE:
                    await self._renew(device, record)
                case _:
                    await self._make(device, record)
            self.done += 1
        except (_Failed, NotSent, NoAnswer, BridgeError) as error:
            await self._failed(device, record, error)
        except Exception as error:
            log.exception("configuration of %s: a mistake in the bridge", device)
            self._events.count("nidd_internal_errors")
            await self._failed(device, record, error)

    async def _failed(self, device: str, record: Record, error: Exception) -> None:
        self.last_error = f"{device}: {error}"
        self._events.count("nidd_configuration_failures")
        settings = self._settings
        pause = min(settings.retry_max, settings.retry_min * 2 ** min(record.failures, 20))
        if isinstance(error, _Failed) and error.after is not None:
            pause = max(pause, error.after)
        if isinstance(error, NoAnswer | BridgeError):
            self._listed_at = None  # something may have been made that is not known: look before the next try
        log.warning("configuration of %s: %s; next try in %.0f s", device, error, pause)
        current = self._records.get(device) or record
        due = int(self._events.now() + pause) + 1
        try:
            await self.want(device, msgspec.structs.replace(current, due=due, failures=record.failures + 1))
        except BridgeError as store:
            log.warning("configuration of %s: cannot be noted: %s", device, store)
            await asyncio.sleep(min(pause, _STORE_PAUSE))  # the pause cannot be noted, so it is made here

    # Making and adopting

    async def _make(self, device: str, record: Record) -> None:
        if self._settings.adopt and await self._adopt(device, record, None):
            return
        answer = await self._client.ask(operations.CREATE, body=self._creation(device, record))
        if not answer.ok:
            # SCEFs say in many ways that there is one already: 409, 403, 400, 500.
            good = _LISTING_GOOD_CONFLICT if answer.status == 409 else _LISTING_GOOD  # noqa: PLR2004
            conflict = answer.status in {400, 403, 409, 500}
            if conflict and await self._adopt(device, record, good):
                return
            raise _Failed(f"POST configurations: {describe(answer)}", answer.retry_seconds(self._events.now()))
        body = read_tolerant(answer.body, Configuration)
        found = _id_of(answer, body)
        if found is None:
            self._listed_at = None
            if await self._adopt(device, record, 0.0):
                return
            raise _Failed("POST configurations: neither Location nor self names the configuration")
        await self._activate(device, record, found, body)
        self._events.count("nidd_configurations_made")

    def _creation(self, device: str, record: Record) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {"notificationDestination": self._url, identity_member(device): device}
        features = settings.supported_features
        if settings.request_test_notification:
            body["requestTestNotification"] = True
            if features:
                features = f"{int(features, 16) | _TEST_NOTIFICATION:X}"
        if features:
            body["supportedFeatures"] = features
        if settings.mtc_provider_id:
            body["mtcProviderId"] = settings.mtc_provider_id
        if settings.duration:
            body["duration"] = format_time(self._events.now() + settings.duration)
        if option := record.pdn or self._downlinks.pdn_establishment_option:
            body["pdnEstablishmentOption"] = option
        if self._downlinks.reliable_data_service if record.reliable is None else record.reliable:
            body["reliableDataService"] = True
        return body

    async def _adopt(self, device: str, record: Record, good: float | None) -> bool:
        """Take over a configuration that the SCEF has for the device; False if it has none.

        `good`: real seconds that a list may be old; None: as old as this process.
        """
        await self._list(good)
        found = self._strays.get(device)
        if found is not None:
            await self._list(_LISTING_GOOD)  # an old list may name what is long gone
            found = self._strays.get(device)
        name = configuration_id(found.self or "") if found else None
        if found is None or name is None:
            return False
        if found.notificationDestination != self._url and not await self._point_here(name, record):
            await self._delete(name)
            self._strays.pop(device, None)
            return False
        await self._activate(device, record, name, found)
        self._strays.pop(device, None)
        self._events.count("nidd_configurations_adopted")
        log.info("adopted configuration %s of %s", name, device)
        return True

    async def _list(self, good: float | None) -> None:
        """Get all configurations of ours and note those that no record is ACTIVE with."""
        began = asyncio.get_running_loop().time()
        async with self._list_lock:
            if self._listed_at is not None and (good is None or self._listed_at >= began - good):
                return
            answer = await self._client.ask(operations.LIST, limit=operations.LIST_LIMIT)
            if answer.status in {404, 405, 406, 501}:  # not offered, or the field's way to say "none"
                listed: list[Configuration] | None = []
            elif answer.ok:
                listed = read_tolerant_list(answer.body, Configuration)
            else:
                raise _Failed(f"GET configurations: {describe(answer)}", answer.retry_seconds(self._events.now()))
            if listed is None:
                raise _Failed(f"GET configurations: {answer.status} without a list")
            self._strays = {}
            for one in listed:
                self._note_stray(one)
            self._listed_at = began

    def _note_stray(self, one: Configuration) -> None:
        name = configuration_id(one.self or "")
        try:
            device = canonical_device(one.externalId or one.msisdn or "")
            other = canonical_device(one.msisdn) if one.externalId and one.msisdn else None
        except ConfigurationError:
            return
        if other is not None and self._records.get(device) is None:
            device = other  # both members given, and we know the device by the second
        if name is None or (one.status or "").startswith("TERMINATED"):
            return
        record = self._records.get(device)
        if record is not None and record.state is State.ACTIVE:
            return
        if device not in self._strays or one.notificationDestination == self._url:
            self._strays[device] = one

    async def _activate(self, device: str, record: Record, name: str, body: Configuration) -> None:
        now = self._events.now()
        expires = parse_time(body.duration)
        if expires is None and self._settings.duration:
            expires = now + self._settings.duration
        span, due = self._renewal(now, expires)
        size = max(0, min(body.maximumPacketSize or record.packet_size, 1 << 31))
        self._note_size(size)
        current = self._records.get(device) or record
        if current.state is State.REMOVING:  # meanwhile not wanted any more
            await self._records.put(device, msgspec.structs.replace(current, configuration=name, due=int(now)))
            return
        await self._records.put(
            device,
            msgspec.structs.replace(
                current,
                state=State.ACTIVE,
                due=due,
                configuration=name,
                packet_size=size,
                learned=0,
                span=span,
                failures=0,
                destination=self._mark,
            ),
        )
        if due:
            self._next_due = min(self._next_due, float(due))

    def _note_size(self, size: int) -> None:
        warning = unit_warning(size, self._downlinks.packet_size_unit)
        if warning is not None and warning not in self.size_warnings and len(self.size_warnings) < _SIZE_WARNINGS:
            self.size_warnings.append(warning)
            self._events.count("nidd_suspicious_packet_size")
            log.warning("%s", warning)

    def _renewal(self, now: float, expires: float | None) -> tuple[int, int]:
        """Give the seconds granted and when to renew; zeros where there is no end."""
        if expires is None:
            return 0, 0
        span = max(1.0, expires - now)
        return round(span), int(expires - min(self._settings.renewal_margin, span / 2))

    # Keeping

    async def _renew(self, device: str, record: Record) -> None:
        now = self._events.now()
        wanted = now + (self._settings.duration or record.span)
        answer = await self._client.ask(operations.CHANGE, record.configuration, body={"duration": format_time(wanted)})
        if answer.ok:
            body = read_tolerant(answer.body, Configuration)
            body.duration = body.duration or format_time(wanted)
            await self._activate(device, record, record.configuration, body)
            return
        if answer.status == 404:  # noqa: PLR2004
            await self.lost(device, record, "not found at renewal")
            return
        self._retry_later(answer, record, "PATCH configuration")
        await self._replace(device, record, f"renewal refused: {describe(answer)}")

    async def _redirect(self, device: str, record: Record) -> None:
        """Tell the SCEF our new callback URL."""
        if await self._point_here(record.configuration, record):
            current = self._records.get(device) or record
            await self._records.put(device, msgspec.structs.replace(current, destination=self._mark, failures=0))
            return
        await self._replace(device, record, "the callback URL has changed and cannot be patched")

    async def _replace(self, device: str, record: Record, why: str) -> None:
        """Delete and make again: what the SCEF held in it is dropped (R31)."""
        await self._delete(record.configuration)
        await self.lost(device, record, why)
        await self._make(device, self._records.get(device) or record)

    async def _point_here(self, name: str, record: Record) -> bool:
        """Change notificationDestination (Rel-17); False if this SCEF does not, or takes the PATCH and ignores it."""
        answer = await self._client.ask(operations.CHANGE, name, body={"notificationDestination": self._url})
        if answer.ok:
            said = read_tolerant(answer.body, Configuration).notificationDestination
            return said is None or said == self._url
        self._retry_later(answer, record, "PATCH configuration")
        return False

    async def _remove(self, device: str, record: Record) -> None:
        if record.configuration:
            await self._delete(record.configuration)
        current = self._records.get(device)
        if current is not None and current.state is not State.REMOVING:
            return  # meanwhile wanted again: it is LOST and will be made
        await self._records.remove(device)
        self._events.count("nidd_configurations_removed")

    async def _delete(self, name: str) -> None:
        answer = await self._client.ask(operations.DELETE, name)
        if not answer.ok and answer.status not in {404, 410}:
            raise _Failed(f"DELETE configuration: {describe(answer)}", answer.retry_seconds(self._events.now()))

    def _retry_later(self, answer: Answer, record: Record, what: str) -> None:
        """Raise for an answer that says nothing against the request itself.

        Some SCEFs answer 500 to what they do not know, so that means no after a second try.
        """
        if answer.status in {401, 408, 429, 502, 503, 504} or (answer.status == 500 and record.failures == 0):  # noqa: PLR2004
            raise _Failed(f"{what}: {describe(answer)}", answer.retry_seconds(self._events.now()))

    def status(self) -> dict[str, Any]:
        """Give configurations by state and progress."""
        return {
            **{state.name.lower(): count for state, count in self._records.by_state.items()},
            "under_way": len(self._jobs),
            "done": self.done,
            "last_error": self.last_error,
        }


def _id_of(answer: Answer, body: Configuration) -> str | None:
    for link in (answer.location, body.self):
        if link and (name := configuration_id(link)) is not None:
            return name
        if link and link.strip("/") and "/" not in link.strip("/"):
            return link.strip("/")  # relative to the collection
    return None
