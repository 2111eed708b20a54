"""The asyncio shell of the emulated SCEF: owns time, sockets and the modem; the core decides."""

import asyncio
import itertools
import json
import random
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from mock_network.clock import current_clock
from mock_network.control_api import listen
from mock_network.faults import Fault, Faults
from mock_network.modem import UdpModem
from mock_network.scef import messages as m
from mock_network.scef.auth import TOKEN_LIFETIME, Authority
from mock_network.scef.control import control_app
from mock_network.scef.core import Scef
from mock_network.scef.model import Ue, UeSettings
from mock_network.scef.notifier import Job, Notifier
from mock_network.scef.profiles import PROFILES, Profile
from mock_network.scef.t8 import t8_app
from mock_network.scef.tables import UeTrigger
from mock_network.scef.wire import Writer

# An idle connection outlives any step of a test clock, which would otherwise close it under a client's hands.
KEEPALIVE = 1e8  # seconds

FAULTS = {
    "cut_before_processing": "the connection breaks before the request has any effect",
    "cut_after_processing": "the request takes effect, then the connection breaks instead of the answer",
    "http_error": "an error answer: params status (503), retry_after, processed (false: without any effect)",
    "slow_answer": "the answer is held back: params seconds (5)",
    "status_before_answer": "a downlink is answered 201 after its status was notified: params seconds (5) at most",
    "final_status_lost": "a delivery status is never notified",
    "notification_duplicate": "a notification is sent twice",
    "notification_reorder": "a notification is sent later, others overtake it: params seconds (1)",
    "notification_slow": "a notification, and those behind it, is sent later: params seconds (3)",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How an emulated SCEF is set up."""

    listen: tuple[str, int] = ("127.0.0.1", 0)
    control: tuple[str, int] = ("127.0.0.1", 0)
    modem_host: str = "127.0.0.1"
    profile: Profile = PROFILES["strict-r17"]
    seed: int = 0
    token: str | None = None  # None: one is made
    client_id: str = "scs-as"
    token_lifetime: float = TOKEN_LIFETIME
    authentication: bool = True
    public_url: str | None = None  # apiRoot in links; None: as bound
    certificate: str | None = None  # with `key`: T8 over TLS
    key: str | None = None
    ues: tuple[dict[str, Any], ...] = field(default=())  # as in the file of UEs


class ScefService:
    """One emulated SCEF on the running loop; `start`, then `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.profile = options.profile
        self.clock = current_clock()
        self.core = Scef(options.profile, random.Random(f"{options.seed}/core"))
        self.faults = Faults(random.Random(f"{options.seed}/faults"), FAULTS, options.profile.faults)
        self.notifier = Notifier(options.profile, self.faults, self.clock, self._refused)
        self.authority = Authority(
            options.client_id,
            options.token or secrets.token_urlsafe(24),
            lifetime=options.token_lifetime,
            enabled=options.authentication,
        )
        self.modem = UdpModem(self._from_application, options.modem_host)
        self.requests: list[dict[str, Any]] = []
        self.url = ""  # apiRoot
        self.control_url = ""
        self.writer = Writer(options.profile, "", self.core.downlinks.status)
        self._tickets = itertools.count(1)
        self._answers: dict[int, asyncio.Future[m.Effect]] = {}
        self._jobs: dict[str, Job] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Bind everything and create the UEs. Raises OSError or SettingsError; then `stop` is still due."""
        options = self.options
        self.notifier.start()
        context = None
        if options.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.certificate, options.key)
        bound = await self._listen(t8_app(self), options.listen, context)
        root = options.public_url or f"{'https' if context else 'http'}://{bound}{self.profile.api_prefix}"
        self.url = root.rstrip("/")
        self.writer = Writer(self.profile, self.url, self.core.downlinks.status)
        self.control_url = f"http://{await self._listen(control_app(self), options.control, None)}"
        for values in options.ues:
            await self.add_ue(values)

    async def stop(self) -> None:
        """Close everything."""
        if self._timer is not None:
            self._timer.cancel()
        for runner in self._runners:
            await runner.cleanup()
        self.modem.close_all()
        await self.notifier.stop()

    async def _listen(self, app: web.Application, where: tuple[str, int], context: ssl.SSLContext | None) -> str:
        runner, bound = await listen(app, where, keepalive_timeout=KEEPALIVE, ssl_context=context)
        self._runners.append(runner)
        return bound

    # For the two APIs

    def ready(self) -> dict[str, Any]:
        """Give what a user needs to connect."""
        return {
            "scef": self.url,
            "control": self.control_url,
            "token": self.authority.secret,
            "client_id": self.authority.client_id,
            "token_url": f"{self.url}/oauth2/token",
            "profile": self.profile.name,
            "ues": {name: self.modem.address(name) for name in self.core.cell.ues},
        }

    async def add_ue(self, values: dict[str, Any]) -> Ue:
        """Create a UE and open its modem's port. Raises SettingsError or OSError."""
        values = dict(values)
        name, port = values.pop("name", None), values.pop("port", 0)
        ue = self.core.add_ue(UeSettings.parse(values), self.clock.wall(), name)
        try:
            await self.modem.open(ue.name, port)
        except (OSError, OverflowError, TypeError) as error:
            self._effects(self.core.remove_ue(ue, self.clock.wall()))
            raise OSError(f"no UDP port {port} for {ue.name}: {error}") from error
        self.apply(m.Tick())
        return ue

    def remove_ue(self, ue: Ue) -> None:
        """Take a UE and its port away."""
        self._effects(self.core.remove_ue(ue, self.clock.wall()))
        self.modem.close(ue.name)

    def ask(self, event: Callable[[int], m.Event]) -> "asyncio.Future[m.Effect]":
        """Step the core with a request and give the future of its answer."""
        ticket = next(self._tickets)
        future = asyncio.get_running_loop().create_future()
        self._answers[ticket] = future
        self.apply(event(ticket))
        return future

    def apply(self, event: m.Event) -> None:
        """Step the core and act on the effects."""
        self._effects(self.core.step(event, self.clock.wall()))
        self._rearm()

    async def settled(self, delivery: str, seconds: float) -> None:
        """Return when the end of a delivery has been notified, or after a time."""
        job = self._jobs.get(delivery)
        end = self.clock.monotonic() + seconds
        while job is None and self.clock.monotonic() < end:
            await asyncio.sleep(0.02)
            job = self._jobs.get(delivery)
        if job is not None:
            await job.over.wait()

    def fault(self, kind: str, **context: str) -> Fault | None:
        """Ask whether a fault happens now."""
        return self.faults.take(kind, **context)

    # Effects

    def _rearm(self) -> None:
        due = self.core.due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self.clock.wall())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due, due)

    def _due(self, moment: float) -> None:
        """Let the moment pass that a timer was set for: the clock may still be a rounding error short of it."""
        self._effects(self.core.step(m.Tick(), max(moment, self.clock.wall())))
        self._rearm()

    def _effects(self, effects: list[m.Effect]) -> None:
        for effect in effects:
            match effect:
                case m.ToApplication(ue, data):
                    if not self.modem.deliver(ue, data):
                        self.core.cell.log(self.clock.wall(), ue, "no-application", data=data.hex())
                case m.NotifyUplink(configuration, _, number):
                    self._notify(effect, "uplink", configuration.id, str(number))
                case m.NotifyDelivery(configuration, delivery, status):
                    self._notify(effect, "delivery", configuration.id, delivery.id, status.value)
                case m.NotifyConfiguration(configuration, nidd):
                    self._notify(effect, "configuration", configuration.id, configuration.id, nidd.value)
                case m.NotifyTest(configuration):
                    self._notify(effect, "test", configuration.id, configuration.id)
                case m.Configured() | m.Taken() | m.Done() | m.Refused():
                    future = self._answers.pop(effect.ticket, None)
                    if future is not None and not future.done():
                        future.set_result(effect)
                case _:
                    pass

    def _notify(self, effect: Any, kind: str, configuration: str, subject: str, status: str = "") -> None:
        text = json.dumps(self.writer.notification(effect), separators=(",", ":"))
        if self.profile.escaped_padding:
            text = text.replace("=", "\\u003d")
        owner = effect.configuration
        job = Job(kind, configuration, owner.ue, owner.destination, text, subject, status)
        if kind == "delivery":
            self._jobs[subject] = job
            while len(self._jobs) > 1000:  # noqa: PLR2004 - only the latest can still be waited for
                del self._jobs[next(iter(self._jobs))]
        self.notifier.put(job)

    def _refused(self, job: Job) -> None:
        if job.kind == "uplink" and self.profile.refused_uplink_releases_pdn:
            self.apply(m.Move(job.ue, UeTrigger.PDN_RELEASE))

    def _from_application(self, ue: str, data: bytes) -> None:
        self.apply(m.Radio(ue, data))
