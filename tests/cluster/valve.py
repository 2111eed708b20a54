"""A proxy before a PostgreSQL server that can stop forwarding: to its clients the server is then silent, not gone."""

import asyncio
import shutil
import tempfile
from pathlib import Path


class Valve:
    """Listens on a socket of its own in `folder`. While it is shut, connections stay open and carry nothing."""

    def __init__(self, server_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-valve-"))
        self._server = str(server_folder / ".s.PGSQL.5432")
        self._open = asyncio.Event()
        self._open.set()
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._listening = await asyncio.start_unix_server(self._serve, str(self.folder / ".s.PGSQL.5432"))

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def close(self) -> None:
        self.open()
        if self._listening is not None:
            self._listening.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self.folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            from_server, to_server = await asyncio.open_unix_connection(self._server)
            ends.append(to_server)
            self._ends.add(to_server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, to_server))
                both.create_task(self._pump(from_server, writer))
        except (OSError, ExceptionGroup):
            pass  # it ends for the client, too
        finally:
            for end in ends:
                end.close()
            self._ends.difference_update(ends)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()  # nor does anybody hear that the other side has gone
        writer.close()
