"""Durable notes of bindings: `bindings.contract.Memory`, with a cache, over a table of any store."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bindings.contract import MISS, Miss
from bridge.errors import BridgeError, StoreUnavailable
from bridge.lru import Lru
from bridge.store.done import future_and_done

RECENT = 4096  # notes of each network that are cached, the last used ones, in addition to those of endpoints in memory
PAGE = 500  # notes read at a time, so that no read stays open while a binding works through them
EACH = 64  # events that wait for one note
ALL = 20_000  # notes that are waited for

FoundNote = Callable[[bytes | None, BridgeError | None], None]
"""Called with a note, or None if there is none; the second argument is StoreUnavailable or None."""

Bring = Callable[[str, str, FoundNote], None]
"""Called with the network, the key and a callback: reads the note together with its device's endpoint."""


class NoteTable(Protocol):
    """The durable notes of all networks."""

    def find(self, network: str, key: str, done: FoundNote) -> None:
        """Call `done` with a note. The note contains all changes reported before `done` is called."""

    async def page(self, network: str, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        """Return notes whose key starts with `prefix`, by rising key, from the first one after the key `after`."""

    def put(self, network: str, key: str, value: bytes | None, device: str, done: Callable[..., None]) -> None:
        """Write a note, or remove it. `done(error)` is called when that is durable, with None or StoreUnavailable."""


@dataclass(slots=True)
class _Loading:
    """Callers that wait for a note. After it is found they continue in the next turn of the event loop."""

    waiting: list[Future[bytes | None]]
    found: bool = False
    value: bytes | None = None


class NetworkMemory:
    """The notes of one network instance.

    In memory are the notes used last, and those of devices whose endpoint is in memory (`hold`).
    """

    def __init__(self, table: NoteTable, network: str) -> None:
        self._table = table
        self._network = network
        self._held: dict[str, bytes] = {}
        self._devices: dict[str, dict[str, None]] = {}  # device → keys of its notes that are held
        self._recent: Lru[str, bytes] = Lru(RECENT)
        self._loading: dict[str, _Loading] = {}
        self.bring: Bring = table.find
        self.is_shared = False  # whether other nodes read and write the notes of no device, too
        self.node = ""  # the name of this node among them

    # For bindings

    def cached(self, key: str) -> bytes | Miss:
        """Return a note if it is in memory and no caller waits for it, else MISS: it has to be loaded."""
        if key in self._loading:
            return MISS
        found = self._held.get(key)
        if found is None:
            found = self._recent.get(key)
        return MISS if found is None else found

    def held(self, key: str) -> bytes | None:
        """Return a note of a device whose endpoint is in memory; None if there is none."""
        return self._held.get(key)

    def load(self, key: str) -> Future[bytes | None]:
        """Return a future of a note, or of None. Callers that wait for one key continue in the order of calls."""
        return self._load(key, self._table.find)

    def fresh(self, key: str) -> Future[bytes | None]:
        """Return a future of a note as it is in the store, past what is in memory."""
        future: Future[bytes | None] = asyncio.get_running_loop().create_future()

        def found(value: bytes | None, error: BridgeError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        self._table.find(self._network, key, found)
        return future

    def load_with_endpoint(self, key: str) -> Future[bytes | None]:
        """Do what `load` does, and load the endpoint of the note's device by the same read."""
        return self._load(key, self.bring)

    async def items(self, prefix: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """Yield all notes whose key starts with `prefix`, in the order of their keys. Raises StoreUnavailable."""
        after: str | None = None
        while page := await self._table.page(self._network, prefix, after, PAGE):
            for key, value in page:
                yield key, value
            after = page[-1][0]

    async def put(self, key: str, value: bytes | None, device: str = "") -> None:
        """Write a note, and return when it is committed; None removes the key. Raises StoreUnavailable."""
        committed, done = future_and_done()

        def written(error: BaseException | None) -> None:
            if error is None:
                self._written(key, value, device)
            done(error)

        self._table.put(self._network, key, value, device, written)
        await committed

    # For the bridge

    def hold(self, device: str, notes: Mapping[str, bytes]) -> None:
        """Keep the notes of a device in memory until `release`."""
        self.release(device)
        self._devices[device] = dict.fromkeys(notes)
        self._held.update(notes)

    def release(self, device: str) -> None:
        """Stop keeping the notes of a device in memory."""
        for key in self._devices.pop(device, ()):
            self._held.pop(key, None)

    def forget_recent(self) -> None:
        """Forget the notes in memory but those of devices whose endpoint is there: others may have changed them."""
        self._recent.clear()

    # Internals

    def _written(self, key: str, value: bytes | None, device: str) -> None:
        loading = self._loading.get(key)
        if loading is not None and loading.found:
            loading.value = value
        of_device = self._devices.get(device)
        if value is None:
            self._held.pop(key, None)
            self._recent.drop(key)
            if of_device is not None:
                of_device.pop(key, None)
        elif of_device is not None:
            of_device[key] = None
            self._held[key] = value
            self._recent.drop(key)
        else:
            self._held.pop(key, None)
            self._recent.put(key, value)

    def _load(self, key: str, read: Bring) -> Future[bytes | None]:
        future: Future[bytes | None] = asyncio.get_running_loop().create_future()
        loading = self._loading.get(key)
        if loading is None:
            there = self.cached(key)
            if there is not MISS:
                future.set_result(there)
            elif len(self._loading) >= ALL:
                future.set_exception(_too_many())
            else:
                self._loading[key] = _Loading([future])
                read(self._network, key, lambda value, error: self._loaded(key, value, error))
        elif len(loading.waiting) >= EACH:
            future.set_exception(_too_many())
        else:
            loading.waiting.append(future)
        return future

    def _loaded(self, key: str, value: bytes | None, error: BridgeError | None) -> None:
        loading = self._loading[key]
        if error is None:
            loading.found = True
            loading.value = value
            if value is not None and key not in self._held:
                self._recent.put(key, value)
            self._resume_waiting(key, loading)
        else:
            del self._loading[key]
            for future in loading.waiting:
                if not future.done():
                    future.set_exception(error)

    def _resume_waiting(self, key: str, loading: _Loading) -> None:
        """Let waiting callers continue. A caller that comes before all of them have done so waits behind them."""
        waiting, loading.waiting = loading.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(loading.value)
        if waiting:
            asyncio.get_running_loop().call_soon(self._resume_waiting, key, loading)
        else:
            del self._loading[key]


class Memories:
    """The notes of all network instances of one store."""

    def __init__(self, table: NoteTable) -> None:
        self._table = table
        self._networks: dict[str, NetworkMemory] = {}

    @property
    def table(self) -> NoteTable:
        """Return the table of the notes. Another can be set before the first call of `of`."""
        return self._table

    @table.setter
    def table(self, table: NoteTable) -> None:
        if self._networks:
            raise AssertionError("notes are in use")
        self._table = table

    def of(self, network: str) -> NetworkMemory:
        """Return the notes of one network instance; always the same object."""
        found = self._networks.get(network)
        if found is None:
            found = self._networks[network] = NetworkMemory(self._table, network)
        return found

    def forget_recent(self) -> None:
        """Forget the notes in memory but those of devices whose endpoint is there: others may have changed them."""
        for memory in self._networks.values():
            memory.forget_recent()

    def hold(self, network: str, device: str, notes: Mapping[str, bytes]) -> None:
        """Keep the notes of a device in memory until `release`."""
        self.of(network).hold(device, notes)

    def release(self, network: str, device: str) -> None:
        """Stop keeping the notes of a device in memory."""
        self.of(network).release(device)


def _too_many() -> StoreUnavailable:
    return StoreUnavailable("too many messages wait for the store to be read")
