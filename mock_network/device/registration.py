"""Registration of an emulated device: Register, Update, De-register, and keeping it alive (Core TS 1.1 §6.2)."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from mock_network.lwm2m.definitions import SERVER
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.links import format_links
from mock_network.lwm2m.messages import DELETE, POST, Closed, NoAnswer, Request, Reset, Response
from mock_network.lwm2m.paths import INSTANCE_LEVEL, Path

if TYPE_CHECKING:
    from mock_network.device.device import Device

_log = logging.getLogger(__name__)

MAX_TRANSMIT_WAIT = 93.0  # seconds (RFC 7252 §4.8.2)
LIFETIME: Path = (SERVER, 0, 1)
DISABLE_TIMEOUT: Path = (SERVER, 0, 5)
BINDING: Path = (SERVER, 0, 7)
NOT_FOUND, CONFLICT = "4.04", "4.09"


class NotRegistered(Exception):
    """There is no registration to update or to end."""


class Registration:
    """The device's registration with its one server."""

    def __init__(self, device: "Device") -> None:
        self.location: tuple[str, ...] | None = None
        """Path of the registration, None while there is none."""
        self.registered_at: float | None = None
        """Time of the last answered Register or Update, seconds of the loop's clock."""
        self.failures: list[str] = []
        """Why attempts failed: response codes, or that no answer came."""
        self._device = device
        self._lock = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._due: set[str] = set()
        self._disabled_until: float | None = None
        self._leave = False

    @property
    def registered(self) -> bool:
        """Whether the server answered 2.01 and has not been left since."""
        return self.location is not None

    # Calls.

    async def register(self, *, complete: bool = False) -> Response:
        """Send Register and take its answer; `complete` leaves nothing out. NoAnswer, Reset, Closed.

        2.01 begins a registration and ends all observations of the one before.
        """
        async with self._lock:
            omit = frozenset() if complete else self._device.options.omit
            response = await self._device.request(self._register_request(omit))
            if response.code == "2.01":
                self._device.end_observations()
                self.location = response.location
                self.registered_at = response.time
                self._due.clear()
                self._leave = False
                self._wake.set()
            return response

    def _register_request(self, omit: frozenset[str]) -> Request:
        options = self._device.options
        query = []
        if "ep" not in omit:
            query.append(f"ep={options.endpoint}")
        if "lt" not in omit:
            query.append(f"lt={self._text(LIFETIME)}")
        if "lwm2m" not in omit:
            query.append(f"lwm2m={options.version}")
        if "b" not in omit:
            query.append(f"b={self._text(BINDING)}")
        if options.queue_mode:
            query.append("Q")
        if "links" in omit:
            return Request(POST, ("rd",), tuple(query))
        return Request(POST, ("rd",), tuple(query), self._links(), int(ContentFormat.LINK))

    def _text(self, path: Path) -> str:
        return str(self._device.tree.get(path))

    def _links(self) -> bytes:
        formats = " ".join(str(int(number)) for number in (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR))
        return format_links(self._device.tree.registration_links(f"{formats} {int(ContentFormat.TLV)}"))

    async def update(self, *, lifetime: bool = False, binding: bool = False, links: bool = False) -> Response:
        """Send Update with the named parameters; none is a plain sign of life. NotRegistered, NoAnswer, Reset, Closed.

        After 4.04 the registration is over.
        """
        async with self._lock:
            if self.location is None:
                raise NotRegistered
            query = []
            if lifetime:
                query.append(f"lt={self._text(LIFETIME)}")
            if binding:
                query.append(f"b={self._text(BINDING)}")
            payload = self._links() if links else b""
            request = Request(POST, self.location, tuple(query), payload, int(ContentFormat.LINK) if links else None)
            response = await self._device.request(request)
            if response.ok:
                self.registered_at = response.time
            elif response.code == NOT_FOUND:
                self.location = None
                self._wake.set()
            return response

    async def deregister(self) -> Response:
        """Send De-register; whatever the answer, the registration and its observations are over.

        With `keep_registered` the device stays away until `register` is called. NotRegistered, NoAnswer, Reset, Closed.
        """
        async with self._lock:
            location, self.location = self.location, None
            if location is None:
                raise NotRegistered
            self._leave = True
            self._wake.set()
            self._device.end_observations()
            return await self._device.request(Request(DELETE, location))

    def forget(self) -> None:
        """The device no longer knows of its registration."""
        self.location = None
        self.registered_at = None
        self._due.clear()

    # What operations of the server cause.

    def written(self, path: Path) -> None:
        """A value changed, an object instance came or went: the server has to hear of some of it."""
        if path == LIFETIME:
            self._ask("lifetime")
        elif path == BINDING:
            self._ask("binding")
        elif len(path) == INSTANCE_LEVEL:
            self._ask("links")

    def ask_update(self) -> None:
        """Execute /1/x/8."""
        self._ask("sign of life")

    def disable(self) -> None:
        """Execute /1/x/4: de-register, and come back after the Disable Timeout."""
        timeout = self._device.tree.get(DISABLE_TIMEOUT)
        self._disabled_until = asyncio.get_running_loop().time() + float(timeout)  # type: ignore[arg-type]  # an integer resource
        self._wake.set()

    def _ask(self, what: str) -> None:
        if self.registered:
            self._due.add(what)
            self._wake.set()

    # Keeping it alive.

    def start(self) -> None:
        """Begin to keep the device registered, if it is to be."""
        self._leave = False
        self._disabled_until = None
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def stop(self) -> None:
        """Stop it."""
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()
        self._worker = None

    async def _work(self) -> None:
        if self.registered and self._device.options.keep_registered:
            self._due.add("sign of life")  # a restart that kept the registration says so
        while True:
            try:
                await self._turn()
            except (NoAnswer, Reset) as problem:
                self.failures.append(repr(problem))
                _log.info("%s: %r", self._device.options.endpoint, problem)
            except NotRegistered:
                continue
            except Closed:
                return

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._disabled_until is not None:
            if self.registered:
                with contextlib.suppress(NoAnswer, Reset):
                    await self.deregister()
            await asyncio.sleep(max(0.0, self._disabled_until - loop.time()))
            self._disabled_until, self._leave = None, False
        if not self.registered:
            if self._device.options.keep_registered and not self._leave:
                await self._register_until_accepted()
            else:
                await self._sleep(None)
            return
        if self._due:
            due, self._due = self._due, set()
            try:
                await self.update(lifetime="lifetime" in due, binding="binding" in due, links="links" in due)
            except (NoAnswer, Reset):
                # §6.2.2: an Update without answer is as a lost registration.
                if self._device.options.keep_registered:
                    self.location = None
                raise
            return
        await self._sleep(self._update_due())

    def _wanted(self) -> bool:
        return not self.registered and not self._leave

    def _update_due(self) -> float | None:
        lifetime = self._device.tree.get(LIFETIME)
        if not self._device.options.keep_registered or self.registered_at is None or not isinstance(lifetime, int):
            return None
        if lifetime == 0:  # infinite
            return None
        return self.registered_at + max(lifetime / 2, lifetime - MAX_TRANSMIT_WAIT)

    async def _sleep(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            self._due.add("sign of life")
        self._wake.clear()

    async def _register_until_accepted(self) -> None:
        """Core TS 1.1 §6.2.1.1: attempts with doubling pauses, a long pause after the last."""
        options = self._device.options
        complete = False
        while self._wanted():
            for attempt in range(options.retry_count):
                try:
                    response = await self.register(complete=complete)
                except (NoAnswer, Reset) as problem:
                    self.failures.append(repr(problem))
                else:
                    if response.ok:
                        return
                    self.failures.append(response.code)
                    if response.code == CONFLICT and "links" in options.omit and not complete:
                        # Transport TS 6.8.4: the server does not know the object list and asks for it.
                        complete = True
                        continue
                await asyncio.sleep(options.retry_timer * 2**attempt)
                if not self._wanted():
                    return
            await asyncio.sleep(options.sequence_delay)
