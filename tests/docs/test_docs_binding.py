"""The binding of docs/binding-authors.md, installed as a distribution of its own, carries a device end to end."""

import asyncio
import json
import os
import subprocess
import sys
import tomllib

import pytest

from mock_network.lab import ApiError, Lab, free_port
from tests.docs.markdown import ROOT, blocks

NAME = "urn:dev:os:pigeon-1"


@pytest.fixture(name="installed")
def installed_fixture(tmp_path):
    """Put the page's two files where Python finds distributions and return the environment that does so."""
    site = tmp_path / "site"
    metadata = site / "lwm2m_bridge_pigeon-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    for block in blocks(ROOT / "docs" / "binding-authors.md"):
        if block.language == "python":
            (site / "pigeon.py").write_text(block.text)
        elif block.language == "toml":
            project = tomllib.loads(block.text)["project"]
            (metadata / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
            )
            lines = [
                f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in points.items())
                for group, points in project["entry-points"].items()
            ]
            (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {"PYTHONPATH": str(site)}


def test_the_binding_is_found_and_its_settings_are_in_the_template(installed):
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "config", "template"],
        env={**os.environ, **installed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "#[networks.example-pigeon]\n# One network of pigeons." in done.stdout
    assert "# bytes that a pigeon carries\n#largest = 200" in done.stdout


async def test_a_device_is_managed_through_it(installed, tmp_path):
    async with Lab(tmp_path / "lab") as lab:
        await lab.start_server()
        server = next(iter(lab.servers.values()))
        loft, perch = free_port(), free_port()
        text = f"""
[service]
state_directory = {json.dumps(str(lab.directory))}
[north]
port = {free_port()}
[servers.main]
uri = {json.dumps(server.ready["coap"])}
[networks.pigeons]
binding = "pigeon"
port = {loft}
[[endpoints]]
name = "{NAME}"
network = "pigeons"
address = "127.0.0.1:{perch}"
"""
        (lab.directory / "bridge.toml").write_text(text)
        await lab.start_bridge(environment=installed)
        await lab.start_device(NAME, f"coap://127.0.0.1:{loft}", "--listen", f"127.0.0.1:{perch}")
        async with asyncio.timeout(30):
            while True:
                try:
                    client = await server.api.get(f"/clients/{NAME}", wait=20)
                    break
                except ApiError:
                    await asyncio.sleep(0.05)
        assert client["address"].startswith("127.64.")
        answer = await server.api.post(f"/clients/{NAME}/read", {"path": "/3/0/0"})
        assert answer["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
        written = await server.api.post(f"/clients/{NAME}/write", {"path": "/3/0/14", "value": "+03:00"})
        assert written["code"] == "2.04"
        assert lab.bridge is not None
        (network,) = (await lab.bridge.ask("network.list"))["items"]
        assert network["abilities"] == ["check"]
        (found,) = (await lab.bridge.ask("network.check"))["networks"]["pigeons"]
        assert (found["what"], found["grade"]) == ("port", "good")
