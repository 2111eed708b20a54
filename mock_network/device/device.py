"""An emulated LwM2M 1.1 device: client and CoAP server on one UDP socket."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

from mock_network.clock import current_clock
from mock_network.device.firmware import UPDATE, Firmware
from mock_network.device.initial import initial_objects
from mock_network.device.notify import AttributeTable, Observation, numeric
from mock_network.device.objects import Changed, ObjectTree, OperationError
from mock_network.device.operations import Executable, Operations
from mock_network.device.oplog import OperationLog
from mock_network.device.options import DeviceOptions
from mock_network.device.registration import Registration
from mock_network.lwm2m.definitions import DEVICE, SERVER, TEMPERATURE, type_of
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.formats import ContentFormat, encode
from mock_network.lwm2m.messages import POST, Closed, Request, Response, resolve
from mock_network.lwm2m.paths import Path, covers, parse_path
from mock_network.lwm2m.transport import Address, Datagram
from mock_network.lwm2m.values import Record, Value

_log = logging.getLogger(__name__)

WIRE_LOG = 10_000  # datagrams kept
_SENSOR_VALUE, _MIN_MEASURED, _MAX_MEASURED, _RESET_MEASURED = 5700, 5601, 5602, 5605


class SendMuted(Exception):
    """The server muted Send (/1/x/23)."""


class Device:
    """Make it, `start` it, `stop` it. `operations` and `wire` tell what it executed and what passed its socket."""

    def __init__(self, options: DeviceOptions) -> None:
        self.options = options
        self.tree = ObjectTree(initial_objects(options.endpoint, options.server_uri, options.lifetime, options.binding))
        self.attributes = AttributeTable()
        self.operations = OperationLog()
        self.wire: deque[Datagram] = deque(maxlen=WIRE_LOG)
        self.given_up: list[tuple[int, str]] = []
        """MID and token of each CON message of the device that was never acknowledged."""
        self.registration = Registration(self)
        self._rng = random.Random(options.seed)
        self._watches: set[_Watch] = set()
        self._performer = Operations(self.tree, self.attributes, self._executable, options.default_format)
        self._firmware = Firmware(self.tree, self._later)
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._endpoint: CoapEndpoint | None = None
        self._address: Address = options.bind
        self.server: Address = ("", 0)
        """Where requests go; known once started."""
        self.tree.on_change = self._changed

    # Life.

    async def start(self) -> None:
        """Open the socket and, with `keep_registered`, begin to register. OSError, ValueError for a bad URI."""
        self.server = await resolve(self.options.server_uri)
        await self._open()
        self.registration.start()

    async def _open(self) -> None:
        self._endpoint = await CoapEndpoint.create(
            self._handle,
            self._address,
            tuning=self.options.tuning,
            tap=self.wire.append,
            token_length=self.options.token_length,
            rng=self._rng,
        )
        # From now on the same port, also after a restart.
        self._address = self._endpoint.address
        self._endpoint.on_given_up = lambda _peer, mid, token: self.given_up.append((mid, token.hex()))

    async def stop(self) -> None:
        """Close at once, saying nothing to the server."""
        await self.crash()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def crash(self) -> None:
        """The power is gone: nothing is sent or answered any more, observations are lost."""
        self.registration.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.shutdown()
        self._watches.clear()

    async def restart(self, *, lose_state: bool = False) -> None:
        """Crash, and start again on the same port: with what it knew (registration included), or as it was new."""
        await self.crash()
        if lose_state:
            self.tree.reset()
            self.attributes = AttributeTable()
            self._performer = Operations(self.tree, self.attributes, self._executable, self.options.default_format)
            self.registration.forget()
        await self._open()
        self.registration.start()

    @property
    def running(self) -> bool:
        """Whether its socket is open."""
        return self._endpoint is not None

    @property
    def endpoint(self) -> CoapEndpoint:
        """The CoAP endpoint; Closed while the device is down."""
        if self._endpoint is None:
            raise Closed("the device is down")
        return self._endpoint

    @property
    def address(self) -> Address:
        """The local address and port, the same for the whole life of the device."""
        return self._address

    @property
    def muted(self) -> bool:
        """While set, the device hears and says nothing, but goes on otherwise."""
        return self.endpoint.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self.endpoint.muted = muted

    @property
    def observed(self) -> list[Path]:
        """The paths under observation."""
        return sorted(watch.observation.path for watch in self._watches)

    # What the device does by itself.

    def set(self, path: str, value: Value) -> None:
        """Give a resource a value, as a sensor would; observers are notified as their attributes say.

        PathError, KeyError (no such resource), FormatError.
        """
        target = parse_path(path)
        self.tree.set(target, value)
        if target[0] == TEMPERATURE and target[2] == _SENSOR_VALUE:
            self._measured(target, float(self.tree.get(target)))  # type: ignore[arg-type]  # a float resource

    def _measured(self, sensor: Path, value: float) -> None:
        for resource, extreme in ((_MIN_MEASURED, min), (_MAX_MEASURED, max)):
            path = (*sensor[:2], resource)
            try:
                known = self.tree.get(path)
            except KeyError:
                known = value
            new = extreme(float(known), value)  # type: ignore[arg-type]  # a float resource
            if new != known or known is value:
                self.tree.set(path, new)

    async def send(
        self,
        paths: Sequence[str],
        *,
        content_format: ContentFormat = ContentFormat.SENML_CBOR,
        confirmable: bool = True,
        timestamp: float | None = None,
    ) -> Response | None:
        """Send (§6.5.2) what is at `paths`, stamped with `timestamp` (seconds since 1970) if given.

        The server's response, or None for a NON. NoAnswer and the other errors of a request; SendMuted;
        OperationError when there is nothing to read.
        """
        if self.tree.get((SERVER, 0, 23)) is True:
            raise SendMuted
        records = [record for path in paths for record in self.tree.read(parse_path(path))]
        stamped = [Record(record.path, record.value, timestamp) for record in records]
        payload = encode(content_format, (), stamped, type_of)
        request = Request(POST, ("dp",), payload=payload, content_format=int(content_format), confirmable=confirmable)
        return await self.request(request)

    async def request(self, request: Request) -> Response:
        """Send any request to the server and wait for its response; NoAnswer, Reset, Closed."""
        exchange = await self.endpoint.request(self.server, request, wait=self.options.response_timeout)
        return exchange.response

    def poll(self, *, confirmable: bool = False) -> None:
        """Send an Empty message: opens the receive windows of a LoRaWAN class A device (Appendix C)."""
        self.endpoint.send_empty(self.server, confirmable=confirmable)

    def end_observations(self) -> None:
        """Forget all observations, as a new registration does (§6.2.1)."""
        for watch in list(self._watches):
            self.endpoint.end_observation(watch.request.peer, watch.request.token)
        self._watches.clear()

    def _background(self, action: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay, run)
        self._timers.add(timer)

    # What servers ask.

    async def _handle(self, request: Request) -> Response:
        outcome = self._performer.perform(request)
        now = asyncio.get_running_loop().time()
        self.operations.add(
            now,
            current_clock().wall(),
            outcome.operation,
            "/" + "/".join(request.path),
            outcome.response.code,
            request.payload,
            request.mid,
            request.token,
        )
        if outcome.operation == "Write-Attributes":
            for watch in self._watches:
                watch.wake.set()
        if outcome.operation == "Observe" and outcome.response.ok:
            watch = _Watch(self, request, self._observation(outcome.path, now))
            self._watches.add(watch)
            return Response(
                outcome.response.code,
                outcome.response.payload,
                outcome.response.content_format,
                confirmable=self.options.confirmable_notifications,
                subscription=watch,
            )
        return outcome.response

    def _observation(self, path: Path, now: float) -> Observation:
        observation = Observation(path, self.attributes.effective(path, *self._default_periods()), now)
        observation.sent(now, numeric(self.tree.read(path), path))
        return observation

    def _default_periods(self) -> tuple[float, float]:
        periods = []
        for resource in (2, 3):  # Default Minimum Period, Default Maximum Period
            try:
                value = self.tree.get((SERVER, 0, resource))
            except KeyError:
                value = 0
            periods.append(float(value) if isinstance(value, int) else 0.0)
        return periods[0], periods[1]

    def _changed(self, changed: Changed) -> None:
        for watch in self._watches:
            if any(
                covers(watch.observation.path, path) or covers(path, watch.observation.path) for path in changed.paths
            ):
                watch.changed()
        for path in changed.paths:
            self._firmware.written(path)
            self.registration.written(path)

    def _executable(self, path: Path) -> Executable | None:
        fixed: dict[Path, Executable] = {
            (SERVER, 0, 4): lambda _arguments: self.registration.disable(),
            (SERVER, 0, 8): lambda _arguments: self.registration.ask_update(),
            (DEVICE, 0, 4): lambda _arguments: self._reboot(lose_state=False),
            (DEVICE, 0, 5): lambda _arguments: self._reboot(lose_state=True),
            (DEVICE, 0, 12): lambda _arguments: self.tree.set((DEVICE, 0, 11, 0), 0),
            UPDATE: self._firmware.update,
        }
        if path[0] == TEMPERATURE and path[2] == _RESET_MEASURED:
            return lambda _arguments: self._reset_measured(path[:2])
        return fixed.get(path)

    def _reset_measured(self, sensor: Path) -> None:
        value = self.tree.get((*sensor, _SENSOR_VALUE))
        self.tree.set((*sensor, _MIN_MEASURED), value)
        self.tree.set((*sensor, _MAX_MEASURED), value)

    def _reboot(self, *, lose_state: bool) -> None:
        async def reboot() -> None:
            await asyncio.sleep(self.options.reboot_delay)
            await self.crash()
            await asyncio.sleep(self.options.reboot_time)
            # A reboot ends the registration session: the device registers anew (§6.2.1).
            self.registration.forget()
            await self.restart(lose_state=lose_state)

        self._background(reboot())

    # For observations.

    def content(self, path: Path, accept: int | None) -> Response:
        """The next notification for an observed path; a refusal ends the observation."""
        try:
            return self._performer.content(path, accept)
        except OperationError as error:
            return Response(error.code, error.reason.encode())

    def value(self, path: Path) -> float | None:
        """The number at a path, if it is one."""
        with contextlib.suppress(OperationError):
            return numeric(self.tree.read(path), path)
        return None

    def refresh(self, observation: Observation) -> None:
        """Take over attributes that were written since."""
        observation.attributes = self.attributes.effective(observation.path, *self._default_periods())

    def unwatch(self, watch: "_Watch") -> None:
        """An observation is over."""
        self._watches.discard(watch)


class _Watch:
    """One observation by a server: waits for what makes a notification due."""

    def __init__(self, device: Device, request: Request, observation: Observation) -> None:
        self.request = request
        self.observation = observation
        self.wake = asyncio.Event()
        self._device = device

    def changed(self) -> None:
        self.observation.change(self._device.value(self.observation.path))
        self.wake.set()

    async def notifications(self) -> AsyncIterator[Response]:
        loop = asyncio.get_running_loop()
        while True:
            self._device.refresh(self.observation)
            due = self.observation.due()
            if due is None or due > loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self.wake.wait()
                self.wake.clear()
                continue
            content = self._device.content(self.observation.path, self.request.accept)
            self.observation.sent(loop.time(), self._device.value(self.observation.path))
            yield Response(
                content.code,
                content.payload,
                content.content_format,
                confirmable=self._device.options.confirmable_notifications,
            )

    def closed(self) -> None:
        self._device.unwatch(self)
