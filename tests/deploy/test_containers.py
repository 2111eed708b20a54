"""Dockerfile and compose file name only what exists: paths, commands, options, services."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from bridge.cli import main
from bridge.config import parse
from tests.deploy.manifests import ROOT

DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "compose"
COMPOSE = yaml.load((FOLDER / "compose.yaml").read_text(), yaml.CSafeLoader)
SERVICES = COMPOSE["services"]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with its arguments in one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def all_of(name: str) -> list[str]:
    return [arguments for found, arguments in instructions() if found == name]


def test_all_that_is_installed_is_installed_by_the_script():
    installing, making = all_of("RUN")
    script, *_arguments = shlex.split(installing)
    assert script.removeprefix("/source/") == "deploy/install.sh"
    assert (DEPLOY / "install.sh").stat().st_mode & 0o111
    assert shlex.split(making)[0] == "install"


def test_the_build_sees_what_the_script_copies():
    seen = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = set(re.findall(r"\$source/([\w./]+)", (DEPLOY / "install.sh").read_text()))
    assert copied | {"deploy/install.sh"} == seen
    assert all((ROOT / path).exists() for path in seen)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {package.rstrip("*") for package in packages} <= copied


def test_the_image_runs_the_bridge_as_nobody_in_particular():
    (user,), (entry,), (command,) = all_of("USER"), all_of("ENTRYPOINT"), all_of("CMD")
    assert user.split(":")[0].isdecimal()
    assert int(user.split(":")[0]) > 0
    assert entry == '["/opt/lwm2m-bridge/bin/lwm2m-bridge"]'
    assert command == '["run"]'
    assert all_of("FROM")[-1] == "${PYTHON}"


@pytest.mark.parametrize("name", SERVICES)
def test_commands_exist_and_their_options_parse(name: str, tmp_path: Path):
    command: click.Command = main
    words = [str(tmp_path / "file") if word.endswith(".toml") else word for word in SERVICES[name]["command"]]
    (tmp_path / "file").touch()
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    command.make_context(command.name, words)


@pytest.mark.parametrize("name", SERVICES)
def test_files_services_and_networks_that_are_named_exist(name: str):
    one: dict[str, Any] = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    for volume in one.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (FOLDER / source).is_file(), source
    for secret in one.get("secrets", []):
        assert (FOLDER / COMPOSE["secrets"][secret]["file"]).is_file()
    if "build" in one:
        context = (FOLDER / one["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / one["build"]["dockerfile"]).is_file()
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert one["build"]["args"]["EXTRAS"] in extras
    assert set(one.get("depends_on", [])) <= set(SERVICES)
    assert set(one.get("networks", [])) <= set(COMPOSE["networks"])
    mode = one.get("network_mode", f"service:{name}")
    assert mode.removeprefix("service:") in SERVICES


def test_the_bridge_of_the_compose_file_knows_its_neighbours(tmp_path: Path):
    (tmp_path / "scef-token").write_text((FOLDER / "scef-token").read_text())
    text = (FOLDER / "bridge.toml").read_text()
    assert "file:/run/secrets/scef-token" in text
    text = text.replace("/run/secrets/", f"{tmp_path}/")
    config = parse(text, "bridge.toml", tmp_path)
    hosts = re.findall(r"(?:coap|http)://([a-z]+):(\d+)", text)
    assert {host for host, _port in hosts} == {"server", "scef", "bridge"}
    for host, port in hosts:
        if host != "bridge":
            assert any(str(word).endswith(f":{port}") for word in SERVICES[host]["command"])
    port = config.service.metrics_listen.rpartition(":")[2]
    assert SERVICES["bridge"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    token = SERVICES["scef"]["command"][SERVICES["scef"]["command"].index("--token") + 1]
    assert token == (FOLDER / "scef-token").read_text().strip()
    (ue,) = tomllib.loads((FOLDER / "ues.toml").read_text())["ue"]
    assert f"coap://127.0.0.1:{ue['port']}" in SERVICES["device"]["command"]
    assert ue["external_id"] in text
