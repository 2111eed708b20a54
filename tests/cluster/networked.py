"""Three nodes, PostgreSQL with a synchronous standby, a SCEF, a ChirpStack, LwM2M servers and devices, under faults.

Each is a machine of its own on one network: a network namespace; the servers of the database are reached through
proxies, which can be shut and slow (`tests.cluster.valve`). Addresses move by `deploy/addresses/layer2`, so an endpoint
keeps its address whichever node serves it. Servers, devices and networks judge: none of them knows that there are
several nodes. Half of the devices have servers over DTLS, TCP and TLS (`tests.cluster.networked_servers`).

`python -m tests.cluster.networked` (as root) runs it by hand, one fault of each kind; `--devices 300 --seconds 1800` is
the long form. With `--unfenced` it is the control: the judge must notice that nodes are not fenced.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bridge.cluster.balance import wanted
from bridge.delivery.attempts import decode
from bridge.north.udp.prefixes import SHARDS, Prefix, networks_of_shard, pools
from mock_network.lab import Api, ApiError, PartLocation
from mock_network.lab.api import Dialler
from tests.cluster.announcements import Announcements
from tests.cluster.copies import described, is_allowed
from tests.cluster.lorawan_nodes import LorawanCluster, with_lorawan
from tests.cluster.networked_servers import DTLS, SESSIONS, UDP, Servers, kind_of
from tests.cluster.nodes import LEASE, Cluster, OneMachine, Verdict
from tests.cluster.relay import Relay
from tests.namespaces import Machines, made
from tests.store.postgres_server import PostgresServer
from tests.waiting import until

NODES = ("a", "b", "c")
NUMBERS = {
    "a": "1", "b": "2", "c": "3", "scef": "10", "server": "11", "device": "12", "balancer": "13", "chirpstack": "14"
}  # fmt: skip
LAYER2 = str(Path(__file__).parents[2] / "deploy" / "addresses" / "layer2")
PREFIX = "10.64.0.0/16"  # a shard has a /24
SERIAL = "/3/0/2"  # of a device: each Send has another one
ZONE = "/3/0/15"  # which each Write sets to another value
SERVED_AGAIN = 3.0  # seconds after a lease has ended
PATIENCE = 120.0  # seconds that a request may wait on a busy machine
UNANSWERED = 320.0  # seconds: a message that no device answers has its outcome 247 s after it was sent
SAMPLE = {UDP: 6, **dict.fromkeys(SESSIONS, 2)}  # endpoints of a dead node that are asked until they answer
UPLINK = "id, operation, state, reason, acknowledged, north_mid, received_at, finished_at, keep_until"
NOT_FORWARDED = ("EXPIRED", "REJECTED")  # outcomes with which a Send may end (docs/guarantees.md)
QUIET, BUSY = (1.0, 1.0, 2.0, 0.5), (0.1, 0.2, 0.5, 0.2)
"""Seconds between two Executes and Writes, two Sends over NIDD, two over LoRaWAN, two Reads of servers: without and
with load."""


@dataclass
class Network(OneMachine):
    """Each part on a machine of its own."""

    machines: Machines = field(default_factory=lambda: Machines(*NUMBERS.values()))
    prefix: str = PREFIX

    @property
    def places(self) -> Mapping[str, PartLocation]:
        parts = ("scef", "server", "device", "chirpstack")
        of_parts = {part: PartLocation(self.within(part), self.dialler(part)) for part in parts}
        return {**of_parts, DTLS: of_parts["server"]}

    def host(self, part: str) -> str:
        return f"10.0.0.{NUMBERS[part]}"

    def within(self, node: str) -> tuple[str, ...]:
        return self.machines.command(NUMBERS[node])

    def north_port(self) -> int:
        return 5683

    def modem_port(self, number: int) -> int:
        return 20000 + number

    def commands(self, folder: Path, node: str) -> tuple[list[str], list[str]]:
        """Return commands that hang or fail as long as the node's folder has a file `hangs` or `fails`."""
        del node
        text = f'cd {folder}; if test -e hangs; then exec sleep 60; fi; ! test -e fails && exec {LAYER2} "$0" eth0 "$@"'
        return ["/bin/sh", "-c", text, "take"], ["/bin/sh", "-c", text, "release"]

    def listen(self, part: str, port: int) -> socket.socket:
        made = self.machines.socket(NUMBERS[part])
        made.bind((self.host(part), port))
        made.listen()
        return made

    def dialler(self, part: str) -> Dialler:
        def dial(_address: Any) -> socket.socket:
            made = self.machines.socket(NUMBERS[part])
            made.setblocking(False)
            return made

        return dial

    async def withdraw(self, node: str) -> None:
        """Release all addresses of a node that has ended, as `ExecStopPost=` of its unit does."""
        everything = [str(part) for shard in range(SHARDS) for part in networks_of_shard(pools([self.prefix]), shard)]
        command = [*self.within(node), LAYER2, "release", "eth0", *everything]
        await asyncio.to_thread(partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL))


@dataclass(frozen=True)
class Its:
    """What a node served when it died: some endpoints, all shards, all endpoints with sessions."""

    endpoints: list[str]
    shards: list[int]
    sessions: list[str]


@dataclass
class Gaps:
    """Seconds from the death of a node until its endpoints are served again, as three parties see it."""

    announced: list[float] = field(default_factory=list)  # every shard: its addresses, as the network hears it
    accepted: list[float] = field(default_factory=list)  # some endpoints: requests by the API
    answered: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Some endpoints: requests of the server, by kind of server."""
    opened: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Every endpoint with a session: its server has the next session, by kind of server."""

    def each(self) -> Iterator[tuple[str, list[float]]]:
        """Yield what there is, with its name."""
        named = {"announced": self.announced, "accepted": self.accepted}
        named |= {f"answered over {kind}": seconds for kind, seconds in sorted(self.answered.items())}
        named |= {f"session over {kind}": seconds for kind, seconds in sorted(self.opened.items())}
        yield from ((name, seconds) for name, seconds in named.items() if seconds)

    def add(self, more: "Gaps") -> None:
        self.announced += more.announced
        self.accepted += more.accepted
        for mine, others in ((self.answered, more.answered), (self.opened, more.opened)):
            for kind, seconds in others.items():
                mine[kind] += seconds

    def __str__(self) -> str:
        return ", ".join(f"{name} after {_both(seconds)}" for name, seconds in self.each()) + " (median/worst)"


@dataclass
class Story:
    """What happened, and what came of it."""

    faults: Counter[str] = field(default_factory=Counter)
    gaps: defaultdict[str, Gaps] = field(default_factory=lambda: defaultdict(Gaps))  # by load and kind of fault
    sent: list[str] = field(default_factory=list)  # serial numbers that devices sent
    radio: list[str] = field(default_factory=list)  # what devices sent over LoRaWAN
    written: list[str] = field(default_factory=list)  # values of Writes that a node has accepted
    posts: int = 0  # that nodes acknowledged
    moved: set[str] = field(default_factory=set)  # endpoints that were served by another node later


@dataclass
class Networked:
    """A cluster on a network, with what a fault needs."""

    cluster: Cluster
    network: Network
    say: Callable[[str], None] = print
    story: Story = field(default_factory=Story)
    draw: Random = field(default_factory=lambda: Random(1))
    load: str = ""
    dead: str = ""  # the node that nobody starts again yet
    program: dict[str, str] = field(default_factory=dict)  # of nodes that run another one than the others
    heard: Announcements = field(init=False)
    lorawan: LorawanCluster = field(init=False)
    servers: Servers = field(init=False)
    _relay: Relay = field(init=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _reviving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _began: float = field(default_factory=time.monotonic)

    @property
    def devices(self) -> Api:
        found = self.cluster.lab.devices
        assert found is not None
        return found

    async def begin(self) -> None:
        """Start all parts, and wait until every device is registered and every node serves shards."""
        cluster, network = self.cluster, self.network
        self.heard = Announcements(network.machines, NUMBERS["server"])
        network.machines.inside(NUMBERS["server"], "ip", "route", "add", PREFIX, "dev", "eth0")
        everywhere = "0.0.0.0"  # of a machine that is on this network alone
        self.lorawan = await with_lorawan(cluster, listens_at=everywhere)
        self.servers = Servers(cluster, network)
        network.server = await self.servers.begin()
        await self._reach_chirpstack()
        for name in NODES:
            await cluster.start(name)
        await self.heal(180)
        await cluster.provisioned()
        where = f"coap://{network.host('scef')}:{network.modem_port(0)}"
        await cluster.lab.start_device(
            "e{n}", where, "--port-step", "1", "--count", str(cluster.devices), "--first", "0",
            "--listen", f"{network.host('device')}:0", "--lifetime", "86400",
        )  # fmt: skip

        async def all_registered() -> bool:
            return await self.servers.registered() == cluster.devices

        await until(all_registered, 300, why="not all devices are registered", every=0.5)
        self.tell(f"{cluster.devices} devices are registered, three nodes serve them")

    async def _reach_chirpstack(self) -> None:
        """Let nodes reach its API from their machines: the emulator listens on its machine's loopback alone."""
        network, ready = self.network, self.cluster.lab.chirpstacks["chirpstack"].ready
        host, _, port = ready["grpc"].rpartition(":")
        listening = network.listen("chirpstack", 0)
        self._relay = Relay(listening, network.dialler("chirpstack"), host, int(port))
        await self._relay.start()
        ready["grpc"] = f"{network.host('chirpstack')}:{listening.getsockname()[1]}"

    async def close(self) -> None:
        self.heard.close()
        await self._relay.close()
        await self.servers.close()

    async def heal(self, wait: float = 180.0) -> None:
        """Start nodes that have ended, as systemd does, until all are ready and no shard moves any more."""

        async def is_whole() -> bool:
            await self.revive()
            ready = [await self._is_ready(name) for name in NODES]
            return all(ready) and await asyncio.to_thread(self._is_balanced)

        await until(is_whole, wait, why="the cluster is not whole again", every=0.5)

    async def revive(self) -> None:
        """Start the nodes that have ended, but for one of which that is the fault."""
        async with self._reviving:
            for name in NODES:
                if name != self.dead and not self.cluster.nodes[name].process.running:
                    self.tell(f"{name} has ended, and is started again")
                    await self.network.withdraw(name)
                    await self.cluster.start(name, program=self.program.get(name, ""))

    async def _supervise(self) -> None:
        while True:
            await self.revive()
            await asyncio.sleep(0.5)

    async def _is_ready(self, name: str) -> bool:
        with contextlib.suppress(OSError, ApiError, TimeoutError):
            async with asyncio.timeout(2):
                return bool((await self.cluster.nodes[name].api.post("/ready"))["ready"])
        return False

    def _is_balanced(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.Error):
            found = self.cluster.rows("SELECT holder FROM shard ORDER BY id")
            return found == [(wanted(shard, NODES),) for shard in range(SHARDS)]
        return False

    # A node dies

    def shards_of(self, name: str) -> list[int]:
        return [shard for (shard,) in self.cluster.rows(f"SELECT id FROM shard WHERE holder = '{name}'")]

    def endpoints_of(self, name: str) -> list[str]:
        """Return some of the endpoints on NIDD that a node serves, of each kind of server."""
        found: list[str] = []
        for kind, most in SAMPLE.items():
            its = self._served_by(name, kind)
            found += self.draw.sample(its, min(most, len(its)))
        return found

    def _served_by(self, name: str, *kinds: str) -> list[str]:
        """Return all endpoints on NIDD that a node serves, and that have servers of these kinds."""
        its = (one for one, holder in self.cluster.holders().items() if holder == name and one[0] == "e")
        return sorted(one for one in its if kind_of(one) in kinds)

    def with_sessions(self, name: str) -> list[str]:
        """Return all endpoints of a node whose servers are reached by sessions or connections."""
        return self._served_by(name, *SESSIONS)

    async def served_again(self, kind: str, name: str, its: "Its", since: float) -> None:
        """Wait until what a node that died at `since` served is served by others; note after how long."""
        mac = await asyncio.to_thread(self.network.machines.mac, NUMBERS[name])
        accepted, answered, announced, opened = await asyncio.gather(
            asyncio.gather(*(self._accepted(endpoint, since) for endpoint in its.endpoints)),
            asyncio.gather(*(self._reached(endpoint, since, mac) for endpoint in its.endpoints)),
            asyncio.gather(*(self._announced(shard, since, mac) for shard in its.shards)),
            self.servers.opened_again(its.sessions, since, PATIENCE),
        )
        now = Gaps(announced, accepted)
        for endpoint, seconds in zip(its.endpoints, answered, strict=True):
            now.answered[kind_of(endpoint)].append(seconds)
        for endpoint, seconds in opened.items():
            now.opened[kind_of(endpoint)].append(seconds)
        self.story.gaps[f"{kind}, {self.load}"].add(now)
        holders = self.cluster.holders()
        self.story.moved |= {endpoint for endpoint in its.endpoints if holders[endpoint] != name}
        self.tell(f"{kind} of {name} ({self.load}), {len(its.shards)} shards: {now}")

    async def _accepted(self, endpoint: str, since: float) -> float:
        await self.cluster.execute(endpoint, PATIENCE)
        return time.monotonic() - since

    async def _reached(self, endpoint: str, since: float, but: str) -> float:
        """Return when the server had an answer: it asks as soon as the network knows where the address is now."""
        ((shard,),) = self.cluster.rows(f"SELECT shard FROM endpoint WHERE name = '{endpoint}'")
        await self._announced(shard, since, but)
        return await self.answered(endpoint, since)

    async def answered(self, endpoint: str, since: float) -> float:
        """Ask as the server until the device answers; return the seconds since then."""

        async def answers() -> bool:
            return await self.servers.read(endpoint, 10.0) == "2.05"

        await until(answers, PATIENCE, why=f"the server gets no answer of {endpoint}", every=0.1)
        return time.monotonic() - since

    async def _announced(self, shard: int, since: float, but: str) -> float:
        at = await until(
            lambda: self.heard.first(str(Prefix(PREFIX).network_of(shard).network_address), since, but),
            PATIENCE,
            why=f"nobody announces the addresses of shard {shard}",
            every=0.2,
        )
        assert at is not None
        return at - since

    # Traffic

    @contextlib.asynccontextmanager
    async def traffic(self, load: str) -> AsyncIterator[None]:
        """Have messages under way meanwhile. What ends them is an error."""
        self.load = load
        executes, sends, radio, reads = BUSY if load == "with load" else QUIET
        works = (
            self._executes(executes),
            self._read(reads),
            self.send(sends),
            self._send_by_radio(radio),
            self._poll(),
            self._supervise(),
        )
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
            for task in tasks:
                assert not task.done(), task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _executes(self, pause: float) -> None:
        while True:
            for endpoint in self.draw.sample(range(self.cluster.devices), self.cluster.devices):
                number = next(self._numbers)  # for all stretches of traffic: no value is written twice
                await self.cluster.execute(f"e{endpoint}", PATIENCE)
                await self._write(f"e{endpoint}", number)
                if number % 10 == 0:
                    await self.cluster.execute(f"l{number // 10 % self.lorawan.devices}", PATIENCE)
                await asyncio.sleep(pause)

    async def _read(self, pause: float) -> None:
        """Have servers read, and not wait for the answer, until this is cancelled."""
        while True:
            self.servers.ask(f"e{self.draw.randrange(self.cluster.devices)}")
            await asyncio.sleep(pause)

    async def _write(self, endpoint: str, number: int) -> None:
        """Have one node accept a Write, which may be submitted twice where its first submission is in doubt (R9).

        No other Write of the run has its value: by it copies are counted.
        """
        node = self.cluster.nodes[NODES[number % len(NODES)]]
        value = f"w.{endpoint}.{number}."
        request = {"endpoint": endpoint, "operation": "write", "path": ZONE, "value": value, "ttl": self.cluster.ttl}
        with contextlib.suppress(OSError, ApiError, TimeoutError):
            async with asyncio.timeout(1.0):
                await node.api.post("/downlink.send", request)
                self.story.written.append(value)

    async def send(self, pause: float) -> None:
        """Have one device after the other send, until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            number = 0
            while True:
                endpoint = f"e{number % self.cluster.devices}"
                serial = f"{endpoint}.{len(self.story.sent)}."
                await self.devices.ask("PUT", f"/devices/{endpoint}/resources{SERIAL}", {"value": serial})
                self.story.sent.append(serial)
                tasks.create_task(self._send(endpoint))
                number += 1
                await asyncio.sleep(pause)

    async def _send(self, endpoint: str) -> None:
        with contextlib.suppress(ApiError):  # no answer in the device's time; what became of it is judged later
            await self.devices.post(f"/devices/{endpoint}/send", {"paths": [SERIAL]})

    async def _send_by_radio(self, pause: float) -> None:
        while True:
            number = len(self.story.radio)
            self.story.radio.append(await self.lorawan.send(f"l{number % self.lorawan.devices}", number))
            await asyncio.sleep(pause)

    async def _poll(self, pause: float = 1.0) -> None:
        """Let the devices on LoRaWAN open their windows, one after the other."""
        while True:
            for number in range(self.lorawan.devices):
                await asyncio.sleep(pause)
                await self.lorawan.act(f"l{number}", "poll")

    # What came of it

    def posted(self) -> set[str]:
        """Return the serial numbers of which a node has acknowledged a notification."""
        data = b"".join(base64.b64decode(json.loads(body).get("data", "")) for body in self.cluster.taken)
        return {serial for serial in self.story.sent if serial.encode() in data}

    def events(self) -> set[str]:
        """Return what devices sent over LoRaWAN and a node has acknowledged to ChirpStack."""
        bodies = [json.loads(body) for body in self.cluster.events]
        data = b"\n".join(base64.b64decode(body.get("data", "")) for body in bodies) + b"\n"
        return {said for said in self.story.radio if said.encode() + b"\n" in data}

    async def _all_arrived(self, posted: set[str]) -> list[str]:
        """Require that its server has each acknowledged Send, or the ledger says why not; return those that ended so.

        Of each other one it is told what the ledger has, and what the server has seen of its endpoint.
        """
        end = time.monotonic() + PATIENCE
        while missing := sorted(posted - await self.servers.sends()):
            found = {serial: self._uplinks(serial) for serial in missing}
            ended = [serial for serial, rows in found.items() if rows and all(row[2] in NOT_FORWARDED for row in rows)]
            if len(ended) == len(missing):
                return ended
            if time.monotonic() > end:
                waiting = self.cluster.rows("SELECT shard, count(*) FROM inbox GROUP BY shard ORDER BY shard")
                self.tell(
                    f"{len(missing)} of {len(posted)} acknowledged Sends are not at the server after {PATIENCE} s"
                )
                self.tell(f"posts in the inbox, by shard: {dict(waiting)}")
                for serial, rows in found.items():
                    self.tell(f"{serial} uplinks: {[*map(_said, rows)] or 'none in the ledger'}")
                    await self._tell_of(serial.partition(".")[0])
                raise AssertionError(f"Sends that a node has acknowledged are not at the server: {missing}")
            await asyncio.sleep(0.5)
        return []

    def _uplinks(self, serial: str) -> list[tuple[Any, ...]]:
        """Return the rows of Sends with this serial number; the ledger is one for all nodes."""
        return self.cluster.rows(
            f"SELECT {UPLINK} FROM uplink WHERE position('{serial}'::bytea IN body) > 0 ORDER BY id"
        )

    def _is_allowed(self, value: str, copies: int) -> bool:
        """Return whether a Write may have had these copies on air; of an unusual number the attempts are told."""
        if copies <= 1:
            return True
        rows = self.cluster.rows(f"SELECT attempts FROM downlink WHERE position('{value}'::bytea IN body) > 0")
        attempts = [one for (column,) in rows for one in decode(column and bytes(column))]
        allowed = is_allowed(copies, attempts)
        if copies > 2 or not allowed:
            self.tell(f"{value} had {copies} copies on air; its attempts: {described(attempts)}")
        return allowed

    async def _tell_of(self, endpoint: str) -> None:
        """Tell the last uplinks of an endpoint in the ledger, and what the server has seen of it last."""
        its = f"endpoint = (SELECT id FROM endpoint WHERE name = '{endpoint}')"
        rows = self.cluster.rows(f"SELECT {UPLINK} FROM uplink WHERE {its} AND north_mid > 0 ORDER BY id DESC LIMIT 15")
        self.tell(f"  {endpoint} is served by {self.cluster.holders()[endpoint]}; its last uplinks, newest first:")
        for row in rows:
            self.tell(f"    {_said(row)}")
        for one in await self.servers.seen(endpoint):
            self.tell(f"    the server: {one}")

    async def judge(self) -> Verdict:
        """Require that nothing is lost or sent too often, and that no endpoint has changed its address."""
        polling = asyncio.create_task(self._poll(0.3))  # what waits for them has its outcome then
        try:
            await self.servers.all_answered()
            verdict = await self.cluster.judge(UNANSWERED)
        finally:
            polling.cancel()
        posted, events = self.posted(), self.events()
        ended = await self._all_arrived(posted)
        await until(lambda: events <= set(self.lorawan.sends()), 60, why="an event of ChirpStack is lost", every=0.5)
        self.story.posts = len(self.cluster.taken)
        addresses = await self.servers.addresses()
        several = {endpoint: found for endpoint, found in addresses.items() if len(found) != 1}
        assert len(self.story.written) == len(set(self.story.written)), "copies cannot be told from other Writes"
        writes = await self.cluster.copies_on_air(self.story.written)
        executes = await self.lorawan.on_air()
        radio = set(self.story.radio)
        by_radio = Counter(said for said in self.lorawan.sends() if said in radio)
        self.tell(
            f"{len(posted)} Sends acknowledged to the SCEF, at the server but for {len(ended)}, of which the ledger "
            f"says why not: {ended}; {len(events)} events acknowledged to "
            f"ChirpStack, each taken once; {len(self.story.written)} Writes, of which {writes.total()} copies were on "
            f"air; {dict(verdict.outcomes)}"
        )
        self.servers.tell(self.tell)
        assert not verdict.lost, verdict.lost
        assert not verdict.twice, verdict.twice
        assert not verdict.expired_on_air or self.program, verdict.expired_on_air
        too_often = {value: number for value, number in writes.items() if not self._is_allowed(value, number)}
        assert not too_often, f"Writes had more copies than their attempts allow: {too_often}"
        assert not {argument for argument, number in executes.items() if number > 1}, "an Execute went twice by radio"
        assert not {said for said, number in by_radio.items() if number > 1}, "an event was taken twice"
        assert not several, "endpoints have changed their address"
        assert len(addresses) == self.cluster.devices
        return verdict

    def tell(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def summary(self) -> None:
        """Say after how long endpoints were served again, for each kind of death and over all of them."""
        for name, gaps in sorted(self.story.gaps.items()):
            self.tell(f"{name}: {gaps}")
        for load in ("without load", "with load"):
            all_of_them = Gaps()
            for name, gaps in self.story.gaps.items():
                if name.endswith(f", {load}") and "hook" not in name:
                    all_of_them.add(gaps)
            for what, seconds in all_of_them.each():
                late = sum(one > self.cluster.lease + SERVED_AGAIN for one in seconds)
                self.tell(f"SERVED AGAIN {load}: {what} after {_both(seconds)}; {late} of {len(seconds)} late")


def _said(row: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(UPLINK.split(", "), row, strict=True))


def _both(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f}/{max(seconds):.1f} s"


@contextlib.asynccontextmanager
async def networked(
    folder: Path,
    servers: tuple[PostgresServer, PostgresServer],
    machines: Machines,
    devices: int,
    program: str = "",
    lease: float = LEASE,
) -> AsyncIterator[Networked]:
    """Yield a running cluster of three nodes on these machines; `servers`: the database, and its standby."""
    network = Network(folder, machines=machines)
    cluster = Cluster(folder, servers[0], devices=devices, standby=servers[1], site=network, ttl=20.0, lease=lease)
    cluster.program = program or cluster.program
    async with cluster:
        one = Networked(cluster, network)
        await one.begin()
        try:
            yield one
        finally:
            await one.close()


@contextlib.contextmanager
def database() -> Any:
    """Yield a database with a synchronous standby, in a list: a fail-over puts others there."""
    # By default a standby looks for its server again after 5 s: a restart would stop all commits for a lease.
    settings = ("max_connections=80", "wal_retrieve_retry_interval=200")  # ms
    servers = [PostgresServer(settings=settings)]  # its processes die, this machine does not: it needs no fsync
    try:
        servers.append(PostgresServer(standby_of=servers[0], settings=settings))
        servers[0].sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        servers[0].sql("SELECT pg_reload_conf()")
        yield servers
    finally:
        for server in servers:
            server.stop()


async def _live(
    seconds: float, devices: int, seed: int, kinds: list[str], program: str, lease: float, kept: str
) -> None:
    from tests.cluster.networked_faults import EVERY, noticed, suffer

    with made(Machines(*NUMBERS.values())) as machines, tempfile.TemporaryDirectory() as name, database() as servers:
        folder = Path(name)
        try:
            async with networked(folder, servers, machines, devices, program, lease) as one:
                one.draw = Random(seed)
                await (noticed(one) if program else suffer(one, kinds or EVERY, seconds))
        except BaseException:
            for node in NODES:
                log = folder / node / "log"
                if log.exists():
                    if kept:
                        shutil.copy(log, Path(kept) / f"{node}.log")
                    print(f"--- the end of the log of {node}", log.read_text()[-3000:], sep="\n")
            raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Three nodes, each a machine of its own, through faults at random.")
    parser.add_argument("--seconds", type=float, default=0.0, help="after which no further round of faults begins")
    parser.add_argument("--devices", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--lease", type=float, default=LEASE, help="seconds; more of them on a machine that does much else"
    )
    parser.add_argument("--faults", nargs="*", default=[], help="only these, in a random order; else every kind")
    parser.add_argument("--keep", default="", help="a folder for the logs of the nodes if the run fails")
    parser.add_argument("--unfenced", action="store_true", help="the control: nodes that are not fenced")
    arguments = parser.parse_args()
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores")
    asyncio.run(
        _live(
            arguments.seconds,
            arguments.devices,
            arguments.seed,
            arguments.faults,
            "tests.cluster.unfenced" if arguments.unfenced else "",
            arguments.lease,
            arguments.keep,
        )
    )
