"""Two bridges on one ledger in PostgreSQL, each a process: the second takes over what the first has accepted.

Judged by the server's socket alone.
"""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bridge.cli.run import LOST
from bridge.config.reading import parse
from bridge.errors import ConfigurationError
from bridge.service.standing_by import run_command
from mock_network.lab import SCS_AS, TOKEN, Lab, LabProcess, free_port
from tests.store.stores import postgres_server
from tests.waiting import until

KEY = 0x4C324E49 << 32  # of the lock that the bridge which serves has

CONFIG = """
[service]
state_directory = {state}
database = {database}
metrics_listen = "127.0.0.1:{metrics}"
[standby]
enabled = true
lease = 4.0
take_command = ["/bin/sh", "-c", "echo {name} >> {taken}"]
release_command = ["/bin/sh", "-c", "sleep 0.5; echo {name} gone >> {taken}"]
[north]
port = {port}
[servers.lab]
uri = "coap://127.0.0.1:{server}"
patience = 12.0
[networks.net]
binding = "nidd"
api_root = {scef}
scs_as_id = "{as_id}"
credentials = {{ kind = "bearer", token = "{token}" }}
callbacks = {{ port = {callback}, path = "unguessable" }}
[[endpoints]]
name = "e1"
network = "net"
address = "meter@example.com"
"""


class Pair:
    """Two bridges, and the server that both serve."""

    def __init__(self, folder: Path, scef: str = "") -> None:
        """`scef`: the API of a network; without one nobody answers."""
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.taken = folder / "taken"
        self.taken.touch()
        self._folder = folder
        self._database = postgres_server().uri()
        self._values = {
            "database": json.dumps(self._database),
            "port": free_port(),
            "server": self.server.getsockname()[1],
            "scef": json.dumps(scef or f"http://127.0.0.1:{free_port()}"),
            "as_id": SCS_AS,
            "token": TOKEN,
            "taken": self.taken,
        }
        self.bridges: dict[str, LabProcess] = {}
        self.callbacks: dict[str, int] = {}  # port of each bridge
        self.metrics: dict[str, int] = {}
        self.endpoint = ("127.64.0.1", int(str(self._values["port"])))

    def start(self, name: str) -> LabProcess:
        state = self._folder / name
        state.mkdir()
        file = state / "bridge.toml"
        callback = self.callbacks[name] = free_port()
        metrics = self.metrics[name] = free_port()
        values = {**self._values, "callback": callback, "metrics": metrics}
        file.write_text(CONFIG.format(name=name, state=json.dumps(str(state)), **values))
        bridge = LabProcess(name, ["-m", "bridge.cli", "run", "--config", str(file)], state / "log")
        self.bridges[name] = bridge
        bridge.start()
        return bridge

    async def post(self, name: str, body: bytes, path: str = "/unguessable") -> int:
        """Post to the callback URL of a bridge, as a SCEF does; return the status of the answer."""

        def post() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.callbacks[name], timeout=20)
            with contextlib.closing(connection):
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                return connection.getresponse().status

        return await asyncio.to_thread(post)

    async def probe(self, name: str, path: str) -> tuple[int, str]:
        """Ask a bridge for metrics, or whether it lives or is ready; return the status and the body."""

        def probe() -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", self.metrics[name], timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()

        return await asyncio.to_thread(probe)

    def answer_device(self, found: list[bytes]) -> bool:
        """Answer what the device has sent to the server; keep its payload, if it is new. Return whether it is."""
        datagram = self.received()
        if not datagram or datagram[1] != POST:
            return False
        token_length = datagram[0] & 15
        self.server.sendto(bytes((0x60 | token_length, 0x44)) + datagram[2 : 4 + token_length], self.endpoint)
        payload = datagram.rpartition(b"\xff")[2]  # a token may have this byte, too
        if payload in found[-1:]:  # sent again before the answer arrived
            return False
        found.append(payload)
        return True

    def asked(self, question: str) -> list[tuple[object, ...]]:
        """Ask the database, beside the bridges."""
        import psycopg  # only where there is a server

        with psycopg.connect(self._database, autocommit=True) as connection:
            return connection.execute(question.encode()).fetchall()

    @contextlib.asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Kill the bridge that serves, and let no other one take over within this context."""
        import psycopg

        connection = await asyncio.to_thread(psycopg.connect, self._database, autocommit=True)
        with connection:
            lock = "SELECT pg_advisory_lock(%s + CAST(CAST(CAST(current_schema() AS regnamespace) AS oid) AS bigint))"
            locking = asyncio.ensure_future(asyncio.to_thread(connection.execute, lock, (KEY,)))
            waiting = (
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND objid = CAST(CAST(current_schema() AS regnamespace) AS oid)"
            )
            await until(lambda: self.asked(waiting), 60, why="nobody waits for the lock")
            os.kill(self.bridges["first"].pid, signal.SIGKILL)
            await locking  # who waits for a lock has it before those that try
            yield

    def end_session_with_lock(self) -> None:
        """Have PostgreSQL end the session that holds the ledger's lock, and wait until it has ended."""
        ended = self.asked(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND objid = CAST(CAST(current_schema() AS regnamespace) AS oid)"
        )
        assert ended == [(True,)]

    def received(self) -> bytes:
        """Return a message that has come, if any; a CoAP ping is answered, as every server does."""
        try:
            message, bridge = self.server.recvfrom(2000)
        except BlockingIOError:
            return b""
        if message[:2] == b"\x40\0":
            self.server.sendto(b"\x70\0" + message[2:], bridge)
            return b""
        return message

    async def answer(self, request: bytes, why: str, again: float = 1e9) -> bytes:
        """Send a request, every `again` seconds anew, until something comes back."""
        found: list[bytes] = []
        sent_at = float("-inf")

        def ask() -> bool:
            nonlocal sent_at
            if time.monotonic() - sent_at >= again:
                sent_at = time.monotonic()
                self.server.sendto(request, self.endpoint)
            found.append(self.received())
            return bool(found[-1])

        await until(ask, 30, why=why)
        return found[-1]

    async def acknowledged(self, request: bytes) -> None:
        """Send a request again and again until its own acknowledgement comes, whatever else comes meanwhile."""
        while (await self.answer(request, "nobody accepts a request", 0.5))[:4] != b"\x60\x00" + request[2:4]:
            pass

    def end(self) -> None:
        for bridge in self.bridges.values():
            if bridge.running:
                os.kill(bridge.pid, signal.SIGCONT)
            bridge.stop()
        self.server.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.end()


def says(bridge: LabProcess, text: str) -> Callable[[], bool]:
    return lambda: text in bridge.said()


def waits(bridge: LabProcess) -> float:
    """Return the seconds that a bridge waited for the end of another one's lease, as it says itself."""
    found = re.search(r"this one serves in ([\d.]+) s, after its lease", bridge.said())
    assert found is not None, "it did not wait"
    return float(found[1])


POST = 2  # CoAP's method
GET = b"\x44\x01\x12\x34tokn\xb1\x33\x01\x30\x01\x30"  # CON GET /3/0/0


async def standing(pair: Pair) -> tuple[LabProcess, LabProcess]:
    """Return the bridge that serves, and the one that waits."""
    first = pair.start("first")
    await until(says(first, "ready"), 30, why="the first one does not serve")
    second = pair.start("second")
    await until(says(second, "standing by: another bridge serves the ledger"), 30, why="the second one does not wait")
    return first, second


async def test_the_second_takes_over_what_a_killed_one_accepted(pair: Pair) -> None:
    first, second = await standing(pair)
    assert (await pair.answer(GET, "the first one does not accept", 0.5))[:4] == b"\x60\x00\x12\x34"

    killed_at = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    await until(says(second, "ready"), 30, why="the second one does not take over")
    took = time.monotonic() - killed_at
    assert took >= 4.0, "the second cannot know that the first is dead, and waits until its lease is over"
    assert waits(second) <= 4.0, "no longer than the lease"
    assert pair.taken.read_text().split() == ["first", "second"]
    while pair.received():
        pass
    # The server repeats its request: it is known, from the same address, and accepted once.
    assert (await pair.answer(GET, "a repeated request is unknown", 0.5))[:4] == b"\x60\x00\x12\x34"
    late: list[bytes] = []
    await until(lambda: _is_response(pair.received(), late), 30, why="the accepted request has no answer")
    assert late[0][1] == 0xA4, "5.04: nobody is there to deliver it to"
    assert late[0][4:8] == b"tokn"


async def test_what_a_killed_one_had_submitted_is_delivered_and_answered_from_the_same_address(
    tmp_path: Path,
) -> None:
    async with Lab(tmp_path / "lab") as lab:
        network = await lab.start_scef([{"name": "meter", "external_id": "meter@example.com"}])
        pair = Pair(tmp_path, network.ready["scef"])
        try:
            first, second = await standing(pair)
            await until(lambda: network.api.get("/configurations"), 20, why="no NIDD configuration")
            await network.api.post("/ues/meter/sleep")
            pair.server.sendto(GET.replace(b"\x12\x34", b"\x12\x35"), pair.endpoint)

            async def is_queued() -> bool:
                return len((await network.api.get("/ues/meter"))["queue"]) == 1

            await until(is_queued, 20, why="the network does not hold the request")
            os.kill(first.pid, signal.SIGKILL)
            await until(says(second, "ready"), 30, why="the second one does not take over")

            await network.api.post("/ues/meter/wake")
            await until(lambda: network.api.get("/air-log", ue="meter", what="downlink"), 20, why="nothing on air")
            delivered = (await network.api.get("/air-log", ue="meter", what="downlink"))[0]
            request = bytes.fromhex(delivered["data"])
            token_length = request[0] & 15
            answer = bytes((0x60 | token_length, 0x45)) + request[2 : 4 + token_length] + b"\xffyes"
            await network.api.post("/ues/meter/uplink", {"data": answer.hex()})
            found: list[bytes] = []
            await until(lambda: _is_response(pair.received(), found), 20, why="the answer does not arrive")
            assert (found[0][1], found[0][-4:]) == (0x45, b"\xffyes")
            # A kill before the network's answer was committed leaves it in doubt: a Read may then go once more (R9).
            copies = [one["data"] for one in await network.api.get("/air-log", ue="meter", what="downlink")]
            assert copies in ([delivered["data"]], [delivered["data"]] * 2)
        finally:
            pair.end()


def _notification(link: str, number: int) -> bytes:
    """Return a SCEF's post of a device's CON POST /dp with `number` as message ID and payload."""
    data = b"\x41\x02\x00" + bytes((number, number)) + b"\xb2dp\xff%d" % number
    said = {"niddConfiguration": link, "externalId": "meter@example.com", "data": base64.b64encode(data).decode()}
    return json.dumps(said).encode()


@pytest.mark.slow
async def test_a_post_is_taken_at_either_bridge_also_while_none_of_them_serves(tmp_path: Path) -> None:
    async with Lab(tmp_path / "lab") as lab:
        network = await lab.start_scef([{"name": "meter", "external_id": "meter@example.com"}])
        pair = Pair(tmp_path, network.ready["scef"])
        found: list[bytes] = []
        try:
            _, second = await standing(pair)
            made = await until(lambda: network.api.get("/configurations"), 20, why="no configuration")
            link = f"{network.ready['scef']}/3gpp-nidd/v1/{SCS_AS}/configurations/{made[0]['id']}"
            await until(says(second, "posts are received"), 20, why="the second one does not listen")
            assert await pair.post("second", _notification(link, 1), "/guessed") == 404
            assert await pair.post("second", _notification(link, 1)) == 204
            await until(lambda: pair.answer_device(found), 20, why="the first one does not take it out of the inbox")
            assert await pair.post("first", _notification(link, 2)) == 204
            await until(lambda: pair.answer_device(found), 20, why="the first one does not take it directly")

            assert await pair.post("second", b"no JSON") == 204  # authentic, and nobody's fault but the network's
            await until(lambda: not pair.asked("SELECT id FROM inbox"), 20, why="what cannot be read stays")

            assert [(await pair.probe("second", path))[0] for path in ("/healthz", "/readyz")] == [200, 503]
            kept = 'lwm2m_bridge_posts_for_others_total{network="net",result="kept"} 2.0'
            assert kept in (await pair.probe("second", "/metrics"))[1]

            async with pair.held_up():
                for number in range(3, 9):
                    assert await pair.post("second", _notification(link, number)) == 204, "nobody serves the ledger"
                assert "this bridge serves the ledger" not in second.said()
            for _ in range(3, 9):
                await until(lambda: pair.answer_device(found), 30, why="what nobody had taken does not arrive")
            await until(lambda: not pair.asked("SELECT id FROM inbox"), 20, why="what was taken stays")
            assert await pair.post("second", _notification(link, 9)) == 204
            await until(lambda: pair.answer_device(found), 20, why="it takes no posts directly")
            assert found == [b"%d" % number for number in range(1, 10)], "in order, each once"
            assert pair.asked("SELECT count(*) FROM uplink WHERE operation = 'Send'") == [(9,)]
        finally:
            pair.end()


def _is_response(datagram: bytes, found: list[bytes]) -> bool:
    if datagram[:1] and datagram[1] != 0:
        found.append(datagram)
    return bool(found)


async def test_a_bridge_that_was_stopped_for_a_while_ends_when_it_goes_on(pair: Pair) -> None:
    first, second = await standing(pair)
    os.kill(first.pid, signal.SIGSTOP)
    await until(says(second, "ready"), 30, why="the second one does not take over from a stopped one")
    os.kill(first.pid, signal.SIGCONT)
    await until(lambda: not first.running, 10, why="a bridge without a lease goes on")
    assert "the database did not confirm the lease in time" in first.said()
    assert second.running


@pytest.mark.slow
async def test_a_bridge_whose_session_the_database_ends_is_replaced_one_lease_later_and_acts_no_more(
    pair: Pair,
) -> None:
    """The lock is free at once, while the first bridge runs and may still send: the second must wait its lease."""
    first, second = await standing(pair)
    assert (await pair.answer(GET, "the first one does not accept", 0.5))[:4] == b"\x60\x00\x12\x34"
    os.kill(first.pid, signal.SIGSTOP)  # else it may be the quicker one to connect again, and keep its place
    ended_at = time.monotonic()
    pair.end_session_with_lock()
    await until(says(second, "has not released the ledger"), 30, why="the second one does not have the lock")
    os.kill(first.pid, signal.SIGCONT)
    while pair.received():
        pass
    new = GET.replace(b"\x12\x34", b"\x12\x35")
    asking = asyncio.ensure_future(pair.acknowledged(new))

    assert await first.ended() == LOST
    await asking
    await until(says(second, "ready"), 30, why="the second one does not serve")
    assert time.monotonic() - ended_at >= 3.9, "before that, the first one may still send"
    assert pair.taken.read_text().split() == ["first", "second"]
    accepted = pair.asked("SELECT north_mid, count(*) FROM downlink GROUP BY north_mid ORDER BY north_mid")
    assert accepted == [(0x1234, 1), (0x1235, 1)], "each of the two requests is accepted once"


async def test_a_stop_hands_over_at_once(pair: Pair) -> None:
    first, second = await standing(pair)
    os.kill(first.pid, signal.SIGTERM)
    await until(says(second, "ready"), 10, why="the second one does not take over")
    await until(lambda: not first.running, 10, why="the first one does not end")
    assert pair.taken.read_text().splitlines() == ["first", "first gone", "second"]


async def test_one_that_waits_can_be_stopped(pair: Pair) -> None:
    _, second = await standing(pair)
    os.kill(second.pid, signal.SIGTERM)
    await until(lambda: not second.running, 10, why="a waiting bridge does not end")


def test_a_file_cannot_be_taken_over(tmp_path: Path) -> None:
    from bridge.store.opening import open_in_turn

    config = parse("[standby]\nenabled = true\n", "bridge.toml", tmp_path)
    with pytest.raises(ConfigurationError, match="needs a ledger in PostgreSQL"):
        open_in_turn(config.database, config.standby.lease, lambda: None)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["/no/such/program"], "cannot run /no/such/program: No such file"),
        (["/bin/sh", "-c", "echo no route; exit 3"], "ended with 3: no route"),
    ],
)
async def test_a_command_that_fails_says_why(command: list[str], error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        await run_command("take_command", command)


async def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.service.standing_by.COMMAND_TIMEOUT", 0.2)
    with pytest.raises(ConfigurationError, match=r"took longer than 0\.2 s and was ended"):
        await run_command("take_command", ["/bin/sleep", "60"])
