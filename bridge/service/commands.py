"""Starts programs of the operator's, and lets none of them outlive its time."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence

from bridge.errors import ConfigurationError

LONGEST = 65536  # octets of a line of output
DIES = 1.0  # seconds in which a process that was killed has ended

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def started(
    words: Sequence[str], where: str, kill_wait: float = DIES
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a program that runs, with its output as a pipe; `where`: which setting names it.

    `kill_wait`: seconds for which this waits at its end for a process that was killed and does not end.

    Unless it has ended with status 0, and the caller raises nothing, it is killed with all processes of its group, also
    when it has ended itself: else a child of it would act later, when somebody else has been told that it failed.
    Raises ConfigurationError if it cannot be started.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=LONGEST, loop=loop),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot run {words[0]}: {error.strerror}") from error
    process, worked = asyncio.subprocess.Process(transport, protocol, loop), False
    try:
        yield process
        worked = process.returncode == 0
    finally:
        if not worked:
            _kill_group(process)
            # `wait` returns when nobody holds the pipe any more, and a child may have left the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it kills, too
                transport.close()
        if process.returncode is None:
            await _wait_for(process, where, kill_wait)


async def _wait_for(process: asyncio.subprocess.Process, where: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:  # it runs as another user, or waits in the kernel
        log.error("%s: process %d could not be killed, and may still act", where, process.pid)  # noqa: TRY400


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.returncode is None or not _exists(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    """Return whether there is a process. The number of one that has ended is not used again while its group lives."""
    try:
        os.getpgid(pid)
    except ProcessLookupError:
        return False
    return True
