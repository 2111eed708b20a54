"""A forked process is like one that `python -m` starts, and a process that would not be is started as usual."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.service.crash_points import VARIABLE as CRASH_POINT
from tests import forked
from tests.forked.client import AT_START, Forked, can_fork

SHOWN = "tests.forked.shown"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def usual(*arguments: str, environment: dict[str, str], given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the module as python itself does."""
    command = [sys.executable, "-m", SHOWN, *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)


def quick(*arguments: str, environment: dict[str, str], given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the module in a forked process."""
    return forked.run([sys.executable, "-m", SHOWN, *arguments], environment=environment, input=given)


@pytest.mark.parametrize("run", [usual, quick])
def test_both_have_their_arguments_environment_directory_input_and_output(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "COLOUR": "blue"}
    monkeypatch.setenv("PYTHONPATH", root)
    monkeypatch.setenv("HUE", "of this process alone")
    monkeypatch.chdir(tmp_path)
    with forked.another():  # it is started with this PYTHONPATH
        done = run("one", "two words", environment=environment, given="a line\n")
    assert done.returncode == 7
    assert done.stdout == f"['one', 'two words'] blue None {tmp_path} a line\nat exit\n"
    assert done.stderr == "an error\n"


@pytest.mark.parametrize("run", [usual, quick])
def test_an_error_that_nobody_caught_is_shown_and_ends_both_with_1(run: Run) -> None:
    done = run("raise", environment=dict(os.environ))
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: as asked\n")


def start(out: Path) -> Forked:
    with out.open("wb") as file:
        process = forked.start_process([sys.executable, "-m", SHOWN, "wait"], file, os.environ)
    assert isinstance(process, Forked)
    while b"waits" not in out.read_bytes():
        assert process.poll() is None
    return process


def test_the_end_of_a_process_is_known_although_another_one_forked_meanwhile(tmp_path: Path) -> None:
    process = start(tmp_path / "out")
    with forked.another():
        assert quick("one", environment=dict(os.environ)).returncode == 7
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_it_and_is_its_exit_code(tmp_path: Path, number: signal.Signals) -> None:
    one, other = start(tmp_path / "one"), start(tmp_path / "other")
    one.send_signal(number)
    assert one.wait(30) == -number
    assert (one.poll(), other.poll()) == (-number, None)  # they are processes of their own
    one.kill()  # a second signal goes nowhere
    other.kill()
    assert other.wait(30) == -signal.SIGKILL


def test_whoever_waits_in_vain_is_told(tmp_path: Path) -> None:
    process = start(tmp_path / "out")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM


def test_it_holds_no_descriptor_of_another_process(tmp_path: Path) -> None:
    one = start(tmp_path / "one")
    other = start(tmp_path / "other")
    held = sorted(str(link.readlink()) for link in Path(f"/proc/{other.pid}/fd").iterdir())
    assert held == sorted([os.devnull, str(tmp_path / "other"), str(tmp_path / "other")])
    for process in (one, other):
        process.kill()
        process.wait(30)


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (["-X", "dev", "-m", SHOWN], {}),
        (["-c", "pass"], {}),
        (["-m", SHOWN], {"PYTHONPATH": "/elsewhere"}),
        (["-m", SHOWN], {"LD_PRELOAD": "libfaketime.so"}),
        (["-m", SHOWN], {CRASH_POINT: "after commit:2"}),  # set when its module is imported
    ],
)
def test_what_is_read_when_a_process_starts_needs_a_start(command: list[str], more: dict[str, str]) -> None:
    assert can_fork([sys.executable, "-m", SHOWN], {**os.environ, "COLOUR": "blue"})
    assert not can_fork([sys.executable, *command], {**os.environ, **more})
    assert not can_fork(["/usr/bin/true"], os.environ)


def test_what_it_was_started_with_counts_and_not_what_this_process_was_given_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick("one", environment=dict(os.environ))
    before = dict(os.environ)
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert can_fork([sys.executable, "-m", SHOWN], before)
    assert not can_fork([sys.executable, "-m", SHOWN], os.environ)


READ_BY_IMPORTS = """
import importlib, os, sys

class Environment(type(os.environ)):
    def __getitem__(self, name):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"] in {"os", "collections.abc", "_collections_abc"}:
            frame = frame.f_back
        if frame.f_globals["__name__"].partition(".")[0] in {"bridge", "bindings", "mock_network"}:
            print(name)
        return super().__getitem__(name)

os.environ.__class__ = Environment
for name in importlib.import_module("tests.forked.preloaded").PRELOADED:
    importlib.import_module(name)
"""


def test_what_our_modules_read_of_the_environment_when_they_are_imported_is_known() -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", READ_BY_IMPORTS]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [CRASH_POINT]
    assert all(name.startswith(AT_START) for name in done.stdout.split())
