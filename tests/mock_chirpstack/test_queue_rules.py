"""What becomes of a queued downlink: ChirpStack's rules, in virtual time."""

import pytest
from chirpstack_api import common
from mock_chirpstack_kit import GATEWAYS, World

from mock_network.chirpstack.context import Send


@pytest.fixture
def world():
    world = World()
    world.join()
    return world


def test_a_class_a_downlink_waits_for_an_uplink_and_leaves_after_200_plus_100_ms(world):
    world.enqueue(b"hello")
    world.run(60)
    assert not world.frames
    sent_at = world.now
    world.up(b"up", 10)
    assert world.sent().frm_payload == b"hello"
    assert world.times[0] - sent_at == pytest.approx(0.3)
    assert world.frames[0].items[0].tx_info.timing.delay.delay.seconds == 1
    assert world.frames[0].items[1].tx_info.timing.delay.delay.seconds == 2


def test_an_answer_is_timed_by_the_uplink_that_it_answers_though_a_later_one_came_meanwhile(world):
    world.enqueue(b"hello")
    world.fault("stall", count=1, seconds=0.2)
    world.hear(world.node.up(b"first", 10), GATEWAYS[0])
    world.run(0.25)
    world.hear(world.node.up(b"second", 10), GATEWAYS[1], frequency=868_300_000)
    world.run(3.0)
    first = world.frames[0]
    assert first.gateway_id == GATEWAYS[0]
    assert [item.tx_info.context for item in first.items] == [GATEWAYS[0].encode()] * 2
    assert first.items[0].tx_info.frequency == 868_100_000


def test_an_unconfirmed_item_leaves_the_queue_with_txack_only(world):
    item = world.enqueue()
    world.up()
    assert world.kinds() == ["txack", "up"]
    assert world.only("txack")["queueItemId"] == str(item)
    assert world.queue == []


def test_a_confirmed_item_is_sent_once_and_acked_by_the_next_uplink(world):
    item = world.enqueue(confirmed=True)
    world.up()
    assert world.sent().confirmed
    assert [entry.is_pending for entry in world.queue] == [True]
    world.forget()
    world.up(ack=True)
    assert world.kinds() == ["ack", "up"]
    body = world.only("ack")
    assert (body["queueItemId"], body["acknowledged"], body["fCntDown"]) == (str(item), True, 0)
    assert body["deduplicationId"] == world.only("up")["deduplicationId"]
    assert not world.frames


def test_an_uplink_without_ack_bit_nacks_and_the_next_item_goes_in_the_same_window(world):
    first = world.enqueue(b"one", confirmed=True)
    world.enqueue(b"two")
    world.up()
    assert world.sent().f_pending
    world.forget()
    world.up()
    assert world.kinds() == ["ack", "txack", "up"]
    body = world.only("ack")
    assert (body["queueItemId"], body["acknowledged"]) == (str(first), False)
    assert (world.sent().frm_payload, world.sent().f_cnt) == (b"two", 1)


def test_expiry_is_lazy_and_logged_at_the_next_opportunity(world):
    item = world.enqueue(expires_at=world.now + 10)
    world.run(3600)
    assert world.events == []
    assert len(world.queue) == 1
    world.up()
    body = world.only("log")
    assert (body["level"], body["code"]) == ("ERROR", "EXPIRED")
    assert body["context"] == {"queue_item_id": str(item)}
    assert not world.frames


def test_an_oversize_item_is_deleted_against_the_first_window(world):
    item = world.enqueue(bytes(52))
    fits = world.enqueue(bytes(51))
    world.up(dr=0)
    body = world.only("log")
    assert body["code"] == "DOWNLINK_PAYLOAD_SIZE"
    assert body["context"] == {"max_payload_size": "51", "item_size": "52", "queue_item_id": str(item)}
    assert world.only("txack")["queueItemId"] == str(fits)


def test_an_item_too_big_for_rx2_is_left_out_of_rx2_only(world):
    world.enqueue(bytes(100))
    world.up(dr=5)
    first, second = (world.node.down(item.phy_payload) for item in world.frames[0].items)
    assert (len(first.frm_payload), first.f_port, second.f_port) == (100, 10, None)
    assert second.f_pending


def test_rx2_alone_acknowledged_leaves_the_left_out_item_queued(world):
    world.answer = None
    world.enqueue(bytes(100))
    world.up(dr=5)
    world.tx_ack(world.frames[0], "TOO_LATE", "OK")
    world.run(1)
    assert len(world.queue) == 1
    assert world.bodies("txack") == []
    assert world.device.session.n_f_cnt_down == 1


def test_a_stale_encrypted_item_is_deleted_with_f_cnt_down(world):
    world.device.session.a_f_cnt_down = 5
    item = world.enqueue(is_encrypted=True, f_cnt_down=4)
    world.up()
    body = world.only("log")
    assert body["code"] == "F_CNT_DOWN"
    assert body["context"] == {
        "device_f_cnt_down": "5",
        "queue_item_f_cnt_down": "4",
        "queue_item_id": str(item),
    }


def test_a_gateway_error_keeps_the_item_and_its_log_names_no_item(world):
    item = world.enqueue()
    world.answer = "TOO_LATE"
    world.up()
    body = world.only("log")
    assert (body["code"], body["description"], body["context"]) == ("DOWNLINK_GATEWAY", "TOO_LATE", {})
    assert [entry.id for entry in world.queue] == [item]
    world.answer = "OK"
    world.forget()
    world.up()
    assert world.only("txack")["queueItemId"] == str(item)


def test_a_lost_tx_ack_sends_the_same_item_again_under_the_same_counter(world):
    world.enqueue()
    world.fault("tx_ack_lost", count=1)
    world.up()
    world.up()
    counters = [world.node.down(frame.items[0].phy_payload).f_cnt for frame in world.frames]
    assert counters == [0, 0]
    assert len(world.bodies("txack")) == 1


def test_an_item_flushed_before_the_tx_ack_gives_no_txack_and_moves_no_counter(world):
    world.answer = None
    world.enqueue()
    world.up()
    world.server._flush(world.device.dev_eui)
    world.tx_ack(world.frames[0], "OK")
    world.run(1)
    assert world.bodies("txack") == []
    assert world.device.session.a_f_cnt_down == 0


def test_a_confirmed_uplink_is_acked_by_an_empty_downlink_that_counts(world):
    world.up(b"x", 10, confirmed=True)
    frame = world.sent()
    assert frame.ack
    assert frame.f_port is None
    assert world.device.session.n_f_cnt_down == 1
    assert world.kinds() == ["up"]


def test_f_pending_says_that_more_is_queued(world):
    world.enqueue(b"one")
    world.enqueue(b"two")
    world.up()
    assert world.sent().f_pending
    world.forget()
    world.up()
    assert not world.sent().f_pending


def test_small_mac_commands_take_room_first_and_the_item_waits():
    world = World(profile={"rx1_delay": 3})
    world.join()
    world.enqueue(bytes(51))
    world.up(dr=0, seconds=4)
    frame = world.sent()
    assert frame.f_opts == bytes([0x08, 3])
    assert frame.f_port is None
    assert frame.f_pending
    assert len(world.queue) == 1


def test_more_than_15_bytes_of_mac_commands_become_an_f_port_0_frame(world):
    world.enqueue(b"hello")
    world.fault("crowding", count=1, bytes=18)
    world.up()
    frame = world.sent()
    assert (frame.f_port, len(frame.frm_payload), frame.f_pending) == (0, 18, True)
    assert world.bodies("txack") == []
    assert len(world.queue) == 1


def test_a_raised_rx1_delay_widens_the_answer_window_only_after_the_device_agreed():
    world = World(profile={"rx1_delay": 4})
    world.join()
    start = world.now
    world.up(seconds=10)
    assert world.times[0] - start == pytest.approx(0.3)
    world.forget()
    start = world.now
    world.up(f_opts=bytes([0x08]), seconds=10)
    assert world.device.session.rx1_delay == 4
    assert world.times[0] - start == pytest.approx(3.3)  # an empty downlink, so that the device stops repeating itself
    assert world.frames[0].items[0].tx_info.timing.delay.delay.seconds == 4


def test_a_class_c_item_goes_by_itself_after_the_first_uplink_and_5_s_apart():
    world = World(profile={"supports_class_c": True, "class_c_timeout": 7})
    world.join()
    world.enqueue(b"one")
    world.run(60)
    assert not world.frames, "after a join the device speaks first"
    uplink_at = world.now
    world.up()
    world.forget()
    world.enqueue(b"two")
    world.enqueue(b"three")
    world.run(20)
    assert world.times[0] - uplink_at > 5, "an uplink locks the device for 5 s"
    assert [frame.items[0].tx_info.timing.WhichOneof("parameters") for frame in world.frames] == ["immediately"] * 2
    assert world.times[1] - world.times[0] == pytest.approx(6, abs=1)
    assert world.frames[0].items[0].tx_info.frequency == 869_525_000


def test_a_server_that_was_held_up_sends_an_item_once_before_its_gateway_could_answer():
    world = World(profile={"supports_class_c": True, "class_c_timeout": 7})
    world.join()
    world.up()
    world.run(10)
    world.enqueue(b"one")
    world.now += 60
    world.server.advance(world.now)
    assert sum(isinstance(effect, Send) for effect in world.server.drain()) == 1


def test_a_class_c_confirmed_item_times_out_without_an_uplink():
    world = World(profile={"supports_class_c": True, "class_c_timeout": 20})
    world.join()
    world.up()
    world.run(10)
    world.forget()
    item = world.enqueue(b"c", confirmed=True)
    world.run(10)
    world.up()
    assert world.kinds() == ["txack", "up"], "before the timeout an uplink without ACK bit decides nothing"
    world.run(20)
    body = world.only("ack")
    assert (body["queueItemId"], body["acknowledged"], body["deduplicationId"]) == (str(item), False, "")


def test_class_b_uses_a_ping_slot_after_the_device_locked_on_the_beacon():
    world = World(profile={"supports_class_b": True, "class_b_timeout": 5, "class_b_ping_slot_periodicity": 4})
    world.join()
    world.up(f_pending=True)
    assert world.device.enabled_class == common.CLASS_B
    world.forget()
    world.run(6)
    item = world.enqueue(b"b", confirmed=True)
    world.run(30)
    timing = world.frames[0].items[0].tx_info.timing
    slot = timing.gps_epoch.time_since_gps_epoch.ToNanoseconds() / 1e9
    assert 0 < slot - (world.times[0] - 315_964_800 + 18) <= 5
    world.run(30)
    assert world.only("ack")["queueItemId"] == str(item)
    assert not world.only("ack")["acknowledged"]


def test_join_flushes_without_an_event_where_the_profile_says_so():
    world = World(profile={"flush_queue_on_activate": True})
    world.join()
    world.enqueue()
    world.hear(world.node.join_request())
    world.run(10)
    assert world.queue == []
    assert world.kinds() == ["join"]


def test_the_queue_survives_a_join_otherwise(world):
    world.enqueue()
    world.join()
    assert len(world.queue) == 1


def test_restart_keeps_rows_and_sessions(world):
    item = world.enqueue()
    world.server.restart(world.now)
    world.up()
    assert world.only("txack")["queueItemId"] == str(item)
