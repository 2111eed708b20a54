"""A proxy before a PostgreSQL server and its standby that can stop forwarding: to its clients they are then silent, not
gone. It can also be slow.

All proxies run in a thread of their own, so that what a test does meanwhile does not make the database slow."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from functools import cache, partial
from pathlib import Path
from typing import Any

SOCKET = ".s.PGSQL.5432"


@cache
def _loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="valves", daemon=True).start()
    return made


async def _there(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop()))


class Valve:
    """Listens on a socket of its own for each server. While it is shut, connections stay open and carry nothing."""

    def __init__(self, *servers: Path) -> None:
        """`servers`: the folders of their sockets."""
        self.servers = [*servers]  # a test may put another one in a place
        self.folders = [Path(tempfile.mkdtemp(prefix="bridge-valve-")) for _ in servers]
        self.delay = 0.0  # seconds by which all that servers say is late
        self._open = asyncio.Event()
        self._open.set()
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        await _there(self._start())

    async def _start(self) -> None:
        for place, folder in enumerate(self.folders):
            serve = partial(self._serve, place)
            self._listening.append(await asyncio.start_unix_server(serve, str(folder / SOCKET)))

    def shut(self) -> None:
        _loop().call_soon_threadsafe(self._open.clear)

    def open(self) -> None:
        _loop().call_soon_threadsafe(self._open.set)

    async def close(self) -> None:
        await _there(self._close())

    async def _close(self) -> None:
        self._open.set()
        for listening in self._listening:
            listening.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for folder in self.folders:
            shutil.rmtree(folder)

    async def _serve(self, place: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            from_server, to_server = await asyncio.open_unix_connection(str(self.servers[place] / SOCKET))
            ends.append(to_server)
            self._ends.add(to_server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, to_server))
                both.create_task(self._pump(from_server, writer, is_late=True))
        except (OSError, ExceptionGroup):
            pass  # it ends for the client, too
        finally:
            for end in ends:
                end.close()
            self._ends.difference_update(ends)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_late: bool = False) -> None:
        while data := await reader.read(65536):
            if is_late and self.delay:
                await asyncio.sleep(self.delay)
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()  # nor does anybody hear that the other side has gone
        writer.close()
