"""Sends notifications to the SCS/AS: in order per configuration, tried again when refused, every attempt on record."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mock_network.clock import Clock
from mock_network.faults import Faults
from mock_network.scef.profiles import Profile

log = logging.getLogger(__name__)

RECORDS = 100_000  # attempts kept
BACKLOG = 10_000  # notifications that wait for one configuration
_ACCEPTED = frozenset({200, 204})  # TS 29.122 §5.2.5.2
_AGAIN = frozenset({408, 429})


@dataclass(slots=True)
class Job:
    """One notification."""

    kind: str  # uplink, delivery, configuration, test
    configuration: str
    ue: str
    destination: str
    text: str
    subject: str  # delivery id, or number of the air log line of an uplink
    status: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Notifier:
    """`refused` is told of jobs that nobody took."""

    def __init__(self, profile: Profile, faults: Faults, clock: Clock, refused: Callable[[Job], None]) -> None:
        self.records: deque[dict[str, Any]] = deque(maxlen=RECORDS)
        self.counts: Counter[str] = Counter()
        self._profile = profile
        self._faults = faults
        self._clock = clock
        self._refused = refused
        self._queues: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._numbers = 0

    @property
    def waiting(self) -> int:
        """Give how many notifications are not over."""
        return sum(len(queue) for queue in self._queues.values())

    def start(self) -> None:
        """Open the HTTP client; needs the running loop."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._profile.notify_timeout),
            connector=aiohttp.TCPConnector(limit=100),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def put(self, job: Job) -> None:
        """Send a notification after those of the same configuration."""
        context = {"kind": job.kind, "ue": job.ue, "status": job.status}
        if job.kind == "delivery" and self._faults.take("final_status_lost", **context):
            self._record(job, 0, lost="by fault final_status_lost")
            job.over.set()
            return
        if fault := self._faults.take("notification_reorder", **context):
            self._run(self._later(job, float(fault.params.get("seconds", 1.0))))
            return
        copies = 2 if self._faults.take("notification_duplicate", **context) else 1
        queue = self._queues.setdefault(job.configuration, deque())
        if len(queue) >= BACKLOG:
            self._record(job, 0, lost="backlog full")
            job.over.set()
            return
        queue.extend([job] * copies)
        if len(queue) == copies:
            self._run(self._work(job.configuration, queue))

    def _run(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, job: Job, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._send(job)

    async def _work(self, configuration: str, queue: deque[Job]) -> None:
        while queue:
            await self._send(queue[0])
            queue.popleft()
        del self._queues[configuration]

    async def _send(self, job: Job) -> None:
        if fault := self._faults.take("notification_slow", kind=job.kind, ue=job.ue, status=job.status):
            await asyncio.sleep(float(fault.params.get("seconds", 3.0)))
        wait = self._profile.notify_interval
        for attempt in range(1, self._profile.notify_attempts + 1):
            status, pause = await self._post(job, attempt)
            if status in _ACCEPTED:
                break
            permanent = status is not None and 400 <= status < 500 and status not in _AGAIN  # noqa: PLR2004 - 4xx
            if permanent or attempt == self._profile.notify_attempts:
                self.counts[f"{job.kind} given up"] += 1
                log.warning("notification (%s) of %s given up: last answer %s", job.kind, job.ue, status)
                self._refused(job)
                break
            await asyncio.sleep(max(wait, pause))
            wait *= 2
        job.over.set()

    async def _post(self, job: Job, attempt: int) -> tuple[int | None, float]:
        """Give the HTTP status, None without one, and how long the answer asks to wait."""
        if self._session is None:
            raise RuntimeError("the notifier is not started")
        try:
            async with self._session.post(
                job.destination, data=job.text, headers={"Content-Type": "application/json"}
            ) as response:
                await response.read()
                self._record(job, attempt, status=response.status)
                pause = response.headers.get("Retry-After", "")
                return response.status, float(pause) if pause.isascii() and pause.isdigit() else 0.0
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._record(job, attempt, error=repr(error))
            return None, 0.0

    def _record(self, job: Job, attempt: int, **result: Any) -> None:
        self._numbers += 1
        accepted = result.get("status") in _ACCEPTED
        self.counts[f"{job.kind} {'accepted' if accepted else 'not accepted'}"] += 1
        self.records.append(
            {
                "number": self._numbers,
                "time": round(self._clock.wall(), 6),
                "kind": job.kind,
                "ue": job.ue,
                "configuration": job.configuration,
                "subject": job.subject,
                "delivery_status": job.status,
                "attempt": attempt,
                "accepted": accepted,
                **result,
            }
        )
