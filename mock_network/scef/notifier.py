"""Sends notifications to the SCS/AS: in order per resource, tried again when refused, every attempt on record."""

import asyncio
import datetime as dt
import json
import logging
import ssl
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mock_network.clock import Clock
from mock_network.faults import Fault, Faults
from mock_network.scef.core import Ue
from mock_network.scef.core.profile import Profile
from mock_network.scef.findings import SLOW, Findings
from mock_network.scef.odd_notifications import Take, altered, written
from mock_network.scef.t8.notices import Notice

log = logging.getLogger(__name__)

RECORDS = 100_000  # attempts kept
BACKLOG = 10_000  # notifications that wait behind each other
REDIRECTS = 3
_ACCEPTED = frozenset({200, 204})  # TS 29.122 §5.2.5.2
_AGAIN = frozenset({408, 429})
_DELIVERY_STATUS = frozenset({"delivery", "group-delivery"})


@dataclass(slots=True)
class Job:
    """One running notification; `accepted` is valid when `over` is set."""

    notice: Notice
    accepted: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Access:
    """How the SCEF proves to SCS/ASs who it is."""

    authorization: str | None = None  # value of the header
    tls: ssl.SSLContext | None = None  # None: that of the system


class Notifier:
    """`ended` is called with each finished notification; `find` returns a UE by name; `now` is the SCEF's own clock."""

    def __init__(
        self,
        profile: Profile,
        faults: Faults,
        findings: Findings,
        clock: Clock,
        find: Callable[[str], Ue | None],
        now: Callable[[], dt.datetime],
        ended: Callable[[Job], None],
    ) -> None:
        self.records: deque[dict[str, Any]] = deque(maxlen=RECORDS)
        self.counts: Counter[str] = Counter()
        self.access = Access()
        self._profile, self._faults, self._clock, self._find, self._ended = profile, faults, clock, find, ended
        self._now, self._findings = now, findings
        self._queues: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._numbers = 0

    @property
    def waiting(self) -> int:
        """Return how many notifications are not over."""
        return sum(len(queue) for queue in self._queues.values())

    def start(self, access: Access) -> None:
        """Open the HTTP client; needs the running loop."""
        self.access = access
        tls: Any = {} if access.tls is None else {"ssl": access.tls}
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._profile.notify_timeout),
            connector=aiohttp.TCPConnector(limit=100, **tls),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """End the notifications that are under way; none is sent again."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def put(self, notice: Notice) -> Job:
        """Send a notification after those of the same queue."""
        job, take = Job(notice), self._take(notice)
        if notice.kind in _DELIVERY_STATUS and take("final_status_lost"):
            self._lose(job, "by fault final_status_lost")
        elif take("notification_lost"):
            self._lose(job, "by fault notification_lost")
        elif fault := take("notification_reorder"):
            self._run(self._later(job, float(fault.params.get("seconds", 1.0))))
        else:
            self._queue(job, copies=2 if take("notification_duplicate") else 1)
        return job

    def _take(self, notice: Notice) -> Take:
        """Return a function that returns the fault of a kind that happens to a notification, if one does."""
        if not self._faults.any_armed:
            return lambda _: None
        occasion = {"kind": notice.kind, "scs_as": notice.scs_as, "ue": notice.ue, "status": notice.status}
        return lambda kind: self._faults.draw(kind, **occasion)

    def _lose(self, job: Job, why: str) -> None:
        self._record(job, 0, lost=why)
        job.over.set()

    def _queue(self, job: Job, copies: int) -> None:
        name = job.notice.queue
        queue = self._queues.setdefault(name, deque())
        if len(queue) >= BACKLOG:
            self._lose(job, "backlog full")
            return
        queue.extend([job] * copies)
        if len(queue) == copies:
            self._run(self._work(name, queue))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, job: Job, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._send(job)

    async def _work(self, name: str, queue: deque[Job]) -> None:
        while queue:
            await self._send(queue[0])
            queue.popleft()
        del self._queues[name]

    async def _send(self, job: Job) -> None:
        if fault := self._take(job.notice)("notification_slow"):
            await asyncio.sleep(float(fault.params.get("seconds", 3.0)))
        wait = self._profile.notify_interval
        for attempt in range(1, self._profile.notify_attempts + 1):
            status, pause = await self._post(job, attempt)
            if status in _ACCEPTED:
                job.accepted = True
                break
            permanent = status is not None and 400 <= status < 500 and status not in _AGAIN  # noqa: PLR2004 - 4xx
            if permanent or attempt == self._profile.notify_attempts:
                kind, ue = job.notice.kind, job.notice.ue
                self.counts[f"{kind} given up"] += 1
                log.warning("notification (%s) of %s given up: last answer %s", kind, ue, status)
                break
            await asyncio.sleep(max(wait, pause))
            wait *= 2
        self._ended(job)
        job.over.set()

    async def _post(self, job: Job, attempt: int) -> tuple[int | None, float]:
        """Return the HTTP status, None without one, and how many seconds the answer asks to wait."""
        if self._session is None:
            raise RuntimeError("the notifier is not started")
        notice = job.notice
        happened: list[str] = []
        take = _noting(self._take(notice), happened)
        body = altered(notice, self._find(notice.ue), take, self._now())
        text = json.dumps(body, separators=(",", ":"))
        if self._profile.escaped_padding:
            text = text.replace("=", "\\u003d")
        headers = {} if self.access.authorization is None else {"Authorization": self.access.authorization}
        post = written(notice.destination, text, headers, take)
        begun = self._clock.monotonic()
        try:
            async with self._session.post(
                post.url, data=post.data, headers=post.headers, max_redirects=REDIRECTS
            ) as response:
                await response.read()
                self._look_at(notice, response.status, self._clock.monotonic() - begun)
                if take("notification_answer_lost"):
                    self._record(job, attempt, error=f"answer {response.status} lost by fault", faults=happened)
                    return None, 0.0
                self._record(job, attempt, status=response.status, faults=happened)
                pause = response.headers.get("Retry-After", "")
                return response.status, float(pause) if pause.isascii() and pause.isdigit() else 0.0
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._record(job, attempt, error=repr(error), faults=happened)
            return None, 0.0

    def _look_at(self, notice: Notice, status: int, took: float) -> None:
        """Record findings about an answer."""
        if status not in _ACCEPTED and 200 <= status < 300:  # noqa: PLR2004 - 2xx
            self._findings.note("notification-answer", f"{notice.kind}: {status}")
        if took > SLOW:
            self._findings.note("notification-slow", f"{notice.kind}: {took:.1f} s")

    def _record(self, job: Job, attempt: int, **result: Any) -> None:
        self._numbers += 1
        notice = job.notice
        accepted = result.get("status") in _ACCEPTED
        self.counts[f"{notice.kind} {'accepted' if accepted else 'not accepted'}"] += 1
        self.records.append(
            {
                "number": self._numbers,
                "time": round(self._clock.wall(), 6),
                "kind": notice.kind,
                "ue": notice.ue,
                "configuration": notice.queue,
                "subject": notice.subject,
                "delivery_status": notice.status,
                "attempt": attempt,
                "accepted": accepted,
                **result,
            }
        )


def _noting(take: Take, happened: list[str]) -> Take:
    """Return the same, with the kinds that happen noted in a list."""

    def noted(kind: str) -> Fault | None:
        fault = take(kind)
        if fault is not None:
            happened.append(kind)
        return fault

    return noted
