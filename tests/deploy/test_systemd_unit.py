"""The systemd unit: what systemd itself says of it, and what the bridge needs of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bridge.cli import main
from tests.deploy.manifests import ROOT

UNIT = ROOT / "deploy" / "systemd" / "lwm2m-bridge.service"
INSTALLED = "/opt/lwm2m-bridge/bin/lwm2m-bridge"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_systemd_finds_nothing_wrong(tmp_path: Path):
    # The program is not installed here: another one stands in for it.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(INSTALLED, sys.executable))
    done = analyze("verify", "--man=no", copy)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_calls_it_well_protected():
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", UNIT)  # 20: 2.0 of 10
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_it_starts_and_reloads_the_bridge():
    said = settings()
    program, command, *rest = said["ExecStart"].split()
    assert program == INSTALLED
    found = main.get_command(click.Context(main), command)
    assert found is not None
    found.make_context(command, rest, resilient_parsing=True)
    assert said["Type"] == "notify"
    assert said["ExecReload"] == "kill -HUP $MAINPID"
    assert int(said["LimitNOFILE"]) >= 65536


def test_families_of_sockets_are_those_that_the_bridge_opens():
    assert set(settings()["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
