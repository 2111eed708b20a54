"""Rules of devices that only show when something unusual happens."""

import random

import pytest
from lorawan_small_server import APP_KEY, DEV_EUI, GATEWAY, NWK_KEY, Peer, World, device_config, down, world

from mock_network.lorawan import frames
from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.command_answers import DeviceCondition, Outcome, answer
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.device_config import Abp, Otaa, parse_device
from mock_network.lorawan.frames import FrameError, JoinAccept
from mock_network.lorawan.joining import Joining
from mock_network.lorawan.mac_commands import Cid, Command, encode, parse
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.outbox import Outbox, Outgoing
from mock_network.lorawan.radio import Delay, DownlinkFrame, DownlinkItem, LoRa, TxStatus
from mock_network.lorawan.regions import EU868, US915, Region
from mock_network.lorawan.session import RadioSettings

ELEVEN = {"mac_version": "1.1.0", "nwk_key": NWK_KEY}


def joined(w: World) -> World:
    w.run(20)
    assert w.air.devices[DEV_EUI].joined
    return w


def test_1_1_counts_network_and_application_downlinks_apart() -> None:
    w = joined(world(device_config(**ELEVEN)))
    commands = encode([Command(Cid.REKEY, b"\x01")])
    for frame in (down(b"a", 1), down(b"b", 1), down(f_opts=commands), down(commands, 0), down(b"c", 1)):
        w.peer().to_send.append(frame)
        w.air.send(DEV_EUI, b"up")
        w.run(5)
    received = w.air.log.of(DEV_EUI, AirEventKind.RECEIVED)
    assert [(e.f_port, e.f_cnt) for e in received] == [(1, 0), (1, 1), (None, 0), (0, 1), (1, 2)]


def test_1_1_abp_begins_with_reset_ind() -> None:
    network = {"f_nwk_s_int_key": "11" * 16, "s_nwk_s_int_key": "22" * 16, "nwk_s_enc_key": "33" * 16}
    config = parse_device(
        {"dev_eui": DEV_EUI, "mac_version": "1.1.0", "dev_addr": "01020304", "app_s_key": APP_KEY, **network}
    )
    assert isinstance(config.activation, Abp)
    w = world(config)
    w.server.peers[DEV_EUI] = Peer(Otaa(bytes(8), bytes(16)), 0x01020304, config.activation.keys, v1_1=True)
    w.peer().to_send.append(down(b"down", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    assert w.server.uplinks[0].f_opts == b"\x01\x01"
    assert w.delivered == [(DEV_EUI, b"down")]


def test_answers_wait_when_the_payload_they_would_go_with_no_longer_fits() -> None:
    outbox = Outbox(device_config())
    status = Command(Cid.DEV_STATUS, b"\x00\x00")
    outbox.answered(Outcome(answers=[status]))
    outbox.payloads.append(Outgoing(bytes(52), 10, confirmed=False))
    assert outbox.drop_larger(51)
    assert outbox.next_load(51) is None  # nothing is to go now
    outbox.hurry(0.0)
    load = outbox.next_load(51)
    assert load is not None
    assert (load.outgoing.payload, load.f_opts) == (b"", encode([status]))


def test_a_downlink_without_the_ack_bit_acknowledges_nothing() -> None:
    w = joined(world(device_config(confirmed=True)))
    w.server.acks = False
    w.peer().to_send.append(down(b"something else", 1))
    w.air.send(DEV_EUI, b"data")
    w.run(3)
    assert w.delivered == [(DEV_EUI, b"something else")]
    assert w.air.log.of(DEV_EUI, AirEventKind.ACKED) == []
    w.server.acks = True
    w.run(20)
    assert [e.attempt for e in w.air.log.of(DEV_EUI, AirEventKind.ACKED)] == [2]


def test_a_device_that_sends_is_deaf() -> None:
    w = joined(world(device_config(device_class="C", data_rate=0)))
    w.server.peers[DEV_EUI].f_cnt_up = None
    w.run(30)
    w.air.send(DEV_EUI, bytes(51))  # 2.8 s on air
    w.run(0.5)
    w.server.send_now(w.peer(), down(b"now", 1))
    w.run(1)
    assert w.delivered == []
    w.run(10)
    w.server.send_now(w.peer(), down(b"later", 1))
    w.run(10)
    assert w.delivered == [(DEV_EUI, b"later")]


def test_rx2_parameters_outside_rx2_are_not_heard_by_class_a() -> None:
    w = joined(world(device_config()))
    w.air.send(DEV_EUI, b"up")
    w.run(0.2)
    up = w.server.heard[-1]
    item = DownlinkItem(
        w.server.seal(w.peer(), down(b"x", 1)), 869_525_000, LoRa(12, 125_000), Delay(1.5), context=up.context
    )
    w.air.downlink(DownlinkFrame(5, GATEWAY, (item,)))
    w.run(10)
    assert w.server.tx_acks[-1].statuses == (TxStatus.OK,)
    assert w.delivered == []


class SameNumber(random.Random):
    """Draws the same number again and again."""

    def randrange(self, *_: object) -> int:
        return 7


def test_a_random_dev_nonce_is_never_used_twice() -> None:
    config = device_config()
    assert isinstance(config.activation, Otaa)
    joining = Joining(config, config.activation, DeviceMemory(), SameNumber(1))
    assert [joining.request(0)[0].dev_nonce for _ in range(3)] == [7, 8, 9]


@pytest.mark.parametrize(("mac_version", "refused"), [("1.0.3", False), ("1.0.4", True)])
def test_an_old_join_nonce_is_refused_from_1_0_4_on(mac_version: str, refused: bool) -> None:
    config = device_config(mac_version=mac_version)
    assert isinstance(config.activation, Otaa)
    joining = Joining(config, config.activation, DeviceMemory(), random.Random(1))

    def accept(join_nonce: int) -> None:
        request, _ = joining.request(0)
        sealed = frames.seal_join_accept(JoinAccept(join_nonce, 0, 1), request, bytes.fromhex(APP_KEY))
        joining.accept(sealed, RadioSettings.of(EU868, 5))

    accept(5)
    if refused:
        with pytest.raises(FrameError, match="JoinNonce"):
            accept(5)
    else:
        accept(5)
    accept(6)


def test_nothing_on_air_raises_or_stops_a_device() -> None:
    w = joined(world(device_config(device_class="C")))
    rng = random.Random(3)
    device = w.air.devices[DEV_EUI]
    address = w.peer().dev_addr.to_bytes(4, "little")
    for _ in range(2000):
        head = rng.choice([b"", b"\x60", b"\xa0", b"\x20", b"\xe0", rng.randbytes(1)])
        frame = head + rng.choice([b"", address]) + rng.randbytes(rng.randrange(40))
        item = DownlinkItem(frame, 869_525_000, LoRa(12, 125_000), Delay(0))
        assert device.listening(item.frequency, item.data_rate, w.air.now) is not None
        window = device.listening(item.frequency, item.data_rate, w.air.now)
        assert window is not None
        assert device.heard(frame, window, 1.0, w.air.now) is None
    w.peer().to_send.append(down(b"alive", 1))
    w.air.send(DEV_EUI, b"up")
    w.run(5)
    assert w.delivered == [(DEV_EUI, b"alive")]


@pytest.mark.parametrize("region", [EU868, US915])
def test_random_mac_commands_never_break_a_device(region: Region) -> None:
    rng = random.Random(4)
    settings = RadioSettings.of(region, 0)
    for _ in range(3000):
        commands = parse(bytes((rng.randrange(1, 0x14),)) + rng.randbytes(rng.randrange(30)), uplink=False)
        outcome = answer(commands, settings, DeviceCondition(255, rng.uniform(-40, 40)))
        assert parse(encode(outcome.answers), uplink=True) == outcome.answers
        assert settings.enabled
        assert settings.enabled <= set(settings.channels)
        assert settings.data_rate in region.uplink_limits
        assert settings.rx2_data_rate in region.downlink_limits
        assert 1 <= settings.rx1_delay <= 15
        assert settings.nb_trans >= 1


def test_session_keys_of_1_0_are_one_network_key() -> None:
    keys = SessionKeys.of_1_0(b"n" * 16, b"a" * 16)
    assert keys.f_nwk_s_int_key == keys.s_nwk_s_int_key == keys.nwk_s_enc_key == b"n" * 16
