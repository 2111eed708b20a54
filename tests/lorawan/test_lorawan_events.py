"""Integration events over real HTTP: what each means for the bridge, in any order, twice, late, or malformed."""

import asyncio
import random
import time

import aiohttp
import grpc
import msgspec
import pytest
from chirpstack_api import common, gw, integration
from emulated_chirpstack import DEVICE, STRANGER

from bindings.contract import Joined, Kind, NetworkState, Reachable, Refusal, Report, Submission, UplinkMessage
from bindings.lorawan import profiles, proofs
from bindings.lorawan.chirpstack import events as cs
from bindings.lorawan.chirpstack.transport import GrpcFailed
from bindings.lorawan.settings import CatchUp
from bridge.errors import NotificationError
from mock_network.chirpstack.messages import to_json
from mock_network.chirpstack.model import Settings
from tests.waiting import until


async def post(binding, kind, body, *, path=None, content_type="application/json"):
    url = binding.provider.http.url if path is None else binding.provider.http.url.rpartition("/")[0] + path
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params={"event": kind}, data=body, headers={"Content-Type": content_type}) as answer,
    ):
        return answer.status


async def submitted(binding, **members):
    return (await binding.submit(Submission(1, 1, DEVICE, b"\x40\x01\x00\x01", Kind.REQUEST, **members))).handle


# Uplinks


async def test_an_uplink_is_told_with_the_networks_own_id(binding, chirpstack, side):
    chirpstack.up(b"hello", f_cnt=7)
    (one,) = await until(lambda: side.of(UplinkMessage))
    assert (one.device, one.payload) == (DEVICE, b"hello")
    assert one.duplicate_key == "00000000-0000-0000-0000-000000000007/7"
    chirpstack.fault("event_twice")
    chirpstack.up(b"again", f_cnt=8)
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    assert len({uplink.duplicate_key for uplink in side.of(UplinkMessage)}) == 2


async def test_events_of_a_device_keep_their_order_while_its_note_is_read(binding, chirpstack, side):
    chirpstack.up(b"first", f_cnt=0)
    await until(lambda: side.of(UplinkMessage))
    await binding._records.write()
    binding._records._kept.clear()
    memory = binding._records._memory
    memory.forgets = True
    messages = [to_json(chirpstack.up_message(b"%d" % number, f_cnt=number)) for number in range(1, 6)]
    taken = [binding.commit(cs.read("up", message).event) for message in messages]
    memory.forgets = False
    await asyncio.gather(*taken)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"first", b"1", b"2", b"3", b"4", b"5"]
    assert memory.devices[f"d/{DEVICE}"] == DEVICE


async def test_200_only_after_the_commit(binding, chirpstack, side):
    side.gate = asyncio.Event()
    call = asyncio.create_task(post(binding, "up", to_json(chirpstack.up_message(b"x"))))
    done, _ = await asyncio.wait({call}, timeout=0.2)
    assert not done
    side.gate.set()
    assert await call == 200


async def test_a_failing_store_is_no_200(binding, chirpstack, side):
    side.store_fails = True
    assert await post(binding, "up", to_json(chirpstack.up_message(b"x"))) == 503
    assert side.counts["lorawan_events_store_unavailable"] == 1


@pytest.mark.parametrize("how", ["json", "protobuf"])
async def test_json_and_protobuf_give_the_same(binding, chirpstack, side, how):
    message = chirpstack.up_message(b"\x00\xffhello", f_cnt=3)
    body = to_json(message) if how == "json" else message.SerializeToString()
    assert await post(binding, "up", body) == 200
    assert [(one.payload, one.duplicate_key[-2:]) for one in side.of(UplinkMessage)] == [(b"\x00\xffhello", "/3")]


async def test_an_empty_uplink_and_one_of_another_application_on_the_device_only_open_a_window(
    binding, chirpstack, side
):
    chirpstack.up(f_port=0)
    chirpstack.up(b"not LwM2M", f_port=2)
    await until(lambda: len(side.of(Reachable)) == 2)
    assert side.of(UplinkMessage) == []
    assert side.counts["lorawan_other_f_ports"] == 1


async def test_an_uplink_says_on_which_servers_f_port_it_came(make, chirpstack, side):
    await make(options={"server_ports": "one=11,two=12"})
    for f_port in 12, 11, 10, 13:
        chirpstack.up(b"CoAP", f_port=f_port)
    await until(lambda: side.counts["lorawan_other_f_ports"] == 1)
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    assert [one.port for one in side.of(UplinkMessage)] == ["12", "11", None]


async def test_an_uplink_that_chirpstack_cannot_decrypt_is_dropped_and_counted(binding, chirpstack, side):
    chirpstack.up(b"sealed", join_server_context=common.JoinServerContext(session_key_id="1"))
    await until(lambda: side.counts["lorawan_sealed_uplinks"])
    assert side.of(UplinkMessage) == []


# Strangers and garbage


async def test_an_unknown_dev_eui_is_answered_200_and_nothing_more(binding, chirpstack, side):
    message = chirpstack.up_message(b"x")
    message.device_info.dev_eui = STRANGER
    assert await post(binding, "up", message.SerializeToString()) == 200
    assert side.delivered == []


async def test_strangers_leave_no_note(binding, chirpstack, side):
    for message in (chirpstack.up_message(b"x"), integration.JoinEvent(dev_addr="01020304", **chirpstack.values())):
        message.device_info.dev_eui = STRANGER
        kind = "up" if isinstance(message, integration.UplinkEvent) else "join"
        assert await post(binding, kind, message.SerializeToString()) == 200
    await binding._records.write()
    assert [key for key in chirpstack.memory.notes if STRANGER in key] == []
    assert binding._records.held(STRANGER) is None


async def test_an_event_of_another_application_is_dropped_and_counted(binding, chirpstack, side):
    message = chirpstack.up_message(b"x")
    message.device_info.application_id = "11111111-1111-1111-1111-111111111111"
    assert await post(binding, "up", message.SerializeToString()) == 200
    assert side.delivered == []
    assert side.counts["lorawan_other_applications"] == 1


GARBAGE = [
    b"",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b'{"deviceInfo": {"devEui": "zz"}}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001"}, "fCnt": -1}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001"}, "fCnt": 99999999999}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001"}, "data": "%%%"}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001"}, "time": "yesterday"}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001"}, "time": "1960-01-01T00:00:00Z", "fCnt": "5"}',
    b'{"deviceInfo": {"devEui": "70b3d57ed0000001", "deviceClassEnabled": "CLASS_D"}}',
    b'{"deviceInfo": 7}',
    b"{" * 20000,
    b"\xff" * 40,
    b"\x0a\xff\xff\xff\xff\x0f",
    "{\ud800".encode("utf-8", "surrogatepass"),
]


@pytest.mark.parametrize("kind", ["up", "join", "ack", "txack", "log", "status", "new-in-v5", ""])
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_bad_json_and_protobuf_raise_only_our_error(kind, body):
    try:
        event = cs.read(kind, body).event
    except NotificationError:
        return
    assert event.device == DEVICE


@pytest.mark.parametrize("delay", ["nans", "infs", "-5s", "1e300s", "86400s"])
def test_a_delay_that_no_window_has_is_unknown_and_the_transmission_is_reported(delay):
    """Kept, it would be the time until a queue is read, and none or no end of it stops all such readings."""
    timing = {"delay": {"delay": delay}}
    event = {"deviceInfo": {"devEui": DEVICE}, "queueItemId": "i", "txInfo": {"timing": timing}}
    told = cs.read("txack", msgspec.json.encode(event)).event
    assert (told.item, told.delay) == ("i", 0.0)


@pytest.mark.parametrize("seconds", [-5, 86400, 10**11])
def test_nor_is_such_a_delay_known_from_protobuf(seconds):
    event = integration.TxAckEvent(queue_item_id="i")
    event.device_info.dev_eui = DEVICE
    event.tx_info.timing.delay.delay.seconds = seconds
    told = cs.read("txack", event.SerializeToString()).event
    assert (told.item, told.delay) == ("i", 0.0)


async def test_bad_events_are_answered_400_and_counted_and_the_next_is_taken(binding, chirpstack, side):
    for body in (b"{", b"\xff\xff", b"{}"):
        assert await post(binding, "up", body) == 400
    assert side.counts["lorawan_malformed_events"] == 3
    chirpstack.up(b"fine")
    await until(lambda: side.of(UplinkMessage))


async def test_random_bytes_never_raise_anything_else():
    draw = random.Random(1)
    whole = integration.UplinkEvent(
        deduplication_id="d", device_info=integration.DeviceInfo(dev_eui=DEVICE), f_cnt=1, data=b"x"
    ).SerializeToString()
    for _ in range(2000):
        body = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        for kind in ("up", "log"):
            try:
                cs.read(kind, bytes(body))
            except NotificationError:
                continue


async def test_wrong_path_method_and_size(binding, side):
    assert await post(binding, "up", b"{}", path="/guess") == 404
    assert await post(binding, "up", b"x" * 300_000) == 413
    async with aiohttp.ClientSession() as session, session.get(binding.provider.http.url) as answer:
        assert answer.status == 405
    for name in ("wrong_path", "too_large", "wrong_method"):
        assert side.counts[f"lorawan_events_{name}"] == 1


async def test_status_and_location_events_are_of_no_use_and_do_no_harm(binding, chirpstack, side):
    assert await post(binding, "status", to_json(integration.StatusEvent(**chirpstack.values()))) == 200
    assert await post(binding, "new-in-v5", to_json(integration.StatusEvent(**chirpstack.values()))) == 200
    assert side.delivered == []


# Reports


async def test_tx_ack_is_sent(binding, chirpstack, side):
    handle = await submitted(binding)
    chirpstack.tx_ack(handle)
    (one,) = await until(lambda: side.of(Report))
    assert (one.handle, one.outcome, one.nack) == (handle, NetworkState.SENT, False)


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_ack_true_is_delivered_and_false_a_nack(binding, chirpstack, side, acknowledged):
    handle = await submitted(binding, confirmed=True)
    chirpstack.ack(handle, acknowledged)
    (one,) = await until(lambda: side.of(Report))
    assert one.handle == handle
    assert one.outcome is (NetworkState.DELIVERED if acknowledged else None)
    assert one.nack is not acknowledged


async def test_ack_false_may_be_absent_in_json(binding, chirpstack, side):
    body = f'{{"deviceInfo":{{"devEui":"{DEVICE}","applicationId":"{chirpstack.application_id}"}},"queueItemId":"h"}}'
    assert await post(binding, "ack", body.encode()) == 200
    assert side.of(Report)[0].nack


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("EXPIRED", Refusal.EXPIRED),
        ("DOWNLINK_PAYLOAD_SIZE", Refusal.TOO_LARGE),
        ("F_CNT_DOWN", Refusal.FAILED),
    ],
)
async def test_logs_that_name_an_item_are_its_outcome_where_that_is_certain(
    binding, chirpstack, side, monkeypatch, code, why
):
    chirpstack.up(b"hello")
    await until(lambda: side.of(UplinkMessage))
    within_a_window = await submitted(binding)
    monkeypatch.setattr(proofs, "LONGEST", 0.0)  # no need to wait for the end of the windows
    handle = await submitted(binding)
    chirpstack.activate(f_cnt_up=2)  # an uplink has come since
    chirpstack.log(code, queue_item_id=handle)
    (one,) = await until(lambda: side.of(Report))
    assert (one.handle, one.outcome) == (handle, why)
    assert one.detail == f"{code.lower()} ({code})"  # ChirpStack's words, and the value for those who look it up
    chirpstack.log(code, queue_item_id=within_a_window)
    await until(lambda: len(side.of(Report)) == 2)
    assert side.of(Report)[1].outcome is None
    assert "may have been transmitted" in side.of(Report)[1].detail
    assert side.counts["lorawan_discarded_in_doubt"] == 1


async def test_a_log_is_no_proof_where_the_network_server_cannot_be_asked(binding, chirpstack, side, monkeypatch):
    monkeypatch.setattr(proofs, "LONGEST", 0.0)
    chirpstack.up(b"hello")
    await until(lambda: side.of(UplinkMessage))
    handle = await submitted(binding)
    chirpstack.activate(f_cnt_up=2)
    chirpstack.fault("grpc_unavailable", where={"method": "GetActivation"})
    chirpstack.log("EXPIRED", queue_item_id=handle)
    (one,) = await until(lambda: side.of(Report))
    assert one.outcome is None


async def test_what_chirpstack_says_would_have_fit_counts_until_the_next_uplink(binding, chirpstack, side):
    """Its log may overtake the event of the uplink that came at a slower data rate."""
    chirpstack.up(b"hello", dr=5)
    await until(lambda: side.of(UplinkMessage))
    assert binding.south_profile(DEVICE).max_downlink == 242
    handle = await submitted(binding)
    chirpstack.log("DOWNLINK_PAYLOAD_SIZE", queue_item_id=handle, max_payload_size="51", item_size="200")
    await until(lambda: side.of(Report))
    assert binding.south_profile(DEVICE).max_downlink == 51
    chirpstack.up(b"hello", dr=4)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert binding.south_profile(DEVICE).max_downlink == 242


async def test_a_gateways_refusal_names_no_item_and_leaves_it_queued(binding, chirpstack, side):
    await submitted(binding)
    chirpstack.log("DOWNLINK_GATEWAY")
    await until(lambda: side.counts["lorawan_log_events"])
    assert side.of(Report) == []


async def test_a_mic_failure_is_counted(binding, chirpstack, side):
    chirpstack.log("UPLINK_MIC")
    await until(lambda: side.counts["lorawan_log_events"])
    assert side.delivered == []


# Sessions


async def heard(binding, chirpstack, side):
    chirpstack.up(b"first", f_cnt=5)
    await until(lambda: side.of(UplinkMessage))


async def test_a_join_is_told_and_empties_the_queue_where_the_profile_says_so(binding, chirpstack, side):
    await heard(binding, chirpstack, side)
    await submitted(binding)
    chirpstack.join("0a0b0c0d")
    (one,) = await until(lambda: side.of(Joined))
    assert (one.device, one.queue_kept) == (DEVICE, False)
    assert binding._outstanding.count == 0
    assert binding.south_profile(DEVICE).max_downlink == 36  # room for the MAC commands that follow a join


async def test_a_profile_that_keeps_the_queue_keeps_ours_too(binding, chirpstack, side):
    await heard(binding, chirpstack, side)
    profile = binding._records.held(DEVICE).profile
    kept = msgspec.structs.replace(binding._records.profile(profile), flush_on_activate=False)
    await binding._records.put_profile(profile, kept)
    await submitted(binding)
    chirpstack.join("0a0b0c0d")
    (one,) = await until(lambda: side.of(Joined))
    assert one.queue_kept
    assert binding._outstanding.count == 1


async def test_an_uplink_that_overtakes_its_join_stands_for_it(binding, chirpstack, side):
    await heard(binding, chirpstack, side)
    joined_at = time.time()
    chirpstack.up(b"new session", f_cnt=0, dev_addr="0a0b0c0d")
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    kinds = [type(event) for event in side.delivered]
    assert kinds == [UplinkMessage, Joined, UplinkMessage]
    chirpstack.join("0a0b0c0d", at=joined_at)
    await until(lambda: side.counts["lorawan_replayed_events"])
    assert len(side.of(Joined)) == 1


async def test_a_join_and_an_uplink_that_come_at_the_same_time_are_one_new_session(binding, chirpstack, side):
    await heard(binding, chirpstack, side)
    side.gate = asyncio.Event()
    chirpstack.join("0a0b0c0d")
    chirpstack.up(b"new session", f_cnt=0, dev_addr="0a0b0c0d")
    beginning = binding._inbound._uplinks._beginning
    await until(lambda: DEVICE in beginning and beginning[DEVICE]._waiters)  # one has the lock, the other waits for it
    side.gate.set()
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert len(side.of(Joined)) == 1
    assert beginning == {}


async def test_a_counter_that_starts_again_in_one_session_ends_exchanges_but_keeps_the_queue(binding, chirpstack, side):
    chirpstack.up(b"first", f_cnt=500)
    await until(lambda: side.of(UplinkMessage))
    chirpstack.up(b"reset", f_cnt=0)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert [one.queue_kept for one in side.of(Joined)] == [True]


async def test_reordered_uplinks_are_no_reset(binding, chirpstack, side):
    for f_cnt in (10, 8, 9, 11):
        chirpstack.up(b"x%d" % f_cnt, f_cnt=f_cnt)
        await until(lambda: side.of(UplinkMessage))
    await until(lambda: len(side.of(UplinkMessage)) == 4)
    assert side.of(Joined) == []


async def test_an_old_poll_that_a_broker_brings_again_is_no_reset_though_a_recorded_frame_was_refused(
    binding, chirpstack, side
):
    """Anybody can send a recorded frame, which the network server refuses with a log event; the ledger has no poll."""
    at = time.time() - 10.0
    chirpstack.up(b"", f_cnt=4, at=at)
    chirpstack.up(b"first", f_cnt=5)
    await until(lambda: side.of(UplinkMessage))
    chirpstack.log("UPLINK_F_CNT_RESET")
    await until(lambda: side.counts["lorawan_log_events"])
    chirpstack.up(b"", f_cnt=4, at=at)
    chirpstack.up(b"next", f_cnt=6)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert side.of(Joined) == []
    assert "lorawan_counter_resets" not in side.counts
    chirpstack.up(b"reset", f_cnt=0)
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    assert len(side.of(Joined)) == 1


# Profiles


async def test_profiles_that_nobody_can_read_are_asked_for_once_a_minute_and_leave_nothing_behind(
    binding, chirpstack, side, monkeypatch
):
    asked = []
    ask = binding.provider.radio

    async def counted(identifier, region_config):
        asked.append(identifier)
        return await ask(identifier, region_config)

    monkeypatch.setattr(binding.provider, "radio", counted)
    monkeypatch.setattr(profiles, "KNOWN", 20)
    for number in range(60):
        for again in range(2):
            message = chirpstack.up_message(b"x", f_cnt=2 * number + again)
            message.device_info.device_profile_id = f"00000000-0000-0000-0000-{number:012d}"
            assert await post(binding, "up", message.SerializeToString()) == 200
            await until(lambda: not binding._profiles._fetching)
    assert len(asked) == len(set(asked)) == 60
    assert len(binding._profiles._ask_at) == 20
    assert [key for key in chirpstack.memory.notes if "00000000-0000" in key and key.startswith("p/")] == []
    side.offset = profiles.RETRY_AFTER + 1
    message.f_cnt += 1
    assert await post(binding, "up", message.SerializeToString()) == 200
    await until(lambda: len(asked) == 61)


@pytest.mark.parametrize("member", ["device_profile_id", "dev_addr", "deduplication_id", "region_config_id"])
def test_what_is_longer_than_any_id_is_none(chirpstack_message, member):
    message = chirpstack_message
    holder = message.device_info if member == "device_profile_id" else message
    setattr(holder, member, "a" * 65)
    for body in (to_json(message), message.SerializeToString()):
        with pytest.raises(NotificationError):
            cs.read("up", body)


@pytest.fixture
def chirpstack_message():
    return integration.UplinkEvent(
        deduplication_id="d", device_info=integration.DeviceInfo(dev_eui=DEVICE), f_cnt=1, data=b"x"
    )


# Catching up


async def test_events_missed_while_the_bridge_was_away_come_from_the_history(make, chirpstack, side):
    first = await make()
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    chirpstack.up(b"two", f_cnt=2)
    chirpstack.up(b"three", f_cnt=3)
    await make()
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"one", b"two", b"three"]
    assert side.counts["lorawan_replayed_events"] == 1


async def test_an_uplink_that_the_store_did_not_take_is_not_taken_for_seen(make, chirpstack, side):
    """The history brings it again, as it must: it was never acknowledged."""
    first = await make()
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: len(side.of(UplinkMessage)) == 1)
    side.store_fails = True
    chirpstack.up(b"two", f_cnt=2)
    await until(lambda: side.counts["lorawan_events_store_unavailable"])
    side.store_fails = False
    await first.stop()
    await make()
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"one", b"two"]


async def test_what_a_crash_forgot_of_the_counters_the_ledger_knows_also_hours_later(make, chirpstack, side):
    first = await make()
    notes = dict(chirpstack.memory.notes)
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: len(side.of(UplinkMessage)) == 1)
    chirpstack.up(b"one", f_cnt=2)  # the device repeats it: the network has another id for that
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    await first.stop()
    chirpstack.up(b"missed", f_cnt=3)
    chirpstack.memory.notes = notes  # it was killed before it wrote down what it had taken
    side.offset = 7200.0
    side.delivered = side.delivered[:-1]  # the ledger has one row for a message and its repetitions
    second = await make()
    await until(lambda: second.status()["catch_up"]["runs"])
    assert [one.payload for one in side.of(UplinkMessage)] == [b"one", b"missed"]
    assert side.counts["lorawan_replayed_events"] == 2


async def test_a_live_uplink_that_is_far_ahead_of_the_history_costs_nothing_of_it(make, chirpstack, side):
    """While a hundred uplinks were missed, the first live one comes before the history is asked for."""
    first = await make()
    chirpstack.up(b"0", f_cnt=0)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    for f_cnt in range(1, 100):
        chirpstack.up(str(f_cnt).encode(), f_cnt=f_cnt)
    second = await make(catch_up={"enabled": False})
    chirpstack.up(b"100", f_cnt=100)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    for _ in range(2):  # the second time there is nothing new in it
        await second._catch_up.device(DEVICE)
    assert sorted(int(one.payload) for one in side.of(UplinkMessage)) == [*range(101)]
    assert side.of(Joined) == []


async def test_what_was_missed_of_a_former_session_comes_too_and_changes_nothing_of_this_one(make, chirpstack, side):
    first = await make()
    chirpstack.up(b"before", f_cnt=0)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    chirpstack.up(b"missed", f_cnt=1)
    chirpstack.dev_addr = "0a0b0c0d"
    chirpstack.join("0a0b0c0d")
    second = await make(catch_up={"enabled": False})
    chirpstack.up(b"live", f_cnt=0)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    for _ in range(2):
        await second._catch_up.device(DEVICE)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"before", b"live", b"missed"]
    assert len(side.of(Joined)) == 1
    record = second._records.held(DEVICE)
    assert (record.dev_addr, record.highest, record.uplinks) == ("0a0b0c0d", 0, 1)


async def test_a_history_longer_than_what_chirpstack_gives_at_once_is_read_to_its_end(make, chirpstack, side):
    """ChirpStack sends ten events, pauses, and sends the next ten."""
    first = await make()
    await first.stop()
    for f_cnt in range(25):
        chirpstack.up(str(f_cnt).encode(), f_cnt=f_cnt)
    await make()
    await until(lambda: len(side.of(UplinkMessage)) == 25)
    assert [int(one.payload) for one in side.of(UplinkMessage)] == [*range(25)]


def test_the_pause_of_chirpstack_between_ten_events_and_the_next_is_waited_out():
    assert CatchUp().patience > Settings().history_pause


async def test_of_a_history_that_breaks_off_what_came_is_taken(make, chirpstack, side, monkeypatch):
    first = await make()
    await first.stop()
    chirpstack.up(b"missed", f_cnt=0)
    binding = await make(catch_up={"enabled": False})
    whole = binding.provider.client.events

    async def broken(*question, **more):
        async for item in whole(*question, **more):
            yield item
        raise GrpcFailed(grpc.StatusCode.UNAVAILABLE, "cut off", unsure=True)

    monkeypatch.setattr(binding.provider.client, "events", broken)
    with pytest.raises(GrpcFailed):
        await binding._catch_up.device(DEVICE)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"missed"]


async def test_an_old_join_in_the_history_changes_nothing(make, chirpstack, side):
    first = await make()
    for number, dev_addr in enumerate(("01010101", "0a0b0c0d"), 1):
        chirpstack.join(dev_addr)
        await until(lambda joins=number: len(side.of(Joined)) == joins)
    chirpstack.dev_addr = "0a0b0c0d"
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    second = await make()
    await until(lambda: second.status()["catch_up"]["runs"])
    assert len(side.of(Joined)) == 2
    assert len(side.of(UplinkMessage)) == 1


async def test_a_slow_history_of_a_device_that_was_heard_before_is_waited_for(make, chirpstack, side):
    first = await make()
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    chirpstack.up(b"two", f_cnt=2)
    chirpstack.fault("grpc_slow", where={"method": "StreamDeviceEvents"}, seconds=1.0)  # more than the patience
    await make()
    await until(lambda: len(side.of(UplinkMessage)) == 2)


async def test_catching_up_can_be_switched_off(make, chirpstack, side):
    first = await make()
    await first.stop()
    chirpstack.up(b"missed")
    binding = await make(catch_up={"enabled": False})
    binding.missed()
    assert not binding.status()["catch_up"]["running"]
    assert side.of(UplinkMessage) == []


# JSON and protobuf


def random_transmission(draw):
    info = gw.DownlinkTxInfo(frequency=draw.choice([0, 869_525_000]))
    if draw.random() < 0.7:
        info.modulation.lora.spreading_factor, info.modulation.lora.bandwidth = draw.randrange(5, 13), 125_000
    match draw.randrange(4):
        case 0:
            info.timing.immediately.SetInParent()
        case 1:
            info.timing.delay.delay.FromMilliseconds(draw.randrange(16_000))
        case 2:
            info.timing.gps_epoch.time_since_gps_epoch.FromSeconds(5)
    return info


def random_event(draw):
    info = integration.DeviceInfo(
        application_id=draw.choice(["", "a"]),
        device_profile_id=draw.choice(["", "p"]),
        dev_eui=f"{draw.getrandbits(64):016x}",
        device_class_enabled=draw.choice([common.CLASS_A, common.CLASS_B, common.CLASS_C]),
        tags={"k": "v"},
    )
    kind = draw.choice(["up", "join", "ack", "txack", "log"])
    message = {
        "up": integration.UplinkEvent,
        "join": integration.JoinEvent,
        "ack": integration.AckEvent,
        "txack": integration.TxAckEvent,
        "log": integration.LogEvent,
    }[kind](device_info=info)
    if draw.random() < 0.9:
        message.time.FromMicroseconds(draw.randrange(1, 1 << 52))
    if kind == "up":
        message.deduplication_id = draw.choice(["", "d"])
        message.dev_addr = f"{draw.getrandbits(32):08x}"
        message.f_cnt = draw.getrandbits(32)
        message.f_port = draw.randrange(256)
        message.dr = draw.randrange(16)
        message.data = draw.randbytes(draw.randrange(60))
        message.region_config_id = draw.choice(["", "eu868"])
        message.tx_info.frequency = draw.choice([0, 868_100_000])
        message.rx_info.append(gw.UplinkRxInfo(gateway_id="00000000000000a1", snr=-3.5, rssi=-100))
        if draw.random() < 0.2:
            message.join_server_context.session_key_id = "k"
    elif kind == "join":
        message.dev_addr = f"{draw.getrandbits(32):08x}"
    elif kind == "log":
        message.code = draw.choice(list(integration.LogCode.values()))
        message.description = draw.choice(["", "it went wrong äöü"])
        if draw.random() < 0.5:
            message.context["queue_item_id"] = "i"
    else:
        message.queue_item_id = draw.choice(["", "i"])
        if kind == "ack":
            message.acknowledged = draw.random() < 0.5
        else:
            message.tx_info.CopyFrom(random_transmission(draw))
    return kind, message


def test_a_thousand_random_events_read_the_same_from_json_and_protobuf():
    draw = random.Random(7)
    for _ in range(1000):
        kind, message = random_event(draw)
        assert cs.read(kind, to_json(message)) == cs.read(kind, message.SerializeToString())


def test_json_in_the_other_forms_of_protobufs_mapping_reads_the_same():
    plain = b'{"deviceInfo":{"devEui":"70b3d57ed0000001","deviceClassEnabled":"CLASS_C"},"fCnt":7,"data":"aGk="}'
    assert cs.read("up", plain).event.device_class == "C"
    text = b'{"deviceInfo":{"devEui":"70b3d57ed0000001","deviceClassEnabled":2},"fCnt":"7","data":"aGk="}'
    assert cs.read("up", plain) == cs.read("up", text)
