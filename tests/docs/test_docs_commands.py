"""What README and docs tell people to type exists, and is understood."""

import shlex
import subprocess
import tomllib

import click
import pytest

from bridge.cli import main
from bridge.config import parse
from tests.docs.generated import PAGES
from tests.docs.markdown import ROOT, blocks, commands, links, pages

WRITTEN_OUT = {"…", "...", "COMMAND", "ARGUMENTS", "[OPTIONS]"}


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and what is left for it."""
    command: click.Command = main
    rest = words
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        context = click.Context(command)
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]!r} in {command.name}"
        command, rest = found, rest[1:]
    return command, rest


def named() -> list[tuple[str, str]]:
    written = [path for path in pages() if path not in PAGES]  # the others are made from the commands themselves
    return sorted({(path.name, command) for path in written for command in commands(path)})


@pytest.mark.parametrize(("page", "line"), named())
def test_every_command_that_is_named_exists_and_its_options_parse(page, line, tmp_path, monkeypatch):
    words = [word for word in shlex.split(line) if word not in WRITTEN_OUT]
    command, rest = resolve(words[1:])
    if isinstance(command, click.Group) or not rest:
        return  # the command itself is meant, without what it needs
    for word in rest:  # files that the page speaks of
        if word.endswith((".toml", ".csv", ".pem")) and "/" not in word:
            (tmp_path / word).touch()
    monkeypatch.chdir(tmp_path)
    command.make_context(command.name, rest)


def test_a_command_that_does_not_exist_is_noticed():
    with pytest.raises(AssertionError, match="no command 'dance'"):
        resolve(["endpoint", "dance"])
    command, rest = resolve(["run", "--fast"])
    with pytest.raises(click.UsageError):
        command.make_context("run", rest)


def test_pages_name_many_commands():
    assert len(named()) > 25


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page):
    for link in links(page):
        target = (page.parent / link.partition("#")[0]).resolve()
        assert target.exists(), link
        assert target.is_relative_to(ROOT)


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_toml_examples_can_be_read(page, tmp_path, monkeypatch):
    """Whole configurations of the bridge are taken; others are at least TOML."""
    monkeypatch.setenv("SCEF_CLIENT_SECRET", "x")
    for block in blocks(page):
        if block.language != "toml":
            continue
        if "[servers." in block.text and "[networks." in block.text:
            parse(block.text, block.page, tmp_path)
        else:
            tomllib.loads(block.text)


@pytest.mark.parametrize("target", ["components", "demo", "test", "test-slow", "bench", "lint"])
def test_the_targets_of_make_exist(target):
    assert f"make {target}" in (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
