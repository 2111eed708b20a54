"""The LwM2M servers of `tests.cluster.networked`: one over UDP, one over DTLS, one over TCP, one over TLS.

Of six devices on NIDD one each has the servers over DTLS, TCP and TLS, three the one over UDP. The first two servers
are the emulated one; the others are in the process that judges, and strict (`tests.cluster.connected_server`).
"""

import asyncio
import hashlib
import hmac
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mock_network.lab import Api
from tests.cluster.connected_server import LOST, ConnectedServer
from tests.cluster.nodes import Cluster, OneMachine

UDP, DTLS, TCP, TLS = KINDS = ("udp", "dtls", "tcp", "tls")
SESSIONS = (DTLS, TCP, TLS)
MASTER = bytes(range(32))
PORTS = {TCP: 5685, TLS: 5686}
SERVER = """
[servers.{kind}]
uri = "{uri}"
"""
KEYS = f"""[servers.{{kind}}.security]
mode = "psk"
identity = "{{{{endpoint}}}}"
key = "{MASTER.hex()}"
"""
ANSWER = "/3/0/9"  # what servers read
ANSWERED_BY = 150.0  # seconds: the bridge answers within a server's patience, 120 s


def kind_of(endpoint: str) -> str:
    """Return over what an endpoint's server is reached."""
    if not endpoint.startswith("e"):
        return UDP
    return {1: DTLS, 2: TCP, 3: TLS}.get(int(endpoint[1:]) % 6, UDP)


def key_of(endpoint: str) -> bytes:
    """Return an endpoint's key: its identity is its name, from which the key is derived."""
    return hmac.digest(MASTER, endpoint.encode(), hashlib.sha256)


@dataclass
class Servers:
    """`asked`: how requests of servers ended, by kind of server."""

    cluster: Cluster
    site: OneMachine
    connected: dict[str, ConnectedServer] = field(default_factory=dict)
    asked: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unanswered: list[str] = field(default_factory=list)  # acknowledged requests that got no answer
    _asking: set["asyncio.Task[None]"] = field(default_factory=set)

    async def begin(self) -> str:
        """Start all, and tell nodes that start later of them; return the URI of the one over UDP."""
        lab, host = self.cluster.lab, self.site.host("server")
        names = [name for name in (f"e{number}" for number in range(self.cluster.devices)) if kind_of(name) in SESSIONS]
        uris = {}
        for kind, name in ((UDP, "server"), (DTLS, DTLS)):
            part = await lab.start_server("--ack-timeout", "1", name=name, host=host)
            uris[kind] = str(part.ready["coap"])
        for name in names:
            if kind_of(name) == DTLS:
                await lab.servers[DTLS].api.ask("PUT", f"/psk/{name}", {"identity": name, "key": key_of(name).hex()})
        self.connected = {TCP: ConnectedServer(), TLS: ConnectedServer({name: key_of(name) for name in names})}
        for kind, server in self.connected.items():
            await server.listen(self.site.listen("server", PORTS[kind]))
        uris[DTLS] = uris[DTLS].replace("coap:", "coaps:")
        uris |= {TCP: f"coap+tcp://{host}:{PORTS[TCP]}", TLS: f"coaps+tcp://{host}:{PORTS[TLS]}"}
        text = "".join((SERVER + KEYS * (kind != TCP)).format(kind=kind, uri=uris[kind]) for kind in SESSIONS)
        more = self.cluster.more
        self.cluster.more = lambda port: more(port) + text
        self.cluster.server_of = lambda number: kind_of(f"e{number}").replace(UDP, "lab")
        return uris[UDP]

    async def close(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for server in self.connected.values():
            await server.stop()

    def api(self, kind: str) -> Api:
        """Return the control API of an emulated server."""
        return self.cluster.lab.servers[DTLS if kind == DTLS else "server"].api

    async def registered(self) -> int:
        """Return how many devices are registered, at all servers."""
        emulated = [len(await self.api(kind).get("/clients")) for kind in (UDP, DTLS)]
        return sum(emulated) + sum(len(server.clients) for server in self.connected.values())

    async def read(self, endpoint: str, wait: float) -> str:
        """Read as the endpoint's server; return the code of the answer, or why there is none."""
        kind = kind_of(endpoint)
        if kind in self.connected:
            return await self.connected[kind].read(endpoint, ANSWER, wait)
        found = await self.api(kind).post(f"/clients/{endpoint}/read", {"path": ANSWER, "timeout": wait})
        return str(found.get("code") or found["outcome"])

    def ask(self, endpoint: str) -> None:
        """Read as the endpoint's server, without waiting for the answer: `all_answered` says what came of it."""
        task = asyncio.create_task(self._ask(endpoint))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, endpoint: str) -> None:
        began, found = time.monotonic(), await self.read(endpoint, ANSWERED_BY)
        self.asked[kind_of(endpoint)][found] += 1
        if found == "no answer":
            self.unanswered.append(f"{endpoint}, asked at {began:.1f}")

    async def all_answered(self) -> None:
        """Require that each request that a node acknowledged was answered, unless its connection ended before.

        Over TCP and TLS nothing acknowledges a request: there it is one whose connection is still there.
        """
        await asyncio.gather(*self._asking)
        assert not self.unanswered, self.unanswered

    def tell(self, say: Callable[[str], None]) -> None:
        """Say how requests of servers ended, and how often sessions and connections were made anew."""
        for kind in KINDS:
            say(f"Reads of the server over {kind}: {dict(self.asked[kind])}")
        for kind, server in self.connected.items():
            unbound = sorted(self.unbound(kind))
            if unbound:
                median, worst = statistics.median(unbound), unbound[-1]
                say(f"{kind}: {len(unbound)} connections that ended had a successor after {median:.2f}/{worst:.2f} s")
            say(f"{kind}: refused {dict(server.refused)}")

    async def sends(self) -> set[str]:
        """Return the values that devices sent and servers took."""
        found = {value for server in self.connected.values() for value in server.sends}
        for kind in (UDP, DTLS):
            found |= {str(record["value"]) for one in await self.api(kind).get("/sends") for record in one["records"]}
        return found

    async def addresses(self) -> dict[str, set[str]]:
        """Return the addresses from which servers heard each endpoint: over TCP and TLS without the port."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for kind in (UDP, DTLS):
            for entry in await self.api(kind).get("/seen"):
                if entry["endpoint"].startswith("e"):  # those on LoRaWAN do not register: the server has no name for it
                    found[entry["endpoint"]].add(entry["peer"])
        for server in self.connected.values():
            found.update(server.addresses)
        return found

    # Sessions

    async def _opened(self) -> dict[str, list[float]]:
        """Return when each endpoint had a session, or for TCP and TLS a connection with its registration.

        Over DTLS that is the latest time alone.
        """
        found = {one["name"]: [float(one["opened_at"])] for one in await self.api(DTLS).get("/dtls")}
        for server in self.connected.values():
            found |= {name: client.bound_at for name, client in server.clients.items()}
        return found

    async def opened_again(self, endpoints: Iterable[str], since: float, wait: float) -> dict[str, float]:
        """Wait until endpoints have sessions that began after `since`; return for each after how many seconds."""
        found: dict[str, float] = {}
        wanted = set(endpoints)
        while True:
            opened = await self._opened() if wanted else {}
            for name in wanted - found.keys():
                after = [at for at in opened.get(name, []) if at > since]
                if after:
                    found[name] = after[0] - since
            if found.keys() == wanted:
                return found
            assert time.monotonic() - since < wait, f"no session after {wait} s: {sorted(wanted - found.keys())}"
            await asyncio.sleep(0.2)

    def unbound(self, kind: str) -> list[float]:
        """Return the seconds from the end of each connection until its registration had another one."""
        return [seconds for client in self.connected[kind].clients.values() for seconds in client.unbound]

    async def seen(self, endpoint: str) -> list[Any]:
        """Return what the endpoint's server saw of it last."""
        kind = kind_of(endpoint)
        if kind in self.connected:
            return [self.connected[kind].clients.get(endpoint), self.connected[kind].refused]
        seen = await self.api(kind).get("/seen")
        peers = {one["peer"] for one in seen if one["endpoint"] == endpoint}
        return [one for one in seen if one["peer"] in peers and one["kind"] in ("send", "refused")][-8:]


__all__ = ["DTLS", "KINDS", "LOST", "SESSIONS", "TCP", "TLS", "UDP", "Servers", "kind_of"]
