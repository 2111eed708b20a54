"""What was told as committed is there, whatever happens to the process or the disk."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.delivery.rows import Insert
from bridge.store.sqlite import Reader, SqliteStore
from tests.conftest import need_program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def command(what, path):
    return [sys.executable, str(HERE / "writing_process.py"), what, str(path)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"}


def held(path):
    reader = Reader.open(path)
    rows = {row.id for row in reader.downlinks(limit=10**6)}
    reader.close()
    return rows


def kill_writing_process(path, after):
    """Run it until it has said so many lines and return all that it managed to say."""
    with subprocess.Popen(command("for_ever", path), stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    return lines


@pytest.mark.parametrize("after", [1, 300, 1500])
async def test_sigkill_loses_nothing_that_was_told(path, downlink, after):
    lines = kill_writing_process(path, after)
    told = {int(line) for line in lines if line.endswith(b"\n")}
    assert len(told) >= after

    store = SqliteStore.open(path)

    rows = held(path)
    assert told <= rows
    assert len(rows - told) <= 20 + len(lines), "at most one commit under way for each producer"
    fresh = downlink(store.next_id())
    assert fresh.id > max(rows)
    await store.committed([Insert.of(fresh)])
    await store.close()


def test_the_kernel_refusing_to_write_is_told_and_the_store_goes_on(path):
    process = subprocess.run(command("starved", path), stdout=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=True)
    lines = process.stdout.decode().splitlines()
    refused = {int(line.split()[1]) for line in lines if line.startswith("refused")}
    told = {int(line.split()[1]) for line in lines if line.startswith("told")}
    assert len(refused) >= 20, lines
    assert len(told) >= 20, lines
    assert lines[-1].startswith("told")
    assert held(path) == told | {1}
    assert not any("earlier commit" in line for line in lines), "each was made after the failure before it was told"


def test_a_commit_is_told_only_after_the_log_is_synced_to_the_disk(path, tmp_path, need):
    """Between what is given and what is told, an fdatasync of the WAL has returned (synchronous=FULL)."""
    need_program("strace")
    trace = tmp_path / "trace"
    what = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,write"]
    done = subprocess.run(
        [*what, *command("one_by_one", path)], capture_output=True, env=ENVIRONMENT, timeout=60, check=False
    )
    need(b"ptrace" not in done.stderr, "permission to trace a process")
    assert done.returncode == 0, done.stderr

    synced = None
    told = 0
    pending = set()
    for line in trace.read_text("utf-8", "replace").splitlines():
        thread = line.split()[0]
        if "give " in line:
            synced = False
        elif re.search(r"fdatasync\(\d+<[^>]*-wal>", line):
            if "unfinished" in line:
                pending.add(thread)
            else:
                synced = line.endswith("= 0")
        elif "fdatasync resumed" in line and thread in pending:
            pending.discard(thread)
            synced = line.endswith("= 0")
        elif "told " in line:
            assert synced, f"told without a sync: {line}"
            told += 1
    assert told == 5


async def test_readers_beside_a_running_service_see_what_is_committed(sqlite, path, downlink):
    await sqlite.committed([Insert.of(downlink(sqlite.next_id()))])
    reader = Reader.open(path)
    assert len(reader.downlinks()) == 1
    await asyncio.gather(*(sqlite.committed([Insert.of(downlink(sqlite.next_id()))]) for _ in range(10)))
    assert len(reader.downlinks()) == 11
    reader.close()
