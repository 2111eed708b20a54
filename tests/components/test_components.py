"""What tests use is fetched again where it breaks off; where the network gives nothing, the reason is kept."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.components import PROGRAMS, Component, fetching, program_is_missing, why_absent
from tests.components.component import ROOT
from tests.components.fetching import BuildFailed, fetch
from tests.docs.markdown import ROOT as DOCS_ROOT

# A package manager that keeps in `kept` what it has fetched, and whose runs each end as the next word of `script` says.
MANAGER = """
import pathlib, sys, time
script, kept = pathlib.Path("script"), pathlib.Path("kept")
word, *rest = script.read_text().split()
script.write_text(" ".join(rest))
def fetched():
    print("Downloaded from far away", flush=True)
    kept.write_text(kept.read_text() + "x" if kept.exists() else "x")
match word:
    case "breaks": fetched(); sys.exit("[ERROR] Could not transfer: connection reset")
    case "nothing": sys.exit("[ERROR] Could not transfer: no route to host")
    case "silent": time.sleep(60)
    case "wrong": sys.exit("COMPILATION ERROR: a semicolon is missing")
    case "done": fetched()
"""


@pytest.fixture
def component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    monkeypatch.setattr("tests.components.component.BUILD", tmp_path / "build")
    (tmp_path / "manager.py").write_text(MANAGER)
    command = (sys.executable, "manager.py")
    return Component("one", "One", (), (), command, command, tmp_path, "Downloaded from", "Could not transfer")


def play(component: Component, *script: str) -> None:
    (component.directory / "script").write_text(" ".join(script))
    fetch(component, lambda _line: None)


def test_it_goes_on_where_it_broke_off_as_long_as_something_comes(component: Component):
    play(component, "breaks", "nothing", "breaks", "nothing", "breaks", "done")
    assert why_absent(component) is None
    assert (component.directory / "kept").read_text() == "xxxx"


def test_where_the_network_gives_nothing_the_reason_is_kept_until_it_does(component: Component):
    play(component, "nothing", "nothing", "nothing")
    assert why_absent(component) == "One could not be fetched: Could not transfer: no route to host"
    play(component, "done")
    assert why_absent(component) is None


def test_what_is_in_the_local_repository_is_enough(component: Component):
    play(component, "nothing", "nothing", "done")
    assert why_absent(component) is None


def test_silence_is_a_break(component: Component, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetching, "SILENCE", 0.5)
    play(component, "silent", "done")
    assert why_absent(component) is None


def test_sources_that_do_not_compile_are_an_error(component: Component):
    with pytest.raises(BuildFailed, match="a semicolon is missing"):
        play(component, "wrong")
    assert "make components" in (why_absent(component) or "")


def test_changed_sources_are_built_again(component: Component, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.components.component.ROOT", component.directory)
    source = component.directory / "source"
    source.write_text("1")
    component = replace(component, sources=(source,))
    play(component, "done")
    assert why_absent(component) is None
    source.write_text("2")
    assert "make components" in (why_absent(component) or "")


def test_a_missing_program_is_named_with_its_package(component: Component, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.components.programs.shutil.which", lambda *_, **__: None)
    assert program_is_missing("curl") == "curl is not installed (Debian: apt-get install curl)"
    assert "apt-get install maven" in (why_absent(replace(component, programs=("mvn",))) or "")


def test_the_missing_packages_are_printed_for_an_installer(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.components", "--programs"],
        cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "maven" in done.stdout.split()


def test_every_program_is_named_where_people_read():
    text = (DOCS_ROOT / "CONTRIBUTING.md").read_text()
    assert [one for one in PROGRAMS.values() if f"| `{one.name}` | `{one.package}` | {one.purpose} |" not in text] == []
