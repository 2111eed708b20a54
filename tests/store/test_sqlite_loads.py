"""Reads of endpoints out of SQLite."""

import asyncio

from bridge.directory.keys import ById
from bridge.errors import StoreUnavailable
from tests.store.asking import load


async def test_an_endpoint_that_cannot_be_understood_fails_alone(sqlite, caplog):
    await sqlite.run(lambda c: c.execute("UPDATE endpoint SET servers = 'no list' WHERE id = 2"))
    found = await asyncio.gather(*(load(sqlite, ById(number)) for number in (1, 2, 3)), return_exceptions=True)
    assert [type(one) for one in found if isinstance(one, Exception)] == [StoreUnavailable]
    assert [one.record.id for one in found if not isinstance(one, Exception)] == [1, 3]
    assert "cannot be decoded" in caplog.text
