"""Published vectors (ChirpStack `lrwn` and lora-packet tests, both MIT), byte by byte."""

import pytest

from mock_network.lorawan import crypto, frames
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.frames import Data, FrameError, JoinAccept, JoinRequest

KEY = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
REVERSED = KEY[::-1]
DERIVE_KEY = bytes.fromhex("01020304050607080102030405060708")


def test_session_keys_1_0() -> None:
    keys = crypto.session_keys_1_0(DERIVE_KEY, join_nonce=65536, net_id=0x010203, dev_nonce=258)
    assert keys.nwk_s_enc_key.hex() == "df53c35f3034ccced0ff354c70de04df"
    assert keys.app_s_key.hex() == "927b9c911183cffe4cb2ff4b75545f6d"


def test_session_keys_1_0_second_vector() -> None:
    keys = crypto.session_keys_1_0(
        bytes.fromhex("98929b92c49edba9676d646d3b612456"), join_nonce=0x376338, net_id=0xAABBCC, dev_nonce=0xF18E
    )
    assert keys.nwk_s_enc_key.hex() == "4e3d6e6afbcc67af2ba3c8e8ec4acf4b"
    assert keys.app_s_key.hex() == "610897aa6f1460623443b527d3ac6a9d"


def test_session_keys_1_1() -> None:
    keys = crypto.session_keys_1_1(
        DERIVE_KEY, bytes(16), join_nonce=65536, join_eui=bytes.fromhex("0807060504030201"), dev_nonce=258
    )
    assert keys.app_s_key.hex() == "01621215d1ca08febf0c602cc2ad90fa"
    assert keys.f_nwk_s_int_key.hex() == "537f8aae896c79e015d102d06286354e"
    assert keys.s_nwk_s_int_key.hex() == "589498993092cfdb5fd2e02ac7510bf1"
    assert keys.nwk_s_enc_key.hex() == "9898283c4f66eb6c6fd5165882046c40"


def test_join_request() -> None:
    request = JoinRequest(bytes((1,) * 8), bytes((2,) * 8), 771)
    sealed = frames.seal_join_request(request, KEY)
    assert sealed.hex() == "0001010101010101010202020202020202030309b97b32"
    assert frames.open_join_request(sealed, KEY) == request
    with pytest.raises(FrameError, match="MIC"):
        frames.open_join_request(sealed, REVERSED)


def test_join_accept_1_0() -> None:
    request = JoinRequest(bytes.fromhex("0807060504030201"), bytes(8), 258)
    accept = JoinAccept(join_nonce=65793, net_id=0x020202, dev_addr=0x01020304)
    assert crypto.join_accept_mic_1_0(KEY, frames.join_accept_message(accept)).hex() == "3449f212"
    sealed = frames.seal_join_accept(accept, request, KEY)
    assert sealed.hex() == "2023cf335489aae3183c0be0baa8dee5f3"
    assert frames.open_join_accept(sealed, request, KEY) == accept


def test_join_accept_1_1() -> None:
    # The vector gives the JSIntKey itself, so that the derivation from the NwkKey has no part in it.
    message = frames.join_accept_message(
        JoinAccept(join_nonce=65793, net_id=0x020202, dev_addr=0x01020304, opt_neg=True)
    )
    mic = crypto.join_accept_mic_1_1(KEY, message, join_eui=bytes.fromhex("0807060504030201"), dev_nonce=258)
    assert mic.hex() == "93ff9a3a"
    sealed = message[:1] + crypto.encrypt_join_accept(KEY, message[1:] + mic)
    assert sealed.hex() == "207abeea06b02920f11c02d0348fcf1815"
    assert crypto.decrypt_join_accept(KEY, sealed[1:]) == message[1:] + mic


def test_confirmed_uplink_1_0() -> None:
    frame = Data(
        uplink=True,
        dev_addr=0x01020304,
        f_cnt=0,
        confirmed=True,
        f_opts=bytes.fromhex("067307"),
        f_port=10,
        frm_payload=bytes.fromhex("01020304"),
    )
    keys = SessionKeys.of_1_0(KEY, REVERSED)
    sealed = frames.seal_data(frame, keys, v1_1=False)
    assert sealed.hex() == "80040302010300000673070ae264d4f7e117d2c0"
    assert frames.open_data(sealed, 0, keys, v1_1=False) == frame


def test_uplink_mic_1_0() -> None:
    sealed = bytes.fromhex("40F17DBE4900020001954378762B11FF0D")
    key = bytes.fromhex("44024241ed4ce9a68c6a8bc055233fd3")
    assert crypto.data_mic(key, sealed[:-4], uplink=True, dev_addr=0x49BE7DF1, f_cnt=2) == sealed[-4:]


def test_unconfirmed_downlink_1_1() -> None:
    keys = SessionKeys(
        f_nwk_s_int_key=bytes(16),  # has no part in a downlink
        s_nwk_s_int_key=bytes((1,) * 15 + (0,)),
        nwk_s_enc_key=bytes((1,) * 14 + (2, 0)),
        app_s_key=REVERSED,
    )
    frame = Data(
        uplink=False,
        dev_addr=0x01020304,
        f_cnt=0,
        f_opts=bytes.fromhex("020701"),
        f_port=1,
        frm_payload=bytes.fromhex("01020304"),
    )
    sealed = frames.seal_data(frame, keys, v1_1=True)
    assert sealed.hex() == "600403020103000022ac0a01f0b468ddaa5ed13a"
    assert frames.open_data(sealed, 0, keys, v1_1=True) == frame


def test_join_accept_1_1_needs_the_device_and_the_nonce() -> None:
    request = JoinRequest(bytes(8), bytes.fromhex("0102030405060708"), 7)
    sealed = frames.seal_join_accept(JoinAccept(1, 2, 3, opt_neg=True), request, KEY)
    assert frames.open_join_accept(sealed, request, KEY).opt_neg
    for other in (JoinRequest(bytes(8), bytes(8), 7), JoinRequest(bytes(8), request.dev_eui, 8)):
        with pytest.raises(FrameError, match="MIC"):
            frames.open_join_accept(sealed, other, KEY)
