"""Events: a stream that goes on where it was left, and webhooks that are told at least once, whatever they do."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import ClientPayloadError, web

from bindings.contract import Accepted, NetworkState, Provisioned
from bindings.provisioning import ProvisioningState
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.config import Events
from bridge.control.rest import server
from bridge.delivery.rows import Insert
from bridge.errors import ConfigurationError
from bridge.service import webhooks
from bridge.service.clock import RealClock
from bridge.store.outbox import EventRow, Webhook
from tests.api.kit import Api, serving, with_events
from tests.service.kit import Kit
from tests.waiting import until


async def outcome(kit: Kit, mid: int) -> None:
    """Have a request answered by the device."""
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.SENT)
    before = len(await kit.rows())
    kit.ask(mid)

    async def there() -> bool:
        rows = await kit.rows()
        return len(rows) > before and rows[-1].state == "SENT"

    await until(there)
    row = (await kit.rows())[-1]
    await kit.network.uplink("d1", frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff\x05"))


async def events(api: Api, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.ask("GET", "/v1/events", **query)).body["items"]
    return found


async def test_outcomes_and_provisioning_are_events(api: Api) -> None:
    await api.kit.network.events.deliver(Provisioned("d1", ProvisioningState.FAILED, "no quota"))
    await outcome(api.kit, 1)

    async def outcomes() -> list[dict[str, Any]]:
        found = await events(api, types="message.outcome")
        return [one for one in found if one["data"]["direction"] == "down"]

    found = await until(outcomes)
    assert found[0]["data"] | {"id": 0, "seconds": 0} == {
        "direction": "down",
        "id": 0,
        "endpoint": "e1",
        "operation": "Read",
        "state": "RESPONDED",
        "reason": "",
        "seconds": 0,
    }
    provisioning = await events(api, types="endpoint.provisioning")
    assert provisioning[-1]["data"]["reason"] == "no quota"
    everything = (await api.ask("GET", "/v1/events")).body
    assert [one["id"] for one in everything["items"]] == sorted(one["id"] for one in everything["items"])
    assert (everything["next"], everything["lost"]) == (everything["items"][-1]["id"], False)


class Stream:
    """The events of a stream, as a browser takes them."""

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while True:
            line = (await asyncio.wait_for(self._content.readline(), 5)).decode().rstrip("\n")
            if not line and fields:
                return fields
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value

    async def outcome(self) -> dict[str, str]:
        """Return the next outcome of a message to a device."""
        while True:
            found = await self.next()
            if msgspec.json.decode(found["data"])["data"]["direction"] == "down":
                return found


def streaming(api: Api, headers: dict[str, str], **query: str) -> Any:
    authorization = {"Authorization": f"Bearer {api.keys['read']}", "Accept": "text/event-stream"}
    return api.session.get("/v1/events", headers={**authorization, **headers}, params=query)


async def test_the_events_of_one_endpoint_are_read_page_by_page_newest_first(api: Api) -> None:
    other = [Insert.of(EventRow(None, 2, 100.0, "message.outcome", "e2", "{}"))]
    for at in (100.0, 200.0, 300.0):
        mine = EventRow(None, 1, at, "registration.confirmed", "e1", '{"endpoint": "e1"}')
        await api.service.store.committed([Insert.of(mine), *other])
    path, kind = "/v1/endpoints/e1/events", {"types": "registration.confirmed"}
    first = (await api.ask("GET", path, limit="2", **kind)).body
    assert [one["at"] for one in first["items"]] == [300.0, 200.0]
    last = (await api.ask("GET", path, limit="2", after=first["next"], **kind)).body
    assert ([one["at"] for one in last["items"]], last["next"]) == ([100.0], None)
    assert (await api.ask("GET", path, after="x")).status == 400
    assert (await api.ask("GET", "/v1/endpoints/nobody/events")).status == 404


async def test_a_stream_goes_on_from_the_last_event_that_was_read(api: Api) -> None:
    await api.key("read")
    async with streaming(api, {}, types="message.outcome") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        read = Stream(answer.content)
        await outcome(api.kit, 1)
        first = await read.outcome()
        assert (first["event"], msgspec.json.decode(first["data"])["data"]["state"]) == ("message.outcome", "RESPONDED")
    await outcome(api.kit, 2)
    async with streaming(api, {"Last-Event-ID": first["id"]}, types="message.outcome", prefix="e") as answer:
        second = await Stream(answer.content).outcome()
    assert int(second["id"]) > int(first["id"])
    assert msgspec.json.decode(second["data"])["data"]["id"] != msgspec.json.decode(first["data"])["data"]["id"]


async def test_a_stream_says_that_events_were_lost(api: Api) -> None:
    await api.key("read")
    await outcome(api.kit, 1)
    await until(lambda: events(api))
    await api.service.outbox.forget_events(2e9)
    async with streaming(api, {"Last-Event-ID": "0"}) as answer:
        assert (await Stream(answer.content).next())["event"] == "lost"
    assert (await api.ask("GET", "/v1/events", after="0")).body["lost"] is True


@pytest.mark.parametrize("id_", ["x", "-1", "1e9", "9" * 30])
async def test_an_id_that_is_none_is_refused(api: Api, id_: str) -> None:
    await api.key("read")
    async with streaming(api, {"Last-Event-ID": id_}) as answer:
        assert answer.status == 400


async def test_a_caller_that_never_reads_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.control.rest.stream.PATIENCE", 0.2)
    key = await api.key("read")
    text = "x" * 60_000
    rows = [EventRow(None, 1, 1.0, "message.outcome", "e1", f'{{"a": "{text}"}}') for _ in range(300)]
    await api.service.store.committed([Insert.of(row) for row in rows])
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        f"GET /v1/events?after=0 HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {key}\r\n\r\n".encode()
    )
    await until(lambda: len(api.rest.streams) == 1)
    await until(lambda: len(api.rest.streams) == 0)
    writer.close()
    assert reader


async def test_one_key_cannot_use_up_the_streams_of_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.control.rest.stream.STREAMS_OF_KEY", 2)
    monkeypatch.setattr("bridge.control.rest.stream.STREAMS", 3)
    await api.key("read")
    stream = {"Accept": "text/event-stream"}
    async with streaming(api, {}) as one, streaming(api, {}) as two:
        assert (one.status, two.status) == (200, 200)
        refused = await api.ask("GET", "/v1/events", headers=stream, role="read")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
        assert "with this key" in refused.body["detail"]
        others = {**stream, "Authorization": f"Bearer {await api.key('admin')}"}
        async with api.session.get("/v1/events", headers=others) as three:
            assert three.status == 200
            assert (await api.ask("GET", "/v1/events", headers=stream, role="operate")).status == 429
    await until(lambda: not len(api.rest.streams))
    async with streaming(api, {}) as again:
        assert again.status == 200


async def test_a_stop_does_not_wait_for_those_who_read_a_stream(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other requests may take as long as they like here, so it is the stop that ends the stream."""
    monkeypatch.setattr(server, "STOP", 3600.0)
    async with serving(api.service) as patient:
        patient.keys["read"] = await api.key("read")
        async with streaming(patient, {}) as answer:
            assert answer.status == 200
            await asyncio.wait_for(patient.rest.stop(), 10)
            with pytest.raises(ClientPayloadError):  # the connection is closed
                await answer.content.read()
        assert not len(patient.rest.streams)


Answering = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


class Target:
    """A webhook's other end. `answer` is given each request, and how many came before it."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answering = self._fine
        self.url = ""

    async def _fine(self, _request: web.Request, _before: int) -> web.StreamResponse:
        return web.Response(status=204)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.taken.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return await self.answer(request, len(self.taken) - 1)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.taken]


@pytest.fixture
async def target(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Target]:
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(webhooks, "PATIENCE", 0.3)
    made = Target()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


async def hooked(api: Api, target: Target, **more: Any) -> Any:
    answer = await api.ask("POST", "/v1/webhooks", {"url": target.url, "types": ["message.outcome"], **more})
    assert answer.status == 201, answer.body
    return answer.body


async def hook(api: Api) -> Any:
    return (await api.ask("GET", "/v1/webhooks")).body["items"][0]


async def test_a_webhook_is_told_signed_and_filtered(api: Api, target: Target) -> None:
    await hooked(api, target, prefix="nobody")
    made = await hooked(api, target)
    await outcome(api.kit, 1)
    await until(lambda: target.taken)
    headers, body = target.taken[0]
    message = msgspec.json.decode(body)
    assert (message["type"], message["data"]["endpoint"]) == ("message.outcome", "e1")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert "secret" not in await hook(api)


async def _hang(_request: web.Request, _before: int) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def _lie(request: web.Request, _before: int) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 two hundred\r\n\r\n")
    request.transport.close()
    return web.Response()


async def _redirect(_request: web.Request, _before: int) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


async def _fail(_request: web.Request, _before: int) -> web.StreamResponse:
    return web.Response(status=500)


@pytest.mark.parametrize(
    ("bad", "trouble"),
    [(_hang, "no answer within"), (_lie, ":"), (_redirect, "answered 302"), (_fail, "answered 500")],
)
async def test_an_event_is_told_again_until_it_is_taken_and_in_order(
    api: Api, target: Target, bad: Answering, trouble: str
) -> None:
    async def at_first(request: web.Request, before: int) -> web.StreamResponse:
        return await (bad if before < 2 else target._fine)(request, before)

    target.answer = at_first
    await hooked(api, target)
    await outcome(api.kit, 1)

    async def in_trouble() -> bool:
        found = await hook(api)
        return found["failures"] > 0 and trouble in found["trouble"]

    await until(in_trouble)
    await outcome(api.kit, 2)

    async def told() -> bool:
        newest = max(one["id"] for one in await events(api, types="message.outcome"))
        return bool((await hook(api))["told"] == newest)

    await until(told)
    taken = target.ids[2:]
    assert target.ids[:3] == [target.ids[0]] * 3, "the same event until it is taken"
    assert taken == sorted(set(taken), key=lambda id_: int(id_.removeprefix("evt_"))), "each once, in order"


async def test_what_is_not_taken_for_days_becomes_a_dead_letter_and_the_next_follows(
    api: Api, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TRIES", 3)

    async def at_first(request: web.Request, before: int) -> web.StreamResponse:
        return await (_fail if before < 3 else target._fine)(request, before)

    target.answer = at_first
    await hooked(api, target)
    await outcome(api.kit, 1)
    await until(lambda: len(target.taken) > 3)
    (dead,) = (await api.ask("GET", "/v1/dead-letters")).body["items"]
    assert (dead["webhook"], dead["trouble"]) == (1, "answered 500")
    assert target.ids[:3] == [f"evt_{dead['event']}"] * 3
    assert target.ids[3] != target.ids[0]


async def test_webhooks_that_cannot_be_read_now_are_read_again_later(
    api: Api, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where another node has sealed a secret under a key that this one does not have yet."""
    outbox = api.service.outbox
    read, failed = outbox.webhooks, asyncio.Event()

    async def sealed() -> list[Webhook]:
        monkeypatch.setattr(outbox, "webhooks", read)
        failed.set()
        raise ConfigurationError("it is encrypted under another key")

    monkeypatch.setattr(webhooks, "LOOKED", 0.02)
    monkeypatch.setattr(outbox, "webhooks", sealed)
    await hooked(api, target)
    await failed.wait()
    await outcome(api.kit, 1)
    await until(lambda: target.taken)


async def test_a_webhook_that_wants_no_more_is_told_no_more(api: Api, target: Target) -> None:
    async def gone(_request: web.Request, _before: int) -> web.StreamResponse:
        return web.Response(status=410)

    target.answer = gone
    made = await hooked(api, target)
    await outcome(api.kit, 1)

    async def disabled() -> bool:
        return bool((await hook(api))["disabled"])

    await until(disabled)
    assert len(target.taken) == 1
    assert (await api.ask("DELETE", f"/v1/webhooks/{made['id']}")).body["items"] == []
    assert (await api.ask("DELETE", f"/v1/webhooks/{made['id']}")).status == 404


async def test_what_happens_while_the_service_is_down_or_the_target_away_is_told_later(
    kit: Kit, api: Api, target: Target
) -> None:
    target.answer = _fail
    await hooked(api, target)
    await outcome(api.kit, 1)
    await until(lambda: target.taken)
    await api.service.stop()
    target.taken.clear()
    target.answer = target._fine
    async with kit.running():
        await until(lambda: target.taken)


class AheadClock:
    """The machine's clock, while it is ahead by a day."""

    def wall(self) -> float:
        return RealClock.wall() + 86400

    def monotonic(self) -> float:
        return RealClock.monotonic()


async def test_a_webhook_waits_no_longer_than_its_pause_after_the_clock_was_set_back(
    kit: Kit, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    target.answer = _fail
    async with with_events(kit).running(AheadClock()) as service:
        await service.outbox.add_webhook(Webhook(0, target.url, b"secret", (), "", 100.0, 0))
        service.webhooks_changed()
        await kit.network.events.deliver(Provisioned("d1", ProvisioningState.READY))
        await until(lambda: len(target.taken) > 1)
    target.answer = target._fine
    target.taken.clear()
    async with kit.running() as service:
        await until(lambda: target.taken)
        (found,) = await service.outbox.webhooks()
        assert found.retry_at is None or found.retry_at < RealClock.wall() + 60
    assert "the clock was set back" in caplog.text


async def test_without_events_nothing_is_kept_and_the_api_says_how_to_have_them(kit: Kit) -> None:
    kit.config = replace(kit.config, events=Events())
    async with kit.running() as service, serving(service) as api:
        api.kit = kit
        await outcome(kit, 1)
        answer = await api.ask("GET", "/v1/events")
        assert (answer.status, answer.body["error"]) == (409, "NotPossible")
        assert "set keep in [events]" in answer.body["detail"]
        assert await service.outbox.bounds() == (1, 0)
