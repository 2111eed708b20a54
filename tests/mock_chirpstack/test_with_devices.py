"""Emulated devices and gateways against the emulated server, on one line of virtual time, without sockets."""

import random
from types import SimpleNamespace

import pytest
from chirpstack_api import common
from mock_chirpstack_kit import APP_KEY, DEV_EUI, GATEWAYS, JOIN_EUI, NWK_KEY, World

from mock_network.chirpstack.context import Event, Send
from mock_network.chirpstack.messages import to_dict
from mock_network.chirpstack.radio_link import RadioLink
from mock_network.lorawan.air import Air
from mock_network.lorawan.device_config import parse_device
from mock_network.lorawan.gateway import GatewayConfig


class Radio(World):
    """A `World` whose device and gateways are emulated down to the air."""

    def begin(self, **device):
        self.delivered = []
        driver = SimpleNamespace(
            uplink=lambda frame: self.server.uplink(frame, self.now),
            tx_ack=lambda ack: self.server.tx_ack(ack, self.now),
        )
        self.link = RadioLink(driver)
        self.air = Air(random.Random(5), self.now, self.link, lambda _, data, _f_port: self.delivered.append(data))
        self.link.radio_side = self.air
        for gateway_id in GATEWAYS:
            self.air.add_gateway(GatewayConfig(gateway_id))
        keys = {"app_key": NWK_KEY.hex()}
        if self.node.v1_1:
            keys = {"app_key": APP_KEY.hex(), "nwk_key": NWK_KEY.hex(), "mac_version": "1.1.0"}
        body = {"dev_eui": DEV_EUI, "join_eui": JOIN_EUI, "duty_cycle": False, "adr": False} | keys | device
        self.radio_device = self.air.add_device(parse_device(body))

    def run(self, seconds=1.0):
        end = self.now + seconds
        while True:
            for effect in self.server.drain():
                if isinstance(effect, Event):
                    self.events.append((effect.kind, to_dict(effect.message)))
                elif isinstance(effect, Send):
                    self.air.advance(self.now)
                    self.link.send(effect.frame)
            due = min(time for time in (self.air.next_at(), self.server.next_due(), end) if time is not None)
            self.now = max(self.now, due)
            self.air.advance(self.now)
            self.server.advance(self.now)
            if due >= end:
                break

    def send(self, payload, **values):
        assert self.air.send(DEV_EUI, payload, **values) is None


def made(version=common.LORAWAN_1_0_3, profile=None, **device):
    world = Radio(profile={"mac_version": version} | (profile or {}))
    world.begin(**device)
    world.run(15)
    assert world.radio_device.joined
    return world


@pytest.mark.parametrize("version", [common.LORAWAN_1_0_3, common.LORAWAN_1_1_0])
def test_a_device_joins_sends_and_gets_a_confirmed_downlink(version):
    world = made(version)
    world.send(b"first")
    item = world.enqueue(b"down", confirmed=True)
    world.run(20)
    assert world.delivered == [b"down"]
    acks = world.bodies("ack")
    assert [(body["queueItemId"], body["acknowledged"]) for body in acks] == [(str(item), True)]
    assert len(world.bodies("join")) == 1


def test_two_gateways_hear_it_and_one_answers():
    world = made()
    world.send(b"x", confirmed=True)
    world.run(10)
    (body,) = [body for body in world.bodies("up") if body["data"]]
    assert len(body["rxInfo"]) == 2
    assert world.radio_device.wake_at() is None or world.bodies("log") == []


def test_a_lost_tx_ack_gives_the_device_a_replay_that_it_drops():
    world = made()
    world.fault("tx_ack_lost", count=1)
    world.enqueue(b"once")
    world.send(b"a")
    world.run(10)
    world.send(b"b")
    world.run(10)
    assert world.delivered == [b"once"]
    assert len(world.bodies("txack")) == 1
    assert [entry.f_cnt_down for entry in world.server.context.air if entry.kind == "data"] == [0, 0]


def test_class_c_hears_at_once():
    world = made(profile={"supports_class_c": True, "class_c_timeout": 10}, device_class="C")
    world.send(b"hello")
    world.run(10)
    sent_at = world.now
    world.enqueue(b"now", confirmed=True)
    world.run(5)
    assert world.delivered == [b"now"]
    assert world.now - sent_at < 10
    world.run(5)
    assert [body["acknowledged"] for body in world.bodies("ack")] == [True]


def test_class_b_hears_in_its_ping_slot():
    # the profile says what the device starts with (RP002: data rate 3); the server then asks for its own, 0
    slot = {"class_b_ping_slot_dr": 3, "class_b_ping_slot_freq": 869_525_000}
    world = made(profile={"supports_class_b": True, "class_b_timeout": 20} | slot, device_class="B")
    world.send(b"hello")
    world.run(300)
    world.send(b"locked")
    world.run(20)
    assert world.device.enabled_class == common.CLASS_B
    world.enqueue(b"slot")
    world.run(140)
    assert world.delivered == [b"slot"]


def test_a_profiles_rx1_delay_reaches_the_device():
    world = made(profile={"rx1_delay": 3})
    for payload in (b"a", b"b", b"c"):
        world.send(payload)
        world.run(20)
    assert world.device.session.rx1_delay == 3
    world.enqueue(b"late")
    world.send(b"d")
    world.run(20)
    assert world.delivered == [b"late"]


def test_crowding_commands_are_answered_and_the_payload_follows():
    world = made()
    world.fault("crowding", count=1, bytes=18)
    world.enqueue(b"after")
    for payload in (b"a", b"b"):
        world.send(payload)
        world.run(20)
    assert world.delivered == [b"after"]


def test_a_rejoin_makes_a_new_session_and_flushes():
    world = made(profile={"flush_queue_on_activate": True})
    world.enqueue(b"gone")
    before = world.device.session.dev_addr
    world.air.change(DEV_EUI, lambda device, now: device.rejoin(now))
    world.run(30)
    assert world.device.session.dev_addr != before
    assert world.queue == []
    assert len(world.bodies("join")) == 2


def test_a_counter_reset_of_a_device_is_seen():
    world = made()
    for payload in (b"a", b"b", b"c"):
        world.send(payload)
        world.run(10)
    world.air.change(DEV_EUI, lambda device, now: device.reset_counters(now))
    world.send(b"d")
    world.run(10)
    assert [body["code"] for body in world.bodies("log")] == ["UPLINK_F_CNT_RESET"]


def test_status_is_asked_and_told():
    world = made(profile={"device_status_req_interval": 24})
    for payload in (b"a", b"b"):
        world.send(payload)
        world.run(10)
    assert world.bodies("status")
    assert world.device.margin is not None
