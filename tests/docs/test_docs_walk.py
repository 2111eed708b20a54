"""Tutorials and walks of the emulators' pages, typed as they are written: every part is a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mock_network.lab import free_port
from tests.conftest import need_program
from tests.docs.markdown import ROOT, blocks

PORT = re.compile(r"\b(5683|80\d\d|8180|9464|15683)\b")


def with_free_ports(texts: list[str]) -> list[str]:
    """Replace each port of the page by one that nothing else uses."""
    names = sorted(set(PORT.findall("\n".join(texts))))
    ports = {name: str(free_port()) for name in names}
    return [PORT.sub(lambda found: ports[found[0]], text) for text in texts]


def walk(page: str, directory: Path) -> tuple[int, str]:
    """Type what a page says; return the exit code and all that was printed. A file's block begins with its name."""
    need_program("curl")
    found = [
        block
        for block in blocks(ROOT / "docs" / page)
        if block.language == "sh" or (block.language == "toml" and block.text.startswith("# "))
    ]
    texts = with_free_ports([block.text for block in found])
    script = ["set -e"]
    for block, text in zip(found, texts, strict=True):
        if block.language == "toml":
            (directory / text.splitlines()[0].removeprefix("# ")).write_text(text)
        else:
            script.append(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    log = directory / "walk.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=directory,
            env={**os.environ, "PATH": path, "COLUMNS": "100"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(180)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    return code, log.read_text()


@pytest.fixture(name="walked", scope="module")
def walked_fixture(tmp_path_factory):
    return walk("tutorials/first-device-nidd.md", tmp_path_factory.mktemp("walk"))


def test_the_walk_goes_to_its_end(walked):
    code, said = walked
    assert code == 0, said[-4000:]


@pytest.mark.parametrize(
    "words",
    [
        '"values": {"/3/0/0": "LwM2M Non-IP bridge"}',  # the first read
        '"values": {"/3303/0/5700": 20.0}',  # the observation
        "BUFFERED",  # what waits is shown, with its reason
        "the network holds it",
        '"values": {"/3/0/14": "+02:00"}',  # the read that waited
        "RESPONDED",
        "device_repeats_total",
    ],
)
def test_the_walk_shows_what_the_page_says(walked, words):
    assert words in walked[1], walked[1][-4000:]


def test_the_walk_shows_one_send_for_two_notifications(walked):
    (sends,) = [line for line in walked[1].splitlines() if '"records"' in line and "[{" in line]
    assert sends.count('"records"') == 1


@pytest.mark.slow
def test_the_walk_with_a_lorawan_device_goes_to_its_end(tmp_path):
    code, said = walk("tutorials/first-device-lorawan.md", tmp_path)
    assert code == 0, said[-4000:]
    assert "integration" in next(line for line in said.splitlines() if line.startswith("made: "))
    assert "BAD" not in said  # says the doctor
    assert '"values": {"/3/0/0": "LwM2M Non-IP bridge"}' in said


def test_a_downlink_through_the_emulated_scef_within_three_minutes(tmp_path):
    code, said = walk("mock-scef.md", tmp_path)
    assert code == 0, said[-4000:]
    assert '"deliveryStatus": "SUCCESS_NEXT_HOP_ACKNOWLEDGED"' in said
    assert f'"data": "{b"hello".hex()}"' in said
    assert '"deliveryStatus": "BUFFERING_TEMPORARILY_NOT_REACHABLE"' in said
    assert '"niddDownlinkDataTransfer": ' in said  # the notification that it was delivered
    assert '"data": "AQI="' in said  # the uplink
    assert "no answer" in said
    assert said.rstrip().splitlines()[-1].endswith(f'"data": "{b"once".hex()}"}}')


def test_a_device_is_bootstrapped_and_managed_without_bridge_or_network(tmp_path):
    code, said = walk("mock-lwm2m.md", tmp_path)
    assert code == 0, said[-4000:]
    assert "urn:dev:os:meter-1  finished" in said  # the bootstrap session
    assert "/3/0/13  17672" in said  # the time that the bootstrap server wrote
    assert "2.05 NON  /3303/0/5700 31.5  /3/0/9 100" in said
    assert "urn:dev:os:meter-1  /3/0/9 100" in said  # what was sent
