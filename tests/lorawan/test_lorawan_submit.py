"""Downlinks over real gRPC: what is enqueued, what failures prove (R9), what an answer passes, what a cancel does."""

import asyncio
import re
import time
from datetime import UTC, datetime

import msgspec
import pytest
from emulated_chirpstack import DEVICE, STRANGER, Emulated

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Flushed,
    Kind,
    LimitOf,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Report,
    Submission,
    UplinkMessage,
)
from bindings.lorawan import reconciler
from bindings.lorawan.chirpstack.diagnosis import version_of
from bindings.lorawan.network_events import TxAck
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import CallFailed, ConfigurationError, StoreUnavailable
from mock_network.chirpstack import device_queue, errors
from tests.waiting import until


@pytest.fixture(params=["grpc-web", "grpc"])
def transport(request):
    return request.param


def attempt(payload=b"\x40\x01\x00\x01", *, kind=Kind.REQUEST, device=DEVICE, downlink=1, **members):
    return Submission(downlink, 1, device, payload, kind, **members)


async def test_a_downlink_is_enqueued_with_f_port_confirmation_and_expiry(binding, chirpstack):
    deadline = time.time() + 60
    result = await binding.submit(attempt(confirmed=True, deadline=deadline))
    (item,) = chirpstack.queue()
    assert result == Accepted(str(item.id), NetworkState.BUFFERED)
    assert (item.f_port, item.confirmed, item.data) == (10, True, b"\x40\x01\x00\x01")
    assert item.expires_at == pytest.approx(deadline, abs=1e-3)


@pytest.mark.parametrize("year", [1, 1971, 9999])
async def test_a_clock_that_shows_any_year_keeps_no_downlink_from_the_queue(binding, chirpstack, year):
    at = datetime(year, 12, 31, tzinfo=UTC).timestamp()
    await binding.commit(TxAck(DEVICE, at, "A", "", "of somebody else"))
    result = await binding.submit(attempt(deadline=time.time() + 7 * 86_400))
    assert [str(item.id) for item in chirpstack.queue()] == [result.handle]


async def test_a_note_that_cannot_be_read_puts_nothing_in_doubt(binding, chirpstack, side, monkeypatch):
    async def fails(_device):
        raise StoreUnavailable("cannot be read")

    monkeypatch.setattr(binding._records, "get", fails)
    result = await binding.submit(attempt())
    assert isinstance(result, Refused)
    assert (result.why, result.limit_of) == (Refusal.RATE_LIMITED, LimitOf.BINDING)
    assert not side.counts["lorawan_internal_errors"]


async def test_an_endpoint_has_an_f_port_of_its_own(make, chirpstack):
    binding = await make(options={"f_port": "42"})
    await binding.submit(attempt())
    assert [item.f_port for item in chirpstack.queue()] == [42]


async def test_each_server_has_an_f_port_and_what_has_none_goes_on_the_usual_one(make, chirpstack):
    binding = await make(options={"server_ports": "one=11,two=12"})
    for port in "12", "11", None, "13":
        await binding.submit(attempt(port=port))
    assert [item.f_port for item in chirpstack.queue()] == [12, 11, 10, 10]


async def test_a_lookup_tells_equal_bytes_on_two_f_ports_apart(make, chirpstack):
    binding = await make(options={"server_ports": "one=11,two=12"})
    chirpstack.fault("grpc_unavailable_after", where={"method": "Enqueue"}, seconds=5)
    assert isinstance(await binding.submit(attempt(port="12")), Ambiguous)
    assert (await binding.lookup(attempt(port="11"))).presence is Presence.ABSENT
    assert (await binding.lookup(attempt(port="12"))).presence is Presence.PRESENT


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"server_ports": "one=226"}, "reserved for the relay protocol"),
        ({"server_ports": "one=1:1"}, "1 to 223"),
        ({"server_ports": "one=011"}, "written as 11"),
        ({"server_ports": "one=11,two=11"}, "each one of its own"),
        ({"server_ports": "one=11", "f_port": "12"}, "*=PORT"),
    ],
)
async def test_f_ports_of_servers_that_are_wrong_are_refused_with_the_cure(binding, options, cure):
    with pytest.raises(ConfigurationError, match=re.escape(cure)):
        binding.check_options(options)


@pytest.mark.parametrize("value", ["0", "224", "226", "257", "-1", "x", ""])
async def test_f_port_out_of_range_is_refused_with_a_reason(binding, value):
    with pytest.raises(ConfigurationError, match="f_port"):
        await binding.provision(DEVICE, {"f_port": value})


@pytest.mark.parametrize("value", [0, 224, 226, 257, -1])
def test_f_port_out_of_range_is_refused_in_the_configuration_too(value):
    section = {"api": {"server": "127.0.0.1:8080", "key": "k"}, "downlinks": {"f_port": value}}
    with pytest.raises(msgspec.ValidationError, match="f_port"):
        msgspec.convert(section, LorawanSettings)
    section["downlinks"]["f_port"] = 223
    assert msgspec.convert(section, LorawanSettings).downlinks.f_port == 223


async def test_wrong_token_holds_nothing_against_the_downlink(make, side):
    binding = await make(known=False)
    await binding.submit(attempt())
    wrong = await make(api_settings={"key": "wrong"}, known=False, http={"port": 0, "path": "other"})
    result = await wrong.submit(attempt())
    assert isinstance(result, Refused)
    assert result.why is Refusal.NETWORK_UNAVAILABLE
    assert "UNAUTHENTICATED" in result.detail
    assert result.retry_at > time.time()
    assert side.counts["lorawan_submit_errors"] == 1


@pytest.mark.parametrize("kind", ["grpc_unavailable_after", "grpc_deadline_after"])
async def test_a_lost_answer_is_ambiguous_and_the_queue_shows_that_it_was_taken(binding, chirpstack, kind):
    chirpstack.fault(kind, where={"method": "Enqueue"}, seconds=5)
    result = await binding.submit(attempt())
    assert isinstance(result, Ambiguous)
    found = await binding.lookup(attempt())
    (item,) = chirpstack.queue()
    assert (found.presence, found.handle) == (Presence.PRESENT, str(item.id))


@pytest.mark.parametrize("kind", ["grpc_unavailable", "grpc_deadline"])
async def test_a_call_that_never_took_effect_is_ambiguous_too_and_absence_is_all_the_queue_says(
    binding, chirpstack, kind
):
    chirpstack.fault(kind, where={"method": "Enqueue"}, seconds=5)
    result = await binding.submit(attempt())
    assert isinstance(result, Ambiguous)
    assert (await binding.lookup(attempt())).presence is Presence.ABSENT
    assert chirpstack.queue() == []


async def test_look_up_finds_the_bytes_and_not_another_downlink_of_ours(binding, chirpstack):
    taken = await binding.submit(attempt())
    chirpstack.fault("grpc_unavailable", where={"method": "Enqueue"})
    assert isinstance(await binding.submit(attempt(downlink=2)), Ambiguous)
    assert (await binding.lookup(attempt(downlink=2))).presence is Presence.ABSENT
    assert isinstance(taken, Accepted)


async def test_a_look_up_that_fails_is_tried_again(binding, chirpstack):
    chirpstack.fault("grpc_unavailable", where={"method": "GetQueue"})
    assert (await binding.lookup(attempt())).presence is Presence.FAILED


async def test_chirpstack_gone_before_the_call_is_certain_and_no_attempt_is_lost(make, chirpstack, side):
    binding = await make()
    await chirpstack.goes(binding)
    result = await binding.submit(attempt())
    assert isinstance(result, Refused)
    assert result.why is Refusal.NETWORK_UNAVAILABLE
    assert not binding.south_profile(DEVICE).network_up


async def test_a_device_that_chirpstack_does_not_have_is_no_ambiguity(binding, side):
    side.strangers.clear()
    await binding.provision(STRANGER, {})
    result = await binding.submit(attempt(device=STRANGER))
    assert isinstance(result, Refused)
    await until(lambda: side.counts["lorawan_devices_not_in_chirpstack"])


async def test_oversize_at_the_current_data_rate_is_refused_before_the_network(binding, chirpstack, side):
    chirpstack.up(b"hello", dr=5)
    await until(lambda: side.of(UplinkMessage))
    await until(lambda: binding.south_profile(DEVICE).max_downlink > 51)
    for _ in range(4):
        chirpstack.up(b"x", dr=0)
    await until(lambda: len(side.of(UplinkMessage)) == 5)
    assert binding.south_profile(DEVICE).max_downlink == 51
    assert binding.south_profile(DEVICE).max_uplink == 51
    result = await binding.submit(attempt(b"x" * 52))
    assert isinstance(result, Refused)
    assert result.why is Refusal.TOO_LARGE
    assert chirpstack.queue() == []


async def test_a_data_rate_that_drops_between_accept_and_submit_is_seen_at_submit(binding, chirpstack, side):
    chirpstack.up(b"hello", dr=5)
    await until(lambda: side.of(UplinkMessage))
    accepted_at = binding.south_profile(DEVICE).max_downlink
    assert accepted_at == 242
    chirpstack.up(b"hello", dr=3)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    result = await binding.submit(attempt(b"x" * 200))
    assert isinstance(result, Refused)
    assert "115" in result.detail


async def test_a_deadline_that_has_passed_is_not_sent(binding, chirpstack):
    result = await binding.submit(attempt(deadline=time.time() - 1))
    assert isinstance(result, Refused)
    assert result.why is Refusal.EXPIRED
    assert chirpstack.queue() == []


# An answer passes


async def test_an_answer_passes_a_queued_request(binding, chirpstack, side):
    request = await binding.submit(attempt())
    answer = await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2))
    assert [str(item.id) for item in chirpstack.queue()] == [answer.handle]
    await until(lambda: side.of(Flushed))
    assert [(one.device, one.handle) for one in side.of(Flushed)] == [(DEVICE, request.handle)]


async def test_an_answer_does_not_pass_what_must_not_be_repeated(binding, chirpstack, side):
    await binding.submit(attempt(repeatable=False))
    await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2))
    assert [item.data for item in chirpstack.queue()] == [b"\x40\x01\x00\x01", b"\x60\x44\x00\x01"]
    assert side.of(Flushed) == []


async def test_an_answer_does_not_pass_an_older_answer_nor_a_confirmed_request(binding, chirpstack, side):
    await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER))
    await binding.submit(attempt(b"\x60\x44\x00\x02", kind=Kind.ANSWER, downlink=2))
    assert len(chirpstack.queue()) == 2
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    binding._outstanding.drop_all(DEVICE)
    await binding.submit(attempt(confirmed=True, downlink=3))
    await binding.submit(attempt(b"\x60\x44\x00\x03", kind=Kind.ANSWER, downlink=4))
    assert len(chirpstack.queue()) == 2
    assert side.of(Flushed) == []


async def test_what_was_sent_is_no_more_in_the_way(binding, chirpstack, side):
    request = await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    chirpstack.tx_ack(request.handle)
    await until(lambda: side.of(Report))
    await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2))
    assert side.of(Flushed) == []


async def test_an_old_chirpstack_would_flush_a_pending_one_too_so_nothing_passes(side):
    async with Emulated() as old:
        binding = await old.binding(side, api_settings={"version": "4.17.0"})
        await binding.submit(attempt())
        await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2))
        assert len(old.queue()) == 2
        await binding.stop()


async def test_a_request_that_was_flushed_for_an_answer_that_chirpstack_then_failed_to_add_is_missed(
    binding, chirpstack, side, monkeypatch
):
    """Seen at a real one with SQLite: INTERNAL, database is locked."""
    request = await binding.submit(attempt(payload=b"request"))

    def locked(*_arguments, **_more):
        raise errors.Refused(errors.Status.INTERNAL, "database is locked")

    monkeypatch.setattr(device_queue, "enqueue", locked)
    told = await binding.submit(attempt(payload=b"answer", kind=Kind.ANSWER, downlink=2))
    assert told.why is Refusal.FAILED
    assert chirpstack.queue() == []
    await until(lambda: side.of(Report))
    assert [(one.handle, one.outcome) for one in side.of(Report)] == [(request.handle, None)]


async def test_a_flush_of_unknown_fate_is_found_out(binding, chirpstack, side):
    request = await binding.submit(attempt())
    chirpstack.fault("grpc_unavailable_after", where={"method": "Enqueue"})
    answer = attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2)
    assert isinstance(await binding.submit(answer), Ambiguous)
    await until(lambda: side.of(Report))
    assert [(one.handle, one.outcome) for one in side.of(Report)] == [(request.handle, None)]


# Cancel


async def test_a_cancel_is_certain_for_a_silent_class_a_device(binding, chirpstack):
    taken = await binding.submit(attempt())
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.REMOVED
    assert chirpstack.queue() == []


async def test_a_cancel_soon_after_an_uplink_is_not_certain(binding, chirpstack):
    taken = await binding.submit(attempt())
    chirpstack.row().last_seen_at = time.time() - 2
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.UNKNOWN


async def test_a_class_c_device_is_sent_to_at_any_time_so_no_cancel_is_certain(binding, chirpstack):
    taken = await binding.submit(attempt())
    chirpstack.class_c()
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.UNKNOWN


async def test_a_downlink_that_is_not_in_the_queue_any_more_has_an_unknown_fate(binding, chirpstack):
    taken = await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.UNKNOWN


async def test_a_pending_downlink_has_left(binding, chirpstack):
    taken = await binding.submit(attempt(confirmed=True))
    chirpstack.queue()[0].is_pending = True
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.GONE
    assert len(chirpstack.queue()) == 1


def queue_of_others(chirpstack):
    """Let another application have an item in the device's queue."""
    device_queue.enqueue(
        chirpstack.context.tables,
        identifier=None,
        dev_eui=bytes.fromhex(DEVICE),
        f_port=99,
        data=b"theirs",
        now=time.time(),
        confirmed=False,
    )


async def test_what_others_queued_is_never_flushed(binding, chirpstack, side):
    taken = await binding.submit(attempt())
    queue_of_others(chirpstack)
    assert await binding.cancel(DEVICE, taken.handle) is Cancellation.UNKNOWN
    assert len(chirpstack.queue()) == 2
    assert side.counts["lorawan_cancels_hindered"] == 1


async def test_our_others_that_were_flushed_with_it_are_queued_again(binding, chirpstack, side):
    first = await binding.submit(attempt(b"\x60\x44\x00\x09", kind=Kind.ANSWER))
    second = await binding.submit(attempt(downlink=2))
    assert await binding.cancel(DEVICE, second.handle) is Cancellation.REMOVED
    await until(lambda: side.of(Flushed))
    assert [one.handle for one in side.of(Flushed)] == [first.handle]


# What left the queue is forgotten when that is committed


async def missed(binding, side):
    """Return the handles that uplinks show to be missing in the queue."""
    side.store_fails = False
    binding._inbound._doubts.add(DEVICE)
    await until(lambda: side.of(Report))
    return [(one.handle, one.outcome) for one in side.of(Report)]


async def test_a_passed_request_that_could_not_be_reported_is_missed_in_the_queue(binding, chirpstack, side):
    request = await binding.submit(attempt())
    side.store_fails = True
    await binding.submit(attempt(b"\x60\x44\x00\x01", kind=Kind.ANSWER, downlink=2))
    await until(lambda: not binding._downlinks._tasks)
    assert await missed(binding, side) == [(request.handle, None)]


async def test_what_was_flushed_with_a_cancelled_one_and_could_not_be_reported_is_missed(binding, chirpstack, side):
    first = await binding.submit(attempt(b"\x60\x44\x00\x09", kind=Kind.ANSWER))
    second = await binding.submit(attempt(downlink=2))
    side.store_fails = True
    await binding.cancel(DEVICE, second.handle)
    await until(lambda: not binding._downlinks._tasks)
    assert await missed(binding, side) == [(first.handle, None)]


async def test_a_transmission_that_could_not_be_reported_is_missed(binding, chirpstack, side):
    """ChirpStack posts an event once, and its history may have lost it."""
    request = await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    side.store_fails = True
    with pytest.raises(StoreUnavailable):
        await binding.commit(TxAck(DEVICE, time.time(), "A", "", request.handle, 1.0, False, 868_100_000, 7, 125_000))
    assert await missed(binding, side) == [(request.handle, None)]


# Downlinks without news


async def test_a_downlink_that_left_the_queue_without_an_event_is_reported_unknown(binding, chirpstack, side):
    taken = await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    for _ in range(3):
        chirpstack.up(b"x")
    await until(lambda: side.of(Report))
    assert [(one.handle, one.outcome, one.nack) for one in side.of(Report)] == [(taken.handle, None, False)]


async def test_a_lost_tx_ack_event_comes_back_from_the_history(binding, chirpstack, side):
    taken = await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    chirpstack.fault("event_lost", where={"event": "txack"})
    chirpstack.tx_ack(taken.handle)
    for _ in range(3):
        chirpstack.up(b"x")
    await until(lambda: side.of(Report))
    assert [(one.handle, one.outcome) for one in side.of(Report)] == [(taken.handle, NetworkState.SENT)]


@pytest.mark.parametrize("asked", ["enqueue", "queue"])
async def test_what_left_before_chirpstack_answered_is_not_waited_for(binding, chirpstack, side, monkeypatch, asked):
    """Events have a way of their own: where nothing waits for a window, txack may overtake the answer."""
    if asked == "queue":
        chirpstack.fault("grpc_unavailable_after", where={"method": "Enqueue"})
        await binding.submit(attempt())
    ask = getattr(binding.provider.client, asked)

    async def overtaken(*question, **more):
        answer = await ask(*question, **more)
        chirpstack.tx_ack(str(chirpstack.queue()[0].id))
        await until(lambda: side.of(Report))
        return answer

    monkeypatch.setattr(binding.provider.client, asked, overtaken)
    told = await (binding.submit(attempt()) if asked == "enqueue" else binding.lookup(attempt()))
    assert told.handle
    assert binding.status()["queued"] == 0


async def test_a_confirmed_one_that_was_sent_before_chirpstack_answered_waits_for_its_ack(
    binding, chirpstack, side, monkeypatch
):
    ask = binding.provider.client.enqueue

    async def overtaken(*question, **more):
        handle = await ask(*question, **more)
        chirpstack.tx_ack(handle)
        await until(lambda: side.of(Report))
        return handle

    monkeypatch.setattr(binding.provider.client, "enqueue", overtaken)
    told = await binding.submit(attempt(confirmed=True))
    assert binding.status()["queued"] == 1
    chirpstack.ack(told.handle, True)
    await until(lambda: binding.status()["queued"] == 0)


async def test_calls_under_way_when_the_client_is_closed_fail_and_later_ones_are_not_made(binding, chirpstack):
    client, before = binding.provider.client, binding.provider.client.calls
    chirpstack.fault("grpc_deadline", count=2, seconds=60)
    calls = [asyncio.create_task(client.get_device(DEVICE)) for _ in range(2)]
    await until(lambda: client.calls == before + 2 and chirpstack.context.faults.happened["grpc_deadline"] == 2)
    await client.close()
    for call in calls:
        with pytest.raises(CallFailed) as failed:
            await call
        assert failed.value.unsure
    with pytest.raises(CallFailed) as failed:
        await client.get_device(DEVICE)
    assert not failed.value.unsure
    with pytest.raises(CallFailed):
        await anext(client.events(DEVICE, 1, expected=True))


async def test_a_lack_of_connections_of_our_own_is_no_outage(make, side):
    binding = await make(transport="grpc-web", api_settings={"connections": 1, "timeout": 0.5})
    async with binding.provider.client._transport._free:
        assert await binding._pinger.ping()
        told = await binding.submit(attempt())
        assert told.retry_at - side.now() < 2  # those that are served meanwhile take no longer
    assert binding.status()["up"]


async def test_a_stop_leaves_nothing_that_goes_on_asking(make, chirpstack):
    binding = await make()
    chirpstack.fault("grpc_slow", count=100, seconds=60)
    binding._catch_up.all_devices()
    binding._profiles.learn(DEVICE)
    await until(lambda: binding._catch_up._asking and binding._profiles._tasks)
    tasks = [*binding._catch_up._asking, *binding._profiles._tasks]
    await binding.stop()
    assert all(task.done() for task in tasks)


async def test_a_stop_does_not_wait_for_a_history_that_takes_long(binding, chirpstack, side, monkeypatch):
    monkeypatch.setattr(reconciler, "STOP_PATIENCE", 0.05)
    await binding.submit(attempt())
    device_queue.flush(chirpstack.context.tables, bytes.fromhex(DEVICE))
    asked = asyncio.Event()

    async def for_ever(_device):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(binding._catch_up, "device", for_ever)
    for _ in range(3):
        chirpstack.up(b"x")
    await asked.wait()
    await binding.stop()
    assert binding._reconciler._tasks == {}


# The profile


async def test_the_south_profile_is_that_of_appendix_c(binding):
    profile = binding.south_profile(DEVICE)
    assert (profile.retransmit_interval, profile.max_retransmit, profile.retransmit_confirmed) == (300.0, 4, False)
    assert (profile.exchange_span, profile.default_lifetime, profile.max_attempts) == (7250.0, 2592000, 5)
    assert (profile.empty_is_poll, profile.quick, profile.can_cancel, profile.can_expire) == (True, False, True, True)
    assert not profile.sends_soon


async def test_a_class_c_device_answers_at_once(binding, chirpstack, side):
    chirpstack.class_c()
    chirpstack.up(b"x")
    await until(lambda: side.of(UplinkMessage))
    profile = binding.south_profile(DEVICE)
    assert (profile.quick, profile.sends_soon, profile.can_cancel, profile.max_downlink) == (True, True, True, 51)
    assert (profile.retransmit_interval, profile.response_timeout, profile.exchange_span) == (50.0, 300.0, 7250.0)


@pytest.mark.parametrize(
    "text", ["70B3D57ED0000001", "70-b3-d5-7e-d0-00-00-01", "70:B3:D5:7E:D0:00:00:01", " 0x70b3d57ed0000001 "]
)
async def test_a_dev_eui_has_one_spelling(binding, text):
    assert binding.canonical_device(text) == DEVICE


@pytest.mark.parametrize("text", ["", "70b3d57ed000000", "70b3d57ed00000011", "70b3d57ed000000g"])
async def test_what_is_no_dev_eui_is_refused(binding, text):
    with pytest.raises(ConfigurationError):
        binding.canonical_device(text)


def test_versions_are_compared_by_numbers():
    assert version_of("4.20.0-test.1") == (4, 20)
    assert version_of("v4.9.0") == (4, 9)
    assert version_of("unknown") == (0, 0)
