"""Direct requests over HTTP against a running service: accepted, waited for, keyed, refused."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import cbor2
import pytest

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Option, Type, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.udp import decode, frame
from tests.api.kit import Answer, Api
from tests.waiting import until

READ = {"operation": "read", "path": "/3/0/0"}
TEXT: tuple[Option, ...] = ((OptionNumber.CONTENT_FORMAT, b""),)
TLV: tuple[Option, ...] = ((OptionNumber.CONTENT_FORMAT, (11542).to_bytes(2, "big")),)


@pytest.fixture
def awake(api: Api) -> Api:
    """Have the network transmit everything at once."""
    api.kit.network.answer = lambda one: Accepted(f"h{one.downlink}-{one.number}", NetworkState.SENT)
    return api


@pytest.fixture
def asleep(api: Api) -> Api:
    """Have the network refuse everything: the device cannot be reached."""
    api.kit.network.answer = lambda _one: Refused(Refusal.UNREACHABLE, "asleep", None)
    return api


async def send(api: Api, body: Any, key: str = "", role: str = "operate", endpoint: str = "e1", **query: str) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.ask("POST", f"/v1/endpoints/{endpoint}/downlinks", body, role, headers, **query)


async def sent(api: Api, number: int = 1) -> Message:
    """Return what was the so manieth to go to the device."""

    async def look() -> Any:
        return len(api.kit.network.attempts) >= number

    await until(look, why="nothing went to the device")
    return decode(api.kit.network.attempts[number - 1].payload)


async def device_answers(
    api: Api, asked: Message, code: int, payload: bytes, options: tuple[Option, ...] = TEXT
) -> None:
    await api.kit.network.uplink("d1", frame(Type.ACK, code, asked.mid, asked.token, encode_body([*options], payload)))


async def outcome(api: Api, answer: Answer, **query: str) -> Any:
    return (await api.ask("GET", answer.headers["Location"], role="operate", **query)).body


@asynccontextmanager
async def waiting(api: Api, body: Any, wait: str = "10") -> AsyncIterator["asyncio.Task[Answer]"]:
    task = asyncio.create_task(send(api, body, wait=wait))
    yield task
    await task


async def test_a_read_is_accepted_at_once_and_its_outcome_is_found_where_the_answer_says(awake: Api) -> None:
    answer = await send(awake, READ)
    assert (answer.status, answer.body["over"], answer.body["response"]) == (202, False, None)
    assert answer.headers["Location"] == f"/v1/downlinks/{answer.body['id']}/outcome"
    await device_answers(awake, await sent(awake), Code.CONTENT, b"Acme")
    found = await outcome(awake, answer, wait="10")
    assert found["downlink"]["state"] == "RESPONDED"
    assert found["response"]["code"] == "2.05"
    assert found["response"]["values"] == [
        {"path": "/3/0/0", "value": "Acme", "type": "string", "name": "Manufacturer"}
    ]
    assert (found["response"]["text"], found["response"]["complete"]) == ("Acme", True)


async def test_whoever_waits_gets_the_outcome(awake: Api) -> None:
    async with waiting(awake, READ) as task:
        await device_answers(awake, await sent(awake), Code.NOT_FOUND, b"", ())
    assert (task.result().status, task.result().body["response"]["code"]) == (200, "4.04")
    assert task.result().body["response"]["values"] is None


async def test_whoever_waits_in_vain_is_told_where_to_look(awake: Api) -> None:
    answer = await send(awake, READ, wait="0.05")
    assert (answer.status, answer.body["downlink"]["state"]) == (202, "SENT")


async def test_a_request_with_two_idempotency_keys_is_refused(awake: Api) -> None:
    """Else its caller would ask again under the one that was not taken."""
    headers = [
        ("Idempotency-Key", "one"),
        ("Idempotency-Key", "two"),
        ("Authorization", "Bearer " + await awake.key("operate")),
    ]
    async with awake.session.post("/v1/endpoints/e1/downlinks", json=READ, headers=headers) as answer:
        assert (answer.status, (await answer.json())["detail"]) == (400, "header Idempotency-Key is given twice")
    assert awake.kit.network.attempts == []


async def test_one_key_cannot_wait_so_often_that_others_cannot(awake: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits too often is answered at once, as without `wait`."""
    monkeypatch.setattr("bridge.service.direct.MOST_OF_CALLER", 1)
    async with waiting(awake, READ, wait="60"):
        asked = [await sent(awake)]
        one_more = await send(awake, READ, wait="60")
        assert (one_more.status, one_more.body["over"]) == (202, False)
        of_another_key = asyncio.create_task(send(awake, READ, role="admin", wait="60"))
        await device_answers(awake, asked[0], Code.CONTENT, b"Acme")
        for number in 2, 3:
            await device_answers(awake, await sent(awake, number), Code.CONTENT, b"Acme")
        assert (await of_another_key).status == 200


async def test_one_key_cannot_use_up_the_traces_of_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.trace.traces.MOST_OF_CALLER", 1)
    body = {"endpoint": "e1"}
    assert (await api.ask("POST", "/v1/traces", body, "operate")).status == 201
    refused = await api.ask("POST", "/v1/traces", body, "operate")
    assert (refused.status, "traces of a test that may operate" in refused.body["detail"]) == (429, True)
    assert (await api.ask("POST", "/v1/traces", body, "admin")).status == 201


async def test_the_story_and_the_audit_log_say_who_asked(awake: Api) -> None:
    answer = await send(awake, READ)
    story = (await awake.ask("GET", f"/v1/downlinks/{answer.body['id']}")).body
    assert (story["server"], story["answer_by"]) == ("(API)", None)
    assert story["moments"][0]["what"] == "accepted by the API from a test that may operate (key 1)"
    (entry,) = (await awake.ask("GET", "/v1/audit")).body["items"]
    assert (entry["who"], entry["operation"]) == ("a test that may operate (key 1)", "downlink.send")


async def test_the_audit_log_has_a_request_as_soon_as_it_is_accepted(awake: Api) -> None:
    async with waiting(awake, READ) as task:
        asked = await sent(awake)
        (entry,) = await until(lambda: entries(awake))
        assert (entry["operation"], entry["outcome"], task.done()) == ("downlink.send", "done", False)
        await device_answers(awake, asked, Code.CONTENT, b"Acme")
    assert await entries(awake) == [entry]
    assert (await send(awake, READ, endpoint="nobody", wait="10")).status == 404
    assert [one["outcome"] for one in await entries(awake)] == ["NotFound", "done"]


async def entries(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.ask("GET", "/v1/audit")).body["items"]
    return [one for one in found if one["operation"] == "downlink.send"]  # reading the log is recorded, too


async def test_reading_an_outcome_is_no_change_for_the_audit_log(awake: Api) -> None:
    answer = await send(awake, READ)
    for _ in range(3):
        await outcome(awake, answer)
    (entry,) = (await awake.ask("GET", "/v1/audit")).body["items"]
    assert entry["operation"] == "downlink.send"


async def test_who_may_only_read_may_neither_send_nor_see_what_the_device_said(awake: Api) -> None:
    assert (await send(awake, READ, role="read")).status == 403
    answer = await send(awake, READ)
    assert (await awake.ask("GET", answer.headers["Location"], role="read")).status == 403
    assert len(awake.kit.network.attempts) <= 1


async def test_the_outcome_is_an_event_as_any_other(awake: Api) -> None:
    async with waiting(awake, READ) as task:
        await device_answers(awake, await sent(awake), Code.CONTENT, b"Acme")
    events = (await awake.ask("GET", "/v1/events", after="0", types="message.outcome")).body["items"]
    mine = [one["data"] for one in events if one["data"]["id"] == task.result().body["id"]]
    assert [(one["direction"], one["operation"], one["state"]) for one in mine] == [("down", "Read", "RESPONDED")]


# -- keys


async def test_the_same_request_under_one_key_is_sent_once(asleep: Api) -> None:
    first = await send(asleep, READ, '"8e03978e-40d5"')
    again = await send(asleep, READ, "8e03978e-40d5", wait="0.01")
    assert (first.status, again.status) == (202, 202)
    assert first.body["id"] == again.body["id"]
    assert first.headers["Location"] == again.headers["Location"]
    found = (await asleep.ask("GET", "/v1/downlinks", endpoint="e1")).body["items"]
    assert len(found) == 1


async def test_requests_that_race_under_one_key_are_one(asleep: Api) -> None:
    answers = await asyncio.gather(*(send(asleep, READ, "same") for _ in range(8)))
    assert {one.status for one in answers} == {202}
    assert len({one.body["id"] for one in answers}) == 1


async def test_another_request_under_a_key_is_refused(asleep: Api) -> None:
    await send(asleep, READ, "same")
    answer = await send(asleep, {**READ, "path": "/3/0/1"}, "same")
    assert (answer.status, answer.body["error"]) == (422, "KeyReused")
    assert len((await asleep.ask("GET", "/v1/downlinks")).body["items"]) == 1


async def test_a_key_is_known_though_its_endpoint_is_disabled_meanwhile(asleep: Api) -> None:
    first = await send(asleep, READ, "same")
    assert (await asleep.ask("POST", "/v1/endpoints/e1/disable")).status == 200
    again = await send(asleep, READ, "same")
    assert (again.status, again.body["id"]) == (200, first.body["id"])
    assert (await send(asleep, READ, "another")).status == 409


async def test_a_key_is_one_endpoints(asleep: Api) -> None:
    wanted = [{"network": "net", "address": "d2", "name": "e2"}]
    assert (await asleep.ask("POST", "/v1/endpoints", {"endpoints": wanted})).status == 201
    first, second = await send(asleep, READ, "same"), await send(asleep, READ, "same", endpoint="e2")
    assert (second.status, first.body["id"] != second.body["id"]) == (202, True)


async def test_a_key_outlives_the_process(awake: Api) -> None:
    first = await send(awake, READ, "same")
    await sent(awake)
    kit = awake.kit
    await awake.service.stop()
    async with kit.running() as service:
        note = await service.store.direct.known(1, "same")
        assert note is not None
        assert note.id == first.body["id"]


async def test_a_newer_request_takes_the_place_of_one_that_waits(asleep: Api) -> None:
    offset = {"operation": "write", "path": "/3/0/14", "supersede_key": "offset"}
    old = await send(asleep, {**offset, "value": "+01:00"})

    async def waits() -> bool:
        return (await outcome(asleep, old))["downlink"]["state"] == "QUEUED"

    await until(waits, why="the network did not refuse it")
    new = await send(asleep, {**offset, "value": "+02:00"})
    assert new.body["superseded"] == [old.body["id"]]
    found = await outcome(asleep, old)
    assert (found["over"], found["downlink"]["state"]) == (True, "SUPERSEDED")
    assert not (await outcome(asleep, new))["over"]


async def test_one_that_waits_can_be_cancelled(asleep: Api) -> None:
    answer = await send(asleep, READ)
    await sent(asleep)
    cancelled = await asleep.ask("POST", f"/v1/downlinks/{answer.body['id']}/cancel", role="operate")
    assert cancelled.status == 200
    assert (await outcome(asleep, answer, wait="5"))["downlink"]["state"] == "CANCELLED"


# -- values


async def test_values_are_written_by_their_types(awake: Api) -> None:
    async with waiting(
        awake, {"operation": "write", "path": "/1/0", "values": {"1": 300, "7": "U", "6": True}}
    ) as task:
        asked = await sent(awake)
        assert (asked.code, asked.strings(OptionNumber.URI_PATH)) == (Code.POST, ["1", "0"])
        assert asked.uint(OptionNumber.CONTENT_FORMAT) == 11542
        assert asked.payload == bytes.fromhex("c201012c c10601 c10755".replace(" ", ""))
        await device_answers(awake, asked, Code.CHANGED, b"", ())
    assert task.result().body["response"]["code"] == "2.04"


async def test_values_are_read_by_their_types(awake: Api) -> None:
    async with waiting(awake, {"operation": "read", "path": "/3/0", "accept": "tlv"}) as task:
        asked = await sent(awake)
        assert asked.uint(OptionNumber.ACCEPT) == 11542
        payload = bytes.fromhex("c80004") + b"Acme" + bytes.fromhex("c10964") + bytes.fromhex("8606410001410105")
        await device_answers(awake, asked, Code.CONTENT, payload, TLV)
    values = [(one["path"], one["value"]) for one in task.result().body["response"]["values"]]
    assert values == [("/3/0/0", "Acme"), ("/3/0/9", 100), ("/3/0/6/0", 1), ("/3/0/6/1", 5)]


REGISTER = """</>;rt="oma.lwm2m";ct="{}",</1/0>,</3/0>""".format


@pytest.mark.parametrize(
    ("named", "format_", "written"),
    [("60 112", None, 112), ("60 110", None, 110), ("60 112", "senml-cbor", 112), (None, "senml-cbor", 112)],
)
async def test_a_composite_write_is_cbor_where_the_device_registered_with_it(
    awake: Api, named: str | None, format_: str | None, written: int
) -> None:
    if named is not None:
        await registers(awake, named)
    body = {"operation": "write-composite", "values": {"/1/0/1": 300}, "format": format_}
    async with waiting(awake, body) as task:
        asked = await sent(awake)
        assert dict(asked.options)[12] == bytes((written,))
        expected = cbor2.dumps([{0: "/1/0/1", 2: 300}]) if written == 112 else b'[{"n":"/1/0/1","v":300}]'
        assert asked.payload == expected
        await device_answers(awake, asked, Code.CHANGED, b"", ())
    assert task.result().body["response"]["code"] == "2.04"


async def test_a_device_that_named_other_formats_is_sent_no_cbor(awake: Api) -> None:
    await registers(awake, "60 110")
    refused = await send(awake, {"operation": "write", "path": "/3/0/14", "value": "U", "format": "senml-cbor"})
    assert refused.status == 409
    assert "does not read senml-cbor: it registered with ct=60 110" in refused.body["detail"]
    assert awake.kit.network.attempts == []


async def test_a_request_that_is_repeated_gets_its_outcome_whatever_the_device_reads_since(awake: Api) -> None:
    """A 409 would say that nothing was sent."""
    await registers(awake, "60 112")
    body = {"operation": "write", "path": "/3/0/14", "value": "U", "format": "senml-cbor"}
    first = await send(awake, body, key="once")
    await registers(awake, "60 110", mid=4712)
    again = await send(awake, body, key="once")
    assert (first.status, again.status, again.body["id"]) == (202, 202, first.body["id"])
    assert (await send(awake, body, key="another")).status == 409


async def registers(api: Api, formats: str, mid: int = 4711) -> None:
    """Have the device send a Register that names these content formats."""
    options = [
        (OptionNumber.URI_PATH, b"rd"),
        (OptionNumber.URI_QUERY, b"ep=e1"),
        (OptionNumber.URI_QUERY, b"lwm2m=1.1"),
    ]
    body = encode_body(options, REGISTER(formats).encode())
    await api.kit.network.uplink("d1", frame(Type.CON, Code.POST, mid, mid.to_bytes(2, "big"), body))

    async def kept() -> bool:
        return len((await api.ask("GET", "/v1/uplinks", endpoint="e1")).body["items"]) > mid - 4711

    await until(kept)


async def test_a_coap_request_goes_as_it_is(awake: Api) -> None:
    coap = {
        "method": "PUT", "path": "/a/b", "queries": ["x=1"],
        "options": [{"number": 12, "uint": 50}, {"number": 2049, "value": "AQI="}],
        "payload": base64.b64encode(b"{}").decode(),
    }  # fmt: skip
    async with waiting(awake, {"coap": coap}) as task:
        asked = await sent(awake)
        assert (asked.code, asked.payload) == (Code.PUT, b"{}")
        assert asked.options == ((11, b"a"), (11, b"b"), (12, b"\x32"), (15, b"x=1"), (2049, b"\x01\x02"))
        await device_answers(awake, asked, Code.CHANGED, b"\x00\xff", ())
    response = task.result().body["response"]
    assert (base64.b64decode(response["payload"]), response["text"], response["values"]) == (b"\x00\xff", None, None)


async def test_what_a_device_answers_that_nobody_can_read_is_shown_as_it_is(awake: Api) -> None:
    async with waiting(awake, {"operation": "read", "path": "/3/0"}) as task:
        await device_answers(awake, await sent(awake), Code.CONTENT, b"\xc8\x00\xff", TLV)
    response = task.result().body["response"]
    assert (response["values"], base64.b64decode(response["payload"])) == (None, b"\xc8\x00\xff")


async def test_values_of_an_object_of_keys_are_not_in_the_answer(awake: Api) -> None:
    answer = await send(awake, {"operation": "read", "path": "/24/0/4"})
    await device_answers(awake, await sent(awake), Code.CONTENT, b"secret")
    found = (await outcome(awake, answer, wait="10"))["response"]
    assert (found["code"], found["withheld"], found["complete"]) == ("2.05", True, True)
    assert (found["values"], found["payload"], found["text"]) == (None, "", "")


async def test_success_for_the_first_part_of_a_request_is_no_complete_answer(awake: Api) -> None:
    payload = base64.b64encode(bytes(3000)).decode()
    async with waiting(awake, {"operation": "write", "path": "/19/0/0", "payload": payload}) as task:
        await device_answers(awake, await sent(awake), Code.CHANGED, b"", ())
    body = task.result().body
    assert (body["response"]["code"], body["response"]["complete"]) == ("2.04", False)
    assert "did not get the rest" in body["downlink"]["reason"]


@pytest.mark.parametrize(
    ("content_format", "payload", "values"),
    [
        (112, cbor2.dumps([{0: "/3/0/9", 2: 1 << 16_000}]), None),
        (110, b'[{"n":"/3/0/9","v":' + b"9" * 4000 + b"}]", None),
        (11543, b'{"e":[{"n":"","v":' + b"9" * 4000 + b"}]}", None),
        (112, cbor2.dumps([{0: "/3/0/9", 2: float("nan")}]), [None]),
        (112, cbor2.dumps([{0: "/3303/0/5700", 2: float("-inf")}]), [None]),
        (11542, bytes.fromhex("c309010203"), None),  # an integer of three bytes
        (112, cbor2.dumps([{0: "/3/0/0", 3: "x" * 20_000}]), ["x" * 20_000]),
        (112, b"\x81" * 20_000, None),
        (112, cbor2.dumps([{0: "/3/0/9", 2: 2**53 + 1}]), [2**53 + 1]),
    ],
)
async def test_no_value_that_a_device_answers_breaks_the_outcome(
    awake: Api, content_format: int, payload: bytes, values: list[Any] | None
) -> None:
    answer = await send(awake, {"operation": "read", "path": "/3/0/9"})
    option = (OptionNumber.CONTENT_FORMAT, content_format.to_bytes(2, "big"))
    await device_answers(awake, await sent(awake), Code.CONTENT, payload, (option,))
    found = await outcome(awake, answer, wait="10")
    assert (found["over"], base64.b64decode(found["response"]["payload"])) == (True, payload)
    shown = found["response"]["values"]
    assert (None if shown is None else [one["value"] for one in shown]) == values


# -- bad input


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({}, 400, "name an `operation`"),
        ({**READ, "coap": {"method": "GET"}}, 400, "not both"),
        ({"operation": "observe", "path": "/3/0/0"}, 400, "observe"),
        ({"coap": {"method": "GET", "options": [{"number": 6, "uint": 0}]}}, 400, "observe"),
        ({"coap": {"method": "GET", "options": [{"number": 35, "text": "coap://x"}]}}, 400, "no forward proxy"),
        ({"coap": {"method": "GET", "path": "a" * 300}}, 400, "may have 255"),
        ({"operation": "read", "path": "/3/x"}, 400, "is no path"),
        ({"operation": "read", "path": "/70000"}, 400, "at most 65534"),
        ({"operation": "execute", "path": "/3/0"}, 400, "execute is of a resource"),
        ({"operation": "read", "path": "/3/0/0", "value": 1}, 400, "takes no value"),
        ({"operation": "write", "path": "/3/0/14", "value": 7}, 400, "is of type string"),
        ({"operation": "write", "path": "/5/0/0", "value": "~"}, 400, "bytes in base64"),
        ({"operation": "write", "path": "/1/0/1", "value": 1e30}, 400, "of type integer"),
        ({"operation": "write", "path": "/1/0/1", "value": 1, "values": {"1": 1}}, 400, "just one of"),
        ({**READ, "ttl": 0}, 400, "ttl"),
        ({**READ, "ttl": -1}, 400, "ttl"),
        ({**READ, "deliver_by": 1.0}, 400, "in the past"),
        ({**READ, "idempotency_key": "x"}, 400, "into the query or a header"),
        ({**READ, "wait": 3}, 400, "into the query or a header"),
        ({**READ, "payload": "x" * 60_000}, 400, "payload"),
        ({"operation": "write", "path": "/3/0/14", "value": "x" * 40_000}, 400, "40000 bytes, and may have 32768"),
        ({"operation": "write", "path": "/3/0", "values": {"14": "x" * 40_000}}, 400, "may have 32768"),
        ({"coap": {"method": "GET", "queries": ["x" * 200] * 5000}}, 400, "the options as CoAP"),
        ({"coap": {"method": "GET", "path": "/".join(["x"] * 5000)}}, 400, "may have 4096"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_reason(api: Api, body: Any, status: int, why: str) -> None:
    answer = await send(api, body)
    assert (answer.status, why in answer.body["detail"]) == (status, True), answer.body
    assert (await api.ask("GET", "/v1/downlinks")).body["items"] == []


async def test_a_wait_has_a_bound(api: Api) -> None:
    assert (await send(api, READ, wait="1000")).status == 400
    assert (await send(api, READ, wait="soon")).status == 400


async def test_nobody_and_the_disabled_are_sent_nothing(api: Api) -> None:
    assert (await send(api, READ, endpoint="nobody")).status == 404
    assert (await api.ask("POST", "/v1/endpoints/e1/disable")).status == 200
    answer = await send(api, READ)
    assert (answer.status, "is disabled" in answer.body["detail"]) == (409, True)


async def test_a_secured_device_is_asked_nothing_in_plain_text(api: Api) -> None:
    await api.kit.network.uplink("d1", bytes([22, 254, 253]) + bytes(20))
    answer = await send(api, READ)
    assert (answer.status, "plain text" in answer.body["detail"]) == (409, True)


async def test_a_full_queue_is_told_with_a_time_to_try_again(asleep: Api) -> None:
    answers = [await send(asleep, {**READ, "path": f"/3/0/{number}"}) for number in range(33)]
    assert [one.status for one in answers] == [202] * 32 + [429]
    assert (answers[-1].body["detail"], answers[-1].headers["Retry-After"]) == ("queue full", "10")


async def test_what_is_no_direct_request_has_no_outcome_here(awake: Api) -> None:
    awake.kit.ask(1)
    asked = await sent(awake)
    await device_answers(awake, asked, Code.CONTENT, b"x")
    (row,) = (await awake.ask("GET", "/v1/downlinks")).body["items"]
    assert (await awake.ask("GET", f"/v1/downlinks/{row['id']}/outcome")).status == 404


async def test_an_answer_that_comes_too_late_for_the_outcome_is_shown_as_late(awake: Api) -> None:
    answer = await send(awake, READ)
    asked = await sent(awake)
    await awake.ask("POST", f"/v1/downlinks/{answer.body['id']}/cancel")  # it has left: no further copy goes
    await device_answers(awake, asked, Code.CONTENT, b"Acme")
    found = await outcome(awake, answer, wait="5")
    assert (found["downlink"]["state"], found["response"]["text"]) == ("RESPONDED", "Acme")
