"""The ChirpStack packages name no bounds on each other: a set that does not import together must fail here."""

import subprocess
import sys


def test_chirpstack_grpc_protobuf_and_mqtt_import_together_without_a_warning() -> None:
    code = (
        "import chirpstack_api.api, chirpstack_api.common, chirpstack_api.gw, chirpstack_api.integration\n"
        "import google.protobuf.json_format, grpc.aio, paho.mqtt.client\n"
        "import Crypto.Cipher.AES, Crypto.Hash.CMAC\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
