"""Notes of no device that several nodes write: each reads what another one wrote, though it has read an older one."""

import asyncio
from typing import Any, cast

from bindings.t8.shared_token import SharedToken, Token
from bridge.store.notes import NetworkMemory


class Table:
    """The notes of one network, in a dict."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}

    def find(self, _network: str, key: str, done: Any) -> None:
        asyncio.get_running_loop().call_soon(done, self.notes.get(key), None)

    def put(self, _network: str, key: str, value: bytes, _device: str, done: Any) -> None:
        self.notes[key] = value
        asyncio.get_running_loop().call_soon(done, None)


async def test_a_fresh_note_is_as_another_node_wrote_it() -> None:
    table = cast("Any", Table())
    a, b = NetworkMemory(table, "net"), NetworkMemory(table, "net")
    await a.put("k", b"1")
    assert await b.load("k") == b"1"
    await a.put("k", b"2")
    assert [await b.load("k"), await b.fresh("k")] == [b"1", b"2"]


async def test_a_token_that_another_node_has_renewed_is_found() -> None:
    table = cast("Any", Table())
    a, b = (SharedToken(NetworkMemory(table, "net"), "client", lambda: 0.0) for _ in range(2))
    for header in ("Bearer one", "Bearer two"):
        await a.keep(Token(header, 60.0, 120.0))
        found = await b.found(other_than="another")
        assert found is not None
        assert found.header == header
