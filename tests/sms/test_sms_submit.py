"""Downlinks as device triggers: every answer and fault, and what the ledger is told (TS 29.122 §4.4.6)."""

import asyncio
import base64

import pytest

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Kind,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Report,
    Submission,
)
from tests.nidd.scripted_scef import HANG_UP, SILENCE

DEVICE = "dev1@iot.example"
PAYLOAD = b"\x40\x01\x00\x01"
PROBLEM = {"title": "no", "status": 500, "cause": "MEMORY"}


def attempt(payload=PAYLOAD, *, device=DEVICE, kind=Kind.REQUEST, downlink=7, number=1, **members):
    return Submission(downlink, number, device, payload, kind, **members)


async def answered(binding, centre, *answer):
    centre.script["submit"].append(answer[0] if len(answer) == 1 else answer)
    return await binding.submit(attempt())


def reports(side):
    return [(one.device, one.handle, one.outcome) for one in side.of(Report)]


# What is posted


async def test_a_downlink_is_one_device_trigger(binding, centre, side):
    result = await binding.submit(attempt(deadline=side.now() + 90.5))
    assert result == Accepted("t1", NetworkState.BUFFERED)
    ((_, headers, body),) = centre.made("submit")
    destination = body.pop("notificationDestination")
    assert destination.startswith(binding.listener.url.rpartition("/")[0])
    assert body.pop("validityPeriod") in {89, 90}
    assert body == {
        "externalId": DEVICE,
        "priority": "NO_PRIORITY",
        "applicationPortId": 5683,
        "triggerPayload": base64.b64encode(PAYLOAD).decode(),
    }
    assert headers["Content-Type"] == "application/json"


async def test_an_msisdn_goes_as_msisdn_and_nothing_names_both(binding, centre):
    await binding.submit(attempt(device="491700000001"))
    body = centre.made("submit")[0][2]
    assert body["msisdn"] == "491700000001"
    assert "externalId" not in body


async def test_ports_are_the_endpoints_own_else_those_of_the_network(make, centre):
    binding = await make(downlinks={"application_port": 5000, "source_port": 5001})
    await binding.submit(attempt())
    await binding.submit(attempt(options={"application_port": "16"}))
    assert [(one[2]["applicationPortId"], one[2]["appSrcPortId"]) for one in centre.made("submit")] == [
        (5000, 5001),
        (16, 5001),
    ]


@pytest.mark.parametrize(
    ("kind", "priority", "setting", "asked"),
    [
        (Kind.REQUEST, 0, True, "NO_PRIORITY"),
        (Kind.REQUEST, 1, True, "PRIORITY"),
        (Kind.ANSWER, 1, True, "PRIORITY"),
        (Kind.ANSWER, 1, False, "NO_PRIORITY"),
        (Kind.REQUEST, 1, False, "PRIORITY"),
    ],
)
async def test_priority_is_asked_for_where_somebody_waits(make, centre, kind, priority, setting, asked):
    binding = await make(downlinks={"priority_for_answers": setting})
    await binding.submit(attempt(kind=kind, priority=priority))
    assert centre.made("submit")[0][2]["priority"] == asked


async def test_without_a_deadline_the_network_has_a_validity_of_its_own(make, centre):
    binding = await make(downlinks={"default_validity": 600.0})
    await binding.submit(attempt())
    assert centre.made("submit")[0][2]["validityPeriod"] == 600


@pytest.mark.parametrize("left", [-5.0, 0.0, 0.9])
async def test_a_deadline_that_is_over_is_not_submitted(binding, centre, side, left):
    """A validityPeriod of 0 would be one more attempt (TS 29.122)."""
    result = await binding.submit(attempt(deadline=side.now() + left))
    assert (result.why, centre.made("submit")) == (Refusal.EXPIRED, [])


async def test_what_does_not_fit_one_sms_is_not_submitted(binding, centre):
    assert isinstance(await binding.submit(attempt(bytes(133))), Accepted)
    result = await binding.submit(attempt(bytes(134)))
    assert (result.why, len(centre.made("submit"))) == (Refusal.TOO_LARGE, 1)


async def test_the_profile_has_no_retransmission_and_the_size_of_one_sms(binding):
    profile = binding.south_profile(DEVICE)
    assert (profile.max_retransmit, profile.max_downlink, profile.max_uplink) == (0, 133, 133)
    assert not profile.quick
    assert profile.can_cancel
    assert profile.can_expire


# What is answered


@pytest.mark.parametrize("link", ["/x/transactions/t9", "t9", "http://other/gw/transactions/t9/?a=b"])
async def test_a_transaction_is_named_by_a_location_of_any_form(binding, centre, link):
    result = await answered(binding, centre, 201, {"deliveryResult": "TRIGGERED"}, {"Location": link})
    assert result == Accepted("t9", NetworkState.BUFFERED)


async def test_a_transaction_may_be_named_by_its_body_alone(binding, centre):
    body = {"self": "/a/transactions/t%2F9", "deliveryResult": "SUCCESS"}
    assert await answered(binding, centre, 201, body) == Accepted("t/9", NetworkState.DELIVERED)


@pytest.mark.parametrize("body", [None, {}, [], "<html>hello</html>", {"status": "ok"}])
async def test_a_success_that_names_no_transaction_proves_nothing(binding, centre, body):
    assert isinstance(await answered(binding, centre, 201, body), Ambiguous)


@pytest.mark.parametrize("result", ["UNKNOWN", "UNCONFIRMED", "EXPIRED", "FAILURE", "TERMINATE"])
async def test_a_trigger_that_is_over_at_once_without_success_proves_nothing(binding, centre, result):
    body = {"self": "/a/transactions/t9", "deliveryResult": result}
    assert isinstance(await answered(binding, centre, 201, body), Ambiguous)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, {"title": "bad", "status": 400}, Refusal.REJECTED),
        (401, {"title": "who", "status": 401}, Refusal.NETWORK_UNAVAILABLE),
        (403, {"cause": "OPERATION_PROHIBITED", "title": "no subscription for SMS"}, Refusal.REJECTED),
        (403, {"cause": "QUOTA_EXCEEDED"}, Refusal.RATE_LIMITED),
        (403, {"cause": "DATA_TOO_LARGE"}, Refusal.TOO_LARGE),
        (404, {"cause": "USER_UNKNOWN"}, Refusal.REJECTED),
        (413, {"title": "large"}, Refusal.TOO_LARGE),
        (429, {"title": "slow down"}, Refusal.RATE_LIMITED),
        (500, PROBLEM, Refusal.FAILED),
        (500, {"title": "Internal Server Error"}, Refusal.NETWORK_UNAVAILABLE),
        (503, {"title": "busy"}, Refusal.NETWORK_UNAVAILABLE),
    ],
)
async def test_the_scefs_own_refusals_are_certain(binding, centre, status, body, why):
    result = await answered(binding, centre, status, body)
    assert (type(result), result.why) == (Refused, why)


@pytest.mark.parametrize("status", [200, 201, 400, 403, 404, 429, 500, 502, 503, 504])
async def test_the_page_of_a_proxy_proves_nothing_whatever_its_status(binding, centre, status):
    assert isinstance(await answered(binding, centre, status, "<html>gateway</html>"), Ambiguous)


@pytest.mark.parametrize("status", [307, 308])
async def test_creating_a_transaction_is_not_redirected(binding, centre, status):
    result = await answered(binding, centre, status, None, {"Location": centre.host + "/elsewhere"})
    assert result.why is Refusal.NETWORK_UNAVAILABLE


async def test_retry_after_is_heeded(binding, centre, side):
    result = await answered(binding, centre, 429, {"title": "slow down"}, {"Retry-After": "60"})
    assert 58 < result.retry_at - side.now() < 62


@pytest.mark.parametrize("fault", [HANG_UP, SILENCE])
async def test_a_lost_answer_is_ambiguous(make, centre, fault):
    binding = await make(http={"request_timeout": 0.3, "connect_timeout": 0.2})
    assert isinstance(await answered(binding, centre, fault), Ambiguous)


async def test_no_connection_is_the_networks_trouble(make):
    binding = await make(api_root="http://127.0.0.1:1")
    assert (await binding.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE


# What became of an answer that was lost


async def test_the_very_attempt_is_found_among_others_with_the_same_bytes(binding, centre):
    for number in (1, 2, 3):
        await binding.submit(attempt(number=number))
    assert await binding.lookup(attempt(number=2)) == Lookup(Presence.PRESENT, "t2")
    assert await binding.lookup(attempt(number=4)) == Lookup(Presence.ABSENT)


async def test_where_destinations_are_not_shown_device_and_bytes_decide(binding, centre):
    centre.shows_destinations = False
    await binding.submit(attempt(b"one"))
    assert await binding.lookup(attempt(b"one")) == Lookup(Presence.PRESENT, "t1")
    assert await binding.lookup(attempt(b"two")) == Lookup(Presence.ABSENT)
    assert await binding.lookup(attempt(b"one", device="dev2@iot.example")) == Lookup(Presence.ABSENT)


async def test_a_result_that_was_not_reported_is_found_with_the_transaction(binding, centre, side):
    await binding.submit(attempt())
    centre.transactions["t1"]["deliveryResult"] = "SUCCESS"
    assert await binding.lookup(attempt()) == Lookup(Presence.PRESENT, "t1")
    assert reports(side) == [(DEVICE, "t1", NetworkState.DELIVERED)]


@pytest.mark.parametrize("answer", [HANG_UP, (502, "<html>"), (409, {"title": "there already", "status": 409})])
async def test_a_report_proves_that_its_attempt_was_accepted_though_the_answer_was_lost(binding, centre, side, answer):
    """The transaction is over then, and the SCEF may list it no more: the message would end as UNKNOWN."""

    async def report_first(request):
        body = await request.json()
        report = {"transaction": centre.link("t5"), "result": "SUCCESS"}
        assert await centre.notify(body["notificationDestination"], report) == 204
        return await centre._scripted(answer, request)

    centre.script["submit"].append(report_first)
    assert await binding.submit(attempt()) == Accepted("t5", NetworkState.BUFFERED)
    assert reports(side) == [(DEVICE, "t5", NetworkState.DELIVERED)]


async def test_a_report_after_a_lost_answer_names_the_transaction(binding, centre, side):
    centre.script["submit"].append(HANG_UP)
    assert isinstance(await binding.submit(attempt(number=2)), Ambiguous)
    to = centre.made("submit")[0][2]["notificationDestination"]
    assert await centre.notify(to, {"transaction": centre.link("t5"), "result": "SUCCESS"}) == 204
    assert await binding.lookup(attempt(number=2)) == Lookup(Presence.PRESENT, "t5")
    assert await binding.lookup(attempt(number=1)) == Lookup(Presence.ABSENT)


@pytest.mark.parametrize(
    ("answer", "presence"),
    [
        ((404, {"title": "none"}), Presence.ABSENT),
        ((405, {"title": "no GET"}), Presence.UNSUPPORTED),
        ((503, {"title": "busy"}), Presence.FAILED),
        ((200, "<html></html>"), Presence.FAILED),
        ((200, '[{"self": "/transactions/t1"'), Presence.FAILED),
        (HANG_UP, Presence.FAILED),
    ],
)
async def test_a_list_that_cannot_be_read_proves_nothing(binding, centre, answer, presence):
    centre.script["list"].append(answer)
    assert (await binding.lookup(attempt())).presence is presence


# Recalling


async def test_a_recall_is_no_proof_that_nothing_was_transmitted(binding, centre):
    """The SMS may have arrived, and its acknowledgement been lost: the SMS centre has it still, to send it again."""
    await binding.submit(attempt())
    assert await binding.cancel(DEVICE, "t1") is Cancellation.GONE
    assert centre.transactions == {}


async def test_a_recall_is_proof_where_the_operator_vouches_for_that(make, centre):
    binding = await make(downlinks={"results_are_proof": True})
    for status in (204, 200):
        await binding.submit(attempt())
        if status == 200:
            centre.script["recall"].append((200, {"deliveryResult": "TERMINATE"}))
        assert await binding.cancel(DEVICE, f"t{1 if status == 204 else 2}") is Cancellation.REMOVED


@pytest.mark.parametrize("proof", [True, False])
@pytest.mark.parametrize(
    "answer", [(500, PROBLEM), (503, {"title": "busy"}), (404, "<html></html>"), (403, {"title": "no"}), HANG_UP]
)
async def test_a_recall_that_did_not_succeed_counts_for_nothing(make, centre, answer, proof):
    binding = await make(downlinks={"results_are_proof": proof})
    await binding.submit(attempt())
    centre.script["recall"].append(answer)
    assert await binding.cancel(DEVICE, "t1") is Cancellation.UNKNOWN


async def test_a_trigger_that_is_over_says_its_result_when_it_is_recalled(binding, centre, side):
    await binding.submit(attempt())
    centre.transactions["t1"]["deliveryResult"] = "SUCCESS"
    assert await binding.cancel(DEVICE, "t1") is Cancellation.GONE
    assert reports(side) == [(DEVICE, "t1", NetworkState.DELIVERED)]


async def test_a_trigger_that_the_scef_does_not_know_any_more_is_gone(binding, side):
    assert await binding.cancel(DEVICE, "t77") is Cancellation.GONE
    assert reports(side) == []


async def test_a_404_of_a_trigger_that_is_pending_is_no_word_about_it(binding, centre):
    await binding.submit(attempt())
    centre.script["recall"].append((404, {"title": "no such operation"}))
    assert await binding.cancel(DEVICE, "t1") is Cancellation.UNKNOWN


async def test_a_scef_that_recalls_nothing_is_not_asked_again_for_a_day(binding, centre, side):
    await binding.submit(attempt())
    centre.script["recall"].append((405, {"title": "POST and GET only"}))
    assert await binding.cancel(DEVICE, "t1") is Cancellation.UNKNOWN
    assert not binding.south_profile(DEVICE).can_cancel
    side.offset += 86_401
    assert binding.south_profile(DEVICE).can_cancel


# Stopped


async def test_a_binding_that_does_not_run_refuses_and_does_not_raise(make):
    binding = await make()
    await binding.stop()
    assert (await binding.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE
    assert (await binding.lookup(attempt())).presence is Presence.FAILED
    assert await binding.cancel(DEVICE, "t1") is Cancellation.UNKNOWN
    assert binding.south_profile(DEVICE).max_downlink == 133
    await asyncio.sleep(0)
