"""The asyncio shell of the emulated SCEF: owns time, sockets and modems; the core decides."""

import asyncio
import datetime as dt
import random
import secrets
import ssl
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from aiohttp import web

from mock_network.clock import current_clock
from mock_network.control_api import listen
from mock_network.faults import Faults
from mock_network.scef import fault_kinds
from mock_network.scef.auth import Authority, Client
from mock_network.scef.control import control_app
from mock_network.scef.core import Scef, Ue, UeSettings, effects as e
from mock_network.scef.core.nidd_model import ManagedPort
from mock_network.scef.core.states import UeTrigger
from mock_network.scef.core.subscribers import folded
from mock_network.scef.destinations import Destinations
from mock_network.scef.findings import Findings
from mock_network.scef.modems import DATA, SMS, Modems
from mock_network.scef.notifier import Access, Job, Notifier
from mock_network.scef.options import Options
from mock_network.scef.schema.common import Identified
from mock_network.scef.t8.app import t8_app
from mock_network.scef.t8.bodies import Bodies
from mock_network.scef.t8.guard import Guard
from mock_network.scef.t8.links import Links
from mock_network.scef.t8.notices import Notices
from mock_network.scef.waiting import Happenings

# An idle connection outlives any step of a test clock, which would otherwise close it under a client's hands.
KEEPALIVE = 1e8  # seconds
_SETTLED_KEPT = 1_000  # notifications of an end that can be waited for

_T = TypeVar("_T")


class ScefService:
    """One emulated SCEF on the running loop; `start`, then `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.profile = options.profile
        self.clock = current_clock()
        self.core = Scef(options.profile, random.Random(f"{options.seed}/core"))
        self.core.context.skew = options.clock_skew
        rng = random.Random(f"{options.seed}/faults")
        armed = (*options.profile.faults, *options.faults)
        self.faults = Faults(rng, fault_kinds.ABOUT, armed, fault_kinds.WHERE)
        self.findings = Findings(self.clock.wall)
        self.notifier = Notifier(
            options.profile, self.faults, self.findings, self.clock, self.core.cell.ues.get, self.now, self._ended
        )
        own = Client(options.client_id, options.token or secrets.token_urlsafe(24))
        others = [Client(one.id, one.secret, frozenset({one.id})) for one in options.scs_as]
        kinds = options.credentials if options.authentication else frozenset()
        self.authority = Authority([own, *others], lifetime=options.token_lifetime, kinds=kinds)
        self.modems = Modems(self._from_application, options.modem_host)
        self.guard = Guard(self)
        self.origin = self.url = self.control_url = ""  # of T8: scheme and authority, and apiRoot
        self.bodies = Bodies(self.core, Links("", relative=False))
        self.destinations = Destinations(self.core, options)
        self._notices = Notices(self.core, self.bodies)
        self._answers: dict[str, asyncio.Future[e.SubmitAnswered]] = {}
        self._port_answers: dict[int, asyncio.Future[e.PortAnswered]] = {}
        self._settled: OrderedDict[str, Job] = OrderedDict()
        self.happenings = Happenings()
        self._timer: asyncio.TimerHandle | None = None
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Bind all ports and create the UEs of the options. Raises OSError or SettingsError: then `stop` it."""
        options = self.options
        self.notifier.start(Access(options.callback_authorization, _callback_tls(options)))
        context = _listener_tls(options)
        bound = await self._listen(t8_app(self, self.guard), options.listen, context)
        self.origin = f"{'https' if context else 'http'}://{bound}"
        self.url = (options.public_url or f"{self.origin}{self.profile.api_prefix}").rstrip("/")
        self.bodies.links = Links(self.url, relative=self.profile.relative_links)
        self.control_url = f"http://{await self._listen(control_app(self), options.control, None)}"
        for one in options.scs_as:
            if one.identities is not None:
                self.core.subscribers.may_use[one.id] = tuple(folded(pattern) for pattern in one.identities)
            if one.quota is not None:
                self.core.downlinks.quotas[one.id] = one.quota
        for values in options.ues:
            await self.add_ue(values)
        for group in options.groups:
            self.core.subscribers.add_group(group.external_group_id, group.members)

    async def stop(self) -> None:
        """Close everything."""
        if self._timer is not None:
            self._timer.cancel()
        for runner in self._runners:
            await runner.cleanup()
        self.modems.close_all()
        await self.notifier.stop()

    async def _listen(self, app: web.Application, where: tuple[str, int], context: ssl.SSLContext | None) -> str:
        runner, bound = await listen(app, where, keepalive_timeout=KEEPALIVE, ssl_context=context)
        self._runners.append(runner)
        return bound

    def ready(self) -> dict[str, Any]:
        """Return what a user needs to connect."""
        ues = list(self.core.cell.ues)
        sms = {name: address for name in ues if (address := self.modems.address(name, SMS)) is not None}
        return {
            "scef": self.url,
            "control": self.control_url,
            "token": self.authority.clients[0].secret,
            "client_id": self.authority.clients[0].id,
            "token_url": f"{self.url}/oauth2/token",
            "profile": self.profile.name,
            "ues": {name: self.modems.address(name) for name in ues},
            "sms": sms,
        }

    def now(self) -> dt.datetime:
        """Return the time of the SCEF's own clock."""
        return self.core.context.written(self.clock.wall())

    # UEs

    async def add_ue(self, values: dict[str, Any]) -> Ue:
        """Create a UE and open its modem's ports. Raises SettingsError or OSError."""
        values = dict(values)
        name, port, sms_port = values.pop("name", None), values.pop("port", 0), values.pop("sms_udp_port", None)
        settings = UeSettings.parse(values)
        ue = self.act(lambda now: self.core.subscribers.add(settings, now, name))
        try:
            await self.modems.open(ue, port, sms_port)
        except OSError:
            self.act(lambda now: self.core.remove_ue(ue, now))
            raise
        return ue

    def remove_ue(self, ue: Ue) -> None:
        """Remove a UE and its ports."""
        self.act(lambda now: self.core.remove_ue(ue, now))
        self.modems.close(ue.name)

    async def first_use(self, terms: Identified) -> None:
        """Create the UE that a request names, where UEs are made on first use."""
        identity = terms.identity
        patterns = self.options.on_first_use
        if not patterns or self.core.subscribers.find(identity) is not None:
            return
        if terms.external_id is None and terms.msisdn is None:
            return
        if any(fnmatchcase(folded(identity), folded(pattern)) for pattern in patterns):
            member = "external_id" if terms.external_id is not None else "msisdn"
            await self.add_ue({member: identity, "sms_udp_port": 0})

    # Steps

    def act(self, call: Callable[[float], _T]) -> _T:
        """Let time pass, call the core, and carry out the effects; return or raise what the call does."""
        now = self.clock.wall()
        self.core.run(now)
        try:
            return call(now)
        finally:
            self.core.run(now)
            self._effects()
            self._rearm()

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
        self.core.run(max(moment, self.clock.wall()))
        self._effects()
        self._rearm()

    # Answers that come later

    async def submit_answer(self, delivery: str) -> e.SubmitAnswered:
        """Return the answer to the POST of a downlink, when it is known."""
        answer = self._answers.setdefault(delivery, asyncio.get_running_loop().create_future())
        try:
            return await answer
        finally:
            del self._answers[delivery]

    async def port_answer(self, port: ManagedPort) -> e.PortAnswered:
        """Return the answer to the PUT or DELETE of an RDS port, once it is known."""
        answer = self._port_answers.setdefault(id(port), asyncio.get_running_loop().create_future())
        try:
            return await answer
        finally:
            del self._port_answers[id(port)]

    async def settled(self, delivery: str, seconds: float) -> None:
        """Return when the end of a delivery or device trigger has been notified, or after a time."""
        end = self.clock.monotonic() + seconds
        while delivery not in self._settled and (left := end - self.clock.monotonic()) > 0:
            await self.happenings.wait(left)
        if delivery in self._settled:
            await self._settled[delivery].over.wait()

    # Effects

    def emit(self, effect: e.Effect) -> None:
        """Act on one effect that is not the core's."""
        self.core.context.out.append(effect)
        self._effects()

    def _effects(self) -> None:
        for effect in self.core.drain():
            match effect:
                case e.ToApplication(ue, data, channel):
                    if not self.modems.deliver(ue, channel, data):
                        now = self.clock.wall()
                        self.core.air_log.write(now, ue, "no-application", channel=channel, data=data.hex())
                case e.SubmitAnswered():
                    _set(self._answers.setdefault(effect.delivery.id, _future()), effect)
                case e.PortAnswered():
                    _set(self._port_answers.setdefault(id(effect.port), _future()), effect)
                case e.DeliverSms():
                    for notice in self.destinations.mo_sms(effect):
                        self.notifier.put(notice)
                case e.WantConfiguration(ue):
                    for notice in self.destinations.nidd_trigger(ue, self.clock.wall()):
                        self.notifier.put(notice)
                case _:
                    self._notify(effect)
        self.happenings.happened()

    def _notify(self, effect: e.Effect) -> None:
        notice = self._notices.of(effect)
        if notice is None or not notice.destination:
            return
        job = self.notifier.put(notice)
        if notice.kind in {"delivery", "group-delivery", "trigger"}:
            self._settled[notice.subject] = job
            if len(self._settled) > _SETTLED_KEPT:
                self._settled.popitem(last=False)

    def _ended(self, job: Job) -> None:
        """Record a notification that ended."""
        self.happenings.happened()
        ue = self.core.cell.ues.get(job.notice.ue)
        if job.accepted or ue is None:
            return
        if job.notice.kind == "uplink" and self.profile.refused_uplink_releases_pdn:
            self.act(lambda now: self.core.move_ue(ue, UeTrigger.PDN_RELEASE, now))
        elif job.notice.kind == "mo-sms":
            self.core.air_log.write(self.clock.wall(), ue.name, "mo-sms-refused", mo_sms=job.notice.subject)

    def _from_application(self, name: str, channel: str, data: bytes) -> None:
        ue = self.core.cell.ues[name]
        if channel == SMS:
            self.act(lambda now: self.core.mo_sms(ue, data, now))
            return
        port = None
        if channel != DATA:
            _, ue_port, scef_port = channel.split("-")
            port = (int(ue_port), int(scef_port))
        uplink = e.Uplink(data, port, reliable=port is not None and ue.settings.rds_enabled)
        self.act(lambda now: self.core.uplink(ue, uplink, now))


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _set(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


def _listener_tls(options: Options) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    if options.client_ca is not None:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _callback_tls(options: Options) -> ssl.SSLContext | None:
    if options.callback_ca is None and options.callback_certificate is None:
        return None
    context = ssl.create_default_context(cafile=options.callback_ca)
    if options.callback_certificate is not None:
        context.load_cert_chain(options.callback_certificate)
    return context
