"""A volume that is small, or full: the store takes what it can, says what it cannot, and is never full for good."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from bridge.delivery.rows import Insert, Update
from bridge.delivery.states import DownlinkState
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sqlite import SqliteStore
from bridge.store.sqlite.connection import connect_writer
from bridge.store.sqlite.volume import Volume, WalLimits, measure
from tests.conftest import need_program
from tests.waiting import until

HERE = Path(__file__).parent
MB = 1_000_000


@pytest.mark.parametrize("megabytes", [9, 12, 40])
def test_a_volume_that_became_full_has_room_again_when_what_is_old_is_removed(tmp_path, need, megabytes):
    need_program("unshare")
    volume = tmp_path / "volume"
    volume.mkdir()
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    inside = ["unshare", *root, "--mount", "sh", "-c", 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"']
    possible = subprocess.run([*inside, "1m", str(volume), "true"], capture_output=True, check=False)
    need(possible.returncode == 0, "permission to mount a file system in a namespace of its own")

    process = subprocess.run(
        [*inside, f"{megabytes}m", str(volume), sys.executable, str(HERE / "writing_process.py"), "fills_its_volume",
         str(volume / "bridge.db")],
        stdout=subprocess.PIPE, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}"},
    )  # fmt: skip

    text = process.stdout.decode()
    cycles = re.findall(r"cycle \d told (\d+) held (\d+) pruned (\d+) size (\d+)", text)
    assert len(cycles) == 3, text
    for number, (told, held, pruned, _size) in enumerate(cycles):
        assert int(told) * 10_000 > megabytes * MB * 0.4, "most of the volume is for messages"
        assert int(pruned) == int(told)
        assert int(held) == int(told) + 1 + 2 * number, "all that was told is there, and nothing else"
    refusals = re.findall("refused (.*)", text)
    assert len(refusals) == 3
    assert all("full" in one and str(volume) in one and "[service] retention" in one for one in refusals), refusals
    assert all(int(count) > 0 for count in re.findall(r"counted (\d+)", text))


def test_a_small_volume_has_a_short_wal_and_a_large_one_the_usual():
    assert WalLimits.of(Volume(12 * MB, 0)).pages == 91
    assert WalLimits.of(Volume(100_000 * MB, 0)).pages == WalLimits.of(None).pages == 4000
    assert WalLimits.of(Volume(12 * MB, 0)).reserve < 1 * MB
    assert WalLimits.of(Volume(12 * MB, 0)).kept < 2 * MB


def test_the_volume_of_a_directory_is_measured(tmp_path):
    volume = measure(tmp_path)
    assert 0 < volume.free < volume.size
    assert measure(tmp_path / "absent") is None


async def test_a_volume_below_the_minimum_is_refused_with_the_minimum(path):
    with pytest.raises(ConfigurationError, match=r"has 5\.0 MB; the database needs at least 8\.4 MB"):
        SqliteStore.open(path, measure=lambda _: Volume(5 * MB, 4 * MB))
    assert not path.exists()


@pytest.fixture
async def small(path):
    """A store on a volume of 40 MB, and a function that says how much of it is free."""
    free = [30 * MB]
    store = SqliteStore.open(path, measure=lambda _: Volume(40 * MB, free[0]))

    def has_free(megabytes):
        free[0] = int(megabytes * MB)

    yield store, has_free
    await store.close()


async def test_on_a_full_volume_messages_end_and_new_ones_are_refused(small, downlink):
    store, has_free = small
    live = downlink(store.next_id())
    await store.committed([Insert.of(live)])

    has_free(0.1)
    big = b"x" * 100_000
    with pytest.raises(StoreUnavailable, match=r"full.*0\.1 of 40\.0 MB free.*retention"):
        await store.committed([Insert.of(downlink(store.next_id(), 2, body=big))])
    live.state, live.over = DownlinkState.RESPONDED, True
    await store.committed([Update.of(live)])
    assert (store.status()["volume_full"], store.status()["failures"]) == (1, 1)

    has_free(20)
    await store.committed([Insert.of(downlink(store.next_id(), 2, body=big))])
    assert len(await store.reads.downlinks(over=True)) == 1


async def test_of_a_group_that_finds_no_room_only_what_needs_more_is_refused(small, downlink):
    store, has_free = small
    live = [downlink(store.next_id(), endpoint) for endpoint in range(1, 6)]
    await store.committed([Insert.of(row) for row in live])
    has_free(0.1)
    for row in live:
        row.late = True
    given = [[Update.of(row)] for row in live]
    given.insert(2, [Insert.of(downlink(store.next_id(), 7, body=b"x" * 100_000))])
    results = [store.committed(changes) for changes in given]
    store._writer._flush()
    assert [type(error) for error in await gather(results)] == [
        type(None), type(None), StoreUnavailable, type(None), type(None), type(None),
    ]  # fmt: skip


async def gather(futures):
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_the_wal_is_emptied_in_time_for_its_volume(small, path, downlink):
    store, _ = small
    limit = WalLimits.of(Volume(40 * MB, 0))
    for _ in range(200):
        await store.committed([Insert.of(downlink(store.next_id(), body=b"x" * 10_000))])
    assert path.with_name("bridge.db-wal").stat().st_size <= limit.kept
    assert path.stat().st_size > 1 * MB


async def test_a_full_volume_whose_database_cannot_be_asked_refuses_and_the_store_goes_on(path, downlink):
    """Else the thread that writes would end: nothing more would be committed, and nobody told."""
    fails, free = False, 1000 * MB

    class Failing(apsw.Connection):
        def execute(self, sql, *rest):
            if fails and "max_page_count" in sql:
                raise apsw.IOError("disk I/O error")
            return super().execute(sql, *rest)

    def connect(where):
        connect_writer(where).close()
        return Failing(str(where))

    store = SqliteStore.open(path, connect, lambda _directory: Volume(1000 * MB, free))
    fails, free = True, 0
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await asyncio.wait_for(store.committed([Insert.of(downlink(1))]), 20)
    fails, free = False, 1000 * MB
    await asyncio.wait_for(store.committed([Insert.of(downlink(2))]), 20)
    await store.close()


@pytest.mark.parametrize("part", ["check", "tidy"])
async def test_a_bug_in_the_thread_that_writes_fails_its_group_alone(sqlite, downlink, monkeypatch, caplog, part):
    def bug():
        raise ZeroDivisionError

    with monkeypatch.context() as planted:
        planted.setattr(sqlite._transactions, part, bug)
        told = await asyncio.gather(sqlite.committed([Insert.of(downlink(1))], endpoint=1), return_exceptions=True)
        await until(lambda: "because of a bug" in caplog.text)  # what comes between two groups comes after the report
    assert [type(one) for one in told] == ([StoreUnavailable] if part == "check" else [type(None)])
    await asyncio.wait_for(sqlite.committed([Insert.of(downlink(2))], endpoint=1), 20)
