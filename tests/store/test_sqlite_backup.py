"""Copies of a ledger, and a ledger made from one: consistent, checked, private, and honest about what is not in it."""

import asyncio
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.delivery.rows import Insert
from bridge.delivery.states import DownlinkState
from bridge.directory.keys import ById
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.relay.model import RelayState
from bridge.store.sqlite import Reader, SqliteStore
from bridge.store.sqlite.backup import IDS_SKIPPED, back_up, restore
from bridge.store.sqlite.connection import connect_writer
from tests.store.asking import load

Make = Callable[..., Any]


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


async def commit(store: SqliteStore, *rows: Any) -> None:
    await store.committed([Insert.of(row) for row in rows])


def left_over(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir() if ".part" in file.name]


async def test_a_copy_is_taken_while_the_service_writes_and_is_of_one_moment(
    sqlite: SqliteStore, to: Path, downlink: Make
) -> None:
    """Every commit holds two rows: a copy that has one of them has the other."""
    ids = iter(range(1, 10_000))
    ended = asyncio.Event()

    async def write() -> None:
        while not ended.is_set():
            await commit(sqlite, downlink(next(ids)), downlink(next(ids)))

    writing = asyncio.create_task(write())
    await commit(sqlite, *(downlink(10_000 + number) for number in range(5000)))
    copied = await asyncio.to_thread(back_up, sqlite.path, to)
    ended.set()
    await writing
    reader = Reader.open(to)
    found = {row.id for row in reader.downlinks(limit=100_000)}
    assert len(found) >= 5000
    assert all((one + 1 if one % 2 else one - 1) in found for one in found if one < 10_000)
    assert copied.bytes == to.stat().st_size
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    reader.close()


async def test_a_restored_ledger_has_what_the_copy_had_and_claims_no_more(
    sqlite: SqliteStore, to: Path, path: Path, downlink: Make
) -> None:
    over = downlink(sqlite.next_id(), state=DownlinkState.RESPONDED, over=True, finished_at=150.0, keep_until=400.0)
    waiting = downlink(sqlite.next_id())
    await commit(sqlite, over, waiting, RelayState(1, 0, north_mid=77))
    back_up(path, to)
    since = sqlite.next_id()
    await sqlite.close()
    with pytest.raises(ConfigurationError, match=r"there is a ledger .* already"):
        restore(to, path)
    done = restore(to, path, replace=True)
    assert (done.endpoints, done.messages_ended) == (9, 1)
    assert done.replaced is not None
    assert Reader.open(done.replaced).downlink(waiting.id) is not None, "what was there is kept under another name"
    again = SqliteStore.open(path)
    try:
        assert again.next_id() >= since + IDS_SKIPPED, "ids that the lost ledger gave out are not given out again"
        kept, ended = await again.reads.downlink(over.id), await again.reads.downlink(waiting.id)
        assert kept is not None
        assert kept.state is DownlinkState.RESPONDED
        assert ended is not None
        assert (ended.state, ended.over) == (DownlinkState.UNKNOWN, True)
        assert "restored from a copy" in ended.reason
        relay = (await load(again, ById(1))).kept.relay
        assert (relay.refuse_update, relay.north_mid) == (True, None), "its device registers anew"
    finally:
        await again.close()


async def test_a_running_bridge_is_not_restored_over(sqlite: SqliteStore, to: Path, path: Path) -> None:
    back_up(path, to)
    with pytest.raises(ConfigurationError, match="is in use by process"):
        restore(to, path, replace=True)
    assert left_over(path) == []


def test_a_ledger_is_made_where_there_is_none(to: Path, tmp_path: Path) -> None:
    connect_writer(tmp_path / "empty.db").close()
    asyncio.run(_opened_and_closed(tmp_path / "first.db"))
    back_up(tmp_path / "first.db", to)
    (tmp_path / "state").mkdir()
    done = restore(to, tmp_path / "state" / "bridge.db")
    assert done.replaced is None
    asyncio.run(_opened_and_closed(tmp_path / "state" / "bridge.db"))


async def _opened_and_closed(path: Path) -> None:
    await SqliteStore.open(path).close()


@pytest.mark.parametrize("content", [b"no database", b"", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_copy_is_refused_and_the_ledger_stays(tmp_path: Path, path: Path, content: bytes) -> None:
    asyncio.run(_opened_and_closed(path))
    before = path.read_bytes()
    (tmp_path / "other").write_bytes(content)
    with pytest.raises((ConfigurationError, StoreUnavailable)):
        restore(tmp_path / "other", path, replace=True)
    assert path.read_bytes() == before
    assert left_over(path) == []


def test_a_damaged_copy_is_refused_and_the_ledger_stays(to: Path, path: Path) -> None:
    asyncio.run(_opened_and_closed(path))
    back_up(path, to)
    damaged = bytearray(to.read_bytes())
    damaged[3 * 4096 : 6 * 4096] = b"\xa5" * (3 * 4096)
    to.write_bytes(damaged)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="is damaged"):
        restore(to, path, replace=True)
    assert path.read_bytes() == before


async def test_a_copy_never_replaces_a_file(sqlite: SqliteStore, to: Path) -> None:
    to.write_text("something of somebody's")
    with pytest.raises(ConfigurationError, match="is there already"):
        back_up(sqlite.path, to)
    assert to.read_text() == "something of somebody's"


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 100 KB, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_leaves_no_half_copy(
    sqlite: SqliteStore, to: Path, downlink: Make, request: pytest.FixtureRequest
) -> None:
    await commit(sqlite, *(downlink(number, body=bytes(1000)) for number in range(1, 500)))
    request.getfixturevalue("small_files")
    with pytest.raises(StoreUnavailable, match="is there room for"):
        back_up(sqlite.path, to)
    assert not to.exists()
    assert left_over(to) == []


async def test_how_far_a_copy_is_can_be_shown(sqlite: SqliteStore, to: Path, downlink: Make) -> None:
    await commit(sqlite, *(downlink(number, body=bytes(1000)) for number in range(1, 3000)))
    told: list[tuple[int, int]] = []
    back_up(sqlite.path, to, lambda done, whole: told.append((done, whole)))
    assert told[-1][0] == told[-1][1]
    assert len(told) > 2
    assert told == sorted(told)
