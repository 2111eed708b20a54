"""Delivery reports and SMS of devices: what each means, and what the network is answered."""

import asyncio
import base64
import json

import pytest

from bindings.contract import Kind, NetworkState, Refusal, Report, Submission, UplinkMessage
from bindings.sms.destinations import NamedAttempts, Reference, destination, read_destination
from tests.sms.scripted_sms_centre import MO_ANSWER

DEVICE = "dev1@iot.example"


async def submitted(binding, *, device=DEVICE, number=1):
    return await binding.submit(Submission(7, number, device, b"x", Kind.REQUEST))


def reports(side):
    return [(one.device, one.handle, one.outcome) for one in side.of(Report)]


# Delivery reports


@pytest.mark.parametrize(
    ("result", "outcome", "vouched"),
    [
        ("SUCCESS", NetworkState.DELIVERED, NetworkState.DELIVERED),
        ("TRIGGERED", NetworkState.BUFFERED, NetworkState.BUFFERED),
        ("REPLACED", NetworkState.BUFFERED, NetworkState.BUFFERED),
        ("UNKNOWN", None, None),
        ("UNCONFIRMED", None, None),
        ("TERMINATE", None, None),
        ("EXPIRED", None, Refusal.EXPIRED),
        ("FAILURE", None, Refusal.FAILED),
        ("OF_A_LATER_RELEASE", NetworkState.BUFFERED, NetworkState.BUFFERED),
    ],
)
async def test_what_a_result_says(make, centre, side, result, outcome, vouched):
    binding = await make()
    trusting = await make(downlinks={"results_are_proof": True})
    for one, name in ((binding, "t1"), (trusting, "t2")):
        await submitted(one)
        assert await centre.report(name, result) == 204
    assert reports(side) == [(DEVICE, "t1", outcome), (DEVICE, "t2", vouched)]


async def test_a_report_may_come_before_the_answer_to_the_submit(binding, centre, side):
    """Its URL says whose it is: device, downlink and attempt are in it before the transaction has a name."""
    seen = asyncio.Event()

    async def report_first(request):
        body = await request.json()
        report = {"transaction": centre.link("t5"), "result": "SUCCESS"}
        assert await centre.notify(body["notificationDestination"], report) == 204
        seen.set()
        return await centre._scripted((201, {**body, "self": centre.link("t5")}), request)

    centre.script["submit"].append(report_first)
    result = await submitted(binding)
    assert (result.handle, reports(side)) == ("t5", [(DEVICE, "t5", NetworkState.DELIVERED)])
    assert seen.is_set()


@pytest.mark.parametrize(
    "link", ["/gw/7/transactions/t1/", "t1", "https://nef/3gpp-device-triggering/v1/x/transactions/t1"]
)
async def test_links_of_every_form_name_the_transaction(binding, centre, side, link):
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS", link=link) == 204
    assert reports(side) == [(DEVICE, "t1", NetworkState.DELIVERED)]


async def test_a_report_is_answered_when_it_is_committed(binding, centre, side):
    await submitted(binding)
    side.store_fails = True
    assert await centre.report("t1", "SUCCESS") == 503


async def test_a_report_to_a_url_of_no_attempt_is_refused(binding, centre, side, url):
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS", to=url) == 404
    assert side.counts["sms_reports_unknown_transaction"] == 1
    assert side.delivered == []


async def test_a_report_for_an_endpoint_that_is_gone_is_answered_404(binding, centre, side):
    side.strangers.add(DEVICE)
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS") == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"transaction": 5, "result": "SUCCESS"}',
        b'{"transaction": "/transactions/t1"}',
        b'{"result": "SUCCESS"}',
        b'{"sms": "AAAA", "externalId": 5}',
        b'{"sms": "AAAA", "externalId": "nobody"}',
        b'{"sms": "AAAA"}',
        b"\xff" * 20,
    ],
)
async def test_a_malformed_notification_is_answered_400(binding, centre, side, url, body):
    assert await centre.notify(url, body) == 400
    assert side.delivered == []


async def test_a_test_notification_is_taken(binding, centre, side, url):
    assert await centre.notify(url, {"subscription": centre.link("t1")}) == 204
    assert side.counts["sms_notifications_test"] == 1


def test_transactions_of_the_latest_reports_are_remembered():
    named = NamedAttempts()
    for number in range(5000):
        named.add(Reference("dev1@iot.example", number, 1), f"t{number}")
    assert named.get(Reference("dev1@iot.example", 4999, 1)) == "t4999"
    assert named.get(Reference("dev1@iot.example", 0, 1)) is None


@pytest.mark.parametrize("device", ["d@x", "meter/1@iot.example", "ü+ö@iot.example", "491700000001"])
def test_a_destination_says_whose_attempt_it_is(device):
    reference = Reference(device, 123456789012345, 3)
    url = destination("https://bridge.example/t8/secret", reference)
    assert url.startswith("https://bridge.example/t8/")
    assert url.endswith("/secret")
    assert url.isascii()
    assert read_destination(url) == reference
    assert read_destination(url.removeprefix("https://bridge.example") + "/?x=y") == reference


@pytest.mark.parametrize(
    "path", ["", "/", "/secret", "/a.b.c/secret", "/a.1/secret", "/_w.1.1/secret", "/ZA.1.99999999999/secret"]
)
def test_other_destinations_are_of_no_attempt(path):
    assert read_destination(path) is None


# SMS of devices


async def test_an_sms_is_an_uplink_and_answered_as_the_api_has_it(centre, side, url):
    assert await centre.sms(url + "/", b"\x40\x02") == (200, MO_ANSWER)
    (uplink,) = side.of(UplinkMessage)
    assert (uplink.device, uplink.payload, uplink.duplicate_key) == (DEVICE, b"\x40\x02", None)


async def test_an_sms_is_answered_when_it_is_committed(centre, side, url):
    side.store_fails = True
    assert (await centre.sms(url))[0] == 503


async def test_an_sms_of_an_identity_that_nobody_has_is_answered_404(centre, side, url):
    side.strangers.add(DEVICE)
    assert (await centre.sms(url))[0] == 404
    assert side.counts["sms_notifications_unknown_device"] == 1


@pytest.mark.parametrize(("known", "strange"), [(DEVICE, "491700000001"), ("491700000001", DEVICE)])
async def test_an_sms_that_names_both_identities_is_that_of_the_one_that_is_known(centre, side, url, known, strange):
    side.strangers.add(strange)
    assert (await centre.sms(url, msisdn="491700000001"))[0] == 200
    assert [one.device for one in side.delivered] == [known]


async def test_the_domain_of_an_identity_is_read_in_any_case(centre, side, url):
    await centre.sms(url, externalId="dev1@IOT.example")
    assert [one.device for one in side.delivered] == [DEVICE]


@pytest.mark.parametrize("text", ["!", 5, "AAA=A", ["AA=="]])
async def test_an_sms_that_is_no_base64_is_counted_and_dropped(centre, side, url, text):
    assert await centre.sms(url, sms=text) == (200, MO_ANSWER)
    assert (side.delivered, side.counts["sms_uplinks_bad_base64"]) == ([], 1)


@pytest.mark.parametrize("text", ["_-8", "/+8=", "\\/+8=", "/\n+8="])
async def test_base64_is_read_as_the_field_writes_it(centre, side, url, text):
    body = json.dumps({"supportedFeatures": "0", "externalId": DEVICE, "applicationPort": 0, "sms": text})
    await centre.notify(url, body.replace("\\\\/", "\\/").encode())
    assert [one.payload for one in side.delivered] == [base64.b64decode("/+8=")]


async def test_sms_to_other_ports_are_not_ours_where_ours_are_named(make, centre, side):
    binding = await make(uplinks={"application_ports": (5683, 5684)})
    url = binding.listener.url
    assert (await centre.sms(url, applicationPort=5684))[0] == 200
    assert (await centre.sms(url, applicationPort=80))[0] == 404
    assert (await centre.sms(url, applicationPort=None))[0] == 404
    assert (len(side.delivered), side.counts["sms_uplinks_other_port"]) == (1, 2)
