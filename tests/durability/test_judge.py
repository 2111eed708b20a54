"""The judge itself is tried: of evidence in order it says nothing, and of each thing out of order what it is."""

from collections.abc import Callable
from hashlib import sha256

import msgspec
import pytest

from tests.durability.judge import LORAWAN_HTTP, NIDD, Evidence, digest, hear_server, judge as judged
from tests.durability.lorawan import submissions
from tests.durability.story import Happening
from tests.durability.traffic import JUMP
from tests.interop.raw_device import CON, POST, Message, encode, uri
from tests.lorawan.lorawan_kit import CLIENT
from tests.repeats import fit

DEVICE, OTHER = "one@iot", "two@iot"
READ = encode(Message(CON, 1, 7, b"\x09", uri("/3/0/0")))
EXECUTE = encode(Message(CON, POST, 8, b"\x0a", uri("/3303/0/5605")))
SEND = encode(Message(CON, POST, 3, b"\x01", uri("/dp"), b"[]"))


def _downlink(number: int, operation: str, payload: bytes, token: bytes) -> dict[str, object]:
    made = {"id": number, "kind": "request", "operation": operation, "state": "RESPONDED", "over": 1, "attempts": None}
    made |= {"answers": None, "accepted_at": 5.0, "finished_at": 25.0, "reason": ""}
    head = {"coap_type": payload[0] >> 4 & 3, "code": payload[1], "south_mid": int.from_bytes(payload[2:4], "big")}
    rest = {"south_token": payload[4:5], "body": payload[5:]}  # tokens of one byte
    return {**made, **head, **rest, "device": DEVICE, "north_token": token}


def _uplink(number: int, payload: bytes, device: str = DEVICE) -> dict[str, object]:
    made = {"id": number, "kind": "request", "operation": "Send", "state": "FORWARDED", "received_at": 1.5}
    return {**made, "device": device, "digest": digest(payload)}


def judge(seen: Evidence) -> list[str]:
    """Return what the judge finds, without its stories."""
    return [fault.text for fault in judged(seen)]


def _evidence(rules=LORAWAN_HTTP) -> Evidence:
    """Return a Read and an Execute that were answered, and a Send that was accepted and forwarded."""
    return Evidence(
        rules,
        asked={"aa", "bb"},
        acknowledged={"aa", "bb"},
        sent=[(DEVICE, SEND)],
        accepted=[(DEVICE, SEND)],
        retained=[(DEVICE, SEND)],
        on_air=[(10.0, (DEVICE, READ)), (20.0, (DEVICE, EXECUTE))],
        taken=[sha256(b"[]").hexdigest()[:16]],
        downlinks=[_downlink(1, "Read", READ, b"\xaa"), _downlink(2, "Execute", EXECUTE, b"\xbb")],
        uplinks=[_uplink(3, SEND)],
    )


def test_it_says_nothing_where_all_is_in_order():
    assert judge(_evidence()) == []


def test_it_says_nothing_of_copies_after_the_networks_interval():
    seen = _evidence()
    seen.on_air += [(310.0, (DEVICE, READ)), (620.0, (DEVICE, READ))]
    assert judge(seen) == []


def test_it_allows_one_more_copy_only_where_the_row_says_that_it_was_repeated():
    seen = _evidence()
    seen.on_air.append((30.0, (DEVICE, READ)))
    assert judge(seen) == ["downlink 1 (Read) was on air 2 times: [10.0, 30.0]"]
    seen.downlinks[0]["attempts"] = msgspec.msgpack.encode([[1, 1, 10.0], [2, 8, 40.0]])
    assert judge(seen) == []
    seen.on_air.append((40.0, (DEVICE, READ)))
    assert judge(seen) == ["downlink 1 (Read) was on air 3 times: [10.0, 30.0, 40.0]"]


def test_it_allows_one_more_copy_where_the_row_says_that_it_was_in_doubt_and_not_where_it_only_left():
    seen = _evidence()
    seen.on_air.append((30.0, (DEVICE, READ)))
    left = [1, 6, 10.0, "handle", None, 10.0, None, None, False]
    seen.downlinks[0]["attempts"] = msgspec.msgpack.encode([[*left, ""], [2, 8, 40.0]])
    assert judge(seen) == ["downlink 1 (Read) was on air 2 times: [10.0, 30.0]"]
    seen.downlinks[0]["attempts"] = msgspec.msgpack.encode([[*left, "removed from the queue"], [2, 8, 40.0]])
    assert judge(seen) == []
    seen.downlinks[0]["operation"] = "Execute"
    assert len(judge(seen)) == 1


def test_the_last_attempt_allows_no_copy_however_much_it_is_in_doubt():
    seen = _evidence()
    seen.on_air.append((30.0, (DEVICE, READ)))
    seen.downlinks[0]["attempts"] = msgspec.msgpack.encode([[1, 1, 10.0]])
    assert judge(seen) == ["downlink 1 (Read) was on air 2 times: [10.0, 30.0]"]


@pytest.mark.parametrize("operation", ["Execute", "Create", "Delete", "OSCORE", "Request"])
@pytest.mark.parametrize("after", [10.0, 310.0])
def test_it_allows_no_second_copy_of_what_may_be_done_once_though_the_row_says_repeated(operation, after):
    seen = _evidence()
    seen.downlinks[1].update(operation=operation, repeated=1)
    seen.on_air.append((20.0 + after, (DEVICE, EXECUTE)))
    assert [fault.partition(":")[0] for fault in judge(seen)] == [f"downlink 2 ({operation}) was on air 2 times"]


def test_it_says_nothing_where_two_devices_have_chosen_the_same_bytes():
    seen, answer = _evidence(), b"\x61\x44\x88\xfb\xfb"
    for number, device in ((4, DEVICE), (5, OTHER)):
        seen.sent.append((device, answer))
        seen.accepted.append((device, answer))
        seen.uplinks.append(_uplink(number, answer, device))
    seen.asked.add("cc")
    seen.downlinks.append({**_downlink(6, "Execute", EXECUTE, b"\xcc"), "device": OTHER})
    seen.on_air.append((21.0, (OTHER, EXECUTE)))
    assert judge(seen) == []
    seen.uplinks.pop()
    assert any(f"of {OTHER} was answered 200 and has 0 rows" in fault for fault in judge(seen))


def test_the_same_bytes_may_answer_as_many_requests_as_the_device_sent_them_for():
    seen, answer = _evidence(), b"\x61\x44\x88\xfb\xfb"
    for number in (4, 5):
        seen.sent.append((DEVICE, answer))
        seen.accepted.append((DEVICE, answer))
        seen.uplinks.append(_uplink(number, answer))
    assert judge(seen) == []
    seen.sent.pop()
    assert judge(seen) == [f"uplink {answer.hex()} of {DEVICE} was answered 200 and has 2 rows"]


def test_a_device_that_listens_all_the_time_is_asked_again_sooner():
    seen = _evidence()
    seen.on_air.append((61.0, (DEVICE, READ)))
    assert judge(seen) == ["downlink 1 (Read) was on air 2 times: [10.0, 61.0]"]
    seen.listeners = frozenset({DEVICE})
    assert judge(seen) == []


def _change(**changes: object) -> Callable[[Evidence], None]:
    def change(seen: Evidence) -> None:
        for name, value in changes.items():
            setattr(seen, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda seen: seen.downlinks[0].update(over=0, state="QUEUED"), "downlink 1 (Read) has no outcome"),
        (_change(asked={"aa"}), "downlink 2 (Execute) is invented"),
        (lambda seen: seen.downlinks.pop(), "request bb was acknowledged and has 0 rows"),
        (lambda seen: seen.downlinks.append(seen.downlinks[0]), "request aa was acknowledged and has 2 rows"),
        (lambda seen: seen.uplinks[0].update(state="RECEIVED"), "uplink 3 (Send) has no outcome"),
        (_change(sent=[], accepted=[], retained=[]), "uplink 3 (Send) is invented"),
        (_change(uplinks=[]), "was answered 200 and has 0 rows"),
        (lambda seen: seen.uplinks.append(seen.uplinks[0]), "was answered 200 and has 2 rows"),
        (_change(taken=[]), "was answered 200 and reached the server 0 times"),
        (_change(taken=[], accepted=[]), "was retained and reached the server 0 times"),
        (lambda seen: seen.taken.append(seen.taken[0]), "reached the server 2 times"),
        (lambda seen: seen.on_air.append((30.0, (DEVICE, SEND))), "on air and in no row"),
        (lambda seen: seen.on_air.append((30.0, (DEVICE, EXECUTE))), "downlink 2 (Execute) was on air 2 times"),
    ],
)
def test_it_finds(change, finding):
    seen = _evidence()
    change(seen)
    assert any(finding in fault for fault in judge(seen)), judge(seen)


def test_the_interval_is_the_networks():
    seen = _evidence(NIDD)
    seen.on_air.append((80.0, (DEVICE, READ)))
    assert judge(seen) == []
    seen.rules = LORAWAN_HTTP
    assert judge(seen) != []


def test_a_set_up_whose_clients_repeat_for_longer_than_the_bridge_remembers_is_refused():
    fit(CLIENT, 7250.0, late=JUMP)
    with pytest.raises(AssertionError, match="comes after 6950 s, it is recognised for 1500 s"):
        fit(CLIENT, 1500.0, late=JUMP)
    with pytest.raises(AssertionError):
        fit(CLIENT, 7250.0, late=300.0)


class _Server:
    """What an emulated server would tell of Sends: message ID and time of each that it took."""

    def __init__(self, *taken: tuple[int, float]) -> None:
        self._taken = taken

    async def get(self, _path: str) -> list[dict[str, object]]:
        one = {"kind": "send", "digest": "d", "peer": "p"}
        return [{**one, "mid": mid, "time": time, "wall": time} for mid, time in self._taken]


@pytest.mark.parametrize(
    ("taken", "times"), [([(1, 0.0), (1, 246.0)], 2), ([(1, 0.0), (1, 248.0)], 1), ([(1, 0.0), (2, 248.0)], 2)]
)
async def test_a_send_is_taken_again_only_under_an_id_that_the_server_has_forgotten(taken, times):
    seen = Evidence(NIDD)
    await hear_server(seen, _Server(*taken))  # type: ignore[arg-type]
    assert len(seen.taken) == times


def test_a_fault_tells_the_story_of_its_message():
    seen = _evidence()
    seen.uplinks[0] |= {"north_mid": 77, "finished_at": 3.0, "reason": "", "reply_downlink": 4}
    seen.uplinks.append(_uplink(5, SEND) | {"received_at": 2001.5, "north_mid": 78, "finished_at": 2002.0})
    reply = {"attempts": msgspec.msgpack.encode([[1, 6, 4.0]]), "kind": "answer", "answers": 3, "state": "SENT"}
    seen.downlinks.append(_downlink(4, "Send answer", READ, b"\xaa") | reply | {"finished_at": 1501.5})
    seen.taken.append(seen.taken[0])
    seen.happened = [
        Happening(1.0, "device: sent, FCnt 7", (DEVICE, SEND)),
        Happening(2.0, "device: sent, FCnt 8", (OTHER, SEND)),
        Happening(2.5, "server: took the Send", payload=seen.taken[0]),
        Happening(500.0, "the bridge is killed"),
        Happening(2001.0, "device: sent, FCnt 9", (DEVICE, SEND)),
        Happening(2500.0, "the bridge starts"),
    ]
    story = next(fault.story for fault in judged(seen) if "reached the server 2 times" in fault.text).splitlines()
    assert f"device {DEVICE}, message ID 3, token 01" in story[0]
    assert [line.split(" s  ")[1] for line in story[1:]] == [
        "device: sent, FCnt 7",
        "ledger: uplink 3 (Send) received, message ID 77 to the server, reply in downlink 4",
        "server: took the Send",
        "ledger: uplink 3 (Send) FORWARDED",
        "ledger: downlink 4 (Send answer) attempt 1: left",
        "ledger: downlink 4 (Send answer) accepted",
        "-- the bridge is killed",
        "ledger: downlink 4 (Send answer) SENT",
        "device: sent, FCnt 9",
        "ledger: uplink 5 (Send) received, message ID 78 to the server",
        "ledger: uplink 5 (Send) FORWARDED",
    ]
    assert "+2000.0 s" in story[9]


async def test_a_request_that_was_acknowledged_and_lost_is_told_from_the_servers_side():
    class Server:
        async def get(self, _path: str) -> list[dict[str, object]]:
            one = {"token": "dd", "mid": 7, "endpoint": "one", "peer": "p", "detail": "", "code": "", "time": 1.0}
            return [
                one | {"kind": "request", "wall": 1.0},
                one | {"kind": "acknowledged", "wall": 2.5, "detail": "empty"},
            ]

    seen = _evidence()
    await hear_server(seen, Server())  # type: ignore[arg-type]
    (fault,) = judged(seen)
    assert fault.text == "request dd was acknowledged and has 0 rows"
    assert [line.split(" s  ")[1] for line in fault.story.splitlines()] == [
        "server: request, message ID 7, one at p",
        "server: acknowledged empty, message ID 7, one at p",
    ]


def test_frames_of_one_queue_item_are_one_submission_and_those_of_two_are_two():
    frame = {"devEui": DEVICE, "payload": READ.hex(), "queueItemId": "a", "time": 1.0}
    again = [frame | {"time": 4.0}, frame | {"queueItemId": "b", "time": 7.0}]
    assert list(submissions([frame, *again])) == [(1.0, (DEVICE, READ)), (7.0, (DEVICE, READ))]
