"""The search finds a secret wherever it stands, and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.planted.plugin import SAID, TITLE, found_in

CONFIGURATION = '[servers.s.security]\nkey = "a-planted-key"\n[service]\nstore_key = "file:seal"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "test_one0"
    (place / "state").mkdir(parents=True)
    (place / "bridge.toml").write_text(CONFIGURATION)
    (place / "seal").write_text("a-planted-seal\n")
    (place / "bridge.log").write_text("nothing")
    (tmp_path / SAID).write_bytes(TITLE + b"test_one stdout\nnothing\n")
    yield tmp_path
    shutil.rmtree(tmp_path)  # else the search at the end of the run finds it, too


def test_a_configuration_and_its_files_may_have_secrets(folder: Path) -> None:
    assert found_in(folder) == []


@pytest.mark.parametrize("secret", [b"a-planted-key", b"a-planted-seal"])
@pytest.mark.parametrize("name", ["bridge.log", "state/bridge.db", "state/bridge.db-wal", "trace.pcapng", "a-backup"])
def test_no_file_that_is_written_may(folder: Path, name: str, secret: bytes) -> None:
    (folder / "test_one0" / name).write_bytes(b"\0\1" + secret + b"\2")
    (line,) = found_in(folder)
    assert name in line
    assert secret.decode() not in line


@pytest.mark.parametrize("where", [SAID, f"popen-gw1/{SAID}"])
def test_no_output_may_and_the_test_is_named(folder: Path, where: str) -> None:
    (folder / where).parent.mkdir(exist_ok=True)
    (folder / where).write_bytes(TITLE + b"test_two log\nbad key a-planted-key here\n")
    (line,) = found_in(folder)
    assert line == "a secret was said here: test_two log: bad key (SECRET) here"


def test_the_name_of_a_test_is_not_said_by_a_bridge(folder: Path) -> None:
    (folder / SAID).write_bytes(TITLE + b"test_a-planted-key log\nnothing\n")
    assert found_in(folder) == []
