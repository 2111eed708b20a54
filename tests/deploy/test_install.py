"""deploy/install.sh, run by tests.deploy.installed, makes an installation that needs nothing of the source tree."""

import subprocess
from pathlib import Path

import pytest

from tests.components.component import why_absent
from tests.deploy.installed import DEPLOYED, ROOT

BIN = DEPLOYED.folder / "venv" / "bin"
SETTINGS = """
[service]
state_directory = "state"
[servers.main]
uri = "coap://127.0.0.1:5683"
[networks.operator]
binding = "nidd"
api_root = "http://127.0.0.1:1"
scs_as_id = "as1"
[networks.field]
binding = "lorawan"
api = { server = "127.0.0.1:8080", key = "k" }
"""


def installed(folder: Path, *words: str | Path) -> str:
    """Return what a command of the installation prints."""
    absent = why_absent(DEPLOYED)
    if absent is not None:  # no need for all tests: it takes a minute and fetches
        pytest.skip("deploy/install.sh was not run: python -m tests.deploy.installed")
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_taken_from_the_source_tree(tmp_path: Path):
    code = "import bindings, bridge, mock_network as m; print(bridge.__path__[0], bindings.__path__[0], m.__path__[0])"
    for path in installed(tmp_path, BIN / "python", "-c", code).split():
        assert Path(path).is_relative_to(DEPLOYED.folder)


def test_nidd_and_lorawan_are_there_and_the_ledger_can_be_made(tmp_path: Path):
    (tmp_path / "bridge.toml").write_text(SETTINGS)
    assert "nothing is wrong" in installed(tmp_path, BIN / "lwm2m-bridge", "config", "check")
    added = ("endpoint", "add", "urn:dev:os:meter-1", "--network", "operator", "--address", "meter-1@iot.example")
    (tmp_path / "state").mkdir()
    installed(tmp_path, BIN / "lwm2m-bridge", *added)
    assert "urn:dev:os:meter-1" in installed(tmp_path, BIN / "lwm2m-bridge", "endpoint", "list")


def test_a_folder_that_is_there_is_refused_and_stays_as_it_was(tmp_path: Path):
    (tmp_path / "kept").touch()
    done = subprocess.run(
        [ROOT / "deploy" / "install.sh", tmp_path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "is there already: name another folder, or remove it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
