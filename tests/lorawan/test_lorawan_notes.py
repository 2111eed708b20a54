"""Notes of devices: what changes while a note is being written is written after it."""

import asyncio

import pytest

from bindings.lorawan import notes as notes_module
from bindings.lorawan.notes import DeviceNote, DeviceNotes
from bridge.errors import StoreUnavailable
from tests.bindings.bridge_side import DictMemory


async def test_what_changes_while_a_note_is_written_is_written_next():
    memory, record = DictMemory(), DeviceNote()
    records = DeviceNotes(memory)
    writing = asyncio.create_task(records.put("d", record))
    await asyncio.sleep(0)  # the note as it is now is on its way to the disk
    record.record_uplink(5)
    records.changed("d", record)
    await writing
    await records.write()
    assert DeviceNotes(memory).held("d").highest == 5


async def test_what_the_store_did_not_take_is_written_later():
    memory, record = DictMemory(), DeviceNote()
    records = DeviceNotes(memory)
    record.record_uplink(5)
    records.changed("d", record)
    memory.fails = True
    with pytest.raises(StoreUnavailable):
        await records.put("d", record)
    memory.fails = False
    await records.write()
    assert DeviceNotes(memory).held("d").highest == 5


async def test_a_note_that_another_node_may_have_changed_meanwhile_is_not_written_over():
    """With the older one, counters that the other node has used would be used again."""
    memory = DictMemory()
    memory.is_shared = True
    here, there = DeviceNotes(memory), DeviceNotes(memory)
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


class SlowMemory(DictMemory):
    """Writes notes when `go` is set, but for the next ones that it `refuses`."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.refuses = 0

    async def put(self, key, value, device=""):
        await self.go.wait()
        if self.refuses:
            self.refuses -= 1
            raise StoreUnavailable("disk full")
        await super().put(key, value, device)


async def begun(work):
    task = asyncio.create_task(work)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


def changed(records, *devices):
    for device in devices:
        record = DeviceNote()
        record.record_uplink(5)
        records.changed(device, record)


async def test_a_hand_over_waits_for_a_note_that_is_just_being_written():
    memory = SlowMemory()
    records = DeviceNotes(memory)
    changed(records, "d")
    writing = await begun(records.write())
    hand_over = await begun(records.release(["d"]))
    memory.go.set()
    await hand_over
    assert DeviceNotes(memory).held("d").highest == 5
    await writing


async def test_a_hand_over_writes_a_note_that_could_not_be_written_just_before():
    memory = SlowMemory()
    records = DeviceNotes(memory)
    changed(records, "d")
    writing = await begun(records.write())
    hand_over = await begun(records.release(["d"]))
    memory.fails = True
    memory.go.set()
    with pytest.raises(StoreUnavailable):
        await writing
    memory.fails = False
    await hand_over
    assert DeviceNotes(memory).held("d").highest == 5


async def test_a_note_whose_writing_fails_after_the_hand_over_does_not_come_back():
    memory = SlowMemory()
    memory.is_shared = True
    here, there = DeviceNotes(memory), DeviceNotes(memory)
    memory.go.set()
    await here.put("d", DeviceNote())
    (await here.get("d")).record_uplink(5)
    here.changed("d", await here.get("d"))
    memory.go.clear()
    writing = await begun(here.write())
    await here.release(["d"], late=True)
    memory.fails = True
    memory.go.set()
    with pytest.raises(StoreUnavailable):
        await writing
    memory.fails = False
    other = await there.get("d")
    other.record_uplink(500)
    await there.put("d", other)
    await here.write()
    assert (await here.get("d")).highest == 500


async def test_a_device_that_is_removed_while_others_are_written_is_left_out(monkeypatch):
    monkeypatch.setattr(notes_module, "_TOGETHER", 1)
    memory = SlowMemory()
    records = DeviceNotes(memory)
    changed(records, "a", "b", "c")
    writing = await begun(records.write())
    removing = await begun(records.remove("b"))
    memory.go.set()
    await asyncio.gather(writing, removing)
    assert sorted(memory.devices.values()) == ["a", "c"]


async def test_a_note_in_writing_that_is_put_anew_is_not_written_over_by_the_older_one():
    memory = SlowMemory()
    records = DeviceNotes(memory)
    changed(records, "d")
    writing = await begun(records.write())
    newer = DeviceNote()
    newer.record_uplink(9)
    putting = await begun(records.put("d", newer))
    memory.refuses = 1
    memory.go.set()
    with pytest.raises(StoreUnavailable):
        await writing
    await putting
    await records.write()
    assert DeviceNotes(memory).held("d").highest == 9


async def test_a_writing_that_is_broken_off_is_done_again():
    memory = SlowMemory()
    records = DeviceNotes(memory)
    changed(records, "d")
    writing = await begun(records.write())
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    memory.go.set()
    await records.write()
    assert DeviceNotes(memory).held("d").highest == 5
