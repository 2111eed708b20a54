"""Devices on air, in virtual time: joins, counters, windows, confirmed frames, MAC commands, classes."""

import itertools
from dataclasses import replace

import pytest
from lorawan_small_server import (
    APP_KEY,
    DEV_EUI,
    GATEWAY,
    NWK_KEY,
    SECOND_GATEWAY,
    Peer,
    World,
    device_config,
    down,
    world,
)

from mock_network.lorawan import class_b, frames
from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.device_config import Abp, DeviceConfigError, parse_device
from mock_network.lorawan.frames import JoinAccept
from mock_network.lorawan.mac_commands import Cid, Command, encode, parse
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.radio import DownlinkFrame, DownlinkItem, GpsEpoch, LoRa, TxStatus

ELEVEN = {"mac_version": "1.1.0", "nwk_key": NWK_KEY}


def joined(w: World) -> World:
    w.run(20)
    assert w.air.devices[DEV_EUI].joined
    return w


@pytest.mark.parametrize("changes", [{}, {"mac_version": "1.0.4"}, ELEVEN])
def test_otaa_then_payloads_both_ways(changes: dict[str, object]) -> None:
    w = joined(world(device_config(**changes)))
    w.peer().to_send.append(down(b"to the device", 7))
    assert w.air.send(DEV_EUI, b"hello") is None
    w.run(5)
    assert (w.server.uplinks[-1].frm_payload, w.server.uplinks[-1].f_port) == (b"hello", 10)
    assert w.delivered == [(DEV_EUI, b"to the device")]
    received = w.air.log.of(DEV_EUI, AirEventKind.RECEIVED)
    assert [(e.f_cnt, e.f_port, e.window) for e in received] == [(0, 7, "RX1")]


def test_abp_needs_no_join() -> None:
    config = device_config()
    keys = {"dev_addr": "01020304", "nwk_s_key": APP_KEY, "app_s_key": NWK_KEY}
    abp = parse_device({"dev_eui": DEV_EUI, "duty_cycle": False, **keys})
    w = world(abp)
    assert isinstance(abp.activation, Abp)
    w.server.peers[DEV_EUI] = Peer(config.activation, 0x01020304, abp.activation.keys)  # type: ignore[arg-type]
    w.peer().to_send.append(down(b"down", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    assert w.server.uplinks[0].frm_payload == b"up"
    assert w.delivered == [(DEV_EUI, b"down")]


def test_a_join_that_is_not_answered_is_tried_again_with_another_nonce_and_lower_data_rates() -> None:
    w = world(device_config())
    w.server.accepts_joins = False
    w.run(300)
    nonces = w.server.dev_nonces[DEV_EUI]
    assert len(nonces) > 5
    assert len(set(nonces)) == len(nonces)
    rates = [e.data_rate for e in w.air.log.of(DEV_EUI, AirEventKind.JOIN_SENT)]
    assert rates[:7] == [5, 4, 3, 2, 1, 0, 5]


def test_dev_nonces_are_counted_from_1_0_4_on_and_survive_a_restart() -> None:
    w = joined(world(device_config(mac_version="1.0.4")))
    memory = DeviceMemory.from_json(w.air.devices[DEV_EUI].memory.to_json())
    w.air.add_device(device_config(mac_version="1.0.4"), memory)
    assert w.air.devices[DEV_EUI].joined
    w.air.change(DEV_EUI, lambda device, now: device.rejoin(now))
    w.run(20)
    assert w.server.dev_nonces[DEV_EUI] == [1, 2]
    assert w.air.devices[DEV_EUI].joined


def test_a_session_kept_over_a_restart_goes_on_with_its_counters() -> None:
    w = joined(world(device_config(**ELEVEN)))
    w.air.send(DEV_EUI, b"one")
    w.run(5)
    w.air.add_device(device_config(**ELEVEN), DeviceMemory.from_json(w.air.devices[DEV_EUI].memory.to_json()))
    w.air.send(DEV_EUI, b"two")
    w.run(5)
    assert [u.f_cnt for u in w.server.uplinks] == [0, 1]


def test_a_join_accept_made_with_another_key_or_for_another_nonce_is_refused() -> None:
    w = world(device_config())
    w.server.accepts_joins = False
    w.run(0.2)
    heard = w.server.heard[0]
    request = frames.parse_join_request(heard.phy_payload)
    accept = JoinAccept(join_nonce=1, net_id=0, dev_addr=1, opt_neg=True)  # only 1.1 covers the nonce
    w.server.send(heard, frames.seal_join_accept(accept, request, bytes(16)), 5)
    w.run(6)
    assert "MIC" in w.air.log.of(DEV_EUI, AirEventKind.REJECTED)[0].detail
    while w.server.heard[-1] is heard:
        w.run(0.05)
    heard = w.server.heard[-1]
    other = replace(frames.parse_join_request(heard.phy_payload), dev_nonce=request.dev_nonce)
    w.server.send(heard, frames.seal_join_accept(accept, other, bytes.fromhex(APP_KEY)), 5)
    w.run(10)
    assert len(w.air.log.of(DEV_EUI, AirEventKind.REJECTED)) == 2
    assert not w.air.devices[DEV_EUI].joined


def test_rx2_is_used_when_rx1_is_not() -> None:
    w = joined(world(device_config()))
    w.server.rx2_only = True
    w.peer().to_send.append(down(b"late", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert w.air.log.of(DEV_EUI, AirEventKind.RECEIVED)[0].window == "RX2"


def test_a_downlink_outside_the_windows_is_not_heard() -> None:
    w = joined(world(device_config()))
    w.server.rx1_delay = 3  # the device still has 1 s: neither window
    w.peer().to_send.append(down(b"lost", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert w.server.tx_acks[-1].statuses[0] is TxStatus.OK
    assert w.delivered == []


def test_a_confirmed_uplink_keeps_its_fcnt_until_it_is_acknowledged() -> None:
    w = joined(world(device_config(confirmed=True)))
    w.server.acks = False
    w.air.send(DEV_EUI, b"data")
    w.run(8)
    w.server.acks = True
    w.run(20)
    counters = [u.f_cnt for u in w.server.uplinks]
    assert len(counters) > 1
    assert set(counters) == {0}
    assert [e.f_cnt for e in w.air.log.of(DEV_EUI, AirEventKind.ACKED)] == [0]
    w.run(60)
    assert len(w.server.uplinks) == len(counters)


def test_a_confirmed_uplink_is_given_up_after_its_attempts_and_slows_down_on_the_way() -> None:
    w = joined(world(device_config(confirmed=True, confirmed_attempts=5)))
    w.server.acks = False
    w.air.send(DEV_EUI, b"data")
    w.run(120)
    sent = w.air.log.of(DEV_EUI, AirEventKind.SENT)
    assert [(e.attempt, e.data_rate) for e in sent] == [(1, 5), (2, 5), (3, 4), (4, 4), (5, 3)]
    assert len(w.air.log.of(DEV_EUI, AirEventKind.NOT_ACKED)) == 1


@pytest.mark.parametrize("changes", [{}, ELEVEN])
def test_a_confirmed_downlink_is_acknowledged_in_an_empty_uplink_soon(changes: dict[str, object]) -> None:
    w = joined(world(device_config(**changes)))
    w.peer().to_send.append(down(b"important", 1, confirmed=True))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert [(u.ack, u.f_port) for u in w.server.uplinks] == [(False, 10), (True, None)]


def test_without_hurry_the_ack_goes_with_the_next_uplink() -> None:
    w = joined(world(device_config(ack_delay=None)))
    w.peer().to_send.append(down(b"important", 1, confirmed=True))
    w.air.send(DEV_EUI, b"up")
    w.run(60)
    assert len(w.server.uplinks) == 1
    w.air.send(DEV_EUI, b"more")
    w.run(5)
    assert [u.ack for u in w.server.uplinks] == [False, True]


def test_a_frame_sent_twice_under_one_fcnt_is_dropped_the_second_time() -> None:
    w = joined(world(device_config()))
    for _ in range(2):
        w.peer().to_send.append(down(b"once", 1))
        w.peer().n_f_cnt_down = 0  # as a server does that never saw the gateway's acknowledgement
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert w.delivered == [(DEV_EUI, b"once")]
    assert [e.f_cnt for e in w.air.log.of(DEV_EUI, AirEventKind.DUPLICATE)] == [0]


def test_downlink_counters_go_past_16_bits_and_leaps_are_refused() -> None:
    w = joined(world(device_config()))
    session = w.air.devices[DEV_EUI].session
    assert session is not None
    session.n_f_cnt_down = 0xFFFE
    w.peer().n_f_cnt_down = 0xFFFF
    for _ in range(2):
        w.peer().to_send.append(down(b"x", 1))
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert session.n_f_cnt_down == 0x10000
    w.peer().n_f_cnt_down = 0x10000 + 20000
    w.peer().to_send.append(down(b"far", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    assert len(w.delivered) == 2
    assert "leaps" in w.air.log.of(DEV_EUI, AirEventKind.REJECTED)[0].detail


def test_uplink_counters_go_past_16_bits() -> None:
    w = joined(world(device_config()))
    session = w.air.devices[DEV_EUI].session
    assert session is not None
    session.f_cnt_up = w.peer().f_cnt_up = 0xFFFF
    for _ in range(2):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert [u.f_cnt for u in w.server.uplinks] == [0xFFFF, 0x10000]


def test_a_wrong_mic_is_counted_and_dropped() -> None:
    w = joined(world(device_config()))
    w.air.send(DEV_EUI, b"up")
    w.run(0.2)
    forged = b"\x60" + w.peer().dev_addr.to_bytes(4, "little") + bytes(7)
    w.server.send(w.server.heard[-1], forged, 1)
    w.run(5)
    assert "MIC" in w.air.log.of(DEV_EUI, AirEventKind.REJECTED)[0].detail
    assert w.air.log.of(DEV_EUI, AirEventKind.RECEIVED) == []


def test_too_large_for_the_data_rate_is_dropped_at_the_modem_or_when_the_rate_has_fallen() -> None:
    w = joined(world(device_config(data_rate=3)))
    why = w.air.send(DEV_EUI, bytes(116))
    assert why == "116 bytes; DR3 carries 115"
    w.air.change(DEV_EUI, lambda device, now: device.set_data_rate(3, now))
    assert w.air.send(DEV_EUI, bytes(115)) is None
    assert w.air.send(DEV_EUI, bytes(115)) is None
    w.run(0.1)  # the first is on air
    w.air.change(DEV_EUI, lambda device, now: device.set_data_rate(2, now))
    w.run(20)
    assert len(w.server.uplinks) == 1
    assert "carries 51 now" in w.air.log.of(DEV_EUI, AirEventKind.DROPPED)[-1].detail


def test_an_fport_out_of_range_is_refused() -> None:
    w = world(device_config())
    assert [w.air.send(DEV_EUI, b"x", f_port=f_port) for f_port in (0, 256, 255)] == ["FPort 0", "FPort 256", None]


def test_the_queue_is_bounded() -> None:
    w = world(device_config(queue=2))
    assert [w.air.send(DEV_EUI, b"x") for _ in range(3)] == [None, None, "2 uplinks wait already"]


def test_the_duty_cycle_keeps_a_band_silent_for_ninety_nine_times_the_airtime() -> None:
    w = joined(world(device_config(duty_cycle=True, data_rate=0)))
    w.run(1000)
    for _ in range(4):
        w.air.send(DEV_EUI, bytes(51))
    w.run(2000)
    sent = w.air.log.of(DEV_EUI, AirEventKind.SENT)
    assert len(sent) == 4
    by_band: dict[int, list[float]] = {}
    for event in sent:
        assert event.frequency is not None
        by_band.setdefault(event.frequency >= 868_000_000, []).append(event.time)
    for times in by_band.values():
        for earlier, later in itertools.pairwise(times):
            assert later - earlier >= 100 * 2.79


def test_mac_commands_are_obeyed_and_answered_truly() -> None:
    w = joined(world(device_config(battery=100)))
    asked = [
        Command(Cid.LINK_ADR, bytes((0x32, 0b0000_0111, 0, 2))),  # DR3, power 2, three channels, NbTrans 2
        Command(Cid.DEV_STATUS),
        Command(Cid.RX_TIMING_SETUP, b"\x05"),
    ]
    w.peer().to_send.append(down(f_opts=encode(asked)))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    w.air.send(DEV_EUI, b"next")
    w.run(30)
    answers = parse(w.server.uplinks[1].f_opts, uplink=True)
    assert {a.cid for a in answers} == {Cid.LINK_ADR, Cid.DEV_STATUS, Cid.RX_TIMING_SETUP}
    by_cid = {a.cid: a.payload for a in answers}
    assert by_cid[Cid.LINK_ADR] == b"\x07"
    assert by_cid[Cid.DEV_STATUS][0] == 100
    settings = w.air.devices[DEV_EUI].settings
    assert (settings.data_rate, settings.tx_power_index, settings.nb_trans, settings.rx1_delay) == (3, 2, 2, 5)
    assert settings.enabled == {0, 1, 2}
    assert [u.f_cnt for u in w.server.uplinks] == [0, 1, 1]  # NbTrans


def test_rx_timing_setup_is_answered_until_a_downlink_comes() -> None:
    w = joined(world(device_config()))
    w.peer().to_send.append(down(f_opts=encode([Command(Cid.RX_TIMING_SETUP, b"\x02")])))
    for _ in range(3):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert [u.f_opts for u in w.server.uplinks] == [b"", b"\x08", b"\x08"]
    w.server.rx1_delay = 2
    w.peer().to_send.append(down(b"thanks", 1))
    for _ in range(2):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert w.delivered == [(DEV_EUI, b"thanks")]
    assert w.server.uplinks[-1].f_opts == b""


def test_a_link_adr_request_that_cannot_be_is_refused_whole() -> None:
    w = joined(world(device_config()))
    w.peer().to_send.append(down(f_opts=encode([Command(Cid.LINK_ADR, bytes((0x92, 0x07, 0, 1)))])))
    for _ in range(2):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert w.server.uplinks[1].f_opts == b"\x03\x05"  # power and mask would do, DR9 does not exist
    assert w.air.devices[DEV_EUI].settings.data_rate == 5


def test_rx_param_setup_and_new_channel() -> None:
    w = joined(world(device_config()))
    frequency = (869_525_000 // 100).to_bytes(3, "little")
    asked = [
        Command(Cid.RX_PARAM_SETUP, bytes((0x23,)) + frequency),
        Command(Cid.NEW_CHANNEL, bytes((8,)) + (868_800_000 // 100).to_bytes(3, "little") + b"\x50"),
        Command(Cid.NEW_CHANNEL, bytes((0,)) + (868_800_000 // 100).to_bytes(3, "little") + b"\x50"),
        Command(Cid.DL_CHANNEL, bytes((1,)) + frequency),
    ]
    w.peer().to_send.append(down(encode(asked), 0))
    for _ in range(2):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert w.delivered == []  # FPort 0 is not for the modem
    answers = parse(w.server.uplinks[1].f_opts, uplink=True)
    assert [a.payload for a in answers if a.cid is Cid.NEW_CHANNEL] == [b"\x03", b"\x02"]
    assert {a.cid: a.payload for a in answers}[Cid.RX_PARAM_SETUP] == b"\x07"
    settings = w.air.devices[DEV_EUI].settings
    assert (settings.rx1_offset, settings.rx2_data_rate) == (2, 3)
    assert settings.channels[8].frequency == 868_800_000
    assert settings.channels[1].rx1_frequency == 869_525_000


def test_commands_that_do_not_fit_beside_the_payload_go_alone_first() -> None:
    w = joined(world(device_config(data_rate=0)))
    w.peer().to_send.append(down(f_opts=encode([Command(Cid.RX_TIMING_SETUP, b"\x01"), Command(Cid.DEV_STATUS)])))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    w.air.send(DEV_EUI, bytes(51))
    w.run(20)
    assert [(len(u.f_opts), len(u.frm_payload)) for u in w.server.uplinks] == [(0, 2), (4, 0), (0, 51)]


def test_1_1_tells_of_its_version_until_the_network_confirms() -> None:
    w = joined(world(device_config(**ELEVEN)))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    w.peer().to_send.append(down(f_opts=encode([Command(Cid.REKEY, b"\x01")])))
    for _ in range(2):
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    assert [u.f_opts for u in w.server.uplinks] == [b"\x0b\x01", b"\x0b\x01", b""]


def test_class_c_hears_at_any_time() -> None:
    w = joined(world(device_config(device_class="C")))
    w.air.send(DEV_EUI, b"up")
    w.run(30)
    w.server.send_now(w.peer(), down(b"now", 1, confirmed=True))
    w.run(20)
    assert w.delivered == [(DEV_EUI, b"now")]
    assert w.air.log.of(DEV_EUI, AirEventKind.RECEIVED)[-1].window == "RXC"
    assert w.server.uplinks[-1].ack


def test_class_a_hears_nothing_between() -> None:
    w = joined(world(device_config()))
    w.air.send(DEV_EUI, b"up")
    w.run(30)
    w.server.send_now(w.peer(), down(b"now", 1))
    w.run(20)
    assert w.delivered == []


def test_class_b_hears_in_its_ping_slots_only() -> None:
    w = joined(world(device_config(device_class="B", ping_periodicity=3)))
    w.peer().to_send.append(down(f_opts=encode([Command(Cid.PING_SLOT_INFO)])))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert w.server.uplinks[0].f_opts == b"\x10\x03"
    assert w.server.uplinks[-1].f_pending  # the class B bit
    slots = w.air.devices[DEV_EUI].ping_slots
    assert slots is not None
    beacon = (int(class_b.gps_time(w.air.now)) // 128 + 1) * 128
    slot = beacon + 2.12 + 0.03 * slots.offset(beacon)
    for when, payload in ((slot + 8 * 0.96 + 0.3, b"beside"), (slot + 2 * 8 * 0.96, b"in slot")):
        sealed = w.server.seal(w.peer(), down(payload, 1))
        item = DownlinkItem(sealed, 869_525_000, LoRa(9, 125_000), GpsEpoch(when))
        w.air.downlink(DownlinkFrame(77, GATEWAY, (item,)))
        w.run(0.1)
    w.run(300)
    assert w.delivered == [(DEV_EUI, b"in slot")]


def test_f_pending_makes_the_device_ask_for_more() -> None:
    w = joined(world(device_config()))
    w.peer().to_send += [down(b"one", 1, f_pending=True), down(b"two", 1)]
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert [payload for _, payload in w.delivered] == [b"one", b"two"]


def test_a_poll_is_an_empty_coap_message_and_its_reset_stays_in_the_modem() -> None:
    w = joined(world(device_config(poll_interval=60.0, poll_confirmable=True)))
    w.run(60)
    poll = w.server.uplinks[-1].frm_payload
    assert poll[:2] == b"\x40\x00"
    w.peer().to_send += [down(b"\x70\x00" + bytes(2), 10), down(b"real", 10)]
    w.run(130)
    assert [payload for _, payload in w.delivered] == [b"\x70\x00\x00\x00", b"real"]  # another message's reset passes
    w.delivered.clear()
    mid = int.from_bytes(w.server.uplinks[-1].frm_payload[2:], "big") + 1
    w.peer().to_send.append(down(b"\x70\x00" + (mid & 0xFFFF).to_bytes(2, "big"), 10))
    w.run(60)
    assert w.delivered == []


def test_two_gateways_hear_one_frame_differently() -> None:
    w = joined(world(device_config(), gateways=(GATEWAY, SECOND_GATEWAY)))
    w.server.heard.clear()
    w.air.link(DEV_EUI, SECOND_GATEWAY).rssi = -120
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    first, second = w.server.heard
    assert first.phy_payload == second.phy_payload
    assert {first.gateway_id, second.gateway_id} == {GATEWAY, SECOND_GATEWAY}
    assert abs(first.rssi - second.rssi) > 15
    assert first.context != second.context


def test_loss_is_seeded_and_by_direction() -> None:
    def counts(seed: int) -> tuple[int, int]:
        w = world(device_config(), seed=seed)
        joined(w)
        link = w.air.link(DEV_EUI, GATEWAY)
        link.uplink_loss = link.downlink_loss = 0.5
        for _ in range(20):
            w.peer().to_send.append(down(b"d", 1))
            w.air.send(DEV_EUI, b"u")
            w.run(5)
        return len(w.server.uplinks), len(w.delivered)

    assert counts(5) == counts(5)
    up, through = counts(5)
    assert 3 < up < 17
    assert 1 < through < up


def test_out_of_reach_is_silence() -> None:
    w = joined(world(device_config()))
    w.air.unlink(DEV_EUI, GATEWAY)
    w.air.send(DEV_EUI, b"u")
    w.run(5)
    assert w.server.uplinks == []
    assert len(w.air.log.of(DEV_EUI, AirEventKind.SENT)) == 1


def test_a_counter_reset_and_a_rejoin_are_told_in_the_log() -> None:
    w = joined(world(device_config()))
    w.air.send(DEV_EUI, b"u")
    w.run(5)
    w.air.change(DEV_EUI, lambda device, now: device.reset_counters(now))
    w.peer().f_cnt_up = None
    w.air.send(DEV_EUI, b"u")
    w.run(5)
    assert [u.f_cnt for u in w.server.uplinks] == [0, 0]
    w.air.change(DEV_EUI, lambda device, now: device.rejoin(now))
    w.run(20)
    assert len(w.air.log.of(DEV_EUI, AirEventKind.JOINED)) == 2


def test_adr_asks_for_a_downlink_and_slows_down_after_a_long_silence() -> None:
    w = joined(world(device_config()))
    for _ in range(100):
        w.air.send(DEV_EUI, b"u")
        w.run(5)
    asks = [u.adr_ack_req for u in w.server.uplinks]
    assert asks.index(True) == 64
    assert w.air.devices[DEV_EUI].settings.data_rate == 4


def test_us915_joins_and_talks() -> None:
    config = device_config(region="US915", data_rate=1)
    w = world(config)
    w.run(20)
    assert w.air.devices[DEV_EUI].joined
    w.peer().to_send.append(down(b"down", 1))
    assert w.air.send(DEV_EUI, bytes(54)) == "54 bytes; DR1 carries 53"
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    assert w.delivered == [(DEV_EUI, b"down")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"app_key": "00"},
        {"dev_eui": "xyz"},
        {"region": "MOON"},
        {"mac_version": "2.0"},
        {"mac_version": "1.1.0"},
        {"device_class": "D"},
        {"f_port": 226},
        {"data_rate": 12},
        {"no_such_key": 1},
    ],
)
def test_a_wrong_device_description_is_refused_with_its_reason(wrong: dict[str, object]) -> None:
    with pytest.raises(DeviceConfigError):
        device_config(**wrong)
