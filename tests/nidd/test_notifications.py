"""Notifications: 204 only after the commit, every kind told apart, nothing trusted from the body alone (R29)."""

import asyncio
import base64
import json
import logging

import pytest

from bindings.contract import Flushed, NetworkState, Refusal, Report, Uplink
from tests.waiting import until

DEVICE = "dev1@iot.example"


@pytest.fixture
async def binding(make, scef):
    one = await make()
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    return one


@pytest.fixture
def url(binding):
    return binding._listener.url


@pytest.fixture
def link(binding, scef):
    return scef.link(scef.name_of(DEVICE))


async def test_an_uplink_is_delivered_with_its_bytes(binding, scef, side):
    assert await scef.uplink(DEVICE, b"\x60\x44\x00\x01\xff\x00") == 204
    (event,) = side.delivered
    assert (event.device, event.payload, event.duplicate_key) == (DEVICE, b"\x60\x44\x00\x01\xff\x00", None)
    assert event.received_at == pytest.approx(side.now(), abs=2)


async def test_204_only_after_the_commit(binding, scef, side):
    side.gate = asyncio.Event()
    answer = asyncio.create_task(scef.uplink(DEVICE))
    await until(lambda: binding._listener.server.connections)
    done, _ = await asyncio.wait([answer], timeout=0.1)
    assert not done
    side.gate.set()
    assert await answer == 204


async def test_503_when_the_store_fails(binding, scef, side):
    side.store_fails = True
    assert await scef.uplink(DEVICE) == 503
    side.store_fails = False
    assert await scef.uplink(DEVICE) == 204


async def test_404_for_a_device_that_the_directory_does_not_know(binding, scef, side):
    side.strangers.add(DEVICE)
    assert await scef.uplink(DEVICE) == 404
    assert side.counts["nidd_notifications_unknown_device"] == 1


@pytest.mark.parametrize("text", ["_-8", "/+8", "/+8=", "/+\n8=", "_-8="])
async def test_base64_as_the_field_writes_it(binding, scef, side, text):
    assert await scef.uplink(DEVICE, data=b"", niddConfiguration=None) == 400
    name = scef.name_of(DEVICE)
    body = {"niddConfiguration": scef.link(name), "externalId": DEVICE, "data": text}
    assert await scef.notify(scef.callback_of(DEVICE), body) == 204
    assert side.delivered[-1].payload == b"\xff\xef"


async def test_base64_with_escaped_padding(url, link, scef, side):
    body = f'{{"niddConfiguration":"{link}","msisdn":"4917","externalId":"{DEVICE}","data":"/+8\\u003d"}}'
    assert await scef.notify(url, body.encode()) == 204
    assert side.delivered[-1].payload == b"\xff\xef"


@pytest.mark.parametrize("data", ["!!!", "a", 7, {"x": 1}, ["AA=="]])
async def test_bad_base64_is_answered_204_and_counted(url, link, scef, side, data, caplog):
    body = {"niddConfiguration": link, "externalId": DEVICE, "data": data}
    assert await scef.notify(url, body) == 204
    assert side.counts["nidd_uplinks_bad_base64"] == 1
    assert "no base64" in caplog.text
    assert not side.delivered


@pytest.mark.parametrize(
    "form",
    [
        "/3gpp-nidd/v1/as1/configurations/{}",
        "https://else.where/SCEF/3gpp-nidd/v1/x/configurations/{}",
        "configurations/{}",
    ],
)
async def test_links_of_any_form(binding, scef, side, form):
    link = form.format(scef.name_of(DEVICE))
    assert await scef.uplink(DEVICE, niddConfiguration=link) == 204
    assert len(side.of(Uplink)) == 1


async def test_an_unknown_configuration_is_404(url, scef, side):
    body = {"niddConfiguration": scef.link("c999"), "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(url, body) == 404
    assert side.counts["nidd_notifications_unknown_configuration"] == 1
    assert not side.delivered


async def test_the_identity_in_the_body_must_match_the_configuration(url, link, scef, side):
    body = {"niddConfiguration": link, "externalId": "dev2@iot.example", "data": "AA=="}
    assert await scef.notify(url, body) == 204
    assert not side.delivered
    assert side.counts["nidd_notifications_wrong_identity"] == 1


async def test_the_domain_of_an_identity_knows_no_case(url, link, scef, side):
    assert await scef.notify(url, {"niddConfiguration": link, "externalId": "dev1@IOT.EXAMPLE", "data": "AA=="}) == 204
    assert side.of(Uplink)[0].device == DEVICE


async def test_both_identities_or_the_other_kind_alone(url, link, scef, side):
    both = {"niddConfiguration": link, "externalId": DEVICE, "msisdn": "491700000001", "data": "AA=="}
    other = {"niddConfiguration": link, "msisdn": "491700000001", "data": "AQ=="}
    assert [await scef.notify(url, body) for body in (both, other)] == [204, 204]
    assert [event.payload for event in side.delivered] == [b"\x00", b"\x01"]


async def test_an_uplink_that_overtakes_the_answer_to_the_post(make, scef, side):
    statuses = []

    async def uplink_first(request):
        body = await request.json()
        answer = scef._create(request, body)
        early = asyncio.create_task(scef.uplink(DEVICE))
        done, _ = await asyncio.wait([early], timeout=0.1)
        assert not done
        early.add_done_callback(lambda task: statuses.append(task.result()))
        return answer

    scef.script["create"].append(uplink_first)
    binding = await make()
    await binding.provision(DEVICE, {})
    await until(lambda: statuses)
    assert statuses == [204]
    assert len(side.of(Uplink)) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SUCCESS", NetworkState.SENT),
        ("SUCCESS_NEXT_HOP_UNACKNOWLEDGED", NetworkState.SENT),
        ("SUCCESS_ACKNOWLEDGED", NetworkState.DELIVERED),
        ("SENDING", NetworkState.BUFFERED),
        ("TRIGGERED", NetworkState.BUFFERED),
        ("FAILURE_TIMEOUT", Refusal.EXPIRED),
        ("FAILURE_RDS_DISABLED", Refusal.REJECTED),
        ("FAILURE_NEXT_HOP", Refusal.FAILED),
        ("FAILURE_TEMPORARILY_NOT_REACHABLE", Refusal.UNREACHABLE),
        ("FAILURE_NEW", Refusal.FAILED),
        ("", NetworkState.BUFFERED),
    ],
)
async def test_delivery_status(url, link, scef, side, status, outcome):
    body = {
        "niddDownlinkDataTransfer": link + "/downlink-data-deliveries/7",
        "deliveryStatus": status,
        "requestedRetransmissionTime": "2026-03-01T12:00:00Z",
    }
    assert await scef.notify(url, body) == 204
    name = scef.name_of(DEVICE)
    assert side.delivered == [Report(DEVICE, f"{name}/7", outcome, status, 1772366400.0)]


async def test_the_handle_of_a_report_is_that_of_the_submit(binding, scef, side, url):
    from bindings.contract import Attempt, Kind

    scef.submit_status = "BUFFERING"
    accepted = await binding.submit(Attempt(1, 1, DEVICE, b"x", Kind.REQUEST))
    name = scef.name_of(DEVICE)
    (number,) = scef.deliveries[name]
    relative = f"/3gpp-nidd/v1/as1/configurations/{name}/downlink-data-deliveries/{number}"
    await scef.notify(url, {"niddDownlinkDataTransfer": relative, "status": "SUCCESS"})
    (report,) = side.of(Report)
    assert report.handle == accepted.handle


async def test_a_delivery_status_for_an_unknown_configuration_is_404(url, scef):
    body = {"niddDownlinkDataTransfer": scef.link("c999", "1"), "deliveryStatus": "SUCCESS"}
    assert await scef.notify(url, body) == 404


async def test_an_unknown_delivery_status_is_counted(url, link, scef, side):
    body = {"niddDownlinkDataTransfer": link + "/downlink-data-deliveries/7", "deliveryStatus": "WHATEVER"}
    assert await scef.notify(url, body) == 204
    assert side.counts["nidd_unknown_delivery_status"] == 1


@pytest.mark.parametrize("status", ["ACTIVE", "RDS_PORT_UNKNOWN", "SOMETHING_NEW"])
async def test_a_configuration_status_that_is_no_end(binding, url, link, scef, side, status):
    assert await scef.notify(url, {"niddConfiguration": link, "externalId": DEVICE, "status": status}) == 204
    assert not side.delivered
    assert binding.status()["configurations"]["active"] == 1


async def test_terminated_twice_is_told_once(url, link, scef, side):
    body = {"niddConfiguration": link, "externalId": DEVICE, "status": "TERMINATED"}
    assert [await scef.notify(url, body), await scef.notify(url, body)] == [204, 204]
    assert len(side.of(Flushed)) == 1


async def test_terminated_while_the_store_fails_is_503(binding, url, link, scef, side):
    side.store_fails = True
    body = {"niddConfiguration": link, "externalId": DEVICE, "status": "TERMINATED"}
    assert await scef.notify(url, body) == 503
    assert binding.status()["configurations"]["active"] == 1


@pytest.mark.parametrize(
    ("body", "counter"),
    [
        ({"subscription": "https://scef.example/x"}, "nidd_notifications_test"),
        ({"niddConfiguration": "x", "externalId": DEVICE, "managedPorts": []}, "nidd_notifications_ports"),
        (
            {"niddDownlinkDataTransfer": "x", "gmdResults": [{"deliveryStatus": "SUCCESS"}]},
            "nidd_notifications_group",
        ),
    ],
)
async def test_other_kinds_are_counted(url, scef, side, body, counter):
    assert await scef.notify(url, body) == 204
    assert side.counts[counter] == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"{}", b'{"data":"AA=="}',
     b'{"niddConfiguration":7,"data":"AA=="}', b'{"deliveryStatus":"SUCCESS"}', b"[" * 5000,
     b'{"niddConfiguration":"c"}'],
)  # fmt: skip
async def test_what_is_no_notification_is_400(url, scef, side, body):
    assert await scef.notify(url, body) == 400
    assert await scef.uplink(DEVICE) == 204  # and the service lives


async def test_a_wrong_path_is_404(url, scef, side):
    for wrong in (
        url + "x",
        url.rsplit("/", 1)[0] + "/",
        url[:-1],
        url.rsplit("/", 1)[0] + "/x" + url.rsplit("/", 1)[1],
    ):
        assert await scef.notify(wrong, {"subscription": "x"}) == 404
    assert side.counts["nidd_callbacks_wrong_path"] == 4


async def test_a_prefix_kept_by_a_reverse_proxy_is_fine(url, scef):
    base, secret = url.rsplit("/", 1)
    assert await scef.notify(f"{base}/t8/callbacks/{secret}", {"subscription": "x"}) == 204


async def test_another_method_is_405(url, scef):
    async with scef.session.get(url) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_body_that_is_too_large_is_413(make, scef, side):
    binding = await make(callbacks={"max_body": 2048})
    url = binding._listener.url
    assert await scef.notify(url, b"x" * 2049) == 413
    assert await scef.notify(url, b'{"subscription":"' + b"x" * 1000 + b'"}') == 204

    async def chunks():
        for _ in range(10):
            yield b"x" * 1000

    async with scef.session.post(url, data=chunks()) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("callbacks", "right"),
    [
        ({"kind": "basic", "username": "scef", "password": "pw"}, "Basic " + base64.b64encode(b"scef:pw").decode()),
        ({"kind": "bearer", "token": "t0ken"}, "Bearer t0ken"),
    ],
)
async def test_credentials_of_callbacks(make, scef, side, callbacks, right):
    binding = await make(callbacks=callbacks)
    url = binding._listener.url
    assert await scef.notify(url, {"subscription": "x"}) == 401
    assert await scef.notify(url, {"subscription": "x"}, {"Authorization": right + "x"}) == 401
    assert await scef.notify(url, {"subscription": "x"}, {"Authorization": right}) == 204
    assert side.counts["nidd_callbacks_wrong_credentials"] == 2


async def test_the_secret_path_is_not_logged(url, scef, link, caplog):
    caplog.set_level(logging.DEBUG)
    await scef.notify(url, b"{")
    await scef.notify(url, {"niddConfiguration": link, "externalId": DEVICE, "data": "!"})
    assert url.rsplit("/", 1)[1] not in caplog.text


async def test_status_is_plain_json_without_secrets(binding, scef):
    await scef.uplink(DEVICE)
    text = json.dumps(binding.status())
    assert binding._listener.url.rsplit("/", 1)[1] not in text
    assert json.loads(text)["callbacks"]["taken"] == 1
