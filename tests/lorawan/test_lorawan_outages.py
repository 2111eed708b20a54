"""Nodes tell each other of missed events by one note: what another node told is seen before it is replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from bindings.lorawan import outages
from bindings.lorawan.outages import Outages
from tests.bindings.bridge_side import DictMemory
from tests.waiting import until

NOTE = "missed"


class Node:
    """One node, and how often it read its histories."""

    def __init__(self) -> None:
        self.memory = DictMemory()
        self.memory.is_shared, self.memory.node = True, "a"
        self.read = 0
        self.outages = Outages(self.memory, self.reads, lambda: 5.0)

    def reads(self) -> None:
        self.read += 1

    async def has_looked(self) -> None:
        """Return when the node has looked at the note once more."""
        looks = 0
        fresh = self.memory.fresh

        def counted(key: str) -> object:
            nonlocal looks
            looks += 1
            return fresh(key)

        self.memory.fresh = counted
        await until(lambda: looks > 1)
        self.memory.fresh = fresh


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(outages, "EVERY", 0.01)
    one = Node()
    running = asyncio.create_task(one.outages.run())
    await one.has_looked()
    yield one
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_what_another_node_tells_is_read_once(node: Node) -> None:
    node.memory.notes[NOTE] = b"b 1.0"
    await node.has_looked()
    await node.has_looked()
    assert node.read == 1


async def test_what_another_node_told_while_the_own_note_could_not_be_written_is_read(node: Node) -> None:
    node.memory.fails = True
    node.outages.tell()
    await node.has_looked()
    assert node.read == 1
    node.memory.notes[NOTE] = b"b 1.0"
    node.memory.fails = False
    await until(lambda: node.memory.notes[NOTE] == b"a 5.0")
    await node.has_looked()
    assert node.read == 2
