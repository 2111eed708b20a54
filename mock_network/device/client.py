"""The client's side of a device: carries out the tasks of its life cycle, and what the control API asks for."""

import asyncio
import contextlib
import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

from mock_network.device.accounts import Account, Accounts
from mock_network.device.bearers import URI_HOST, Bearers
from mock_network.device.discovery import registration_links
from mock_network.device.lifecycle import Lifecycle
from mock_network.device.options import DeviceOptions
from mock_network.device.security import SecurityContexts, credentials_of
from mock_network.device.tasks import (
    Answer,
    Deregister,
    Register,
    RemoveBootstrapAccount,
    RequestBootstrap,
    Task,
    UndoBootstrap,
    Update,
)
from mock_network.device.tree import Instances, ObjectTree
from mock_network.lwm2m.definitions import APN_PROFILE
from mock_network.lwm2m.formats import SENML, ContentFormat
from mock_network.lwm2m.links import format_links
from mock_network.lwm2m.messages import DELETE, POST, Closed, NoAnswer, Request, Reset, Response
from mock_network.lwm2m.oscore import OscoreError

_log = logging.getLogger(__name__)

_APN = 1  # resource of object 11


class NotRegistered(Exception):
    """There is no registration to update or to end, or no such server."""


class Client:
    """Sends what `lifecycle` asks for.

    `on_registered` is called with the server after each 2.01 to Register, `on_left` when a registration was given up.
    """

    def __init__(
        self,
        options: DeviceOptions,
        tree: ObjectTree,
        accounts: Accounts,
        bearers: Bearers,
        lifecycle: Lifecycle,
        contexts: SecurityContexts,
        on_registered: Callable[[int], None],
        on_left: Callable[[int], None],
    ) -> None:
        self._options, self._tree, self._accounts = options, tree, accounts
        self._bearers, self._lifecycle, self._contexts = bearers, lifecycle, contexts
        self._on_registered, self._on_left = on_registered, on_left
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._before_bootstrap: Instances | None = None
        self._up = False

    # Life.

    def start(self, *, fresh: bool = False) -> None:
        """Begin to bootstrap and register, by the options."""
        self._up = True
        self._lifecycle.start(asyncio.get_running_loop().time(), fresh=fresh)
        self.advance()

    def stop(self) -> None:
        """Do nothing more: the device is down."""
        self._up = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        current = asyncio.current_task()
        for task in list(self._running):
            if task is not current:
                task.cancel()
        self._locks.clear()

    def advance(self) -> None:
        """Carry out due tasks, and set a timer for the rest."""
        if not self._up:
            return
        loop = asyncio.get_running_loop()
        for task in self._lifecycle.due_tasks(loop.time()):
            self._carry_out(task)
        if self._timer is not None:
            self._timer.cancel()
        due = self._lifecycle.due()
        self._timer = None if due is None else loop.call_at(due, self.advance)

    def _carry_out(self, task: Task) -> None:
        if isinstance(task, UndoBootstrap):
            if self._before_bootstrap is not None:
                self._tree.restore(self._before_bootstrap)
        elif isinstance(task, RemoveBootstrapAccount):
            account = self._accounts.bootstrap()
            if account is not None:
                self._tree.remove(account.security)
        else:
            self.background(self._quietly(task))

    def background(self, action: Coroutine[Any, Any, Any]) -> None:
        """Run something until it is done or the device goes down."""
        task = asyncio.get_running_loop().create_task(action)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _quietly(self, task: Task) -> None:
        with contextlib.suppress(NoAnswer, Reset, Closed, OscoreError, NotRegistered, OSError, ValueError):
            await self.perform(task)

    async def perform(self, task: Task) -> Response:
        """Send the request of a task, pass its result to the life cycle, and return its response.

        NotRegistered, NoAnswer, Reset, Closed; OSError, ValueError for a URI that cannot be used.
        """
        server = task.server if isinstance(task, Register | Update | Deregister) else 0
        async with self._locks[server]:
            if isinstance(task, RequestBootstrap):
                self._before_bootstrap = self._tree.snapshot()
                self._lifecycle.requests_bootstrap()
            request = self._request(task)
            try:
                response = await self.request(request, server)
            except (NoAnswer, Reset, OscoreError, OSError, ValueError) as problem:
                _log.info("%s: %r", self._options.endpoint, problem)
                self._answered(task, Answer(None, repr(problem)))
                raise
            self._answered(task, Answer(response.code, response.payload.decode(errors="replace"), response.location))
            return response

    def _answered(self, task: Task, answer: Answer) -> None:
        self._lifecycle.answered(task, answer, asyncio.get_running_loop().time())
        if isinstance(task, Register) and answer.code == "2.01":
            self._on_registered(task.server)
        elif isinstance(task, Deregister):
            self._on_left(task.server)
        self.advance()

    # Requests.

    async def request(self, request: Request, server: int) -> Response:
        """Send a request to a server by its Short Server ID, 0 for the bootstrap server, and return its response.

        NotRegistered if there is no such account; NoAnswer, Reset, Closed; OSError, ValueError for a bad URI.
        """
        account = self._accounts.server(server) if server else self._accounts.bootstrap()
        if account is None:
            raise NotRegistered(f"no account of server {server}" if server else "no account of a bootstrap server")
        route = await self._bearers.route(account, self.apn_of(account) if isinstance(account, Account) else "")
        await route.bearer.secure(route.peer, credentials_of(self._tree, account.security))
        options = request.options if route.host is None else (*request.options, (URI_HOST, route.host.encode()))
        full = dataclasses.replace(request, options=options, security=self._contexts.of(account.security))
        exchange = await route.bearer.up.request(route.peer, full, wait=self._options.response_timeout)
        return exchange.response

    def apn_of(self, account: Account) -> str:
        """Return the name of the APN that a server designates by /1/x/10, empty for none."""
        if account.apn is None or account.apn[0] != APN_PROFILE:
            return ""
        return str(self._tree.get_or((*account.apn, _APN), ""))

    def _request(self, task: Task) -> Request:
        if isinstance(task, Register):
            return self._register(task)
        if isinstance(task, RequestBootstrap):
            preference = ContentFormat.SENML_CBOR if self._options.default_format in SENML else ContentFormat.TLV
            name = () if "ep" in self._options.omit else (f"ep={self._options.endpoint}",)
            return Request(POST, ("bs",), (*name, f"pct={int(preference)}"))
        if not isinstance(task, Update | Deregister):
            raise TypeError(f"{task} is no request")
        registration = self._lifecycle.registrations.get(task.server)
        account = self._accounts.server(task.server)
        if registration is None or registration.location is None or account is None:
            raise NotRegistered
        if isinstance(task, Deregister):
            return Request(DELETE, registration.location)
        query = [
            *([f"lt={account.lifetime}"] if task.lifetime else []),
            *([f"b={account.binding}"] if task.binding else []),
        ]
        payload = self._links(self._options.omit) if task.links else b""
        content_format = int(ContentFormat.LINK) if task.links else None
        return Request(POST, registration.location, tuple(query), payload, content_format)

    def _register(self, task: Register) -> Request:
        account = self._accounts.server(task.server)
        if account is None:
            raise NotRegistered(f"no account of server {task.server}")
        options = self._options
        parameters = {
            "ep": f"ep={options.endpoint}",
            "lt": f"lt={account.lifetime}",
            "lwm2m": f"lwm2m={options.version}",
            "b": f"b={account.binding}",
        }
        omit = frozenset() if task.complete else options.omit
        query = tuple(text for name, text in parameters.items() if name not in omit)
        if options.queue_mode:
            query += ("Q",)
        if "links" in omit:
            return Request(POST, ("rd",), query)
        return Request(POST, ("rd",), query, self._links(omit), int(ContentFormat.LINK))

    def _links(self, omit: frozenset[str]) -> bytes:
        spoken = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.TLV)
        formats = " ".join(str(int(number)) for number in spoken)
        root = f"/{self._options.root.strip('/')}" if self._options.root.strip("/") else ""
        return format_links(registration_links(self._tree, formats, root, omit))
