"""A process of a set-up: started, known to be ready, killed or stopped; its output is in a file."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

START_TIMEOUT = 30.0  # seconds of real time
STOP_TIMEOUT = 15.0


class ProcessEnded(Exception):
    """A process ended when it should not have; the text has the end of its log."""


class Running(Protocol):
    """A process that was started: these methods of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Starter(Protocol):
    """Starts a command without input, with standard output and error in `out`."""

    def __call__(self, command: Sequence[str], out: IO[bytes], environment: Mapping[str, str], /) -> Running: ...


def start_process(command: Sequence[str], out: IO[bytes], environment: Mapping[str, str]) -> Running:
    """Start a command without input, with standard output and error in `out`."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)  # noqa: S603


class LabProcess:
    """`python ARGUMENTS`, with its standard error and output in `log`.

    `starter` starts each of them; whoever starts very many may have them forked from one that has done its imports.
    """

    starter: ClassVar[Starter] = staticmethod(start_process)

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`within`: words that come first, of a command that becomes the program, such as `ip netns exec NAME`."""
        self.name = name
        self.log = log
        self._arguments = [*within, sys.executable, *arguments]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._process: Running | None = None
        self._from = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ProcessEnded(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it; `ready_line` or something of its own tells when it is ready. `environment`: for this life."""
        with self.log.open("ab") as out:
            self._from = out.tell()
            self._process = self.starter(self._arguments, out, {**self._environment, **(environment or {})})

    def said(self) -> str:
        """Return its output since its last start."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode("utf-8", "replace")

    def check(self) -> None:
        """Raise ProcessEnded if it is not running."""
        if not self.running:
            raise ProcessEnded(f"{self.name} ended:\n{self.said()[-3000:]}")

    async def ready_line(self) -> dict[str, Any]:
        """Wait for its ready line, JSON with its addresses, and return it. Raises ProcessEnded without one."""
        loop_end = START_TIMEOUT
        while loop_end > 0:
            for line in self.said().splitlines():
                if line.startswith("{"):
                    with contextlib.suppress(ValueError):
                        found: dict[str, Any] = json.loads(line)
                        return found
            self.check()
            await real_sleep(0.05)
            loop_end -= 0.05
        raise ProcessEnded(f"{self.name} did not say that it is ready:\n{self.said()[-3000:]}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as SIGSTOP to let it hang and SIGCONT to let it continue."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    async def ended(self) -> int:
        """Wait until it ends; return its exit code, negative for a signal."""
        if self._process is None:
            raise ProcessEnded(f"{self.name} was not started")
        while (code := self._process.poll()) is None:
            await real_sleep(0.02)
        return code

    def stop(self) -> None:
        """End it in good order, or by force if that takes too long."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def real_sleep(seconds: float) -> None:
    """Sleep in the machine's own time, whatever clock the event loop follows."""
    await asyncio.get_running_loop().run_in_executor(None, _sleep, seconds)


def _sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)
