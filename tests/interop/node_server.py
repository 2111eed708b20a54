"""lwm2m-node-lib, an unmodified LwM2M server on node-coap, as a process: a second independent server beside Leshan."""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.components import NODE_SERVER

Json = dict[str, Any]


class NodeServer:
    """The running server. `events` has all that it said of devices, oldest first."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self.events: list[Json] = []
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._reader = asyncio.create_task(self._read())

    async def ask(self, operation: str, endpoint: str, path: str, value: str = "") -> Any:
        """Let the server carry out an operation; return the value, or the text of its error as an exception's."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        ids = [int(part) for part in path.strip("/").split("/")]
        line = {"id": number, "do": operation, "endpoint": endpoint, "path": ids, "value": value}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        found = await asyncio.wait_for(answer, 30)
        if "error" in found:
            raise LookupError(found["error"])
        return found["value"]

    def seen(self, event: str, endpoint: str) -> list[Json]:
        """Return what the server said of one kind about a device."""
        return [one for one in self.events if (one["event"], one.get("endpoint")) == (event, endpoint)]

    async def stop(self) -> None:
        """End the process by closing its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            found = json.loads(line)
            if "event" in found:
                self.events.append(found)
            else:
                self._answers.pop(found["id"]).set_result(found)


@contextlib.asynccontextmanager
async def node_server(port: int) -> AsyncIterator[NodeServer]:
    """Run the server at a UDP port of 127.0.0.1."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node",
        "--no-warnings",
        str(Path(__file__).with_name("node_server.js")),
        str(port),
        stdin=pipe,
        stdout=pipe,
        env={**os.environ, "NODE_PATH": str(NODE_SERVER.folder / "node_modules")},
    )
    assert process.stdout is not None
    ready = await asyncio.wait_for(process.stdout.readline(), 30)
    assert ready, "the server ended"
    server = NodeServer(process, port)
    try:
        yield server
    finally:
        await server.stop()
