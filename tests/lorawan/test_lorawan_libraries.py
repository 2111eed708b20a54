"""The libraries of the LoRaWAN binding import together, at the floors that pyproject.toml names or above."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

FLOORS = ("chirpstack-api", "grpcio", "protobuf", "paho-mqtt")


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def test_what_is_installed_is_not_below_the_floors():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    floors = dict(line.split(">=") for line in project["optional-dependencies"]["lorawan"])
    for name in FLOORS:
        assert numbers(version(name)) >= numbers(floors[name]), name


def test_they_import_together_without_a_warning():
    code = "import chirpstack_api.api, chirpstack_api.integration, grpc.aio, paho.mqtt.client, bindings.lorawan"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
