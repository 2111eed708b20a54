"""`pip install .` is a bridge with NIDD; what an extra would bring says so, with the command that installs it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from mock_network.lab import free_port
from tests.components import BASE_INSTALL
from tests.conftest import need_component

BIN = BASE_INSTALL.folder / "venv" / "bin"
SETTINGS = """
[service]
state_directory = "state"
[servers.main]
uri = "coap://127.0.0.1:5683"
"""
NIDD = """
[networks.operator]
binding = "nidd"
api_root = "http://127.0.0.1:1"
scs_as_id = "as1"
callbacks = {{ port = {port} }}
"""
LORAWAN = """
[networks.field]
binding = "lorawan"
api = { server = "127.0.0.1:8080", key = "k" }
"""
IMPORT_ALL = """
import importlib, pkgutil, sys
import bindings, bridge
of_extras = ("bindings.lorawan", "bridge.store.moving", "bridge.store.postgres", "bridge.tls.mbedtls")
for root in (bridge, bindings):
    for module in pkgutil.walk_packages(root.__path__, root.__name__ + "."):
        if not module.name.startswith(of_extras) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
of_extras = {"grpc", "paho", "google", "chirpstack_api", "aiocoap", "cbor2", "Crypto", "mbedtls", "psycopg"}
found = of_extras & sys.modules.keys()
sys.exit(f"needs an extra: {found}" if found else 0)
"""


@pytest.fixture(autouse=True)
def _built() -> None:
    need_component(BASE_INSTALL)


def bridge(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": ""}
    command = [BIN / "lwm2m-bridge", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_every_module_of_the_bridge_and_of_nidd_can_be_imported(tmp_path: Path):
    done = subprocess.run([BIN / "python", "-c", IMPORT_ALL], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_network_of_nidd_runs(tmp_path: Path):
    (tmp_path / "bridge.toml").write_text(SETTINGS + NIDD.format(port=free_port()))
    checked = bridge(tmp_path, "config", "check")
    assert checked.returncode == 0, checked.stderr
    with subprocess.Popen(
        [BIN / "lwm2m-bridge", "run"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "ready" in line or "running" in line:
                break
        running.send_signal(signal.SIGTERM)
        rest = running.stderr.read()
    assert running.returncode == 0, rest


def test_a_lorawan_network_says_what_to_install(tmp_path: Path):
    (tmp_path / "bridge.toml").write_text(SETTINGS + LORAWAN)
    done = bridge(tmp_path, "config", "check")
    assert done.returncode == 1
    assert "pip install 'lwm2m-nonip-bridge[lorawan]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_template_says_it_too_and_is_valid(tmp_path: Path):
    done = bridge(tmp_path, "config", "template")
    assert done.returncode == 0
    assert "pip install 'lwm2m-nonip-bridge[lorawan]'" in done.stdout.replace("\n# ", " ")  # a comment, wrapped
    assert "[networks.example-nidd]" in done.stdout


@pytest.mark.parametrize(
    "command", [["mock", "device", "name", "--count", "3"], ["mock", "chirpstack"], ["mock", "server"], ["demo"]]
)
def test_an_emulator_says_what_to_install(tmp_path: Path, command: list[str]):
    done = bridge(tmp_path, *command)
    assert done.returncode == 1
    assert "pip install 'lwm2m-nonip-bridge[emulators]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_of_emulators_says_which_cannot_be_used(tmp_path: Path):
    done = bridge(tmp_path, "mock", "--help")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    for name in ("chirpstack", "clock", "device", "lorawan", "scef", "server"):
        assert f"  {name} " in done.stdout
