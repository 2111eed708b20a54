"""Three nodes, an SCEF, an LwM2M server and its devices: each a machine of its own on one network, under faults.

A machine is a network namespace. Addresses move by `deploy/addresses/layer2`, so an endpoint keeps its address
whichever node serves it. The server and the devices judge: neither knows that there are several nodes.

`python -m tests.cluster.networked --seconds 180` (as root) runs it by hand.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bridge.north.udp.prefixes import SHARDS, pools
from mock_network.lab import Api, ApiError, Place
from mock_network.lab.api import Dialler
from tests.cluster.nodes import Cluster, OneMachine, Verdict
from tests.namespaces import Machines, made
from tests.store.postgres_server import PostgresServer
from tests.waiting import until

NODES = ("a", "b", "c")
NUMBERS = {"a": "1", "b": "2", "c": "3", "scef": "10", "server": "11", "device": "12", "balancer": "13"}
LAYER2 = str(Path(__file__).parents[2] / "deploy" / "addresses" / "layer2")
PREFIX = "10.64.0.0/16"
SERIAL = "/3/0/2"  # of a device: each Send has another one
DEADLY = ("kill", "stop", "database", "machine")
PASSING = ("servers", "network", "cable")
PATIENCE = 120.0  # seconds that a request may wait on a busy machine: each shard takes a command, one after the other
APART = 6.0  # seconds that a fault lasts which ends by itself: longer than a lease


@dataclass
class Network(OneMachine):
    """Each part on a machine of its own. The database is reached by its Unix socket."""

    machines: Machines = field(default_factory=lambda: Machines(*NUMBERS.values()))
    prefix: str = PREFIX

    @property
    def places(self) -> Mapping[str, Place]:
        return {part: Place(self.within(part), self.dialler(part)) for part in ("scef", "server", "device")}

    def host(self, part: str) -> str:
        return f"10.0.0.{NUMBERS[part]}"

    def within(self, node: str) -> tuple[str, ...]:
        return self.machines.command(NUMBERS[node])

    def north_port(self) -> int:
        return 5683

    def modem_port(self, number: int) -> int:
        return 20000 + number

    def commands(self, folder: Path, node: str) -> tuple[list[str], list[str]]:
        del folder, node
        return [LAYER2, "take", "eth0"], [LAYER2, "release", "eth0"]

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
        everything = [
            str(part) for pool in pools([self.prefix]).values() for n in range(SHARDS) for part in pool.networks(n)
        ]
        await asyncio.to_thread(
            subprocess.run,
            [*self.within(node), LAYER2, "release", "eth0", *everything],
            check=True,
            stdout=subprocess.DEVNULL,
        )


@dataclass
class Story:
    """What happened, and what came of it; seconds are since the fault."""

    faults: Counter[str] = field(default_factory=Counter)
    accepted_after: list[float] = field(default_factory=list)  # requests by the API, when a node had died
    answered_after: list[float] = field(default_factory=list)  # requests of the server, when a node had died
    sent: list[str] = field(default_factory=list)  # serial numbers that devices sent
    posts: int = 0  # that nodes acknowledged
    moved: set[str] = field(default_factory=set)  # endpoints that were served by another node later


@dataclass
class Networked:
    """A cluster on a network, with what a fault needs."""

    cluster: Cluster
    network: Network
    say: Callable[[str], None] = print
    story: Story = field(default_factory=Story)
    _began: float = field(default_factory=time.monotonic)

    @property
    def server(self) -> Api:
        found = self.cluster.lab.server
        assert found is not None
        return found

    @property
    def devices(self) -> Api:
        found = self.cluster.lab.devices
        assert found is not None
        return found

    async def begin(self) -> None:
        """Start all parts, and wait until every device is registered and every node serves shards."""
        cluster, network = self.cluster, self.network
        part = await cluster.lab.start_server("--ack-timeout", "1", host=network.host("server"))
        network.server = part.ready["coap"]
        network.machines.inside(NUMBERS["server"], "ip", "route", "add", PREFIX, "dev", "eth0")
        for name in NODES:
            await cluster.start(name)
        for name in NODES:
            await cluster.ready(name)
        await cluster.provisioned()
        await cluster.balanced(*NODES)
        where = f"coap://{network.host('scef')}:{network.modem_port(0)}"
        await cluster.lab.start_device(
            "e{n}", where, "--port-step", "1", "--count", str(cluster.devices), "--first", "0",
            "--listen", f"{network.host('device')}:0", "--lifetime", "86400",
        )  # fmt: skip

        async def all_registered() -> bool:
            return len(await self.server.get("/clients")) == cluster.devices

        await until(all_registered, 60, why="not all devices are registered", every=0.2)
        self._say(f"{cluster.devices} devices are registered, three nodes serve them")

    async def fault(self, kind: str, name: str) -> None:
        """Let one fault happen to a node, and wait until all its endpoints are served again, by it or by others."""
        holders = self.cluster.holders()
        its = [endpoint for endpoint, holder in holders.items() if holder == name]
        began = time.monotonic()
        await (self._death(kind, name, its, began) if kind in DEADLY else self._passing(kind, name, its))
        self.story.faults[kind] += 1

    async def _death(self, kind: str, name: str, its: list[str], began: float) -> None:
        """A node dies, or must end itself; the others serve its endpoints."""
        node, machine = self.cluster.nodes[name], NUMBERS[name]
        if kind == "kill":
            node.kill()
            await self.network.withdraw(name)
        elif kind == "stop":
            node.process.signal(signal.SIGSTOP)
        else:
            node.valve.shut()
        if kind == "machine":
            self.network.machines.plug(machine, in_=False)
        accepted, answered = await asyncio.gather(
            asyncio.gather(*(self.cluster.execute(endpoint, PATIENCE) for endpoint in its)),
            asyncio.gather(*(self._answered(endpoint, began) for endpoint in its)),
        )
        self.story.accepted_after += accepted
        self.story.answered_after += answered
        if its:
            self._say(
                f"{kind} of {name} with {len(its)} endpoints: requests accepted again after {max(accepted):.1f} s, "
                f"the server's answered after {max(answered):.1f} s (worst)"
            )
        holders = self.cluster.holders()
        self.story.moved |= {endpoint for endpoint in its if holders[endpoint] != name}

    async def restart(self, name: str) -> None:
        """Start a node again that has died or must end itself, on its machine, and wait until no shard moves."""
        node, machine = self.cluster.nodes[name], NUMBERS[name]
        node.process.signal(signal.SIGCONT)
        await until(lambda: not node.process.running, 40, why=f"{name} goes on")
        await self.network.withdraw(name)
        self.network.machines.plug(machine, in_=True)
        await self.cluster.start(name)
        await self.cluster.ready(name)
        await self.cluster.balanced(*NODES)

    async def _passing(self, kind: str, name: str, its: list[str]) -> None:
        """A node loses what it needs, but not the database: it goes on with its shards, and nobody takes them."""
        machines, machine = self.network.machines, NUMBERS[name]
        other = {"servers": NUMBERS["server"], "network": NUMBERS["scef"]}.get(kind)
        if other:
            machines.part(machine, other, apart=True)
        else:
            machines.plug(machine, in_=False)
        await asyncio.sleep(APART)
        if other:
            machines.part(machine, other, apart=False)
        else:
            machines.plug(machine, in_=True)
        healed = time.monotonic()
        answered = await asyncio.gather(*(self._answered(endpoint, healed) for endpoint in its))
        holders = self.cluster.holders()
        assert all(holders[endpoint] == name for endpoint in its), "a node with a lease has lost shards"
        if its:
            self._say(f"{kind} away from {name} for {APART:.0f} s: answers {max(answered):.1f} s after that (worst)")

    async def _answered(self, endpoint: str, began: float) -> float:
        """Ask as the server until the device answers; return the seconds since `began`."""

        async def answers() -> bool:
            read = {"path": "/3/0/9", "timeout": 2.0}
            return bool((await self.server.post(f"/clients/{endpoint}/read", read))["outcome"] == "response")

        await until(answers, PATIENCE, why=f"the server gets no answer of {endpoint}", every=0.1)
        return time.monotonic() - began

    async def send(self, pause: float) -> None:
        """Have one device after the other send, until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            number = 0
            while True:
                endpoint = f"e{number % self.cluster.devices}"
                serial = f"{endpoint}.{number}."
                await self.devices.ask("PUT", f"/devices/{endpoint}/resources{SERIAL}", {"value": serial})
                self.story.sent.append(serial)
                tasks.create_task(self._send(endpoint))
                number += 1
                await asyncio.sleep(pause)

    async def _send(self, endpoint: str) -> None:
        with contextlib.suppress(ApiError):  # no answer in the device's time; what became of it is judged later
            await self.devices.post(f"/devices/{endpoint}/send", {"paths": [SERIAL]})

    # What came of it

    def posted(self) -> set[str]:
        """Return the serial numbers of which a node has acknowledged a notification."""
        data = b"".join(base64.b64decode(json.loads(body).get("data", "")) for body in self.cluster.taken)
        return {serial for serial in self.story.sent if serial.encode() in data}

    async def arrived(self) -> set[str]:
        """Return the serial numbers that the server has got."""
        return {str(record["value"]) for one in await self.server.get("/sends") for record in one["records"]}

    async def judge(self) -> Verdict:
        """Require that nothing is lost or sent twice, and that no endpoint has changed its address."""
        verdict = await self.cluster.judge()
        posted = self.posted()

        async def all_arrived() -> bool:
            return posted <= await self.arrived()

        await until(all_arrived, 120, why="a Send that a node has acknowledged is not at the server", every=0.5)
        self.story.posts = len(self.cluster.taken)
        addresses: defaultdict[str, set[str]] = defaultdict(set)
        for entry in await self.server.get("/seen"):
            addresses[entry["endpoint"]].add(entry["peer"])
        several = {endpoint: found for endpoint, found in addresses.items() if len(found) != 1}
        self._say(f"{len(posted)} Sends acknowledged to the SCEF, all at the server; {dict(verdict.outcomes)}")
        assert not verdict.lost, verdict.lost
        assert not verdict.twice, verdict.twice
        assert not verdict.expired_on_air
        assert not several, "endpoints have changed their address"
        assert len(addresses) == self.cluster.devices
        return verdict

    def _say(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._began:6.1f} s  {text}")


@contextlib.asynccontextmanager
async def networked(
    folder: Path, database: PostgresServer, machines: Machines, devices: int
) -> AsyncIterator[Networked]:
    """Yield a running cluster of three nodes on these machines."""
    network = Network(folder, machines=machines)
    async with Cluster(folder, database, devices=devices, site=network) as cluster:
        one = Networked(cluster, network)
        await one.begin()
        yield one


async def suffer(one: Networked, more: Callable[[], str | None], draw: Random) -> None:
    """Let the faults that `more` names happen under traffic, one after the other, each to a random node; then judge."""
    traffic = [asyncio.create_task(work) for work in (one.cluster.trickle(0.2, PATIENCE), one.send(0.3))]
    try:
        kind = more()
        while kind:
            name = draw.choice(NODES)
            await one.fault(kind, name)
            for task in traffic:
                assert not task.done(), task
            fault, kind = kind, more()
            if kind and fault in DEADLY:
                await one.restart(name)
    finally:
        for task in traffic:
            task.cancel()
        await asyncio.gather(*traffic, return_exceptions=True)
    verdict = await one.judge()
    story = one.story
    one.say(
        f"{story.faults.total()} faults {dict(story.faults)}; {len(one.cluster.accepted)} requests accepted, "
        f"{verdict.on_air} on air; {story.posts} posts acknowledged; {len(story.moved)} endpoints moved"
    )
    for what, gaps in (("accepted", story.accepted_after), ("answered", story.answered_after)):
        if gaps:
            one.say(f"{what} again after {statistics.median(gaps):.1f} s (median), {max(gaps):.1f} s (worst)")


async def _live(seconds: float, devices: int, seed: int) -> None:
    draw = Random(seed)
    kinds: list[str] = []
    end: list[float] = []  # once the first fault begins

    def more() -> str | None:
        if not end:
            end.append(time.monotonic() + seconds)
        if time.monotonic() > end[0]:
            return None
        if not kinds:
            kinds.extend(draw.sample(DEADLY + PASSING, len(DEADLY + PASSING)))
        return kinds.pop()

    database = PostgresServer(durable=True)
    try:
        with made(Machines(*NUMBERS.values())) as machines, tempfile.TemporaryDirectory() as folder:
            async with networked(Path(folder), database, machines, devices) as one:
                await suffer(one, more, draw)
    finally:
        database.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Three nodes, each a machine of its own, through faults at random.")
    parser.add_argument("--seconds", type=float, default=180.0, help="after which no further fault begins")
    parser.add_argument("--devices", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(_live(arguments.seconds, arguments.devices, arguments.seed))
