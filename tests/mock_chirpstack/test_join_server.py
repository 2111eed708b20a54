"""A Join Server outside: the network server hands over what it has of AppSKeys, and needs none."""

import pytest
from mock_chirpstack_kit import APP_KEY, DEV_EUI, NWK_KEY, START, World

from mock_network.chirpstack.join_server import JoinServer
from mock_network.chirpstack.model import DeviceKeys, Settings
from mock_network.chirpstack.population import PopulationError, parse
from mock_network.chirpstack.values import join_server_context
from mock_network.lorawan.crypto import crypt_frm_payload

KEK = bytes(range(16))


def world(**how):
    one = World({"rx1_delay": 1}, Settings(mac_commands_disabled=True))
    one.server.context.join_server = JoinServer("label", KEK, **how)
    one.server.context.join_server.keys[one.device.dev_eui] = DeviceKeys(NWK_KEY, APP_KEY, bytes(16), START, START)
    one.device.keys = None
    return one


def encrypted(one, payload, counter):
    keys = one.node.keys
    return crypt_frm_payload(keys.app_s_key, payload, uplink=False, dev_addr=one.node.dev_addr, f_cnt=counter)


def test_events_have_cipher_text_and_the_key_under_the_kek():
    one = world()
    one.hear(one.node.join_request())
    one.run(1)
    envelope = one.only("join")["joinServerContext"]["appSKey"]
    one.node.joined(one.frames[-1].items[0].phy_payload)
    one.forget()
    one.up(b"secret", 10)
    up = one.only("up")
    assert up["joinServerContext"]["appSKey"] == envelope == {"kekLabel": "label", "aesKey": envelope["aesKey"]}
    assert "c2VjcmV0" not in up["data"]  # base64 of "secret"


def test_a_join_server_may_hand_over_an_id_alone():
    one = world(session_key_id=True)
    one.join()
    one.up(b"secret", 10)
    assert one.only("up")["joinServerContext"] == {"sessionKeyId": "0000000000000001"}


def test_an_encrypted_item_goes_out_as_it_is():
    one = world()
    one.join()
    one.enqueue(encrypted(one, b"hello", 7), is_encrypted=True, f_cnt_down=7)
    one.up()
    assert one.sent().frm_payload == b"hello"
    assert one.only("txack")["fCntDown"] == 7
    one.forget()
    one.node.f_cnt_down = 8
    one.enqueue(encrypted(one, b"stale", 7), is_encrypted=True, f_cnt_down=7)
    one.up()
    assert one.only("log")["code"] == "F_CNT_DOWN"


def test_an_item_in_the_clear_stays_and_is_in_the_way():
    one = world()
    one.join()
    one.enqueue(b"hello")
    one.up()
    one.up()
    assert len(one.queue) == 1
    assert not one.frames
    assert "in the way" in one.warnings[0]


def test_a_device_without_keys_anywhere_does_not_join():
    one = world()
    one.server.context.join_server.keys.clear()
    one.hear(one.node.join_request())
    one.run(1)
    assert not one.frames
    assert DEV_EUI in one.warnings[0]


def test_a_session_of_the_servers_own_has_no_context():
    one = World()
    one.join()
    assert join_server_context(one.device.session) is None


@pytest.mark.parametrize("values", [{}, {"kek_label": "a", "kek": "00"}, {"kek_label": "a", "kek": "zz"}, {"kek": 1}])
def test_a_population_says_what_is_wrong_with_its_join_server(values):
    with pytest.raises(PopulationError, match="kek_label, kek"):
        parse({"server": {"join_server": values}})
