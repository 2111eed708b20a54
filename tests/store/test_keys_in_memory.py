"""Keys stay in memory between requests, and what is there is never older than the latest change."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.store.access import ApiKey, Role
from bridge.store.sqlite import SqliteStore

KEY = ApiKey(0, "night shift", Role.OPERATE, b"digest", 100.0)


async def test_a_read_that_began_before_a_change_does_not_hide_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore.open(path)
    first = await store.access.add_key(KEY)
    ask, changed = store.reads.ask, asyncio.Event()

    async def slowly(question: Any) -> Any:
        found = await ask(question)
        await changed.wait()
        return found

    monkeypatch.setattr(store.reads, "ask", slowly)
    reading = asyncio.create_task(store.access.key(first.id))
    await ask(lambda _reader: None)  # that read is over
    second = await store.access.add_key(KEY)
    changed.set()
    assert await reading == first
    assert await store.access.key(second.id) == second
    await store.close()


async def test_keys_are_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore.open(path)
    key = await store.access.add_key(KEY)
    assert await store.access.key(key.id) == key
    monkeypatch.setattr(store.reads, "ask", None)
    assert await store.access.key(key.id) == key
    monkeypatch.undo()
    await store.close()
