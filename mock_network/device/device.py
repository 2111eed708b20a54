"""An emulated LwM2M 1.1 device: its parts, its life cycle, and its own actions."""

import asyncio
import contextlib
import functools
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mock_network.clock import current_clock
from mock_network.device.access import AccessControl, Right
from mock_network.device.accounts import (
    ALERT_CODE,
    BINDING,
    BOOTSTRAP_TRIGGER,
    DISABLE,
    DISABLE_TIMEOUT,
    LAST_BOOTSTRAPPED,
    LIFETIME,
    UPDATE_TRIGGER,
    Account,
    Accounts,
    RetryPolicy,
)
from mock_network.device.awake import AwakeTime
from mock_network.device.bearers import SMS, Bearer, Bearers
from mock_network.device.bootstrap import BootstrapInterface
from mock_network.device.client import Client, NotRegistered
from mock_network.device.clock import DeviceClock
from mock_network.device.every_type import EveryType
from mock_network.device.firmware import Firmware
from mock_network.device.freshness import Freshness
from mock_network.device.initial import initial_objects
from mock_network.device.lifecycle import Lifecycle
from mock_network.device.operations import Executable, Operations
from mock_network.device.oplog import OperationLog
from mock_network.device.options import DeviceOptions
from mock_network.device.refusal import NOT_ALLOWED, OperationError
from mock_network.device.registration import Registration
from mock_network.device.reporting import Reporting
from mock_network.device.security import SecurityContexts
from mock_network.device.senders import Senders
from mock_network.device.serving import BOOTSTRAP, Serving
from mock_network.device.tasks import Deregister, Register, RequestBootstrap, Update
from mock_network.device.temperature import TemperatureSensors
from mock_network.device.tree import Changed, ObjectTree
from mock_network.device.tunnel import Tunnel
from mock_network.lwm2m.definitions import DEVICE, SECURE_COMPONENT
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.formats import ContentFormat, encode
from mock_network.lwm2m.messages import POST, Closed, NoAnswer, Request, Reset, Response
from mock_network.lwm2m.paths import INSTANCE_LEVEL, Path, parse_path
from mock_network.lwm2m.transport import Address, Datagram
from mock_network.lwm2m.values import Record, Value

if TYPE_CHECKING:
    from mock_network.device.secure_component import SecureComponent

WIRE_LOG = 10_000  # datagrams kept
_REBOOT: Path = (DEVICE, 0, 4)
_FACTORY_RESET: Path = (DEVICE, 0, 5)
_RESET_ERRORS: Path = (DEVICE, 0, 12)
_ERROR_CODE: Path = (DEVICE, 0, 11)


class SendMuted(Exception):
    """The server muted Send (/1/x/23)."""


class Device:
    """Make it, `start` it, `stop` it. `operations` and `wire` record what it executed and what passed its sockets."""

    def __init__(self, options: DeviceOptions) -> None:
        self.options = options
        self.tree = ObjectTree(options.model, initial_objects(options))
        self.wire: deque[Datagram] = deque(maxlen=WIRE_LOG)
        self.given_up: list[tuple[int, str]] = []
        """MID and token of each CON message of the device that was never acknowledged."""
        self.accounts = Accounts(self.tree)
        self.access = AccessControl(self.tree)
        retry = RetryPolicy(options.retry_count, options.retry_timer, options.sequence_delay)
        self.lifecycle = Lifecycle(self.accounts, keep=options.keep_registered, bootstrap_retry=retry)
        self.bearers = Bearers(options)
        self.clock = DeviceClock(self.tree, lambda: current_clock().wall(), known=options.has_clock)
        self._rng = random.Random(options.seed)
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = AwakeTime(options.awake_time, self._sleep)
        self._sensors = TemperatureSensors(self.tree)
        self._every_type = EveryType(self.tree, self._rng, self._send_in_background)
        self._firmware = Firmware(self.tree, self._later, lambda: self.reboot(lose_state=False))
        self._component = self._make_component()
        self._tunnel = None if options.tunnel is None else Tunnel(self.tree, options.tunnel)
        self.contexts = SecurityContexts(self.tree, lambda: self._rng.randbytes(8))
        self._freshness = None if options.fresh_within is None else Freshness(options.fresh_within, self._rng)
        self.client = Client(
            options,
            self.tree,
            self.accounts,
            self.bearers,
            self.lifecycle,
            self.contexts,
            self._registered,
            self._end_observations,
        )
        self._senders = Senders(self.accounts, self.bearers, self.lifecycle, self.contexts, self.client)
        self._serving = self._make_serving()
        self.tree.on_change = self._changed

    def _make_component(self) -> "SecureComponent | None":
        if SECURE_COMPONENT not in self.options.objects:
            return None
        from mock_network.device.secure_component import SecureComponent  # cryptography takes a while to load

        return SecureComponent(self.tree, self.access)

    def _make_serving(self) -> Serving:
        reporting = Reporting(self.tree)
        root = tuple(segment for segment in self.options.root.split("/") if segment)
        operations = Operations(
            self.tree,
            self.access,
            lambda server: self._serving.tables[server],
            self._executable,
            (reporting.check, *(() if self._component is None else (self._component.check,))),
            self.options.default_format,
            root,
        )
        bootstrap = BootstrapInterface(self.tree, self.accounts, self._bootstrap_finished, operations.prefix)
        return Serving(
            self.tree,
            operations,
            bootstrap,
            reporting,
            self.accounts.server,
            confirmable=self.options.confirmable_notifications,
        )

    # Life.

    async def start(self) -> None:
        """Open the sockets and, with `keep_registered`, begin to register. OSError, ValueError for a bad URI."""
        for account in self.accounts.servers():
            await self.bearers.route(account, self.client.apn_of(account))
        bootstrap = self.accounts.bootstrap()
        if bootstrap is not None:
            await self.bearers.route(bootstrap, "")
        await self._open()
        self.client.start()

    async def _open(self) -> None:
        await self.bearers.open(self._handle, self._tap, self._given_up, self._rng, self._alerted, self._now)
        for bearer in self.bearers.all:
            bearer.up.use_contexts(self.contexts.find)
            if bearer.options.binding == SMS:
                bearer.up.intercept(functools.partial(self._short_message, bearer))
        if self._tunnel is not None:
            await self._tunnel.open()

    def _now(self) -> float | None:
        """Return the time as far as the device knows it."""
        now = self.clock.read()
        return now if isinstance(now, int) else None

    @property
    def session_failures(self) -> list[str]:
        """Return why the last DTLS handshakes failed, while the device is up."""
        return [why for one in self.bearers.all if one.sessions is not None for why in one.sessions.failures]

    def _alerted(self, description: int) -> None:
        """Keep the last alert of DTLS that arrived where a server can read it (/1/x/11)."""
        for account in self.accounts.servers():
            self.tree.set((*account.server, ALERT_CODE), description)

    def _tap(self, datagram: Datagram) -> None:
        self.wire.append(datagram)
        self._awake.active()

    def _given_up(self, _peer: Address, mid: int, token: bytes) -> None:
        self.given_up.append((mid, token.hex()))

    async def stop(self) -> None:
        """Close immediately, without notifying any server."""
        await self.crash()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def crash(self) -> None:
        """Switch the power off: nothing is sent or answered any more, observations are lost."""
        self.client.stop()
        self._awake.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        await self.bearers.close()
        if self._tunnel is not None:
            self._tunnel.close()
        self._serving.watches.clear()

    async def restart(self, *, lose_state: bool = False, lose_replay_windows: bool = False) -> None:
        """Crash, and start again on the same ports: with what it knew (registration included), or as it was new.

        `lose_replay_windows` forgets which OSCORE messages of servers were seen; sequence numbers of its own it never
        forgets.
        """
        await self.crash()
        if lose_replay_windows:
            self.contexts.lose_replay_windows()
        if lose_state:
            self.tree.reset()
            self._component = self._make_component()
            self._serving.reset()
            self.clock.reset()
        await self._open()
        self.client.start(fresh=lose_state)

    def reboot(self, *, lose_state: bool) -> None:
        """Answer running requests, go down and come up again, and register anew (§6.2.1)."""

        async def reboot() -> None:
            await asyncio.sleep(self.options.reboot_delay)
            await self.crash()
            await asyncio.sleep(self.options.reboot_time)
            for registration in self.lifecycle.registrations.values():
                registration.forget()
            await self.restart(lose_state=lose_state)

        task = asyncio.get_running_loop().create_task(reboot())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay, run)
        self._timers.add(timer)

    def _sleep(self) -> None:
        for bearer in self.bearers.all:
            if bearer.endpoint is not None and bearer.options.binding != SMS:  # a trigger is to reach a sleeping device
                bearer.endpoint.asleep = True

    # State for others.

    @property
    def running(self) -> bool:
        """Return whether the device's sockets are open."""
        return self.bearers.all[0].endpoint is not None

    @property
    def endpoint(self) -> CoapEndpoint:
        """Return the CoAP endpoint of the first bearer. Raises Closed while the device is down."""
        return self.bearers.all[0].up

    @property
    def address(self) -> Address:
        """Return the local address and port of the first bearer, the same for the whole life of the device."""
        return self.bearers.all[0].address

    @property
    def muted(self) -> bool:
        """Return whether the device receives and sends nothing, but otherwise continues."""
        return self.endpoint.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        for bearer in self.bearers.all:
            bearer.up.muted = muted

    @property
    def asleep(self) -> bool:
        """Return whether the device does not listen, in queue mode."""
        return self.running and self.endpoint.asleep

    @property
    def operations(self) -> OperationLog:
        """Return the operations that it executed for servers."""
        return self._serving.log

    @property
    def observed(self) -> list[Path]:
        """Return the paths under observation; with Observe-Composite several for one observation."""
        return sorted(path for watch in self._serving.watches for path in watch.observation.paths)

    @property
    def registration(self) -> Registration:
        """Return the registration with the server of the lowest Short Server ID; one of its own while there is none."""
        found = self.lifecycle.registrations
        return found[min(found)] if found else Registration(keep=False)

    def _server(self, server: int | None) -> int:
        if server is not None:
            return server
        known = self.accounts.servers()
        if not known:
            raise NotRegistered("the device has no server account")
        return known[0].server_id

    # What the device does by itself. `server` is a Short Server ID, the lowest one where it is None.

    async def register(self, *, complete: bool = False, server: int | None = None) -> Response:
        """Send Register and return its answer; `complete` leaves nothing out. NotRegistered, NoAnswer, Reset, Closed.

        2.01 begins a registration and ends all observations of the one before.
        """
        number = self._server(server)
        if number not in self.lifecycle.registrations:
            self.lifecycle.registrations[number] = Registration(self.options.keep_registered)
        return await self.client.perform(Register(number, complete))

    async def update(
        self, *, lifetime: bool = False, binding: bool = False, links: bool = False, server: int | None = None
    ) -> Response:
        """Send Update with the named parameters; none is a plain sign of life. NotRegistered, NoAnswer, Reset, Closed.

        After 4.04 the registration has ended.
        """
        return await self.client.perform(Update(self._server(server), lifetime, binding, links))

    async def deregister(self, *, server: int | None = None) -> Response:
        """Send De-register; whatever the answer, the registration and its observations have ended.

        With `keep_registered` the device stays away until `register` is called. NotRegistered, NoAnswer, Reset, Closed.
        """
        return await self.client.perform(Deregister(self._server(server)))

    async def bootstrap(self) -> Response:
        """Send Bootstrap-Request and return its answer. NotRegistered without an account, NoAnswer, Reset, Closed."""
        return await self.client.perform(RequestBootstrap())

    def set(self, path: str, value: Value) -> None:
        """Set the value of a resource, as a sensor would; observers are notified by their attributes.

        PathError, KeyError (no such resource), FormatError.
        """
        target = parse_path(path)
        self.tree.set(target, value)
        self._sensors.measured(target)

    async def send(
        self,
        paths: Sequence[str],
        *,
        content_format: ContentFormat = ContentFormat.SENML_CBOR,
        confirmable: bool = True,
        timestamp: float | None = None,
        server: int | None = None,
    ) -> Response | None:
        """Send (§6.5.2) the values at `paths`, stamped with `timestamp` (seconds since 1970) if given.

        What the server has no right to read is left out. Return its response. SendMuted; NotRegistered; OperationError
        when there is nothing to read; NoAnswer and the other errors of a request.
        """
        number = self._server(server)
        account = self.accounts.server(number)
        if account is None or account.muted:
            raise SendMuted
        records = [record for path in paths for record in self.tree.read(parse_path(path))]
        allowed = [record for record in records if self.access.allows(number, record.path, Right.READ)]
        if records and not allowed:
            raise OperationError(NOT_ALLOWED, f"server {number} has no right to read any of this")
        stamped = [Record(record.path, record.value, timestamp) for record in allowed]
        root = "".join(f"/{segment}" for segment in self.options.root.split("/") if segment)
        payload = encode(content_format, (), stamped, self.tree.model.type_of, root=root)
        request = Request(POST, ("dp",), payload=payload, content_format=int(content_format), confirmable=confirmable)
        return await self.client.request(request, number)

    def poll(self, *, confirmable: bool = False) -> None:
        """Send an Empty message: opens the receive windows of a LoRaWAN class A device (Appendix C)."""
        self.client.background(self._poll(confirmable=confirmable))

    async def _poll(self, *, confirmable: bool) -> None:
        account = self.accounts.servers()[0] if self.accounts.servers() else self.accounts.bootstrap()
        if account is not None:
            route = await self.bearers.route(
                account, self.client.apn_of(account) if isinstance(account, Account) else ""
            )
            route.bearer.up.send_empty(route.peer, confirmable=confirmable)

    def _registered(self, server: int) -> None:
        self._end_observations(server)
        if self.options.send_at_register:
            self._send_in_background(self.options.send_at_register, server)

    def _send_in_background(self, paths: Sequence[str], server: int | None = None) -> None:
        """Send in the background; a refusal or a missing answer is not reported."""

        async def send() -> None:
            with contextlib.suppress(SendMuted, NotRegistered, OperationError, NoAnswer, Reset, Closed):
                await self.send(paths, server=server)

        self.client.background(send())

    def _end_observations(self, server: int) -> None:
        """Forget a server's observations, as a new registration does (§6.2.1)."""
        for watch in [watch for watch in self._serving.watches if watch.server == server]:
            for bearer in self.bearers.all:
                if bearer.endpoint is not None:
                    bearer.endpoint.end_observation(watch.peer, watch.request.token)
            self._serving.watches.discard(watch)

    # What servers ask.

    async def _handle(self, bearer: Bearer, request: Request) -> Response:
        if self.options.answer_delay:
            await asyncio.sleep(self.options.answer_delay)
        server = await self._senders.of(bearer, request)
        if server == BOOTSTRAP:
            self.lifecycle.session_continues(asyncio.get_running_loop().time())
        now = asyncio.get_running_loop().time()
        challenge = None if self._freshness is None else self._freshness.challenge(request, now)
        if challenge is not None:
            return challenge
        response = self._serving.perform(request, server)
        self.client.advance()
        return response

    def _short_message(self, bearer: Bearer, request: Request) -> bool:
        """Take a trigger over SMS; return whether that is all there is to it (Transport TS 1.1 §6.6).

        While a server uses the SMS binding, its requests over SMS are answered as over any other bearer.
        """
        if self._senders.uses(bearer):
            return False
        account = self._senders.triggered(request)
        if account is not None:
            self._serving.perform(request, account.server_id)
            self.client.advance()
        return True

    def _changed(self, changed: Changed) -> None:
        self._serving.changed(changed)
        for path in changed.paths:
            self._firmware.written(path)
            if self._component is not None:
                self._component.written(path)
            if self._tunnel is not None:
                self._tunnel.written(path)
            self._ask_for_updates(path)
        self.client.advance()

    def _ask_for_updates(self, path: Path) -> None:
        """A value changed, an object instance came or went: servers have to hear of some of it by Update."""
        for server_id, registration in self.lifecycle.registrations.items():
            account = self.accounts.server(server_id)
            if account is None:
                continue
            if path == (*account.server, LIFETIME):
                registration.ask("lifetime")
            elif path == (*account.server, BINDING):
                registration.ask("binding")
            elif len(path) == INSTANCE_LEVEL:
                registration.ask("links")

    def _bootstrap_finished(self, problem: str | None) -> None:
        self.lifecycle.finished(problem, asyncio.get_running_loop().time())
        if problem is None:
            for account in self.accounts.servers():
                now = self.clock.read()
                if now is not None:
                    self.tree.set((*account.server, LAST_BOOTSTRAPPED), now)

    def _executable(self, path: Path) -> Executable | None:
        fixed: dict[Path, Executable] = {
            _REBOOT: lambda _arguments: self.reboot(lose_state=False),
            _FACTORY_RESET: lambda _arguments: self.reboot(lose_state=True),
            _RESET_ERRORS: lambda _arguments: self.tree.set_all(_ERROR_CODE, {0: 0}),
        }
        for feature in (fixed.get, self._server_executable, self._firmware.executable, self._sensors.executable):
            if (found := feature(path)) is not None:
                return found
        return self._every_type.executable(path)

    def _server_executable(self, path: Path) -> Executable | None:
        account = next((one for one in self.accounts.servers() if one.server == path[:INSTANCE_LEVEL]), None)
        registration = None if account is None else self.lifecycle.registrations.get(account.server_id)
        if account is None or registration is None:
            return None
        actions: dict[int, Executable] = {
            DISABLE: lambda _arguments: self._disable(account, registration),
            UPDATE_TRIGGER: lambda _arguments: registration.ask("sign of life"),
            BOOTSTRAP_TRIGGER: lambda _arguments: self._trigger_bootstrap(),
        }
        return actions.get(path[2])

    def _disable(self, account: Account, registration: Registration) -> None:
        timeout = self.tree.get_or((*account.server, DISABLE_TIMEOUT), 86400)
        registration.leave(asyncio.get_running_loop().time(), float(timeout))  # type: ignore[arg-type]  # an integer

    def _trigger_bootstrap(self) -> None:
        if not self.lifecycle.bootstrap(asyncio.get_running_loop().time(), triggered=True):
            raise OperationError(NOT_ALLOWED, "the device has no bootstrap server")
