"""Notes of devices: what changes while a note is being written is written after it."""

import asyncio

import pytest

from bindings.lorawan.records import DeviceNote, Records
from bridge.errors import StoreUnavailable
from tests.bindings.bridge_side import DictMemory


async def test_what_changes_while_a_note_is_written_is_written_next():
    memory, record = DictMemory(), DeviceNote()
    records = Records(memory)
    writing = asyncio.create_task(records.put("d", record))
    await asyncio.sleep(0)  # the note as it is now is on its way to the disk
    record.record_uplink(5)
    records.changed("d", record)
    await writing
    await records.write()
    assert Records(memory).held("d").highest == 5


async def test_what_the_store_did_not_take_is_written_later():
    memory, record = DictMemory(), DeviceNote()
    records = Records(memory)
    record.record_uplink(5)
    records.changed("d", record)
    memory.fails = True
    with pytest.raises(StoreUnavailable):
        await records.put("d", record)
    memory.fails = False
    await records.write()
    assert Records(memory).held("d").highest == 5


async def test_a_note_that_another_node_may_have_changed_meanwhile_is_not_written_over():
    """With the older one, counters that the other node has used would be used again."""
    memory = DictMemory()
    memory.is_shared = True
    here, there = Records(memory), Records(memory)
    await here.put("d", DeviceNote())
    record = await here.get("d")
    record.record_uplink(5)
    here.changed("d", record)  # the database is away when the shard is released
    other = await there.get("d")
    other.record_uplink(500)
    await there.put("d", other)
    await here.release(["d"], late=True)
    await here.write()
    assert (await here.get("d")).highest == 500
