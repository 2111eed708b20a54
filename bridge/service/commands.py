"""Starts programs of the operator's, and lets none of them outlive its time."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence

from bridge.errors import ConfigurationError


@contextlib.asynccontextmanager
async def started(words: Sequence[str], where: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a program that runs, with its output as a pipe; `where`: which setting names it.

    If it still runs at the end, or an error ends this, it is killed with all that it has started: else a child of it
    would act later, when somebody else has been told that it failed. The program itself may have ended before such a
    child. Raises ConfigurationError if it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot run {words[0]}: {error.strerror}") from error
    is_over = False
    try:
        yield process
        is_over = process.returncode is not None
    finally:
        if not is_over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
