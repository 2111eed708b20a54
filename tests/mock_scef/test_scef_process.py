"""The emulated SCEF as a process: clock, options, file."""

import asyncio
import json
import subprocess
import sys

import aiohttp
import pytest
from scef_kit import UE

from mock_network.clock import ClockControl, ClockThread


def test_the_process_follows_the_clock_and_prints_where_it_is(tmp_path):
    ues = tmp_path / "ues.toml"
    ues.write_text(f'[[ue]]\nexternal_id = "{UE}"\nt3324 = 10\nt3412 = 3600\n')
    with ClockThread(rate=0) as clock:
        child = subprocess.Popen(
            [sys.executable, "-m", "mock_network.scef", "--ues", str(ues), "--clock", clock.url, "--token", "t"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            ready = json.loads(child.stdout.readline())
            assert ready["ues"][UE][1] > 0
            control = ClockControl(clock.url)

            async def states():
                seen = []
                async with aiohttp.ClientSession() as session:
                    for step in (0, 25, 10, 3590):
                        await asyncio.to_thread(control.step, step)
                        async with session.get(f"{ready['control']}/ues/{UE}") as response:
                            seen.append((await response.json())["state"])
                    async with session.get(f"{ready['control']}/clock") as response:
                        assert (await response.json())["wall"] == pytest.approx(control.wall(), abs=1e-3)
                return seen

            assert asyncio.run(states()) == ["connected", "idle, listening", "power saving mode", "idle, listening"]
        finally:
            child.terminate()
            _, errors = child.communicate(timeout=10)
        assert child.returncode == 0, errors
        assert "TEST CLOCK" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--control", "0.0.0.0:0"], "loopback"),
        (["--listen", "nowhere"], "ADDRESS:PORT"),
        (["--clock", "http://192.0.2.1:1"], "loopback"),
        (["--profile", "unheard-of"], "strict-r17"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "mock_network.scef", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("text", ["[[ue]]\nname = 'x'\n", "x = 1\n", "[[ue", "[[ue]]\nmsisdn = '1'\ncolour = 'red'\n"])
def test_a_wrong_file_of_ues_is_refused(tmp_path, text):
    ues = tmp_path / "ues.toml"
    ues.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mock_network.scef", "--ues", str(ues)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr
