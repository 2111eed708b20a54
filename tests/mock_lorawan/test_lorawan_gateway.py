"""A gateway says truly what it can send, and is deaf while it sends."""

import random

import pytest
from lorawan_small_server import DEV_EUI, GATEWAY, START, device_config, down, world

from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.gateway import Gateway, GatewayConfig, GatewayConfigError
from mock_network.lorawan.radio import (
    Delay,
    DownlinkFrame,
    DownlinkItem,
    GpsEpoch,
    Immediately,
    LoRa,
    Timing,
    TxStatus,
)
from mock_network.lorawan.transmission import Transmission

SF12 = LoRa(12, 125_000)


def gateway(**changes: object) -> Gateway:
    return Gateway(GatewayConfig(GATEWAY, **changes), random.Random(1), START)  # type: ignore[arg-type]


def uplink(end: float = START) -> Transmission:
    rx = (868_100_000, SF12)
    return Transmission(b"up", 868_100_000, SF12, 14, end - 1, end, end + 1, rx, rx)


def item(timing: Timing, context: bytes = b"", frequency: int = 869_525_000, power: int = 14) -> DownlinkItem:
    return DownlinkItem(bytes(20), frequency, SF12, timing, power, context)


def statuses(gateway: Gateway, *items: DownlinkItem, now: float = START) -> list[TxStatus]:
    return list(gateway.command(DownlinkFrame(1, GATEWAY, items), now)[0].statuses)


def test_a_delay_counts_from_the_end_of_the_uplink_that_the_context_names() -> None:
    g = gateway()
    frame = g.receive(uplink(), rssi=-100, snr=1.0)
    ack, scheduled = g.command(DownlinkFrame(9, GATEWAY, (item(Delay(1), frame.context),)), START + 0.5)
    assert (ack.downlink_id, ack.statuses) == (9, (TxStatus.OK,))
    assert scheduled is not None
    assert scheduled.start == pytest.approx(START + 1, abs=1e-5)


def test_the_counter_may_wrap_between_uplink_and_downlink() -> None:
    g = gateway()
    wrap = (1 << 32) / 1e6
    boot = g._booted
    end = boot + wrap * 3 - 0.5
    frame = g.receive(uplink(end), rssi=-100, snr=1.0)
    scheduled = g.command(DownlinkFrame(9, GATEWAY, (item(Delay(5), frame.context),)), end + 1)[1]
    assert scheduled is not None
    assert scheduled.start == pytest.approx(end + 5, abs=1e-5)


def test_the_second_item_is_used_when_the_first_is_too_late() -> None:
    g = gateway()
    context = g.receive(uplink(), rssi=-100, snr=1.0).context
    assert statuses(g, item(Delay(1), context), item(Delay(2), context), now=START + 1) == [
        TxStatus.TOO_LATE,
        TxStatus.OK,
    ]


def test_items_after_the_one_that_is_sent_are_ignored() -> None:
    g = gateway()
    context = g.receive(uplink(), rssi=-100, snr=1.0).context
    assert statuses(g, item(Delay(1), context), item(Delay(2), context)) == [TxStatus.OK, TxStatus.IGNORED]


def test_two_frames_at_one_time_collide_but_immediate_ones_queue_up() -> None:
    g = gateway()
    context = g.receive(uplink(), rssi=-100, snr=1.0).context
    assert statuses(g, item(Delay(1), context)) == [TxStatus.OK]
    assert statuses(g, item(Delay(1.5), context)) == [TxStatus.COLLISION_PACKET]
    starts = []
    for _ in range(2):
        scheduled = g.command(DownlinkFrame(1, GATEWAY, (item(Immediately()),)), START)[1]
        assert scheduled is not None
        starts.append(scheduled)
    assert starts[0].start >= START + 1
    assert starts[1].start >= starts[0].end


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (item(Delay(600), b"\0\0\0\0"), TxStatus.TOO_EARLY),
        (item(Immediately(), frequency=915_000_000), TxStatus.TX_FREQ),
        (item(Immediately(), power=30), TxStatus.TX_POWER),
        (item(Delay(1)), TxStatus.INTERNAL_ERROR),
        (item(GpsEpoch(1.0)), TxStatus.TOO_LATE),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_reason(wrong: DownlinkItem, status: TxStatus) -> None:
    g = gateway()
    if wrong.context:
        wrong = DownlinkItem(bytes(20), 869_525_000, SF12, Delay(600), 14, g.receive(uplink(), rssi=0, snr=0).context)
    assert statuses(g, wrong) == [status]


def test_without_gps_there_is_no_class_b() -> None:
    assert statuses(gateway(gps=False), item(GpsEpoch(2e9))) == [TxStatus.GPS_UNLOCKED]


def test_beacon_windows_are_kept_free_where_beacons_are_sent() -> None:
    beacon = 11_718_751 * 128  # GPS seconds
    now = beacon + 315_964_800 - 18 - 10.0
    g = Gateway(GatewayConfig(GATEWAY, beacons=True), random.Random(1), now)
    assert statuses(g, item(GpsEpoch(beacon + 1.0)), now=now) == [TxStatus.COLLISION_BEACON]
    assert statuses(g, item(GpsEpoch(beacon - 3.5)), now=now) == [TxStatus.COLLISION_BEACON]
    assert statuses(g, item(GpsEpoch(beacon + 3.0)), now=now) == [TxStatus.OK]


def test_the_queue_is_bounded() -> None:
    g = gateway()
    results = [statuses(g, item(Immediately()))[0] for _ in range(40)]
    assert results == [TxStatus.OK] * 32 + [TxStatus.QUEUE_FULL] * 8


def test_the_duty_cycle_is_kept_where_asked() -> None:
    g = gateway(duty_cycle=True)
    assert statuses(g, item(Immediately(), frequency=868_100_000)) == [TxStatus.OK]
    assert statuses(g, item(Immediately(), frequency=868_300_000), now=START + 30) == [TxStatus.DUTY_CYCLE_OVERFLOW]
    assert statuses(g, item(Immediately(), frequency=868_300_000), now=START + 300) == [TxStatus.OK]


def test_a_gateway_that_sends_is_deaf() -> None:
    g = gateway()
    scheduled = g.command(DownlinkFrame(1, GATEWAY, (item(Immediately()),)), START)[1]
    assert scheduled is not None
    assert not g.hears(uplink(scheduled.start + 0.1))
    assert g.hears(uplink(scheduled.end + 1.5))


def test_faults_refusals_in_order_then_success() -> None:
    g = gateway()
    g.faults.next_statuses.extend([TxStatus.COLLISION_PACKET, TxStatus.OK, TxStatus.TX_POWER])
    results = [statuses(g, item(Immediately()))[0] for _ in range(4)]
    assert results == [TxStatus.COLLISION_PACKET, TxStatus.OK, TxStatus.TX_POWER, TxStatus.OK]


def test_a_late_command_is_answered_too_late_and_nothing_is_sent() -> None:
    w = world(device_config())
    w.run(20)
    w.air.gateways[GATEWAY].faults.late = 3.0
    w.peer().to_send.append(down(b"x", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert w.server.tx_acks[-1].statuses == (TxStatus.TOO_LATE, TxStatus.TOO_LATE)
    assert w.delivered == []


def test_a_lost_tx_ack_does_not_stop_the_frame() -> None:
    w = world(device_config())
    w.run(20)
    before = len(w.server.tx_acks)
    w.air.gateways[GATEWAY].faults.lost_tx_ack = 1.0
    w.peer().to_send.append(down(b"x", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(10)
    assert len(w.server.tx_acks) == before
    assert len(w.air.log.of(DEV_EUI, AirEventKind.RECEIVED)) == 1


def test_an_offline_gateway_says_nothing() -> None:
    w = world(device_config())
    w.run(20)
    w.air.gateways[GATEWAY].faults.offline = True
    w.server.heard.clear()
    w.air.send(DEV_EUI, b"up")
    w.air.downlink(DownlinkFrame(5, GATEWAY, (item(Immediately()),)))
    w.run(10)
    assert w.server.heard == []
    assert all(ack.downlink_id != 5 for ack in w.server.tx_acks)


def test_a_command_for_a_gateway_that_is_not_there_is_counted() -> None:
    w = world(device_config())
    w.air.downlink(DownlinkFrame(5, "00" * 8, (item(Immediately()),)))
    assert w.air.unknown_gateway == 1


@pytest.mark.parametrize("gateway_id", ["", "00", "0016C001FF10A235", "zz16c001ff10a235"])
def test_a_wrong_gateway_id_is_refused(gateway_id: str) -> None:
    with pytest.raises(GatewayConfigError):
        GatewayConfig(gateway_id)
