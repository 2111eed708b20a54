"""Joins, uplink counters, de-duplication and the shape of events: ChirpStack's rules, in virtual time."""

import json
import uuid
from pathlib import Path

import pytest
from chirpstack_api import api, common, gw, integration
from google.protobuf.json_format import Parse
from google.protobuf.timestamp_pb2 import Timestamp
from mock_chirpstack_kit import DEV_EUI, GATEWAYS, JOIN_EUI, World

from mock_network.chirpstack import join, network, uplink
from mock_network.chirpstack.faults import KINDS
from mock_network.chirpstack.messages import to_json
from mock_network.chirpstack.model import Settings
from mock_network.faults import Fault
from mock_network.lorawan.crypto import SessionKeys


@pytest.fixture
def world():
    world = World()
    world.join()
    return world


@pytest.mark.parametrize("version", [common.LORAWAN_1_0_3, common.LORAWAN_1_1_0])
def test_otaa_gives_both_ends_the_same_session(version):
    world = World(profile={"mac_version": version})
    world.hear(world.node.join_request())
    world.run(1)
    accept = world.frames[0]
    assert [item.tx_info.timing.delay.delay.seconds for item in accept.items] == [5, 6]
    world.node.joined(accept.items[0].phy_payload)
    body = world.only("join")
    assert body["devAddr"] == f"{world.node.dev_addr:08x}"
    world.forget()
    world.enqueue(b"down", confirmed=True)
    world.up(b"up", 10, confirmed=True)
    assert world.only("up")["data"] == "dXA="
    sent = world.sent()
    assert (sent.frm_payload, sent.ack, sent.confirmed) == (b"down", True, True)
    world.forget()
    world.node.conf_f_cnt = sent.f_cnt
    world.up(ack=True)
    assert world.only("ack")["acknowledged"]


def test_a_used_dev_nonce_is_refused_with_an_otaa_log(world):
    world.node.dev_nonce = 0
    world.hear(world.node.join_request())
    world.run(1)
    body = world.only("log")
    assert (body["code"], body["description"]) == ("OTAA", "DevNonce has already been used")
    assert body["context"]["dev_nonce"] == "1"
    assert body["context"]["join_eui"] == JOIN_EUI
    assert not world.frames


def test_a_wrong_key_in_a_join_request_is_logged_as_mic():
    world = World()
    frame = bytearray(world.node.join_request())
    frame[-1] ^= 1
    world.hear(bytes(frame))
    world.run(1)
    assert world.only("log")["code"] == "UPLINK_MIC"


def test_a_data_frame_with_a_wrong_mic_gives_no_event(world):
    frame = bytearray(world.node.up(b"x", 10))
    frame[-1] ^= 1
    world.hear(bytes(frame))
    world.run(1)
    assert world.events == []
    assert world.warnings


def test_copies_from_two_gateways_are_one_up_with_two_receptions(world):
    world.hear(world.node.up(b"x", 10), *GATEWAYS)
    world.run(1)
    assert sorted(item["gatewayId"] for item in world.only("up")["rxInfo"]) == sorted(GATEWAYS)


def test_a_copy_later_than_the_deduplication_delay_is_lost_and_later_still_a_retransmission(world):
    frame = world.node.up(b"x", 10)
    world.hear(frame, GATEWAYS[0])
    world.run(0.3)
    world.hear(frame, GATEWAYS[1])
    world.run(1)
    assert world.kinds() == ["up"]
    world.hear(frame, GATEWAYS[1])
    world.run(1)
    body = world.only("log")
    assert (body["level"], body["code"]) == ("WARNING", "UPLINK_F_CNT_RETRANSMISSION")
    assert body["context"]["f_cnt_up"] == "0"


def test_a_retransmitted_confirmed_uplink_gets_no_second_ack(world):
    frame = world.node.up(b"x", 10, confirmed=True)
    world.hear(frame)
    world.run(1)
    world.hear(frame)
    world.run(1)
    assert len(world.frames) == 1


def test_a_counter_that_went_back_is_a_reset_unless_the_check_is_skipped(world):
    for _ in range(3):
        world.up()
    world.node.f_cnt_up = 0
    world.forget()
    world.up()
    assert world.only("log")["code"] == "UPLINK_F_CNT_RESET"
    world.device.session.skip_f_cnt_check = True
    world.node.f_cnt_up = 0
    world.forget()
    world.up()
    assert world.only("up")["fCnt"] == 0


def test_the_counter_has_32_bits(world):
    world.node.f_cnt_up = world.device.f_cnt_up = 0xFFFF
    world.up()
    world.up()
    assert [body["fCnt"] for body in world.bodies("up")] == [0xFFFF, 0x10000]


@pytest.mark.parametrize(
    ("expected", "on_air", "full"),
    [
        (0, 0, 0),
        (10, 9, 9),
        (10, 10, 10),
        (10, 12, 12),
        (0x10000, 0xFFFF, 0xFFFF),
        (0x10005, 4, 0x10004),
        (10, 3, 0x10003),
    ],
)
def test_the_full_counter(expected, on_air, full):
    assert uplink.full_counter(expected, on_air) == full


def test_the_downlink_gateway_is_the_one_with_margin(world):
    frame = world.node.up(b"x", 10, confirmed=True)
    world.hear(frame, GATEWAYS[0], snr=-7)
    world.hear(frame, GATEWAYS[1], snr=8)
    world.run(1)
    assert world.frames[0].gateway_id == GATEWAYS[1]
    assert world.frames[0].items[0].tx_info.context == GATEWAYS[1].encode()


def test_a_frame_on_a_foreign_channel_is_dropped(world):
    world.hear(world.node.up(b"x", 10), frequency=868_200_000)
    world.run(1)
    assert world.events == []
    assert world.server.context.counters["uplink_foreign_channel"] == 1


def test_garbage_only_leaves_a_warning_and_a_count(world):
    for size in range(1, 40):
        world.hear(bytes([0xE0 + size % 4] * size))
        world.hear(bytes(size))
        world.hear(bytes([0x40] * size))
    world.run(2)
    assert world.events == []
    assert world.warnings


def test_devices_with_one_dev_addr_are_told_apart_by_the_mic(world):
    context = world.server.context
    other = api.Device(
        dev_eui="70b3d57ed00000ff",
        name="other",
        application_id=str(world.application.id),
        device_profile_id=str(world.device_profile.id),
    )
    join.activate(
        context,
        context.tables.devices.create(other, world.now),
        world.node.dev_addr,
        SessionKeys.of_1_0(bytes(16), bytes(16)),
    )
    world.up(b"x", 10)
    assert world.only("up")["deviceInfo"]["devEui"] == DEV_EUI
    world.enqueue()
    context.tables.devices.delete(DEV_EUI)
    assert (world.queue, context.tables.queue) == ([], {})
    world.forget()
    world.up(b"x", 10)
    assert world.events == []


def test_what_a_gateway_may_get_wrong_stops_nothing(world):
    wrong = gw.UplinkFrame(phy_payload=world.node.up(b"x", 10))
    world.server.uplink(wrong, world.now)
    lora = gw.LoraModulationInfo(bandwidth=125_000, spreading_factor=7)
    wrong.tx_info.CopyFrom(gw.UplinkTxInfo(frequency=868_100_000, modulation=gw.Modulation(lora=lora)))
    for reception in (
        gw.UplinkRxInfo(gateway_id="no hex"),
        gw.UplinkRxInfo(gateway_id=GATEWAYS[0], snr=float("nan")),
        gw.UplinkRxInfo(gateway_id=GATEWAYS[0], gw_time=Timestamp(seconds=1 << 60)),
    ):
        wrong.rx_info.CopyFrom(reception)
        world.server.uplink(wrong, world.now)
    wrong.phy_payload = b""
    wrong.rx_info.CopyFrom(gw.UplinkRxInfo(gateway_id=GATEWAYS[0]))
    world.server.uplink(wrong, world.now)
    world.run(1)
    assert world.server.context.counters["uplink_malformed"] == 5
    world.tx_ack(gw.DownlinkFrame(downlink_id=1))
    world.up(b"y", 10)
    assert world.only("up")["data"] == "eQ=="


def test_more_acknowledged_items_than_sent_count_for_nothing(world):
    world.answer = None
    world.enqueue()
    world.up()
    world.tx_ack(world.frames[0], "OK", "IGNORED", "IGNORED")
    world.run(1)
    assert world.bodies("txack") == []


def test_an_uplink_without_f_port_is_an_up_with_f_port_0_and_no_data(world):
    world.up()
    body = world.only("up")
    assert (body["fPort"], body["data"]) == (0, "")


def test_json_prints_defaults_of_the_event_but_not_of_nested_gateway_messages(world):
    world.up(b"x", 10)
    body = world.only("up")
    assert body["confirmed"] is False
    assert body["adr"] is False
    assert body["deviceInfo"]["tags"] == {"from": "application"}
    assert body["deviceInfo"]["deviceClassEnabled"] == "CLASS_A"
    assert "channel" not in body["rxInfo"][0]
    assert "object" not in body
    assert "joinServerContext" not in body
    assert body["time"].endswith("+00:00")
    assert len(body["time"]) == len("2027-01-15T08:00:01.200000000+00:00")
    assert (body["regionConfigId"], body["txInfo"]["frequency"]) == ("eu868", 868_100_000)


def test_txack_leaves_the_applications_tags_out(world):
    world.enqueue()
    world.up()
    body = world.only("txack")
    assert body["deviceInfo"]["tags"] == {}
    assert body["txInfo"]["timing"] == {"delay": {"delay": "1s"}}
    assert body["gatewayId"] == GATEWAYS[0]


def test_events_leave_in_any_order_but_the_same_seed_gives_the_same_one():
    def run(seed):
        world = World(seed=seed)
        world.join()
        for _ in range(10):
            world.enqueue(confirmed=True)
            world.up(ack=True)
        return [kind for kind, _ in world.events]

    runs = [run(seed) for seed in range(6)]
    assert run(3) == runs[3]
    assert any(order != runs[0] for order in runs)


def test_history_keeps_the_last_events_only():
    world = World(settings=Settings(history_per_device=3))
    world.join()
    for _ in range(5):
        world.up(b"x", 10)
    kept = [entry.log_item() for entry in world.server.context.history[DEV_EUI]]
    assert [json.loads(item.body)["fCnt"] for item in kept] == [2, 3, 4]
    assert kept[-1].properties["FPort"] == "10"


def test_an_mqtt_command_keeps_the_callers_id_and_refuses_a_second_one_while_it_is_queued(world):
    own = str(uuid.uuid4())
    world.command(id=own)
    world.command(id=own)
    assert [str(item.id) for item in world.queue] == [own]
    assert world.server.context.counters["command_refused"] == 1
    world.up()
    world.command(id=own)
    assert [str(item.id) for item in world.queue] == [own]


def test_two_commands_may_be_swapped(world):
    world.fault("commands_swapped", count=1)
    world.command(data=b"one")
    world.command(data=b"two")
    assert [item.data for item in world.queue] == [b"two", b"one"]


def test_a_command_for_another_applications_device_is_refused(world):
    world.application.id = uuid.uuid4()
    world.command()
    assert world.queue == []
    world.run(0.1)
    assert "application ID" in world.warnings[0]


def test_another_user_may_flush_the_queue(world):
    world.fault("foreign_flush", count=1, seconds=3)
    world.enqueue()
    world.run(5)
    assert world.queue == []
    assert world.events == []


def test_a_refused_then_accepted_transmission(world):
    item = world.enqueue()
    world.fault("tx_error", count=1, status="COLLISION_PACKET")
    world.up()
    assert world.only("log")["description"] == "COLLISION_PACKET"
    assert not world.frames
    world.up()
    assert world.only("txack")["queueItemId"] == str(item)


def test_a_frame_lost_on_air_ends_in_a_nack(world):
    world.enqueue(confirmed=True)
    world.fault("downlink_lost", count=1)
    world.up()
    assert not world.frames
    world.up()
    assert not world.only("ack")["acknowledged"]


def test_a_loss_of_confirmed_frames_only_spares_the_others(world):
    world.server.context.faults.add(Fault("downlink_lost", count=1, where={"confirmed": "true"}))
    world.enqueue()
    world.up()
    assert len(world.frames) == 1
    world.enqueue(confirmed=True)
    world.up()
    assert len(world.frames) == 1


def test_a_stalled_device_row_delays_the_downlink(world):
    world.enqueue()
    world.fault("stall", count=1, seconds=2)
    start = world.now
    world.up(seconds=5)
    assert world.times[0] - start == pytest.approx(2.3)


def test_a_json_event_parses_back_to_the_same_message(world):
    world.up(b"\x00\xff", 10)
    items = [entry.log_item() for entry in world.server.context.history[DEV_EUI]]
    item = next(item for item in items if item.description == "up")
    message = Parse(item.body, integration.UplinkEvent())
    assert message.data == b"\x00\xff"
    assert to_json(message).decode() == item.body


def test_a_lost_uplink_and_a_lost_command_leave_nothing(world):
    world.fault("uplink_lost", count=1)
    world.fault("command_lost", count=1)
    world.command()
    world.up(b"x", 10)
    assert (world.queue, world.events) == ([], [])
    world.command()
    world.up(b"y", 10)
    assert world.kinds() == ["txack", "up"]


def test_an_overlooked_ack_is_a_nack_for_what_was_received(world):
    world.enqueue(confirmed=True)
    world.up()
    world.fault("ack_lost", count=1)
    world.up(ack=True)
    assert not world.only("ack")["acknowledged"]


def test_every_kind_of_fault_can_happen_somewhere():
    core = Path(network.__file__).parent
    code = "".join(path.read_text() for path in core.glob("*.py") if path.name != "faults.py")
    assert [kind for kind in KINDS if f'"{kind}"' not in code] == []
