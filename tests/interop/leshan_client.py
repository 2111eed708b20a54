"""A real Eclipse Leshan client for tests, run as a process; what it is and obeys is described in `ClientMain.java`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.components import LESHAN
from tests.interop.leshan_server import CLASS_PATH

START_TIMEOUT_S = 30  # a Java start on a busy machine


class LeshanClient:
    """A running client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> dict[str, Any]:
        """Return the next line that the client prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            text = await self._process.stdout.readline()
        assert text, "the client ended"
        found: dict[str, Any] = json.loads(text)
        return found

    def order(self, text: str) -> None:
        """Have the client do something: `set 21.5`, `update` or `send`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())


@contextlib.asynccontextmanager
async def leshan_client(endpoint: str, **options: str | int) -> AsyncIterator[LeshanClient]:
    """Run a client while inside; `options` are those of `ClientMain.java`. It de-registers at the end."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m"]
    command = ["java", *quick, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", CLASS_PATH, "interop.ClientMain"]
    with (LESHAN.folder / f"client-{endpoint}.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--endpoint",
            endpoint,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        client = LeshanClient(process)
        try:
            await client.line()
            yield client
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves the pipes open until collected
