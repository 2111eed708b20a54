"""The judge of T8 traffic: it lets what is right pass, and names what is wrong."""

import json

import aiohttp
import pytest
from aiohttp import web

from bindings.contract import Accepted, Cancellation, Kind, Presence, Report, Submission, UplinkMessage
from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.settings import Configurations
from bindings.t8.settings import Callbacks
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.conftest import need_openapi
from tests.nidd.scripted_scef import ScriptedScef
from tests.t8.proxy import T8Proxy, T8Violations
from tests.waiting import until

DEVICE = "dev1@iot.example"
BASE = "/3gpp-nidd/v1/as1/configurations"


@pytest.fixture
def folder():
    return need_openapi()


@pytest.fixture
async def scef():
    async with ScriptedScef() as one:
        yield one


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def proxy(scef, folder):
    async with T8Proxy(scef.root, folder, strict=False) as one:
        yield one


async def test_the_binding_speaks_t8(scef, folder, tmp_path):
    """Everything the binding does, through the proxy, which raises on leaving if anything is not as the files say."""
    lines = tmp_path / "traffic.jsonl"
    side = BridgeSide()
    async with T8Proxy(scef.root, folder, record=lines) as proxy:
        settings = NiddSettings(
            api_root=proxy.url,
            scs_as_id="as1",
            callbacks=Callbacks(port=0),
            configurations=Configurations(request_test_notification=True, duration=86400, mtc_provider_id="m"),
        )
        binding = NiddBinding("n", settings)
        await binding.start(side, DictMemory())
        try:
            for device in (DEVICE, "491700000001"):
                await binding.provision(device, {"reliable_data_service": "true"})
            await until(lambda: binding.status()["configurations"]["active"] == 2)
            assert scef.callback_of(DEVICE).startswith(proxy.url)
            scef.submit_status = "BUFFERING"
            attempt = Submission(1, 1, DEVICE, b"x", Kind.REQUEST, deadline=side.now() + 60, priority=2)
            accepted = await binding.submit(attempt)
            assert isinstance(accepted, Accepted)
            assert (await binding.lookup(attempt)).presence is Presence.PRESENT
            assert await scef.uplink(DEVICE) == 204
            number = accepted.handle.split("/")[1]
            link = scef.link(scef.name_of(DEVICE), number)
            status = {"niddDownlinkDataTransfer": link, "deliveryStatus": "SUCCESS"}
            assert await scef.notify(scef.callback_of(DEVICE), status) == 204
            assert await scef.notify(scef.callback_of(DEVICE), {"subscription": link}) == 204
            unknown = {"niddConfiguration": scef.link("c99"), "externalId": DEVICE, "data": "AA=="}
            assert await scef.notify(scef.callback_of(DEVICE), unknown) == 404
            assert await binding.cancel(DEVICE, accepted.handle) is Cancellation.REMOVED
            side.offset += 85000  # time to renew
            await until(lambda: len(scef.made("patch")) >= 2)
            await binding.deprovision("491700000001")
            await until(lambda: len(scef.configurations) == 1)
        finally:
            await binding.stop()
    assert [type(event) for event in side.delivered] == [UplinkMessage, Report]
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert written == proxy.records
    assert {(one["way"], one["method"]) for one in written} == {
        ("api", "GET"), ("api", "POST"), ("api", "PATCH"), ("api", "DELETE"), ("callback", "POST"),
    }  # fmt: skip
    assert written[1]["request"]["notificationDestination"] == binding.listener.url  # recorded as it was sent


async def test_an_adopted_configuration_shows_the_bridges_own_destination(scef, folder):
    side, memory = BridgeSide(), DictMemory()
    async with T8Proxy(scef.root, folder) as proxy:
        for _ in range(2):
            settings = NiddSettings(
                api_root=proxy.url,
                scs_as_id="as1",
                callbacks=Callbacks(public_url="http://127.0.0.1:1", path="p", port=0),
            )
            binding = NiddBinding("n", settings)
            await binding.start(side, memory)
            await binding.provision(DEVICE, {})
            await until(lambda one=binding: one.status()["configurations"]["active"] == 1)
            await binding.stop()
            memory = DictMemory()  # the second one knows nothing and adopts
    assert (len(scef.made("create")), len(scef.made("patch"))) == (1, 0)


GOOD = {"notificationDestination": "http://127.0.0.1:9/x", "externalId": DEVICE}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"externalId": DEVICE}, "notificationdestination"),
        ({"notificationDestination": "http://127.0.0.1:9/x"}, "not valid under any"),
        ({**GOOD, "msisdn": "4917"}, "valid under each"),
        ({**GOOD, "maximumPacketSize": 1000}, "read"),
        ({**GOOD, "duration": "tomorrow"}, "date-time"),
        ({**GOOD, "reliableDataService": "yes"}, "boolean"),
    ],
)
async def test_a_wrong_request_is_named(scef, proxy, http, body, word):
    scef.script["create"].append((201, {**GOOD, "self": "http://x/1"}, {"Location": "http://x/1"}))
    async with http.post(proxy.url + BASE, json=body) as answer:
        assert answer.status == 201
    assert any("request:" in text and word in text.lower() for text in proxy.violations), proxy.violations
    with pytest.raises(T8Violations):
        proxy.check()


async def test_a_downlink_with_a_read_only_member(scef, proxy, http):
    name = scef.add(**GOOD)
    body = {"externalId": DEVICE, "data": "AA==", "deliveryStatus": "SUCCESS"}
    async with http.post(f"{proxy.url}{BASE}/{name}/downlink-data-deliveries", json=body) as answer:
        assert answer.status == 200
    assert any("request:" in text and "read-only" in text.lower() for text in proxy.violations), proxy.violations


async def test_a_wrong_media_type(scef, proxy, http):
    name = scef.add(**GOOD)
    async with http.patch(f"{proxy.url}{BASE}/{name}", json={"duration": "2026-03-01T12:00:00Z"}) as answer:
        assert answer.status == 200
    assert any("request:" in text and "application/json" in text for text in proxy.violations), proxy.violations


async def test_an_unknown_resource(proxy, http):
    async with http.get(f"{proxy.url}/3gpp-nidd/v1/as1/configuration") as answer:
        assert answer.status == 404
    assert any("request:" in text for text in proxy.violations)


@pytest.mark.parametrize(
    ("name", "answer", "word"),
    [
        ("create", (202, None), "202"),
        ("create", (201, GOOD), "Location"),
        ("create", (200, GOOD, {"Location": "http://x/1"}), "200"),
        ("create", (201, {"self": "http://x/1"}, {"Location": "http://x/1"}), "notificationDestination"),
        ("create", (403, {"title": "no"}), "application/json"),
        ("list", (200, {"self": "x"}), "array"),
        ("list", (204, None), "204"),
    ],
)
async def test_a_wrong_answer_is_named(scef, proxy, http, name, answer, word):
    scef.script[name].append(answer)
    call = http.post(proxy.url + BASE, json=GOOD) if name == "create" else http.get(proxy.url + BASE)
    async with call as got:
        assert got.status == answer[0]
    assert any("answer:" in text and word in text for text in proxy.violations), proxy.violations


async def test_a_500_of_a_downlink_must_be_its_own_type(scef, proxy, http):
    name = scef.add(**GOOD)
    url = f"{proxy.url}{BASE}/{name}/downlink-data-deliveries"
    scef.script["submit"].append((500, {"problemDetail": {"title": "no"}}))
    async with http.post(url, json={"externalId": DEVICE, "data": "AA=="}) as answer:
        assert answer.status == 500
    assert not proxy.violations
    scef.script["submit"].append((500, {"title": "no"}))
    async with http.post(url, json={"externalId": DEVICE, "data": "AA=="}) as answer:
        assert answer.status == 500
    assert any("problemDetail" in text for text in proxy.violations), proxy.violations


class Callee:
    """A callback listener that answers as told."""

    def __init__(self):
        self.answer = {"status": 204}

    async def __aenter__(self):
        self._runner = web.ServerRunner(web.Server(self._handle))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/cb"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _handle(self, request):
        return web.Response(**self.answer)


@pytest.fixture
async def callee(scef, proxy, http):
    async with Callee() as one:
        async with http.post(proxy.url + BASE, json={**GOOD, "notificationDestination": one.url}) as answer:
            body = await answer.json()
        assert body["notificationDestination"] == one.url
        assert not proxy.violations
        one.via_proxy = scef.callback_of(DEVICE)
        yield one


LINK = "http://127.0.0.1:9/3gpp-nidd/v1/as1/configurations/c1"


@pytest.mark.parametrize(
    "body",
    [
        {"niddConfiguration": LINK, "externalId": DEVICE, "data": "AA=="},
        {"niddConfiguration": LINK, "msisdn": "491700000001", "data": "AA==", "reliableDataService": False},
        {"niddDownlinkDataTransfer": LINK, "deliveryStatus": "SUCCESS_OF_LATER"},
        {"niddConfiguration": LINK, "externalId": DEVICE, "status": "TERMINATED"},
        {"subscription": LINK},
    ],
)
async def test_right_callbacks_pass(scef, proxy, callee, body):
    assert await scef.notify(callee.via_proxy, body) == 204
    assert not proxy.violations
    assert proxy.records[-1]["request"] == body


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"externalId": DEVICE, "data": "AA=="}, "niddConfiguration"),
        ({"niddConfiguration": LINK, "data": "AA=="}, "not valid under any"),
        ({"niddConfiguration": LINK, "data": "AA==", "externalId": DEVICE, "msisdn": "491700000001"}, "each"),
        ({"niddConfiguration": LINK, "externalId": DEVICE, "data": 7}, "string"),
        ({"deliveryStatus": "SUCCESS"}, "niddDownlinkDataTransfer"),
        (
            {"niddDownlinkDataTransfer": LINK, "deliveryStatus": "SUCCESS", "requestedRetransmissionTime": "soon"},
            "date",
        ),
        ({"niddConfiguration": LINK, "externalId": DEVICE}, "no member says what it is"),
        (b"{", "not JSON"),
    ],
)
async def test_a_wrong_callback_is_named_and_passed_on(scef, proxy, callee, body, word):
    assert await scef.notify(callee.via_proxy, body) == 204
    assert any("callback:" in text and word in text for text in proxy.violations), proxy.violations


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"status": 202}, "202"),
        ({"status": 200, "text": "{}", "content_type": "application/json"}, "details"),
        ({"status": 200}, "not JSON"),
        ({"status": 404, "text": "nope"}, "problem+json"),
    ],
)
async def test_a_wrong_answer_to_a_callback_is_named(scef, proxy, callee, answer, word):
    callee.answer = answer
    assert await scef.notify(callee.via_proxy, {"subscription": LINK}) == answer["status"]
    assert any("callback answer:" in text and word in text for text in proxy.violations), proxy.violations


async def test_a_cut_connection_is_passed_on_as_one(scef, proxy, http):
    from tests.nidd.scripted_scef import HANG_UP

    scef.script["list"].extend([HANG_UP] * 4)
    with pytest.raises(aiohttp.ClientError):
        async with http.get(proxy.url + BASE) as answer:
            await answer.read()
    assert proxy.records[-1]["status"] is None
