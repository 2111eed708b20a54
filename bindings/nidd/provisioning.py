"""Schedules the work on devices' configurations: at a pace that the SCEF handles, resumed after a restart.

One job per device at a time. Due jobs are found by reading the records page by page, so that 100 000 devices
to provision need no more memory than a few. A downlink for a device without a configuration starts its
job immediately. All progress is in the records: a restart continues from there.
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

import msgspec

from bindings.contract import MISS, Events
from bindings.http.client import NoAnswer, NotSent
from bindings.nidd.endpoint_options import ports_of
from bindings.nidd.life_cycle import LifeCycle
from bindings.nidd.notes import DeviceNote, DeviceNotes, State, moved_back
from bindings.nidd.pace import RequestPace
from bindings.nidd.progress import Progress
from bindings.nidd.repair import find_missing
from bindings.nidd.settings import NiddSettings
from bindings.reachability.watch import ReachabilityMonitor
from bindings.shown_calls import device_of_call
from bindings.t8.client import T8Client
from bindings.t8.trouble import FailureCause, JobFailed
from bridge.errors import BridgeError, StoreUnavailable

log = logging.getLogger(__name__)

_FRESH = 1000  # devices queued for work; more are found by the next pass
_NOTED = 512  # notes of new devices that are committed at the same time, in shared flushes
_STRIDE = 200  # records checked before other work gets its turn
_REST = 0.00025  # real seconds of pause for each record after a pass: passes cost at most a few per cent of a core
_TICK = 0.25  # seconds between reads of the bridge's clock, which may run faster than real time
_STORE_PAUSE = 5.0  # real seconds before a device's next job when the store fails, at most
TOGETHER = 5.0  # real seconds in which devices of shards that a node takes at its start come; one list is for all
_AGAIN = 1.0  # real seconds until the records are read again if that failed
_REPAIR_PAUSE = 60.0  # real seconds until the SCEF is asked again for its list
_CLAIMS = 4  # unknown configurations of uplinks that are checked at the same time
_SURE = 900.0  # seconds by which a time must be too far ahead before a clock is blamed: no other pause is as long
_SET_BACK = "the next try was to come too late, since the clock was set back: it comes now"
_BUG = {"sample": "nidd bug"}


class Provisioning:
    """Maintains the configuration of every provisioned device. `start` once, `stop` once."""

    def __init__(
        self, settings: NiddSettings, client: T8Client, records: DeviceNotes, events: Events, watch: ReachabilityMonitor
    ) -> None:
        self._settings = settings.configurations
        self._records = records
        self._events = events
        self.life = LifeCycle(settings, client, records, events, watch)
        self._pace = RequestPace(self._settings.parallelism, self._settings.pace)
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._notes: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._turn = asyncio.Event()  # a job ended, so that another may begin
        self._runners: list[asyncio.Task[None]] = []
        self._next_due = 0.0
        self._rest_until = 0.0
        self._stopping = False
        self._is_first_pass = True
        self._is_compared = False  # whether the comparison with the SCEF's list was begun
        self._fresh: deque[str] = deque()
        self._claims = 0
        self._well_at = float("-inf")  # when a job last succeeded
        self._unclear: set[str] = set()  # devices with failures of unclear cause since then
        self.progress = Progress()
        self.last_error = ""

    async def with_ports(self, most: int) -> list[tuple[str, DeviceNote]]:
        """Return devices that have a configuration and RDS ports, `most` at most. Raises StoreUnavailable."""
        found: list[tuple[str, DeviceNote]] = []
        async with contextlib.aclosing(self._records.all()) as records:
            async for device, record in records:
                if record.state is State.ACTIVE and record.configuration and ports_of(record):
                    found.append((device, record))
                    if len(found) >= most:
                        break
        return found

    def start(self, url: str) -> None:
        """Begin to work on due jobs; `url` is where the SCEF sends notifications."""
        self.life.destination = url
        self._runners = [asyncio.create_task(self._run(), name="nidd-provisioning")]
        if self._records.by_state[State.ACTIVE]:
            self._begin_repair(0.0)

    async def stop(self, patience: float = 5.0) -> None:
        """Begin nothing new, and wait `patience` seconds for running jobs."""
        self._stopping = True  # in addition to the cancellation, which a library may swallow
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        under_way = [*self._jobs.values(), *self._notes.values()]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=patience)
            for job in late:
                job.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # For the rest of the binding

    async def add(self, device: str, record: DeviceNote) -> None:
        """Queue a new device for work. Its note is committed soon, together with those of devices added after it.

        A crash before that loses nothing: every device is added again after each start.
        """
        while len(self._notes) >= _NOTED:
            await asyncio.wait(self._notes.values(), return_when=asyncio.FIRST_COMPLETED)
        note = self._notes[device] = asyncio.create_task(self._note(device, record))
        note.add_done_callback(lambda _: self._notes.pop(device, None))

    async def noted(self, device: str) -> DeviceNote | None:
        """Return the record of a device, its note committed if it was just added; None if there is none."""
        note = self._notes.get(device)
        if note is not None:
            await asyncio.wait([note])
        return await self._records.get(device)

    async def _note(self, device: str, record: DeviceNote) -> None:
        try:
            await self.want(device, record)
        except BridgeError as error:
            self.last_error = f"{device}: {error}"
            self._events.count("nidd_configuration_failures")
            log.warning(
                "the configuration of device %s cannot be stored: %s", device, error, extra={"sample": "nidd note"}
            )
        except Exception:
            log.exception(
                "device %s cannot be stored because of a bug in the bridge, and is added again at the next start",
                device,
                extra=_BUG,
            )
            self._events.count("nidd_internal_errors")

    def device_came(self, device: str) -> None:
        """Read the record of a device again, which another node has served so far, and see whether it needs work."""
        if device not in self._jobs:
            self._records.forget(device)
        self._next_due = 0.0
        self._wake.set()
        self._begin_repair(TOGETHER)

    def device_left(self, device: str) -> None:
        """Forget the record of a device that another node serves from now on: what is cached would get old."""
        if device not in self._jobs:
            self._records.forget(device)

    def shards_came(self) -> None:
        """Check all records of this node's devices: some may be of devices whose endpoint was removed.

        The node that removed it may have ended before the SCEF had removed the configuration.
        """
        self._records.forget_all(but=self._jobs)
        self._next_due = 0.0
        self._wake.set()

    async def want(self, device: str, record: DeviceNote) -> None:
        """Commit a new or changed record that needs work, and work on it soon. Raises StoreUnavailable."""
        await self._records.put(device, record)
        self._see_to(device, record)

    def _see_to(self, device: str, record: DeviceNote) -> None:
        when = self._when(record)
        if when > self._events.now():
            self._next_due = min(self._next_due, when)
        elif len(self._fresh) < _FRESH:
            self._fresh.append(device)
        else:
            self._next_due = 0.0
        self._wake.set()

    async def doubt(self, device: str, record: DeviceNote, *, not_before: float = 0.0) -> None:
        """Have it checked at the SCEF whether a configuration is gone. Raises StoreUnavailable.

        `not_before`: if it is gone, it is not created again before that time.
        """
        doubted = {"state": State.DOUBTED, "due": int(self._events.now()), "not_before": int(not_before)}
        await self.want(device, msgspec.structs.replace(record, failures=0, **doubted))

    async def ensure(self, device: str) -> DeviceNote | None:
        """Return the record of a device with a configuration, created now if necessary; None if that failed."""
        record = await self._records.get(device)
        if record is not None and record.state is State.ACTIVE:
            return record
        record = await self.noted(device)
        if record is None or record.state is State.REMOVING or record.due > self._events.now() or self.is_resting:
            return None
        job = self._begin(device)
        await asyncio.wait([job])  # not cancelled with its caller; if a stop cancels it, there is no configuration
        if not job.cancelled():
            job.result()
        record = await self._records.get(device)
        return record if record is not None and record.state is State.ACTIVE else None

    @property
    def is_resting(self) -> bool:
        """Return whether requests to the SCEF pause, so that no configuration is created now."""
        return self._pace.is_resting(asyncio.get_running_loop().time())

    async def settled(self, device: str | None) -> None:
        """Wait for a running job of the device: its configuration may exist under a yet unknown id."""
        job = self._jobs.get(device) if device else None
        if job is not None:
            await asyncio.wait([job])

    async def claims(self, device: str, name: str) -> bool:
        """Return whether the SCEF confirms an unknown configuration of the device, which the record names from now on.

        So a second configuration that was created by mistake, by the bridge or a proxy, loses no uplink and does not
        leak. The device is served here. Raises StoreUnavailable, also if the SCEF cannot be asked now.
        """
        record = await self._records.get(device)
        if record is None or record.state is State.REMOVING:
            return False
        if self._claims >= _CLAIMS:
            raise StoreUnavailable(f"configuration {name} of {device} is checked later: others are being checked")
        former = record.configuration if record.state in {State.ACTIVE, State.DOUBTED} else ""
        self._claims += 1
        try:
            if not await self.life.take_over(device, record, name, former):
                return False
        except (NotSent, NoAnswer, JobFailed) as error:
            self.last_error = f"{device}: {error}"
            if isinstance(error, JobFailed) and error.whose is not FailureCause.NETWORK:
                return False
            raise StoreUnavailable(f"configuration {name} of {device} cannot be checked now: {error}") from error
        finally:
            self._claims -= 1
        if former:
            log.warning(
                "configuration %s of %s replaced by %s, which the SCEF uses", former, device, name,
                extra={"sample": "nidd surplus"},
            )  # fmt: skip
        return True

    # The SCEF's list at start

    def _begin_repair(self, wait: float) -> None:
        """Begin `_repair` after `wait` seconds, unless it was begun before, or is not wanted."""
        if self._settings.repair and not self._is_compared and self._runners and not self._stopping:
            self._is_compared = True
            self._runners.append(asyncio.create_task(self._repair(wait), name="nidd-repair"))

    async def _repair(self, wait: float) -> None:
        """Compare the records with the SCEF's list, once, and check each configuration that is not in it."""
        await asyncio.sleep(wait)
        while not self._stopping:
            try:
                if not await self._has_active():
                    return
                await find_missing(self.life, self._records, self.doubt)
            except (JobFailed, NotSent, NoAnswer, BridgeError) as error:
                self._tell("the list of configurations", error)
                await asyncio.sleep(_REPAIR_PAUSE)
            except Exception:
                log.exception(
                    "the SCEF's list of configurations could not be used because of a bug in the bridge", extra=_BUG
                )
                self._events.count("nidd_internal_errors")
                await asyncio.sleep(_REPAIR_PAUSE)
            else:
                return

    async def _has_active(self) -> bool:
        async for _, record in self._records.all():
            if record.state is State.ACTIVE:
                return True
        return False

    # Scheduling

    async def _run(self) -> None:
        while not self._stopping:
            try:
                while self._fresh:
                    await self._launch(self._fresh.popleft())
                if self._events.now() >= self._next_due and asyncio.get_running_loop().time() >= self._rest_until:
                    await self._pass()
                self.progress.tell(self._remaining(), asyncio.get_running_loop().time())
                self._wake.clear()
                if not self._fresh:
                    async with asyncio.timeout(_TICK):
                        await self._wake.wait()
            except TimeoutError:
                continue
            except StoreUnavailable as error:
                log.warning("devices to provision cannot be read: %s", error, extra={"sample": "nidd pass"})
                await self._look_again()
            except Exception:
                log.exception(
                    "a step of provisioning failed because of a bug in the bridge; provisioning goes on", extra=_BUG
                )
                self._events.count("nidd_internal_errors")
                await self._look_again()

    async def _look_again(self) -> None:
        """Have all records read again soon: a pass that ended early has not seen all of them."""
        self._next_due = 0.0
        await asyncio.sleep(_AGAIN)

    async def _pass(self) -> None:
        """Read all records once, begin due jobs, and compute when to read again."""
        self._next_due = soonest = float("inf")
        seen = 0
        async for device, record in self._records.all():
            seen += 1
            when = self._when(await self._with_true_times(device, record) if self._is_first_pass else record)
            if when > self._events.now():
                soonest = min(soonest, when)
                if seen % _STRIDE == 0:
                    await asyncio.sleep(0)
                continue
            while self._fresh:  # a device that was just added does not wait for a pass over all records
                await self._launch(self._fresh.popleft())
            await self._launch(device)
        self._is_first_pass = False
        self._next_due = min(self._next_due, soonest)
        self._rest_until = asyncio.get_running_loop().time() + seen * _REST

    async def _with_true_times(self, device: str, record: DeviceNote) -> DeviceNote:
        """Return a record whose work does not wait for a time that a wrong clock has set. Raises StoreUnavailable.

        Nodes of a cluster keep the database's time, which is not asked about here.
        """
        now = self._events.now()
        moved = None if self._records.is_shared else moved_back(record, now, self._settings.retry_max + _SURE)
        if moved is None or device in self._jobs:
            return record
        log.warning("%s: %s", device, _SET_BACK, extra={"sample": "nidd set back"})
        await self._records.put(device, moved, _SET_BACK if record.failures else "")
        return moved

    def _when(self, record: DeviceNote) -> float:
        """Return when a record needs work; never: infinity."""
        if record.state is not State.ACTIVE:
            return record.due
        if record.destination != self.life.mark_of(record):
            return record.due if record.failures else 0
        return min(record.due or float("inf"), self.life.watch_due(record))

    async def _launch(self, device: str) -> None:
        """Begin the job of a device if it needs one, when the pace allows it."""
        loop = asyncio.get_running_loop()
        while (wait := self._pace.wait(loop.time())) > 0:
            self.progress.tell(self._remaining(), loop.time())
            self._turn.clear()
            try:
                async with asyncio.timeout(min(wait, _TICK)):
                    await self._turn.wait()
            except TimeoutError:
                continue
        record = await self._records.get(device)
        if record is None or device in self._jobs or self._when(record) > self._events.now():
            return
        self._begin(device)

    def _begin(self, device: str) -> asyncio.Task[None]:
        job = self._jobs.get(device)
        if job is None:
            self._pace.began(asyncio.get_running_loop().time())
            job = self._jobs[device] = asyncio.create_task(self._job(device), name=f"nidd-configuration-{device}")
            job.add_done_callback(lambda _: self._ended(device))
        return job

    def _ended(self, device: str) -> None:
        self._jobs.pop(device, None)
        self._turn.set()
        record = self._records.cached(device)
        if record is None:
            return
        if record is MISS or (when := self._when(record)) <= self._events.now():
            self._next_due = 0.0  # it changed meanwhile, or the network failed: it needs another job
            self._wake.set()
        else:
            self._next_due = min(self._next_due, when)

    async def _job(self, device: str) -> None:
        """Carry out the job that a record needs. A failure is recorded in it and tried again, with growing pauses."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        device_of_call.set(device)
        try:
            record = await self._records.get(device)
        except BridgeError as error:
            self._pace.ended()
            self._tell(device, error)
            await asyncio.sleep(_STORE_PAUSE)  # as long as the job lasts, the device gets no other one
            return
        if record is None:
            self._pace.ended()
            return
        try:
            await self.life.work(device, record)
        except (JobFailed, NotSent, NoAnswer) as error:
            await self._met_trouble(device, record, error, began)
        except BridgeError as error:
            self._pace.ended()
            self.life.inventory.doubt()
            await self._failed(device, record, error)
        except Exception as error:
            self._pace.ended()
            log.exception(
                "work on the configuration of device %s failed because of a bug in the bridge", device, extra=_BUG
            )
            self._events.count("nidd_internal_errors")
            await self._failed(device, record, error)
        else:
            self._well_at = loop.time()
            self._unclear.clear()
            self._pace.record_success(began, loop.time())
            self.progress.done(loop.time())

    async def _met_trouble(
        self, device: str, record: DeviceNote, error: JobFailed | NotSent | NoAnswer, began: float
    ) -> None:
        """Record a failure that concerns this device; for one that concerns the SCEF, pause and record nothing."""
        now = asyncio.get_running_loop().time()
        after = error.after if isinstance(error, JobFailed) else None
        if isinstance(error, NoAnswer):
            self.life.inventory.doubt()  # a configuration may have been created: check before the next attempt
        if isinstance(error, JobFailed):
            whose = error.whose
        else:
            whose = FailureCause.NETWORK if isinstance(error, NotSent) else FailureCause.UNCLEAR
        if whose is FailureCause.UNCLEAR:
            alone = self._unclear == {device} or self._well_at >= began
            if len(self._unclear) < 2:  # noqa: PLR2004  # one or more of them is all that counts
                self._unclear.add(device)
            whose = FailureCause.DEVICE if alone else FailureCause.NETWORK
        if whose is FailureCause.DEVICE:
            self._pace.record_success(began, now)
            await self._failed(device, record, error, after)
        else:
            self._pace.record_failure(began, now, after)
            self._tell(device, error)

    def _tell(self, device: str, error: Exception) -> None:
        self.last_error = f"{device}: {error}"
        self._events.count("nidd_configuration_failures")
        log.warning("configuration of %s: %s", device, error, extra={"sample": "nidd configuration"})

    async def _failed(self, device: str, record: DeviceNote, error: Exception, after: float | None = None) -> None:
        self._tell(device, error)
        settings = self._settings
        pause = min(settings.retry_max, settings.retry_min * 2 ** min(record.failures, 20))
        pause = max(pause, after or 0.0)
        due = int(self._events.now() + pause) + 1
        try:
            current = await self._records.get(device) or record
            failed = msgspec.structs.replace(current, due=due, failures=record.failures + 1)
            await self._records.put(device, failed, str(error))
        except BridgeError as store:
            log.warning(
                "the configuration of device %s cannot be stored: %s", device, store, extra={"sample": "nidd note"}
            )
            await asyncio.sleep(min(pause, _STORE_PAUSE))  # the pause cannot be stored, so it is kept in memory

    # For people

    def _remaining(self) -> int:
        states = self._records.by_state
        return states[State.WANTED] + states[State.LOST] + states[State.DOUBTED] + states[State.REMOVING]

    def status(self) -> dict[str, Any]:
        """Return configurations by state, and the progress of the work."""
        return {
            **{state.name.lower(): count for state, count in self._records.by_state.items()},
            "under_way": len(self._jobs),
            "at_once": int(self._pace.window),
            **self.progress.status(self._remaining(), asyncio.get_running_loop().time()),
            "surplus": len(self.life.inventory.surplus),
            "last_error": self.last_error,
        }
