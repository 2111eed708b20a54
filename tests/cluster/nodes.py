"""Nodes of one cluster, each a process, on a real PostgreSQL and an emulated SCEF; what they accept, what is on air.

Requests come by the API of whichever node takes them. Notifications of the SCEF go through a load balancer that knows
nothing of shards: it posts to one node after the other, and asks another one only if there is no connection.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from bridge.cluster.balance import wanted
from bridge.north.udp.prefixes import SHARDS
from mock_network.lab import SCS_AS, TOKEN, Api, ApiError, Lab, LabProcess, PartLocation, free_port
from mock_network.lab.api import Dialler
from tests import forked
from tests.cluster.valve import Valve
from tests.store.postgres_server import PostgresServer
from tests.waiting import until

LEASE = 5.0
SPARE = 8  # devices that have no endpoint at first
PATH = "cluster-test"  # the last part of the callback URL
SMS_PATH = "cluster-sms"  # of the network `sms`
MORE_PATH = "cluster-more"  # of one more network
CONFIG = """
[service]
state_directory = {state}
database = {database}
default_servers = ["lab"]
[cluster]
enabled = true
node = "{node}"
lease = {lease}
renew = 1.0
{patience}take_command = {take}
release_command = {release}
[north]
port = {north}
prefixes = ["{prefix}"]
[servers.lab]
uri = "{server}"
[networks.net]
binding = "nidd"
api_root = {scef}
scs_as_id = "{as_id}"
credentials = {{ kind = "oauth2", token_url = {token_url}, client_id = {client}, client_secret = "{token}" }}
callbacks = {{ bind = "{host}", port = {callback}, public_url = "{balancer}", path = "{path}" }}
downlinks = {{ response_timeout = 2.0, max_retransmit = 0 }}
"""
_SMS = """
[networks.sms]
binding = "sms"
api_root = {scef}
scs_as_id = "{as_id}"
credentials = {{ kind = "oauth2", token_url = {token_url}, client_id = {client}, client_secret = "{token}" }}
callbacks = {{ bind = "{host}", port = {sms_callback}, public_url = "{balancer}", path = "{sms_path}" }}
downlinks = {{ response_timeout = 2.0 }}
"""
_DONE = 'for prefix; do echo "done $prefix"; done'
_TAKE = f"""if test -e hangs; then exec sleep 60; fi; if test -e fails; then exit 1; fi
echo take "${{PWD##*/}}" "$@" >> "$0"; {_DONE}"""
_OF_THE_HOP = {"Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding"}  # of an answer
_ENDPOINT = """
[[endpoints]]
name = "e{number}"
network = "net"
address = "ue{number}@example.com"
servers = {servers}
"""


@dataclass(slots=True)
class NodeProcess:
    """One node; `name` is its name in the cluster, the callbacks the addresses to which a SCEF posts."""

    name: str
    folder: Path
    process: LabProcess
    valve: Valve
    callback: str
    sms_callback: str
    more_callback: str
    api: Api

    @property
    def can_answer(self) -> bool:
        return self.process.running

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)


@dataclass(slots=True)
class Accepted:
    """A request that a node has accepted: an Execute, whose argument is unique."""

    id: int
    endpoint: str
    argument: str


@dataclass(slots=True)
class OneMachine:
    """All parts of a cluster on loopback. Each node has a north port of its own, since they share all addresses.

    What moves is not addresses, but lines in the file `moves`.
    """

    folder: Path
    prefix: str = "127.64.0.0/10"
    server: str = field(default_factory=lambda: f"coap://127.0.0.1:{free_port()}")  # nobody listens there

    @property
    def places(self) -> Mapping[str, PartLocation]:
        return {}

    def host(self, part: str) -> str:
        """Return the address of a part: a node's name, "scef", or "balancer"."""
        del part
        return "127.0.0.1"

    def within(self, node: str) -> tuple[str, ...]:
        """Return the words that begin a program where a node runs."""
        del node
        return ()

    def north_port(self) -> int:
        return free_port()

    def modem_port(self, number: int) -> int:
        """Return the port of a device's modem; 0: any."""
        del number
        return 0

    def commands(self, folder: Path, node: str) -> tuple[list[str], list[str]]:
        """Return the commands with which a node takes and releases addresses; `folder` is the node's."""
        moves = str(self.folder / "moves")
        release = f'echo release {node} "$@" >> "$0"; {_DONE}'
        return ["/bin/sh", "-c", f"cd {folder}; {_TAKE}", moves], ["/bin/sh", "-c", release, moves]

    def listen(self, part: str, port: int) -> socket.socket:
        """Return a socket of this process that is bound to a port where a part is."""
        return socket.create_server((self.host(part), port))

    def dialler(self, part: str) -> Dialler | None:
        """Return what makes sockets for connections from where a part is."""
        del part
        return None


@dataclass(slots=True)
class Cluster:
    """Use it as an asynchronous context."""

    folder: Path
    server: PostgresServer
    devices: int = 12
    lease: float = LEASE
    program: str = "bridge.cli"
    standby: PostgresServer | None = None
    quotas: str = ""  # sections of the nodes' configuration
    has_sms: bool = False  # a network of SMS, beside NIDD
    server_of: Callable[[int], str] = lambda _number: "lab"  # the server of a device, by its name in the configuration
    more: Callable[[int], str] = lambda _port: ""  # sections for one more network, which is posted to at this port
    ttl: float = 60.0  # seconds in which a request is delivered, or not at all
    site: OneMachine | None = None
    nodes: dict[str, NodeProcess] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    gaps: list[float] = field(default_factory=list)  # seconds that endpoints were not served
    posts_to: str = ""  # the node that the load balancer posts to; "": to all in turn
    answers: Counter[int] = field(default_factory=Counter)  # of nodes to notifications, by status
    taken: list[bytes] = field(default_factory=list)  # notifications that a node has acknowledged
    events: list[bytes] = field(default_factory=list)  # what one more network has posted and a node has acknowledged
    _turn: int = 0
    _answered: list[bytes] = field(default_factory=list)  # notifications
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _where: str = ""
    _scef: Any = None
    _balancer: str = ""
    _session: ClientSession | None = None
    lab: Lab = field(init=False)
    _at: OneMachine = field(init=False)

    async def __aenter__(self) -> Self:
        self._at = at = self.site or OneMachine(self.folder)
        self.lab = await self._stack.enter_async_context(Lab(self.folder / "lab", places=at.places))
        ues = [
            {"name": f"ue{n}", "external_id": f"ue{n}@example.com", "port": at.modem_port(n)}
            for n in range(self.devices + SPARE)
        ]
        host = at.host("scef")
        self._scef = await self.lab.start_scef(ues, "--listen", f"{host}:0", "--modem-host", host)
        self._where = self.server.uri()
        if self.standby is not None:
            first = _quoted(self.server.folder)
            self._where = self._where.replace(first, f"{first}%2C{_quoted(self.standby.folder)}")
            self._where += "&target_session_attrs=read-write"
        dialler = at.dialler("balancer")
        connector = TCPConnector(socket_factory=dialler) if dialler else None
        session = ClientSession(timeout=ClientTimeout(5), connector=connector)
        self._session = await self._stack.enter_async_context(session)
        await self._start_balancer()
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            await self._end(node)
        await self._stack.aclose()

    async def _end(self, node: NodeProcess) -> None:
        if node.process.running:
            node.process.signal(signal.SIGCONT)
        node.process.kill()
        await node.api.close()
        await node.valve.close()

    async def start(
        self, name: str, as_: str = "", program: str = "", environment: Mapping[str, str] | None = None
    ) -> NodeProcess:
        """Start a node; with `as_`, one with that name in the cluster; with `program`, another one than all have."""
        if name in self.nodes:
            await self._end(self.nodes.pop(name))
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        valve = Valve(*(server.folder for server in self._servers))
        await valve.start()
        at, callback, sms_callback, more_callback = self._at, free_port(), free_port(), free_port()
        take, release = at.commands(folder, as_ or name)
        where = self._where
        for server, proxy in zip(self._servers, valve.folders, strict=True):
            where = where.replace(_quoted(server.folder), _quoted(proxy))
        text = (CONFIG + _SMS * self.has_sms).format(
            state=json.dumps(str(folder)),
            database=json.dumps(where),
            node=as_ or name,
            lease=self.lease,
            patience=f"command_silence = {4.0 * self.lease / LEASE}\n" if self.lease > LEASE else "",
            take=json.dumps(take),
            release=json.dumps(release),
            north=at.north_port(),
            prefix=at.prefix,
            server=at.server,
            scef=json.dumps(self._scef.ready["scef"]),
            as_id=SCS_AS,
            token=TOKEN,
            token_url=json.dumps(self._scef.ready["token_url"]),
            client=json.dumps(self._scef.ready["client_id"]),
            host=at.host(name),
            callback=callback,
            sms_callback=sms_callback,
            balancer=self._balancer,
            path=PATH,
            sms_path=SMS_PATH,
        )
        file = folder / "bridge.toml"
        text += self.more(more_callback)
        endpoints = [
            _ENDPOINT.format(number=number, servers=json.dumps([self.server_of(number)]))
            for number in range(self.devices)
        ]
        file.write_text(text + self.quotas + "".join(endpoints))
        words = ["-m", program or self.program, "run", "--config", str(file)]
        process = LabProcess(name, words, folder / "log", environment, within=at.within(name))
        process.start()
        api, host = Api("http://bridge", str(folder / "control.sock")), at.host(name)
        posted_to = [f"{host}:{port}" for port in (callback, sms_callback, more_callback)]
        node = self.nodes[name] = NodeProcess(as_ or name, folder, process, valve, *posted_to, api)
        return node

    @property
    def _servers(self) -> list[PostgresServer]:
        return [self.server] if self.standby is None else [self.server, self.standby]

    async def ready(self, name: str) -> None:
        """Wait until a node is ready."""
        node = self.nodes[name]

        async def is_ready() -> bool:
            node.process.check()
            with contextlib.suppress(OSError, ApiError):
                return bool((await node.api.post("/ready"))["ready"])
            return False

        await until(is_ready, 60, why=f"node {name} is not ready")

    # What the ledger says

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """Ask the database, past all nodes."""
        import psycopg

        with psycopg.connect(self._where) as connection:
            return connection.execute(question.encode()).fetchall()

    async def change(self, statements: str) -> None:
        """Change the database, past all nodes; they go on meanwhile, and what they send passes through this process."""
        import psycopg

        def change() -> None:
            with psycopg.connect(self._where, autocommit=True) as connection:
                connection.execute(statements.encode())

        await asyncio.to_thread(change)

    def announced(self) -> set[tuple[str, str]]:
        """Return which nodes still have the addresses of which prefix."""
        found: set[tuple[str, str]] = set()
        for line in (self.folder / "moves").read_text().splitlines():
            word, node, *prefixes = line.split()
            its = {(node, prefix) for prefix in prefixes}
            found = found | its if word == "take" else found - its
        return found

    def holders(self) -> dict[str, str]:
        """Return the node that holds each endpoint's shard."""
        return dict(self.rows("SELECT e.name, s.holder FROM endpoint e JOIN shard s ON s.id = e.shard"))

    def shards(self) -> Counter[str]:
        """Return the number of shards of each holder."""
        return Counter(holder for (holder,) in self.rows("SELECT holder FROM shard"))

    def moves(self) -> dict[str, list[tuple[str, str]]]:
        """Return for each shard's prefix which node took and released it; without what a start releases at once."""
        found: dict[str, list[tuple[str, str]]] = {}
        for line in (self.folder / "moves").read_text().splitlines():
            word, node, *prefixes = line.split()
            for prefix in prefixes if word == "take" or len(prefixes) < SHARDS else ():
                found.setdefault(prefix, []).append((word, node))
        return found

    async def settled(self, *names: str, wait: float = 60) -> None:
        """Wait until these nodes hold all shards, and each some."""
        await until(lambda: set(self.shards()) == set(names), wait, why=f"shards are not with {names}", every=0.1)

    async def balanced(self, *names: str, wait: float = 60) -> None:
        """Wait until each of these nodes holds the shards that it should have: then no shard moves any more."""
        right = [(wanted(shard, names),) for shard in range(SHARDS)]
        held = "SELECT holder FROM shard ORDER BY id"
        await until(
            lambda: self.rows(held) == right, wait, why=f"shards are not where {names} should have them", every=0.1
        )

    # Traffic

    async def send(self, endpoint: str, payload: str) -> None:
        """Let the device of an endpoint send a LwM2M Send with this payload; return when a node has answered."""
        self.asked["sends"] += 1
        mid = self.asked["sends"].to_bytes(2)
        data = b"\x52\x02" + mid + mid + b"\xb2dp\xff" + payload.encode()  # non-confirmable, Uri-Path dp
        before = len(self._answered)
        await self._scef.api.post(f"/ues/{endpoint.replace('e', 'ue', 1)}/uplink", {"data": data.hex()})
        said = base64.b64encode(data)
        await until(
            lambda: any(said in body for body in self._answered[before:]), 30, why=f"no answer about {endpoint}"
        )

    async def post(self, name: str, body: bytes) -> int:
        """Post a notification to one node; return the status."""
        assert self._session is not None
        url = f"http://{self.nodes[name].callback}/{PATH}"
        async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return answer.status

    async def add_spare(self, name: str) -> None:
        """Add endpoints for the other devices by the API of a node."""
        numbers = range(self.devices, self.devices + SPARE)
        added = [{"name": f"e{n}", "network": "net", "address": f"ue{n}@example.com"} for n in numbers]
        await self.nodes[name].api.post("/endpoint.add", {"endpoints": added})

    async def ask(self, node: str, operation: str, /, **request: Any) -> Any:
        """Ask one node for an operation. Raises ApiError."""
        return await self.nodes[node].api.post(f"/{operation}", request)

    async def provisioned(self, more: int = 0) -> None:
        """Wait until the SCEF has a configuration for every device, and for so many others."""

        async def all_there() -> bool:
            return len(await self._scef.api.get("/configurations")) >= self.devices + more

        await until(all_there, 60, why="the devices are not provisioned")

    async def execute(self, endpoint: str, wait: float = 30.0) -> float:
        """Have one more Execute accepted by whichever node takes it; return the seconds until one did."""
        self.asked[endpoint] += 1
        argument = f"0='{endpoint}.{self.asked[endpoint]}.'"
        began = time.monotonic()
        key = argument  # a node may have accepted it and died before its answer: then the next one knows it
        while True:
            asked = [asyncio.create_task(self._try(node, endpoint, argument, key)) for node in self.nodes.values()]
            for answered in asyncio.as_completed(asked):  # a node that hangs holds up nobody
                found = await answered
                if found is not None:
                    for one in asked:
                        one.cancel()
                    self.accepted.append(Accepted(found, endpoint, argument))
                    return time.monotonic() - began
            if time.monotonic() - began > wait:
                raise AssertionError(f"no node accepts a request to {endpoint} within {wait} s")
            await asyncio.sleep(0.05)

    async def _try(self, node: NodeProcess, endpoint: str, argument: str, key: str) -> int | None:
        if not node.can_answer:
            return None
        request = {
            "endpoint": endpoint, "operation": "execute", "path": "/3/0/12", "arguments": argument, "ttl": self.ttl,
            "idempotency_key": key,
        }  # fmt: skip
        try:
            async with asyncio.timeout(1.0):
                return int((await node.api.post("/downlink.send", request))["id"])
        except (OSError, ApiError, TimeoutError, ClientError):
            return None

    async def traffic(self, each: int, endpoints: list[str] | None = None) -> None:
        """Have several Executes accepted for each endpoint, for all endpoints at once; note how long each waited."""

        async def one(endpoint: str) -> None:
            for _ in range(each):
                self.gaps.append(await self.execute(endpoint))

        await asyncio.gather(*(one(e) for e in endpoints or [f"e{n}" for n in range(self.devices)]))

    async def command(self, name: str, *arguments: str) -> str:
        """Run a command of a node's own, and return what it prints."""
        file = self.folder / name / "bridge.toml"
        words = [sys.executable, "-m", "bridge.cli", *arguments, "--config", str(file)]
        done = await asyncio.to_thread(forked.run, words)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    async def trickle(self, pause: float, wait: float = 30.0) -> None:
        """Have an Execute for one endpoint after the other accepted, each in `wait` s, until this is cancelled."""
        while True:
            for number in range(self.devices):
                await self.execute(f"e{number}", wait)
                await asyncio.sleep(pause)

    async def judge(self, wait: float = 180.0) -> "Verdict":
        """Wait until every message has its outcome; return what became of what was accepted, and what was on air."""
        sql = (
            "SELECT d.id, e.name, d.state, e.shard, d.accepted_at, d.deliver_by, d.answer_by FROM downlink d"
            " JOIN endpoint e ON e.id = d.endpoint WHERE d.over = 0 ORDER BY d.id"
        )
        end = time.monotonic() + wait
        while left := self.rows(sql):
            assert time.monotonic() < end, f"{len(left)} messages have no outcome after {wait} s, such as {left[:9]}"
            await asyncio.sleep(0.5)
        return await self.seen_on_air()

    async def seen_on_air(self) -> "Verdict":
        """Return what has become of what was accepted, and what was on air so far."""
        rows = dict(self.rows("SELECT id, state FROM downlink"))
        air = [bytes.fromhex(one["data"]) for one in await self._scef.api.get("/air-log", what="downlink")]
        copies = Counter(a.argument for a in self.accepted for data in air if a.argument.encode() in data)
        return Verdict(
            lost=[a for a in self.accepted if a.id not in rows],
            twice={argument: number for argument, number in copies.items() if number > 1},
            on_air=len(copies),
            expired_on_air=[a for a in self.accepted if rows.get(a.id) == "EXPIRED" and copies[a.argument]],
            outcomes=Counter(rows.values()),
        )

    async def copies_on_air(self, texts: list[str]) -> Counter[str]:
        """Return how often each text was sent to a device over NIDD so far."""
        air = b"".join(bytes.fromhex(one["data"]) for one in await self._scef.api.get("/air-log", what="downlink"))
        return Counter({text: air.count(text.encode()) for text in texts})

    async def requests(self) -> Counter[str]:
        """Return how often the SCEF was asked what, by method and the last part of the path."""
        seen: list[dict[str, Any]] = await self._scef.api.get("/requests")
        return Counter(f"{one['method']} {one['path'].rpartition('/')[2]}" for one in seen)

    # The load balancer

    async def _start_balancer(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._forward)
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        port = free_port()
        self._balancer = f"http://{self._at.host('balancer')}:{port}"
        await web.SockSite(runner, self._at.listen("balancer", port)).start()

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert self._session is not None
        self._turn += 1
        nodes = [node for name, node in self.nodes.items() if self.posts_to in ("", name)]
        for number in range(len(nodes)):
            node = nodes[(self._turn + number) % len(nodes)]
            path = request.path.rpartition("/")[2]
            callback = {SMS_PATH: node.sms_callback, MORE_PATH: node.more_callback}.get(path, node.callback)
            url = f"http://{callback}{request.path_qs}"
            with contextlib.suppress(ClientError, TimeoutError):
                async with self._session.request(
                    request.method, url, data=body, headers=request.headers, timeout=ClientTimeout(1)
                ) as answer:
                    self.answers[answer.status] += 1
                    self._answered.append(body)
                    if answer.status == 204:  # No Content: a node has it
                        self.taken.append(body)
                    elif answer.status == 200 and path == MORE_PATH:
                        self.events.append(body)
                    passed = {name: value for name, value in answer.headers.items() if name not in _OF_THE_HOP}
                    return web.Response(status=answer.status, headers=passed, body=await answer.read())
        return web.Response(status=503)


def _quoted(folder: Path) -> str:
    return str(folder).replace("/", "%2F")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`twice`: at-most-once messages that were on air more than once."""

    expired_on_air: list[Accepted]  # of which the ledger says that they were certainly never sent

    lost: list[Accepted]
    twice: dict[str, int]
    on_air: int
    outcomes: Counter[str]
