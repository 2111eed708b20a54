"""A trace shows both hops of an endpoint while somebody reads it, and costs nothing otherwise."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bindings.contract import NetworkState as State, Report, UplinkMessage
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode, frame
from bridge.control.client import DirectClient
from bridge.errors import AccessDenied, LimitReached, NotFound
from bridge.operations.registry import call
from bridge.operations.types.access import ListAudit
from bridge.operations.types.request import Access
from bridge.operations.types.tracing import BeginTrace, EndTrace, ReadTrace, TraceLine
from bridge.relay import events as ev
from bridge.relay.model import Endpoint
from bridge.trace.traces import BYTES, ENTRIES, IDLE, MOST, MOST_OF_CALLER, Traces
from tests.service.kit import Kit
from tests.waiting import until

E1 = Endpoint(1, 0, "e1", "net", "d1", ())


class Hands:
    """Two that are tapped, a clock and timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.tapped: list[Any] = [SimpleNamespace(tap=None), SimpleNamespace(tap=None)]
        self.traces = Traces(self.tapped, lambda: 1000.0 + self.now, lambda: self.now, self.later)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, function))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= end), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = end


@pytest.fixture
def hands() -> Hands:
    return Hands()


def test_nobody_is_tapped_before_a_trace_begins_and_after_the_last_one_ends(hands: Hands) -> None:
    assert all(one.tap is None for one in hands.tapped)
    first = hands.traces.begin(1, "e1", payload=False)
    second = hands.traces.begin(2, "e2", payload=False)
    assert all(one.tap is hands.traces for one in hands.tapped)
    hands.traces.end(first)
    assert all(one.tap is hands.traces for one in hands.tapped)
    hands.traces.end(second)
    assert all(one.tap is None for one in hands.tapped)


def test_a_trace_that_nobody_reads_ends_and_one_that_is_read_does_not(hands: Hands) -> None:
    id_ = hands.traces.begin(1, "e1", payload=False)
    hands.pass_time(IDLE - 1)
    hands.traces.trace(id_)
    hands.pass_time(IDLE - 1)
    assert hands.tapped[0].tap is not None
    hands.pass_time(1)
    assert hands.tapped[0].tap is None
    with pytest.raises(NotFound, match="was not read"):
        hands.traces.trace(id_)


def test_a_slow_reader_loses_the_oldest_lines(hands: Hands) -> None:
    id_ = hands.traces.begin(1, "e1", payload=False)
    for number in range(ENTRIES + 10):
        hands.traces.event(E1, ev.ServerDatagram("lab", b"%d" % number))
    first, found = hands.traces.trace(id_).after(3, 2)
    assert first == 11
    assert [entry.data for entry in found] == [b"10", b"11"]


def test_large_messages_fill_a_ring_sooner(hands: Hands) -> None:
    id_ = hands.traces.begin(1, "e1", payload=False)
    for _ in range(100):
        hands.traces.event(E1, ev.ServerDatagram("lab", bytes(60_000)))
    trace = hands.traces.trace(id_)
    assert trace.size == sum(len(entry.data) for entry in trace.entries) <= BYTES
    assert len(trace.entries) == BYTES // 60_000


def test_a_trace_has_nothing_of_other_endpoints(hands: Hands) -> None:
    id_ = hands.traces.begin(2, "e2", payload=False)
    hands.traces.event(E1, ev.ServerDatagram("lab", b"x"))
    assert hands.traces.trace(id_).last == 0


def test_what_a_trace_cannot_show_stops_no_message(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    id_ = hands.traces.begin(1, "e1", payload=False)
    odd: Any = "no outcome of the contract"
    hands.traces.event(E1, ev.Reported("h1", odd))
    hands.traces.event(E1, ev.ServerDatagram("lab", b"x"))
    assert hands.traces.trace(id_).last == 1
    assert "a trace could not show a message" in caplog.text


def test_there_are_only_so_many_traces_at_once(hands: Hands) -> None:
    for number in range(MOST):
        hands.traces.begin(1, "e1", payload=False, caller=f"key {number}")
    with pytest.raises(LimitReached, match="traces are running"):
        hands.traces.begin(1, "e1", payload=False, caller="another key")


def test_one_caller_cannot_use_up_the_traces_of_all(hands: Hands) -> None:
    own = [hands.traces.begin(1, "e1", payload=False, caller="key 1") for _ in range(MOST_OF_CALLER)]
    with pytest.raises(LimitReached, match="traces of key 1 are running"):
        hands.traces.begin(1, "e1", payload=False, caller="key 1")
    hands.traces.begin(1, "e1", payload=False, caller="key 2")
    hands.traces.end(own[0])
    hands.traces.begin(1, "e1", payload=False, caller="key 1")


async def traced(client: DirectClient, id_: str, kind: str, part: str = "") -> list[TraceLine]:
    """Return all lines of a trace, once one of a kind is among them."""

    async def there() -> list[TraceLine]:
        page = await client.ask(ReadTrace(id_))
        return list(page.items) if any(one.kind == kind and part in one.note for one in page.items) else []

    return await until(there)


async def test_a_read_is_seen_on_both_hops_with_what_the_network_said_and_its_outcome(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        begun = await client.ask(BeginTrace("e1", payload=True))
        kit.ask(7)
        lines = await traced(client, begun.id, "network")
        asked, handed = lines[0], next(line for line in lines if line.kind == "to device")
        assert (asked.kind, asked.peer) == ("from server", "lab")
        assert asked.coap is not None
        assert (asked.coap.type, asked.coap.code, asked.coap.mid, asked.coap.token) == ("CON", "GET", 7, "07")
        assert (asked.coap.operation, asked.coap.path) == ("Read", "/3")
        assert handed.peer == "net"
        assert "attempt 1" in handed.note
        assert handed.data is not None
        said = next(line for line in lines if line.kind == "network")
        assert "accepted, buffered, handle " in said.note
        handle = said.note.rpartition("handle ")[2]
        request = decode(handed.data)
        await kit.network.events.deliver(Report("d1", handle, State.SENT))
        response = frame(Type.ACK, Code.CONTENT, request.mid, request.token, b"\xc0\xffabc")
        await kit.network.events.deliver(UplinkMessage("d1", response, None, service.now()))
        lines = await traced(client, begun.id, "outcome", "RESPONDED")
        assert any(line.note.startswith("report: sent") and handle in line.note for line in lines)
        answer = next(line for line in lines if line.kind == "from device")
        assert answer.coap is not None
        assert (answer.coap.code, answer.coap.operation, answer.coap.path) == ("2.05", "Read", "/3")
        assert (answer.coap.content_format, answer.coap.payload_size, answer.payload) == (0, 3, b"abc")
        forwarded = [line for line in lines if line.kind == "to server" and line.coap and line.coap.code == "2.05"]
        assert forwarded[0].data is not None
        assert forwarded[0].coap is not None
        assert forwarded[0].coap.operation == "Read"
        ended = await client.ask(EndTrace(begun.id))
        assert ended.lines == lines[-1].number
        assert service.parts.runner.tap is None
        assert service.parts.actor.tap is None


async def test_a_trace_without_payloads_has_their_format_and_size_alone(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        begun = await client.ask(BeginTrace("e1"))
        sent = frame(Type.NON, Code.POST, 1, b"t", b"\xb2dp\xffsecret")
        await kit.network.events.deliver(UplinkMessage("d1", sent, None, service.now()))
        (line, *_) = await traced(client, begun.id, "from device")
        assert line.coap is not None
        assert (line.coap.operation, line.coap.payload_size) == ("Send", 6)
        assert (line.payload, line.data) == (None, None)


async def test_a_reader_waits_for_the_next_line(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        begun = await client.ask(BeginTrace("e1"))
        reading = asyncio.create_task(client.ask(ReadTrace(begun.id, 0, 5.0)))
        kit.ask(1)
        page = await asyncio.wait_for(reading, 4)
        assert page.items[0].kind == "from server"
        assert page.next == page.items[-1].number


async def test_a_lost_line_is_counted(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        begun = await client.ask(BeginTrace("e1"))
        trace = service.traces.trace(begun.id)
        record = await service.directory.by_name("e1")
        assert record is not None
        for _ in range(ENTRIES + 5):
            service.traces.event(Endpoint(record.id, 0, "e1", "net", "d1", ()), ev.ServerDatagram("lab", b"x"))
        page = await client.ask(ReadTrace(begun.id))
        assert (page.lost, page.items[0].number) == (5, 6)
        assert page.items[0].note == "no CoAP message"
        assert (await client.ask(ReadTrace(begun.id, page.next))).lost == 0
        assert trace.last == ENTRIES + 5


async def test_the_audit_log_has_the_beginning_and_the_end_of_a_trace_and_not_each_read(kit: Kit) -> None:
    async with kit.running() as service:
        begun = json.loads(await call(service, "trace.begin", b'{"endpoint": "e1"}', "ann"))
        about = json.dumps({"id": begun["id"]}).encode()
        await call(service, "trace.read", about, "ann")
        await call(service, "trace.end", about, "ann")
        noted = (await DirectClient(service).ask(ListAudit())).items
        assert sorted(one.operation for one in noted) == ["trace.begin", "trace.end"]


async def test_a_caller_who_may_only_read_may_not_trace(kit: Kit) -> None:
    async with kit.running() as service:
        with pytest.raises(AccessDenied, match="operate"):
            await call(service, "trace.begin", b'{"endpoint": "e1"}', "ann", Access.READ)
        begun = await DirectClient(service).ask(BeginTrace("e1"))
        with pytest.raises(AccessDenied, match="operate"):
            await call(service, "trace.read", json.dumps({"id": begun.id}).encode(), "ann", Access.READ)


async def test_a_trace_of_nobody_is_refused(kit: Kit) -> None:
    async with kit.running() as service:
        with pytest.raises(NotFound, match="nobody"):
            await DirectClient(service).ask(BeginTrace("nobody"))
        assert service.parts.runner.tap is None
