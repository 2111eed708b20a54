"""Notifications: 204 only after the commit, every kind told apart, nothing trusted from the body alone (R29)."""

import asyncio
import base64
import codecs
import json
import logging

import pytest
from hypothesis import given, settings, strategies as st

from bindings.contract import Flushed, NetworkState, Refusal, Report, UplinkMessage
from bindings.nidd.models import Notification, read_notification
from bindings.nidd.notes import DeviceNotes
from bindings.t8.times import format_time
from bridge.cli.tables import in_words
from bridge.errors import NotificationError, StoreUnavailable
from bridge.logging import Sampler
from mock_network.lab import free_port
from tests.waiting import until

DEVICE = "dev1@iot.example"
MEMBERS = st.sampled_from(Notification.__struct_fields__)


@pytest.fixture
async def binding(make, scef):
    one = await make()
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    return one


@pytest.fixture
def url(binding):
    return binding.listener.url


@pytest.fixture
def link(binding, scef):
    return scef.link(scef.name_of(DEVICE))


async def test_an_uplink_is_delivered_with_its_bytes(binding, scef, side):
    assert await scef.uplink(DEVICE, b"\x60\x44\x00\x01\xff\x00") == 204
    (event,) = side.delivered
    assert (event.device, event.payload, event.duplicate_key) == (DEVICE, b"\x60\x44\x00\x01\xff\x00", None)
    assert event.received_at == pytest.approx(side.now(), abs=2)


async def test_what_is_not_in_memory_is_read_before_a_notification_is_judged(binding, scef, memory, side, link):
    memory.forgets = True
    assert await scef.uplink(DEVICE, b"uplink") == 204
    report = {"niddDownlinkDataTransfer": f"{link}/downlink-data-deliveries/7", "deliveryStatus": "SUCCESS"}
    assert await scef.notify(scef.callback_of(DEVICE), report) == 204
    assert [type(event) for event in side.delivered] == [UplinkMessage, Report]
    report["niddDownlinkDataTransfer"] = scef.link("strange") + "/downlink-data-deliveries/7"
    assert await scef.notify(scef.callback_of(DEVICE), report) == 404
    assert {memory.devices[key] for key in memory.notes if key[:2] in ("d/", "c/")} == {DEVICE}


async def test_204_only_after_the_commit(binding, scef, side):
    side.gate = asyncio.Event()
    answer = asyncio.create_task(scef.uplink(DEVICE))
    await until(lambda: binding.listener.server.connections)
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
    assert "not base64" in caplog.text
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
    assert len(side.of(UplinkMessage)) == 1


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
    assert side.of(UplinkMessage)[0].device == DEVICE


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
    assert len(side.of(UplinkMessage)) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SUCCESS", NetworkState.SENT),
        ("SUCCESS_NEXT_HOP_UNACKNOWLEDGED", NetworkState.SENT),
        ("SUCCESS_ACKNOWLEDGED", NetworkState.DELIVERED),
        ("SENDING", NetworkState.BUFFERED),
        ("TRIGGERED", NetworkState.BUFFERED),
        ("FAILURE_TIMEOUT", Refusal.EXPIRED),
        ("FAILURE_RDS_DISABLED", Refusal.UNREACHABLE),
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
        "requestedRetransmissionTime": format_time(side.now() + 3600),
    }
    assert await scef.notify(url, body) == 204
    (report,) = side.delivered
    assert (report.device, report.handle) == (DEVICE, f"{scef.name_of(DEVICE)}/7")
    assert report.outcome == outcome
    assert report.detail == status or report.detail.endswith(f" ({status})")
    assert in_words(report.detail) != status or status in {"", "FAILURE_NEW"}
    wait = 1 if status == "FAILURE_RDS_DISABLED" else 3600
    assert report.retry_at == pytest.approx(side.now() + wait, abs=3)


async def test_the_handle_of_a_report_is_that_of_the_submit(binding, scef, side, url):
    from bindings.contract import Kind, Submission

    scef.submit_status = "BUFFERING"
    accepted = await binding.submit(Submission(1, 1, DEVICE, b"x", Kind.REQUEST))
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


async def test_terminated_twice_is_told_once(binding, url, link, scef, side):
    scef.configurations.clear()
    body = {"niddConfiguration": link, "externalId": DEVICE, "status": "TERMINATED"}
    assert [await scef.notify(url, body), await scef.notify(url, body)] == [204, 204]
    await until(lambda: side.of(Flushed) and binding.status()["configurations"]["active"] == 1)
    assert len(side.of(Flushed)) == 1


async def test_an_uplink_whose_configuration_cannot_be_recorded_here_is_to_be_sent_again(
    binding, scef, side, memory, url
):
    """The disk is full, or another node serves the device: 404 would be final."""
    link = scef.link(scef.add(externalId=DEVICE, notificationDestination=url))
    memory.fails = True
    body = {"niddConfiguration": link, "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(url, body) == 503
    memory.fails = False
    assert await scef.notify(url, body) == 204
    assert len(side.of(UplinkMessage)) == 1


async def test_terminated_while_the_store_fails_is_503(binding, url, link, scef, memory):
    memory.fails = True
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
    url = binding.listener.url
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
    url = binding.listener.url
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
    assert binding.listener.url.rsplit("/", 1)[1] not in text
    assert json.loads(text)["callbacks"]["taken"] == 1


MALFORMED = [
    b'{"data":1',
    b'{"data":"a\xff"}',
    b"[" * 1000,
    b"{" * 1000,
    b'{"data":' * 1000,
    b'{"data":"\\ud800"}',
    b'{"data":1e999}',
    b'{"niddConfiguration":"\\u0000","data":"AA=="',
    b'{"data":"AA==","data":7,"niddConfiguration":[}',
    b"\x00",
    b"\xef\xbb\xbf",
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_what_is_malformed_is_400_and_raises_nothing(url, scef, side, caplog, body):
    assert await scef.notify(url, body) == 400
    assert side.counts["nidd_notifications_refused"] == 1
    assert not side.counts["nidd_internal_errors"]
    assert not [record for record in caplog.records if record.exc_info]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(MEMBERS, inner)
).map(lambda value: json.dumps(value).encode())
CUT = st.tuples(st.dictionaries(MEMBERS, st.text() | st.integers()), st.integers(0, 300)).map(
    lambda pair: json.dumps(pair[0]).encode()[: pair[1]]
)


@settings(max_examples=300)
@given(st.binary(max_size=200) | ANYTHING | CUT)
def test_any_bytes_are_a_notification_or_our_own_error(body):
    error = None
    try:
        read_notification(body)
    except NotificationError as raised:
        error = raised
    assert error is None or (error.http_status, error.__context__) == (400, None)


async def test_a_byte_order_mark_is_ignored(url, link, scef, side):
    body = {"niddConfiguration": link, "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(url, codecs.BOM_UTF8 + json.dumps(body).encode()) == 204
    assert len(side.of(UplinkMessage)) == 1


@pytest.mark.parametrize(
    "form",
    [
        "https://gateway/configurations/x/3gpp-nidd/v1/as1/configurations/{}",
        "https://scef/3gpp-nidd/v1/configurations/configurations/{}",
        "https://scef/3gpp-nidd/v1/as1/configurations/{}/",
        "https://scef/3gpp-nidd/v1/as1/configurations/{}?tenant=configurations",
    ],
)
async def test_links_in_which_a_collection_stands_twice(binding, scef, side, form):
    link = form.format(scef.name_of(DEVICE))
    assert await scef.uplink(DEVICE, niddConfiguration=link) == 204
    assert len(side.of(UplinkMessage)) == 1
    assert len(scef.made("create")) == 1


CALLERS = {
    "unknown configuration": {"niddConfiguration": "/configurations/c99", "externalId": "x@y", "data": "AA=="},
    "unknown delivery": {
        "niddDownlinkDataTransfer": "/configurations/c9/downlink-data-deliveries/1", "deliveryStatus": "X",
    },
    "malformed": [],
    "another device": {"externalId": "dev2@iot.example", "data": "AA=="},
    "no base64": {"externalId": DEVICE, "data": "!"},
    "a status of the operator's own": {"externalId": DEVICE, "status": "MAINTENANCE"},
    "a delivery status of the operator's own": {"deliveryStatus": "PONDERING"},
}  # fmt: skip


@pytest.mark.parametrize("body", CALLERS.values(), ids=CALLERS)
async def test_lines_that_a_peer_can_cause_are_sampled(url, link, scef, side, caplog, body):
    if isinstance(body, dict) and "niddConfiguration" not in body:
        body = body | {"niddConfiguration": link}
    if "deliveryStatus" in body:
        body = {"niddDownlinkDataTransfer": link + "/downlink-data-deliveries/7"} | body
    caplog.clear()
    for _ in range(50):
        assert await scef.notify(url, body) in {204, 400, 404}
    caused = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert caused
    assert len([record for record in caused if Sampler().filter(record) and not hasattr(record, "sample")]) == 0
    sampler = Sampler()
    assert len([record for record in caused if sampler.filter(record)]) <= 10
    assert max(side.counts.values()) >= 50


async def test_an_operators_failures_all_day_are_sampled(make, scef, side, caplog):
    scef.script["create"].extend([(403, {"cause": "NOT_YOURS"})] * 30)
    binding = await make(configurations={"retry_min": 500.0})
    for number in range(30):
        await binding.provision(f"dev{number}@iot.example", {})
    await until(lambda: side.counts["nidd_configuration_failures"] == 30)
    sampler = Sampler()
    assert len([record for record in caplog.records if record.levelno >= logging.INFO and sampler.filter(record)]) < 10


async def test_a_start_that_fails_at_the_store_leaves_the_port_to_the_next_one(make, monkeypatch):
    async def disk_full(_self):
        raise StoreUnavailable("disk full")

    callbacks = {"port": free_port()}
    with monkeypatch.context() as patched:
        patched.setattr(DeviceNotes, "count", disk_full)
        with pytest.raises(StoreUnavailable):
            await make(callbacks=callbacks)
    assert (await make(callbacks=callbacks)).listener.address[1] == callbacks["port"]
