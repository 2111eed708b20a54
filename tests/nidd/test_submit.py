"""Downlinks: every answer and fault of TS 29.122 §4.4.5.3.1 and of the field, and what the ledger is told."""

import asyncio
import base64
import contextlib
import logging
import socket
from email.utils import formatdate

import pytest
from aiohttp import web
from scripted_scef import HANG_UP, SILENCE

from bindings.contract import (
    MISS,
    Accepted,
    Ambiguous,
    Cancellation,
    Flushed,
    Kind,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Submission,
)
from bindings.nidd.provisioning import Provisioning
from bindings.t8.times import format_time
from bridge.errors import StoreUnavailable
from tests.waiting import until

DEVICE = "dev1@iot.example"


def attempt(payload=b"\x40\x01\x00\x01", *, device=DEVICE, **members):
    return Submission(1, 1, device, payload, Kind.REQUEST, **members)


async def ready(binding, scef, device=DEVICE):
    await binding.provision(device, {})
    return await until(lambda: scef.name_of(device), why="configuration")


@pytest.fixture
async def binding(make, scef):
    one = await make()
    await ready(one, scef)
    await until(lambda: one.south_profile(DEVICE).max_downlink == 1358, why="packet size")
    return one


async def answered(binding, scef, *answer):
    scef.script["submit"].append(answer)
    return await binding.submit(attempt())


async def test_200_is_sent_and_named(binding, scef):
    result = await binding.submit(attempt(b"hello"))
    assert result.state is NetworkState.SENT
    name = scef.name_of(DEVICE)
    assert result.handle.startswith(f"{name}/")
    _, headers, body = scef.made("submit")[0]
    assert body == {
        "data": base64.b64encode(b"hello").decode(),
        "externalId": DEVICE,
        "pdnEstablishmentOption": "WAIT_FOR_UE",
    }
    assert headers["Content-Type"] == "application/json"


async def test_maximum_latency_is_the_rest_of_the_deadline(binding, scef, side):
    await binding.submit(attempt(deadline=side.now() + 90.5, priority=3))
    body = scef.made("submit")[0][2]
    assert body["maximumLatency"] in {89, 90}
    assert body["priority"] == 3


async def test_a_deadline_that_is_over_is_not_submitted(binding, scef, side):
    result = await binding.submit(attempt(deadline=side.now() + 0.4))
    assert result.why is Refusal.EXPIRED
    assert not scef.made("submit")


async def test_an_msisdn_goes_as_msisdn(make, scef):
    one = await make()
    await ready(one, scef, "491700000001")
    await one.submit(attempt(device="491700000001"))
    body = scef.made("submit")[0][2]
    assert body["msisdn"] == "491700000001"
    assert "externalId" not in body


async def test_confirmed_asks_for_rds(binding, scef):
    scef.submit_status = "SUCCESS_ACKNOWLEDGED"
    result = await binding.submit(attempt(confirmed=True))
    assert scef.made("submit")[0][2]["reliableDataService"] is True
    assert result.state is NetworkState.DELIVERED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("SUCCESS_NEXT_HOP_ACKNOWLEDGED", NetworkState.SENT),
        ("SUCCESS_UNACKNOWLEDGED", NetworkState.SENT),
        ("SUCCESS_ACKNOWLEDGED", NetworkState.DELIVERED),
        ("SENDING", NetworkState.BUFFERED),
        ("SUCCESS_OF_A_LATER_RELEASE", NetworkState.SENT),
        ("NOBODY_KNOWS_THIS", NetworkState.BUFFERED),
    ],
)
async def test_the_delivery_status_of_a_200_decides(binding, scef, status, state):
    link = scef.link(scef.name_of(DEVICE), "9")
    result = await answered(binding, scef, 200, {"self": link, "deliveryStatus": status})
    assert result == Accepted(f"{scef.name_of(DEVICE)}/9", state)


async def test_200_that_names_no_delivery_is_sent_without_handle(binding, scef):
    assert await answered(binding, scef, 200, {"data": "AA=="}) == Accepted(None, NetworkState.SENT)


GATEWAYS = [{"status": "ok"}, {"status": "SUCCESS", "message": "queued"}, {"status": "FAILURE", "message": "timed out"}]


@pytest.mark.parametrize("body", [None, "<html>welcome</html>", {}, *GATEWAYS, [], "oops"])
async def test_200_without_a_delivery_proves_nothing(binding, scef, body):
    assert isinstance(await answered(binding, scef, 200, body), Ambiguous)


async def test_201_is_buffered_by_the_location(binding, scef):
    location = {"Location": "/elsewhere" + scef.link("cX", "7").removeprefix(scef.host)}
    result = await answered(binding, scef, 201, None, location)
    assert result == Accepted("cX/7", NetworkState.BUFFERED)


async def test_201_with_a_relative_self_and_status_for_delivery_status(binding, scef):
    body = {
        "self": "/3gpp-nidd/v1/niimeid1/configurations/c9/downlink-data-deliveries/365",
        "status": "BUFFERING_TEMPORARILY_NOT_REACHABLE",
    }
    assert await answered(binding, scef, 201, body) == Accepted("c9/365", NetworkState.BUFFERED)


async def test_201_with_a_location_relative_to_the_collection(binding, scef):
    name = scef.name_of(DEVICE)
    assert await answered(binding, scef, 201, None, {"Location": "365"}) == Accepted(
        f"{name}/365", NetworkState.BUFFERED
    )


@pytest.mark.parametrize("link", ["downlink-data-deliveries/365", "./365", "../{}/downlink-data-deliveries/365"])
async def test_201_with_a_relative_location_below_a_prefix(binding, scef, link):
    name = scef.name_of(DEVICE)
    accepted = await answered(binding, scef, 201, None, {"Location": link.format(name)})
    assert accepted == Accepted(f"{name}/365", NetworkState.BUFFERED)


@pytest.mark.parametrize("link", ["..", "%2e%2e", ".", "/as1/configurations/c1/downlink-data-deliveries/.."])
async def test_a_location_that_leads_out_of_its_collection_names_nothing(binding, scef, link):
    """A later cancel of it would delete the configuration."""
    assert isinstance(await answered(binding, scef, 201, None, {"Location": link}), Ambiguous)


async def test_201_that_names_nothing_is_ambiguous(binding, scef):
    assert isinstance(await answered(binding, scef, 201, {"deliveryStatus": "BUFFERING"}), Ambiguous)


async def test_500_with_a_time_is_unreachable_until_then(binding, scef, side):
    body = {
        "problemDetail": {"status": 500, "cause": "TEMPORARILY_NOT_REACHABLE"},
        "requestedRetransmissionTime": format_time(side.now() + 900),
    }
    result = await answered(binding, scef, 500, body)
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 900, abs=3)


async def test_500_as_problem_details_is_read_as_well(binding, scef, side):
    body = {"title": "not reachable", "requestedRetransmissionTime": format_time(side.now() + 900)}
    result = await answered(binding, scef, 500, body)
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 900, abs=3)


async def test_500_with_a_failure_is_failed(binding, scef):
    result = await answered(binding, scef, 500, {"problemDetail": {"detail": "SCEF-ERR-001-002: queue full"}})
    assert result.why is Refusal.FAILED
    assert "queue full" in result.detail


async def test_500_that_is_not_of_t8_proves_nothing(binding, scef):
    assert isinstance(await answered(binding, scef, 500, "<html>oops</html>"), Ambiguous)


async def test_502_of_a_gateway_proves_nothing(binding, scef):
    assert isinstance(await answered(binding, scef, 502, "<html>bad gateway</html>"), Ambiguous)


async def test_403_data_too_large_lowers_the_packet_size(binding, scef):
    scef.script["submit"].append((403, {"cause": "DATA_TOO_LARGE"}))
    result = await binding.submit(attempt(bytes(800)))
    assert result.why is Refusal.TOO_LARGE
    assert binding.south_profile(DEVICE).max_downlink == 799
    assert binding.south_profile(DEVICE).max_uplink == 1358  # it says nothing of what the device may send


async def test_403_quota_is_rate_limited(binding, scef):
    assert (await answered(binding, scef, 403, {"cause": "QUOTA_EXCEEDED"})).why is Refusal.RATE_LIMITED


async def test_403_of_another_cause_is_rejected(binding, scef):
    assert (await answered(binding, scef, 403, {"cause": "SOMETHING_NEW"})).why is Refusal.REJECTED


async def test_404_makes_the_configuration_again_and_says_try_again(binding, scef, side):
    old = scef.name_of(DEVICE)
    del scef.configurations[old]
    result = await binding.submit(attempt())
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 1, abs=2)
    assert [event.device for event in side.of(Flushed)] == [DEVICE]
    assert scef.name_of(DEVICE) not in {None, old}
    assert isinstance(await binding.submit(attempt()), Accepted)


async def test_404_while_the_store_fails_is_still_a_refusal(binding, scef, side):
    del scef.configurations[scef.name_of(DEVICE)]
    side.store_fails = True
    assert (await binding.submit(attempt())).why is Refusal.UNREACHABLE
    side.store_fails = False
    side.offset += 10
    await until(lambda: scef.configurations)
    assert isinstance(await binding.submit(attempt()), Accepted)


async def test_too_large_while_the_store_fails_is_still_a_refusal(binding, scef, side, memory):
    memory.fails = True
    scef.script["submit"].append((403, {"title": "x", "status": 403, "cause": "DATA_TOO_LARGE"}))
    result = await binding.submit(attempt(bytes(900)))
    memory.fails = False
    assert isinstance(result, Refused)
    assert result.why is Refusal.TOO_LARGE
    assert not side.counts["nidd_internal_errors"]


@pytest.mark.parametrize("answer", [None, (404, {"title": "gone", "status": 404})], ids=["before", "after"])
async def test_a_store_that_cannot_be_read_puts_nothing_in_doubt_that_is_certain(
    binding, scef, side, monkeypatch, answer
):
    """Before the request nothing was sent; after it the SCEF has refused."""

    async def fails(_device):
        raise StoreUnavailable("cannot be read")

    if answer is None:
        monkeypatch.setattr(binding.records, "cached", lambda _device: MISS)
    else:
        scef.script["submit"].append(answer)
    monkeypatch.setattr(binding._provisioning, "ensure", fails)
    result = await binding.submit(attempt())
    assert isinstance(result, Refused)
    assert result.retry_at > side.now()
    assert len(scef.made("submit")) == (answer is not None)
    assert not side.counts["nidd_internal_errors"]


async def test_409_is_ambiguous(binding, scef):
    assert isinstance(await answered(binding, scef, 409, {"cause": "SENDING"}), Ambiguous)


async def test_429_is_rate_limited_until_retry_after(binding, scef, side):
    result = await answered(binding, scef, 429, {"title": "slow down"}, {"Retry-After": "120"})
    assert result.why is Refusal.RATE_LIMITED
    assert result.retry_at == pytest.approx(side.now() + 120, abs=2)


async def test_503_honours_a_retry_after_that_is_a_date(binding, scef, side):
    at = side.now() + 600
    result = await answered(binding, scef, 503, {"title": "busy"}, {"Retry-After": formatdate(at, usegmt=True)})
    assert result.why is Refusal.NETWORK_UNAVAILABLE
    assert result.retry_at == pytest.approx(at, abs=3)


async def test_401_waits_for_the_operator(binding, scef):
    result = await answered(binding, scef, 401, {"title": "who?"})
    assert result.why is Refusal.NETWORK_UNAVAILABLE


async def test_400_is_rejected(binding, scef):
    assert (await answered(binding, scef, 400, {"title": "no"})).why is Refusal.REJECTED


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_of_a_submit_is_followed(binding, scef, status):
    """TS 29.122 lists both for it, unlike for the creation of a configuration."""
    location = scef.link(scef.name_of(DEVICE)) + "/downlink-data-deliveries"
    result = await answered(binding, scef, status, None, {"Location": location})
    assert result.state is NetworkState.SENT
    assert len(scef.made("submit")) == 2


@pytest.mark.parametrize("location", [None, "mailto:x@y", "ftp://x/y"])
async def test_a_redirect_that_leads_nowhere_is_an_outage(binding, scef, location):
    headers = {"Location": location} if location else None
    assert (await answered(binding, scef, 307, None, headers)).why is Refusal.NETWORK_UNAVAILABLE
    assert len(scef.made("submit")) == 1


async def test_a_submit_that_is_redirected_in_a_circle_ends(binding, scef):
    location = scef.link(scef.name_of(DEVICE)) + "/downlink-data-deliveries"
    scef.script["submit"].extend([(307, None, {"Location": location})] * 10)
    assert (await binding.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE
    assert len(scef.made("submit")) == 4


async def test_a_lost_answer_behind_a_redirect_is_ambiguous(binding, scef):
    location = scef.link(scef.name_of(DEVICE)) + "/downlink-data-deliveries"
    scef.script["submit"].extend([(307, None, {"Location": location}), HANG_UP])
    assert isinstance(await binding.submit(attempt()), Ambiguous)
    assert len(scef.made("submit")) == 2


async def test_a_connection_cut_after_the_post_is_ambiguous(binding, scef):
    scef.script["submit"].append(HANG_UP)
    assert isinstance(await binding.submit(attempt()), Ambiguous)
    assert len(scef.made("submit")) == 1  # never repeated on its own


async def test_no_answer_in_time_is_ambiguous(make, scef):
    one = await make(http={"connect_timeout": 0.2, "request_timeout": 0.3})
    await ready(one, scef)
    scef.script["submit"].append(SILENCE)
    assert isinstance(await one.submit(attempt()), Ambiguous)


async def test_a_refused_connection_is_certain(make, scef, memory):
    one = await make()
    await ready(one, scef)
    await until(lambda: one.status()["configurations"]["active"] == 1)
    await one.stop()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        two = await make(api_root=f"http://127.0.0.1:{closed.getsockname()[1]}", callbacks={"path": "p"})
        record = two.records.held(DEVICE)
        assert record.configuration
        result = await two.submit(attempt())
    assert isinstance(result, Refused)
    assert result.why is Refusal.NETWORK_UNAVAILABLE  # an outage is none of the downlink's attempts


async def test_a_downlink_before_the_configuration_makes_it_at_once(make, scef):
    one = await make(configurations={"pace": 0.001})
    await one.provision("first@iot.example", {})
    await until(lambda: scef.name_of("first@iot.example"))
    await one.provision(DEVICE, {})  # its turn at this pace: in a quarter of an hour
    assert isinstance(await one.submit(attempt()), Accepted)


async def test_without_a_configuration_a_downlink_waits_for_the_next_try(make, scef, side):
    one = await make(configurations={"retry_min": 500.0})
    scef.script["create"].append((403, {"title": "not yet"}, {"Retry-After": "900"}))
    await one.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    result = await one.submit(attempt())
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 900, abs=5)


async def test_while_the_scef_is_overloaded_a_downlink_makes_no_configuration(make, scef, side):
    one = await make()
    scef.script["create"].append((503, {"title": "busy"}, {"Retry-After": "900"}))
    await one.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    for _ in range(3):
        assert (await one.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE
    assert len(scef.made("create")) == 1


async def test_a_device_that_was_never_provisioned_is_refused(binding):
    result = await binding.submit(attempt(device="other@iot.example"))
    assert result.why is Refusal.UNREACHABLE
    assert "not provisioned" in result.detail


async def test_lookup_compares_the_data(binding, scef):
    scef.submit_status = "BUFFERING"
    await binding.submit(attempt(b"one"))
    name = scef.name_of(DEVICE)
    (number,) = scef.deliveries[name]
    found = await binding.lookup(attempt(b"one"))
    assert (found.presence, found.handle) == (Presence.PRESENT, f"{name}/{number}")
    assert (await binding.lookup(attempt(b"two"))).presence is Presence.ABSENT


async def test_lookup_reads_unpadded_base64_and_skips_failures(binding, scef):
    name = scef.name_of(DEVICE)
    scef.deliveries[name] = {
        "1": {"self": scef.link(name, "1"), "data": "_-8", "deliveryStatus": "BUFFERING"},
        "2": {"self": scef.link(name, "2"), "data": "/+8=", "deliveryStatus": "FAILURE_TIMEOUT"},
    }
    assert (await binding.lookup(attempt(b"\xff\xef"))).handle == f"{name}/1"


async def test_lookup_says_when_it_cannot_be_done(binding, scef):
    scef.script["pending"].extend([(405, {"title": "no"}), (405, None), (500, None), (200, "[oops"), (404, "<html>")])
    presences = [(await binding.lookup(attempt())).presence for _ in range(5)]
    assert presences == [Presence.UNSUPPORTED, *[Presence.FAILED] * 4]


async def test_cancel_removes_or_says_that_it_is_gone(binding, scef):
    scef.submit_status = "BUFFERING"
    handle = (await binding.submit(attempt())).handle
    assert await binding.cancel(DEVICE, handle) is Cancellation.REMOVED
    assert await binding.cancel(DEVICE, handle) is Cancellation.GONE
    scef.script["cancel"].extend([(409, {"title": "sent"}), (500, {"problemDetail": {}}), HANG_UP])
    results = [await binding.cancel(DEVICE, handle) for _ in range(3)]
    assert results == [Cancellation.GONE, Cancellation.UNKNOWN, Cancellation.UNKNOWN]


@pytest.mark.parametrize(
    "answer",
    [
        (404, "<html>"),
        (409, "<html>"),
        (410, None),
        (200, "<html>ok"),
        (200, {"deliveryStatus": "SUCCESS"}),
        (202, None),
    ],
)
async def test_a_cancel_that_the_scef_did_not_answer_proves_nothing(binding, scef, answer):
    scef.submit_status = "BUFFERING"
    handle = (await binding.submit(attempt())).handle
    scef.script["cancel"].append(answer)
    assert await binding.cancel(DEVICE, handle) is Cancellation.UNKNOWN


async def test_a_cancel_that_was_not_agreed_on_is_not_tried(make, scef):
    scef.features, scef.submit_status = "0", "BUFFERING"
    one = await make()
    await ready(one, scef)
    await until(lambda: one.status()["configurations"]["active"] == 1)
    handle = (await one.submit(attempt())).handle
    assert one.south_profile(DEVICE).can_cancel is False
    assert await one.cancel(DEVICE, handle) is Cancellation.UNKNOWN
    assert not scef.made("cancel")


async def test_a_cancel_that_was_agreed_on_is_used(make, scef):
    scef.features, scef.submit_status = "4", "BUFFERING"
    one = await make()
    await ready(one, scef)
    await until(lambda: one.status()["configurations"]["active"] == 1)
    handle = (await one.submit(attempt())).handle
    assert one.south_profile(DEVICE).can_cancel is True
    assert await one.cancel(DEVICE, handle) is Cancellation.REMOVED


@pytest.mark.parametrize("status", [405, 501])
async def test_where_nothing_is_said_of_cancels_one_try_tells_for_a_day(make, scef, side, status):
    scef.features, scef.submit_status = None, "BUFFERING"
    binding = await make()
    await ready(binding, scef)
    handle = (await binding.submit(attempt())).handle
    assert binding.south_profile(DEVICE).can_cancel is True
    scef.script["cancel"].append((status, {"title": "not here"}))
    assert await binding.cancel(DEVICE, handle) is Cancellation.UNKNOWN
    assert binding.south_profile(DEVICE).can_cancel is False
    assert await binding.cancel(DEVICE, handle) is Cancellation.UNKNOWN
    assert len(scef.made("cancel")) == 1
    side.offset += 90_000
    assert await binding.cancel(DEVICE, handle) is Cancellation.REMOVED


async def test_404_to_a_cancel_while_the_delivery_is_there_is_about_the_operation(make, scef):
    scef.features, scef.submit_status = None, "BUFFERING"
    binding = await make()
    await ready(binding, scef)
    handle = (await binding.submit(attempt())).handle
    scef.script["cancel"].append((404, {"title": "no such route"}))
    assert await binding.cancel(DEVICE, handle) is Cancellation.UNKNOWN
    assert binding.south_profile(DEVICE).can_cancel is False


async def test_a_redirected_cancel_is_followed(binding, scef):
    scef.submit_status = "BUFFERING"
    handle = (await binding.submit(attempt())).handle
    name, number = handle.split("/")
    scef.script["cancel"].append((307, None, {"Location": scef.link(name, number)}))
    assert await binding.cancel(DEVICE, handle) is Cancellation.REMOVED


async def test_stop_lets_a_submit_finish(make, scef):
    one = await make()
    await ready(one, scef)
    release = asyncio.Event()

    async def slowly(request):
        await release.wait()
        return scef._submit(request, {"data": "AA=="})

    scef.script["submit"].append(slowly)
    submit = asyncio.create_task(one.submit(attempt()))
    await until(lambda: scef.made("submit"))
    stop = asyncio.create_task(one.stop())
    await asyncio.sleep(0)
    release.set()
    assert isinstance(await submit, Accepted)
    await stop
    assert (await one.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE


async def test_a_stop_that_ends_the_wait_for_a_configuration_refuses_the_submit(make, scef, monkeypatch):
    """A reload stops an instance while calls are under way: nothing was submitted, and the call has to end."""
    monkeypatch.setattr(Provisioning.stop, "__defaults__", (0.0,))
    one = await make()
    scef.script["create"].append(SILENCE)
    await one.provision(DEVICE, {})
    await until(lambda: scef.made("create"))
    submit = asyncio.create_task(one.submit(attempt()))
    await asyncio.sleep(0)
    await one.stop()
    assert (await submit).why is Refusal.UNREACHABLE


async def test_a_refusal_of_a_few_bytes_as_too_large_does_not_end_all_traffic(binding, scef):
    result = await answered(binding, scef, 413, {"title": "large"})
    assert (type(result), result.why) == (Refused, Refusal.TOO_LARGE)
    assert binding.south_profile(DEVICE).max_downlink == 1358


async def test_a_downlink_that_waited_for_a_connection_past_its_deadline_is_not_sent(make, scef, side):
    """maximumLatency is what was left when the downlink left, not when it was queued (R11)."""
    binding = await make(http={"pool_size": 1, "connect_timeout": 2.9, "request_timeout": 3.0})
    await ready(binding, scef)
    go = asyncio.Event()

    async def slowly(_request):
        await go.wait()
        return web.json_response({"deliveryStatus": "SUCCESS"})

    scef.script["submit"].append(slowly)
    first = asyncio.create_task(binding.submit(attempt(b"first")))
    await until(lambda: scef.made("submit"))
    late = asyncio.create_task(binding.submit(attempt(b"late", deadline=side.now() + 10)))
    patient = asyncio.create_task(binding.submit(attempt(b"patient", deadline=side.now() + 100)))
    await asyncio.sleep(0)
    side.offset += 20
    go.set()
    assert (await first).state is NetworkState.SENT
    result = await late
    assert (type(result), result.why) == (Refused, Refusal.EXPIRED)
    assert (await patient).state is NetworkState.SENT
    sent = [body for _, _, body in scef.made("submit")]
    assert [base64.b64decode(body["data"]) for body in sent] == [b"first", b"patient"]
    assert sent[1]["maximumLatency"] <= 80


async def test_a_scef_that_goes_away_is_told_once_and_again_when_it_is_back(make, scef, memory, caplog):
    """Nothing is left to configure: only the downlinks notice."""
    first = await make()
    await ready(first, scef)
    await first.stop()
    relayed = []

    async def relay(reader, writer):
        relayed.append(writer)
        to, into = await asyncio.open_connection("127.0.0.1", scef.port)
        relayed.append(into)
        await asyncio.gather(pumped(reader, into), pumped(to, writer))

    gate = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = gate.sockets[0].getsockname()[1]
    root = f"http://127.0.0.1:{port}/prefix"
    second = await make(api_root=root, http={"keepalive": 0.0})
    assert isinstance(await second.submit(attempt()), Accepted)
    gate.close()
    for _ in range(3):
        assert (await second.submit(attempt())).why is Refusal.NETWORK_UNAVAILABLE
    assert second.status()["client"]["up"] is False
    async with await asyncio.start_server(relay, "127.0.0.1", port):
        assert isinstance(await second.submit(attempt()), Accepted)
        assert isinstance(await second.submit(attempt()), Accepted)
        assert second.status()["client"]["up"] is True
        await second.stop()
    told = [
        one.getMessage()
        for one in caplog.records
        if "SCEF/NEF http" in one.getMessage() and one.levelno >= logging.WARNING
    ]
    base = f"SCEF/NEF {root}"
    assert len(told) == 2
    assert told[0].startswith(f"{base} cannot be reached: no connection to 127.0.0.1:{port}")
    assert told[1] == f"{base} answers again"
    for writer in relayed:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def pumped(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
