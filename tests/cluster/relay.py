"""Passes connections on to a port that is reached from a machine's loopback alone."""

import asyncio
import contextlib
import socket

from mock_network.lab.api import Dialler


class Relay:
    """Takes connections at a listening socket, and makes one to `host`:`port` for each, by a socket of `dial`."""

    def __init__(self, listening: socket.socket, dial: Dialler, host: str, port: int) -> None:
        self._listening = listening
        self._dial = dial
        self._where = host, port
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listening)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            made = self._dial(None)
            await asyncio.get_running_loop().sock_connect(made, self._where)
            from_there, there = await asyncio.open_connection(sock=made)
            ends.append(there)
            self._ends.add(there)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, there))
                both.create_task(_pump(from_there, writer))
        except (OSError, ExceptionGroup):
            pass  # it ends on both sides
        finally:
            self._ends.difference_update(ends)
            self._tasks.discard(task)
            for end in ends:
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
