"""R26: DTLS records pass opaquely. R27: OSCORE messages pass with their inner parts untouched."""

from dataclasses import replace

import pytest
from world import NIDD, START, World, request, response, rst

from bindings.contract import Accepted, Kind, NetworkState, Refusal, Refused
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.relay.model import Policy


def record(content: int, body: bytes, epoch: int = 1, number: int = 1) -> bytes:
    head = bytes((content, 254, 253)) + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return head + len(body).to_bytes(2, "big") + body


def test_r26_records_pass_both_ways_byte_for_byte(world: World):
    data = record(23, b"sealed")
    world.device_sends(data, "1")
    assert world.secure == [data]
    assert world.to_server == []
    world.server_sends(record(23, b"back"))
    assert world.submitted[-1].attempt.payload == record(23, b"back")
    assert world.submitted[-1].attempt.kind is Kind.OPAQUE


def test_r26_a_record_that_cannot_leave_for_its_server_is_not_forwarded_and_does_not_wait(world: World):
    world.link_fails()
    world.device_sends(record(22, b"hello", 0), "1")
    (row,) = world.uplinks("opaque")
    assert row["state"] == "REJECTED"
    assert "cannot be reached on its DTLS port" in row["reason"]
    assert world.counted("records_not_sent") == 1
    world.link_opens()
    world.passes(100)
    assert world.secure == []
    world.device_sends(record(22, b"hello", 0, 2), "2")
    assert [row["state"] for row in world.uplinks("opaque")] == ["REJECTED", "FORWARDED"]


@pytest.mark.parametrize("first", [20, 21, 22, 23, 25, 26, 44, 63])
def test_r26_the_first_byte_tells_dtls_from_coap(world: World, first):
    world.device_sends(bytes((first,)) + bytes(20))
    assert len(world.secure) == 1
    for other in 0, 19, 64, 127, 128, 255:
        world.device_sends(bytes((other,)) + bytes(20))
    assert len(world.secure) == 1


def test_r26_how_long_records_live(world: World):
    world.network = None
    world.server_sends(record(23, b"x"))
    world.server_sends(record(22, b"hello", 0))
    assert [row["deliver_by"] - START for row in world.downlinks("opaque")] == [93, 60]


def test_r26_a_few_are_queued_and_refusal_is_silence(south):
    world = World(south)
    world.network = None
    for n in range(12):
        world.server_sends(record(23, b"x", number=n))
    assert len(world.downlinks("opaque")) == 8
    assert world.to_server == []
    assert world.counted("requests_refused") == 4


def test_r26_a_queued_plaintext_handshake_is_replaced_by_its_retransmission():
    world = World(NIDD)
    world.network = None
    world.server_sends(record(23, b"holds the call"))
    world.server_sends(record(22, b"hello", 0, 1))
    world.server_sends(record(22, b"hello", 0, 2))
    world.server_sends(record(22, b"other", 0, 3))
    assert [row["body"] for row in world.downlinks("opaque")[1:]] == [
        record(22, b"hello", 0, 2),
        record(22, b"other", 0, 3),
    ]


def test_r26_what_does_not_fit_is_split_at_record_boundaries(south):
    world = World(replace(south, max_downlink=51))
    one, two, three = (record(22, bytes(n), 1, n) for n in (20, 10, 30))
    world.server_sends(one + two + three)
    assert [s.attempt.payload for s in world.submitted] == [one, two, three] or [
        s.attempt.payload for s in world.submitted
    ] == [one, two + three]
    assert b"".join(s.attempt.payload for s in world.submitted) == one + two + three
    assert all(len(s.attempt.payload) <= 51 for s in world.submitted)


@pytest.mark.parametrize("data", [record(23, bytes(60)), bytes([0x2C]) + bytes(60), bytes([25]) + bytes(60)])
def test_r26_a_record_that_does_not_fit_or_cannot_be_read_is_refused_in_silence(south, data):
    world = World(replace(south, max_downlink=51))
    assert world.server_sends(data) == []
    assert world.submitted == []
    assert world.counted("requests_refused") == 1


def oscore(token: bytes = b"12345678", size: int = 20) -> bytes:
    return request(2, "", 100, token, bytes(size), [(int(Opt.OSCORE), b"\x09\x01")])


def test_r27_oscore_passes_unchanged(world: World):
    world.server_sends(oscore())
    assert world.last_south().body == decode(oscore()).body
    inner = request(2, "", 5, b"d", b"sealed register", [(int(Opt.OSCORE), b"")])
    world.device_sends(inner)
    assert world.last_north().body == decode(inner).body


def test_r27_a_name_inside_is_not_the_bridges_business(world: World):
    data = request(2, "rd", 5, b"d", b"x", [(int(Opt.OSCORE), b""), (15, b"ep=other")])
    world.device_sends(data)
    assert world.last_north().body == decode(data).body


@pytest.mark.parametrize("end", ["too large", "refused as too large", "queue full", "expired", "reset", "failed"])
def test_r27_of_errors_only_503_is_sent(south, end):
    world = World(south, policy=Policy(max_requests=0 if end == "queue full" else 9))
    if end in ("refused as too large", "failed"):
        world.network = Refused(Refusal.TOO_LARGE if end == "refused as too large" else Refusal.REJECTED, "no")
    if end == "too large":
        world.south = replace(south, max_downlink=15)
    world.server_sends(oscore())
    if end == "expired":
        world.passes(120)
    if end == "reset":
        world.passes(2)
        world.device_sends(rst(world.last_south()))
    codes = {decode(d).code for d in world.to_server} - {0}
    assert codes <= {Code.SERVICE_UNAVAILABLE}
    if end in ("too large", "refused as too large", "queue full"):
        assert codes == {Code.SERVICE_UNAVAILABLE}
        assert world.last_north().payload == b""


def test_r27_an_oscore_response_is_forwarded(world: World):
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(oscore())
    world.device_sends(response(world.last_south(), 68, b"sealed", [(int(Opt.OSCORE), b"")]))
    assert world.last_north().payload == b"sealed"
    assert world.last_north().option(Opt.OSCORE) == b""


def test_r27_nidd_oscore_is_submitted_once():
    world = World(NIDD, default_ttl=9000.0)
    world.server_sends(oscore())
    world.passes(5000)
    assert len(world.submitted) == 1
