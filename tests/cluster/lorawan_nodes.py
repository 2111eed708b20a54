"""Nodes with a network of LoRaWAN: an emulated ChirpStack with its gateway and devices of class A, and its air."""

import asyncio
import base64
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mock_network.lab import Api
from tests.cluster.nodes import MORE_PATH, Cluster
from tests.store.stores import postgres_server
from tests.waiting import until

DEVICES = 6
WINDOWS = 3.5  # seconds from an uplink until a device of class A sends its next one, at most
EVERY_UPLINK = b"\xb2dp\xff"  # Uri-Path dp, and the payload marker: a LwM2M Send


def eui(number: int) -> str:
    return f"70b3d57ed00000{number:02x}"


def _device(number: int) -> dict[str, Any]:
    """Describe a device with a session by hand, so that it can send at once."""
    keys = {"nwk_s_key": 2 * eui(number), "app_s_key": 2 * eui(number)[::-1]}
    return {"dev_eui": eui(number), "dev_addr": f"0102030{number}", "duty_cycle": False, **keys}


@dataclass
class LorawanCluster:
    """`l0` to `l5` are the endpoints on LoRaWAN."""

    cluster: Cluster
    radio: Api
    devices: int = DEVICES

    def of(self, node: str) -> list[str]:
        """Return the endpoints on LoRaWAN that a node serves."""
        return [name for name, holder in self.cluster.holders().items() if name[0] == "l" and holder == node]

    async def act(self, endpoint: str, action: str, **body: Any) -> Any:
        """Let a device's radio do something (`RadioProcess.act`)."""
        return await self.radio.post(f"/radio/devices/{eui(int(endpoint[1:]))}/{action}", body)

    async def send(self, endpoint: str, number: int) -> str:
        """Let a device send a LwM2M Send, which is a NON; return its payload."""
        said = f"{endpoint}.{number}"
        head = b"\x52\x02\x00" + bytes([number % 256, 7, number % 256])
        await self.act(endpoint, "send", payload=(head + EVERY_UPLINK + said.encode()).hex())
        return said

    def sends(self) -> list[str]:
        """Return the payloads of the devices' Sends in the ledger, in the order in which they were taken."""
        found = self.cluster.rows("SELECT body FROM uplink WHERE operation = 'Send' ORDER BY id")
        return [bytes(body).rpartition(b"\xff")[2].decode(errors="replace") for (body,) in found]

    async def heard(self) -> set[str]:
        """Return the payloads of the Sends that ChirpStack has received: a gateway that transmits hears nothing."""
        found: set[str] = set()
        for number in range(DEVICES):
            for one in await self.radio.get(f"/history/{eui(number)}"):
                data = base64.b64decode(one["event"].get("data", "")) if one["kind"] == "up" else b""
                if EVERY_UPLINK in data:
                    found.add(data.rpartition(b"\xff")[2].decode())
        return found

    async def _heard_of(self, said: list[str]) -> set[str]:
        """Return what was heard, as soon as that is all, or nothing has been heard for longer than windows last."""
        heard, since = await self.heard(), time.monotonic()
        while not heard >= set(said) and time.monotonic() - since < WINDOWS:
            await asyncio.sleep(0.2)
            more = await self.heard()
            if more != heard:
                heard, since = more, time.monotonic()
        return heard

    async def took(self, said: list[str], wait: float = 30.0) -> None:
        """Wait until the ledger has exactly the Sends that ChirpStack received, each once, and none is in the inbox."""
        heard = await self._heard_of(said)
        expected = [one for one in said if one in heard]
        assert len(expected) > len(said) * 0.7, "the test shows little"
        await until(
            lambda: set(self.sends()) >= set(expected), wait, every=0.1,
            why=f"not all are taken: {set(expected) - set(self.sends())}",
        )  # fmt: skip
        await until(lambda: not self.cluster.rows("SELECT id FROM inbox"), wait, why="what was taken stays")
        assert sorted(self.sends()) == sorted(expected), "each once"

    async def queue(self, endpoint: str) -> list[dict[str, Any]]:
        """Return what is in ChirpStack's queue for a device."""
        devices = (await self.radio.get("/state"))["devices"]
        return next(one["queue"] for one in devices if one["devEui"] == eui(int(endpoint[1:])))

    async def queued(self, endpoint: str) -> None:
        """Wait until something is in ChirpStack's queue for a device."""

        async def is_there() -> bool:
            return bool(await self.queue(endpoint))

        await until(is_there, 30, why=f"nothing is queued for {endpoint}", every=0.1)

    async def polled_until(self, endpoint: str, question: Any, wait: float = 60.0) -> None:
        """Let a device open its windows again and again until a question is answered with yes."""

        async def polled() -> bool:
            if question():
                return True
            await self.act(endpoint, "poll")
            return bool(question())

        await until(polled, wait, why=f"{endpoint} has polled in vain", every=2.5)

    async def on_air(self) -> Counter[str]:
        """Return how often each accepted Execute was sent, by its argument: not what the gateway refused to send."""
        sent = [one for one in await self.radio.get("/air") if one["status"] in ("OK", "no tx ack")]
        air = [bytes.fromhex(one["payload"]) for one in sent]
        arguments = [one.argument for one in self.cluster.accepted]
        return Counter(argument for argument in arguments for data in air if argument.encode() in data)

    def states(self) -> dict[str, str]:
        """Return the state of each accepted Execute, by its argument."""
        rows = dict(self.cluster.rows("SELECT id, state FROM downlink"))
        return {one.argument: rows.get(one.id, "lost") for one in self.cluster.accepted}

    async def posts_to(self, node: str) -> None:
        """Let the load balancer post to this node alone."""
        self.cluster.posts_to = node


async def with_lorawan(
    cluster: Cluster, *, mqtt: str = "", history: int = 200, lines: str = "", listens_at: str = "127.0.0.1"
) -> LorawanCluster:
    """Configure a network of LoRaWAN in a cluster whose nodes are not started yet.

    `mqtt`: the broker of the events, HOST:PORT; else they are posted. `listens_at`: the address at which each node
    takes its posts.
    """
    more = ["--mqtt", mqtt, "--mqtt-qos", "1"] if mqtt else []
    part = await cluster.lab.start_chirpstack(
        [_device(number) for number in range(DEVICES)],
        "--history", str(history), "--no-mac-commands", *more,
        http="" if mqtt else f"{cluster._balancer}/{MORE_PATH}",
    )  # fmt: skip

    def sections(port: int) -> str:
        url = f'public_url = "{cluster._balancer}", path = "{MORE_PATH}"'
        way = f'http = {{ bind = "{listens_at}", port = {port}, {url} }}\n'
        if mqtt:
            host, _, number = mqtt.rpartition(":")
            way = f'events = "mqtt"\nmqtt = {{ host = "{host}", port = {number}, keepalive = 5 }}\n'
        endpoints = [
            f'[[endpoints]]\nname = "l{n}"\nnetwork = "lorawan"\naddress = "{eui(n)}"\n' for n in range(DEVICES)
        ]
        quick = "downlinks = { response_timeout = 2.0, max_retransmit = 0 }\n"
        return cluster.lab.lorawan_network(lines=way + quick + lines) + "".join(endpoints)

    cluster.more = sections
    return LorawanCluster(cluster, part.api)


@contextlib.asynccontextmanager
async def lorawan_cluster(
    folder: Path, *, nodes: str = "ab", mqtt: str = "", history: int = 200, lines: str = ""
) -> AsyncIterator[LorawanCluster]:
    """Start nodes that share the shards. `mqtt`: the broker of the events, HOST:PORT; else they are posted."""
    async with Cluster(folder, postgres_server(), devices=0) as cluster:
        found = await with_lorawan(cluster, mqtt=mqtt, history=history, lines=lines)
        for name in nodes:
            await cluster.start(name)
            await cluster.ready(name)
        await cluster.balanced(*nodes)
        yield found
