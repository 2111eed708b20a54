"""Frames, MICs, ciphers and key derivation agree with lora-packet, an independent implementation in JavaScript."""

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

from mock_network.lorawan import crypto, frames
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.frames import Data, JoinRequest, MicInputs
from tests.components import LORA_PACKET
from tests.conftest import need_component

FRAMES = 1000  # each way


def random_case(rng: random.Random) -> dict[str, Any]:
    """Draw one frame with its keys, as plain JSON values."""
    if rng.random() < 0.1:
        return {
            "kind": "join_request",
            "key": rng.randbytes(16).hex(),
            "join_eui": rng.randbytes(8).hex(),
            "dev_eui": rng.randbytes(8).hex(),
            "dev_nonce": rng.randrange(1 << 16),
        }
    v1_1 = rng.random() < 0.5
    uplink = rng.random() < 0.5
    f_port = rng.choice([0, 1, 2, 10, 223, 255])
    ack = rng.random() < 0.5
    key = rng.randbytes(16).hex()
    network = {"f_nwk_s_int_key": key, "s_nwk_s_int_key": key, "nwk_s_enc_key": key}
    if v1_1:
        network = {name: rng.randbytes(16).hex() for name in network}
    return {
        "kind": "data",
        "v1_1": v1_1,
        "uplink": uplink,
        "confirmed": rng.random() < 0.5,
        "adr": rng.random() < 0.5,
        "adr_ack_req": uplink and rng.random() < 0.5,
        "ack": ack,
        "f_pending": rng.random() < 0.5,
        "dev_addr": rng.randbytes(4).hex(),
        "f_cnt": rng.choice([0, 1, 0xFFFF, 0x10000, 0xFFFFFFFF, rng.randrange(1 << 32)]),
        "f_port": f_port,
        "f_opts": "" if f_port == 0 else rng.randbytes(rng.choice([0, 0, 1, 3, 15])).hex(),
        "payload": rng.randbytes(rng.choice([0, 1, 15, 16, 17, 51, rng.randrange(222)])).hex(),
        "app_s_key": rng.randbytes(16).hex(),
        # lora-packet covers ConfFCnt also on FPort 0 without the ACK bit; TS001-1.1 does not: zero there suits both
        "conf_f_cnt": rng.randrange(1 << 16) if ack else 0,
        "data_rate": rng.randrange(16),
        "channel": rng.randrange(72),
        **network,
    }


def to_data(case: dict[str, Any]) -> tuple[Data, SessionKeys, MicInputs]:
    frame = Data(
        uplink=case["uplink"],
        dev_addr=int(case["dev_addr"], 16),
        f_cnt=case["f_cnt"],
        confirmed=case["confirmed"],
        adr=case["adr"],
        adr_ack_req=case["adr_ack_req"],
        ack=case["ack"],
        f_pending=case["f_pending"],
        f_opts=bytes.fromhex(case["f_opts"]),
        f_port=case["f_port"],
        frm_payload=bytes.fromhex(case["payload"]),
    )
    names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key")
    keys = SessionKeys(**{name: bytes.fromhex(case[name]) for name in names})
    return frame, keys, MicInputs(case["conf_f_cnt"], case["data_rate"], case["channel"])


def to_request(case: dict[str, Any]) -> JoinRequest:
    return JoinRequest(bytes.fromhex(case["join_eui"]), bytes.fromhex(case["dev_eui"]), case["dev_nonce"])


def sealed(case: dict[str, Any]) -> str:
    if case["kind"] == "join_request":
        return frames.seal_join_request(to_request(case), bytes.fromhex(case["key"])).hex()
    frame, keys, mic = to_data(case)
    return frames.seal_data(frame, keys, v1_1=case["v1_1"], mic=mic).hex()


def run_node(work: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("lora_packet.js"))],
        input=json.dumps(work),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NODE_PATH": str(LORA_PACKET.folder / "node_modules")},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def check_data(case: dict[str, Any], found: dict[str, Any]) -> None:
    assert found == {
        "mic": True,
        "dev_addr": case["dev_addr"],
        "f_cnt_16": case["f_cnt"] & 0xFFFF,
        "ack": case["ack"],
        "adr": case["adr"],
        "confirmed": case["confirmed"],
        "direction": "up" if case["uplink"] else "down",
        "f_port": case["f_port"],
        "f_opts": case["f_opts"],
        "payload": case["payload"],
    }


def test_a_thousand_random_frames_each_way_and_key_derivation_agree_with_lora_packet() -> None:
    need_component(LORA_PACKET)
    rng = random.Random(20260)
    ours = [random_case(rng) for _ in range(FRAMES)]
    theirs = [random_case(rng) for _ in range(FRAMES)]
    derivations = [
        {
            "kind": "keys",
            "app_key": rng.randbytes(16).hex(),
            "nwk_key": rng.randbytes(16).hex(),
            "join_eui": rng.randbytes(8).hex(),
            "dev_eui": rng.randbytes(8).hex(),
            "net_id": rng.randbytes(3).hex(),
            "join_nonce": rng.randbytes(3).hex(),
            "dev_nonce": rng.randbytes(2).hex(),
        }
        for _ in range(50)
    ]
    answer = run_node({"check": [{**case, "wire": sealed(case)} for case in ours] + derivations, "build": theirs})

    assert len(answer["check"]) == FRAMES + len(derivations)
    for case, found in zip(ours, answer["check"], strict=False):
        if case["kind"] == "join_request":
            assert found == {"mic": True, **{name: case[name] for name in ("join_eui", "dev_eui", "dev_nonce")}}
        else:
            check_data(case, found)

    assert len(answer["build"]) == FRAMES
    for case, wire in zip(theirs, answer["build"], strict=True):
        phy_payload = bytes.fromhex(wire)
        if case["kind"] == "join_request":
            assert frames.open_join_request(phy_payload, bytes.fromhex(case["key"])) == to_request(case)
        else:
            frame, keys, mic = to_data(case)
            assert frames.open_data(phy_payload, case["f_cnt"], keys, v1_1=case["v1_1"], mic=mic) == frame
        assert sealed(case) == wire

    for case, found in zip(derivations, answer["check"][FRAMES:], strict=True):
        check_derivation(case, found)


def check_derivation(case: dict[str, Any], found: dict[str, Any]) -> None:
    given = {name: bytes.fromhex(value) for name, value in case.items() if name != "kind"}
    join_nonce, net_id, dev_nonce = (int.from_bytes(given[n], "big") for n in ("join_nonce", "net_id", "dev_nonce"))
    old = crypto.session_keys_1_0(given["app_key"], join_nonce=join_nonce, net_id=net_id, dev_nonce=dev_nonce)
    assert found["1.0"] == {"NwkSKey": old.nwk_s_enc_key.hex(), "AppSKey": old.app_s_key.hex()}
    new = crypto.session_keys_1_1(
        given["nwk_key"], given["app_key"], join_nonce=join_nonce, join_eui=given["join_eui"], dev_nonce=dev_nonce
    )
    assert found["1.1"] == {
        "AppSKey": new.app_s_key.hex(),
        "FNwkSIntKey": new.f_nwk_s_int_key.hex(),
        "SNwkSIntKey": new.s_nwk_s_int_key.hex(),
        "NwkSEncKey": new.nwk_s_enc_key.hex(),
    }
    assert found["JS"] == {
        "JSEncKey": crypto.js_enc_key(given["nwk_key"], given["dev_eui"]).hex(),
        "JSIntKey": crypto.js_int_key(given["nwk_key"], given["dev_eui"]).hex(),
    }
