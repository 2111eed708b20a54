"""Processes that a test starts, forked on request by `tests.forked.server`, which is started with the first of them."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from bridge.service.crash_points import VARIABLE as CRASH_POINT

ROOT = Path(__file__).parents[2]
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GRPC_", CRASH_POINT)
"""Beginnings of names of variables that are read when python, a library or a module is loaded: too early for a fork."""


class Forked:
    """A process that was forked for a test, with those methods of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: Sequence[str], report: int) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._report = os.fdopen(report, "rb", buffering=0)
        self.pid = self._number(None)

    def _number(self, timeout: float | None) -> int:
        """Return the next number that the server reports. Raises TimeoutExpired after so many seconds."""
        readable, _, _ = select.select([self._report], [], [], timeout)
        if not readable:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        text = b""
        while not text.endswith(b"\n"):
            more = self._report.read(1)
            if not more:
                raise OSError(f"the process that forks ended while {self.args} ran")
            text += more
        return int(text)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Server:
    """The process that forks."""

    def __init__(self) -> None:
        self.read_at_start = _read_at_start(os.environ)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "tests.forked.server", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, arguments: Sequence[str], standard: Sequence[int], environment: Mapping[str, str]) -> Forked:
        """Start `python -m ARGUMENTS` on the descriptors of its standard input, output and error."""
        mine, report = os.pipe()
        module, *rest = arguments
        request = {
            "module": module,
            "arguments": rest,
            "environment": dict(environment),
            "directory": str(Path.cwd()),
        }
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [*standard, report])
        finally:
            os.close(report)
        return Forked(arguments, mine)

    def stop(self) -> None:
        """End it; what it started goes on."""
        self._socket.close()
        self._process.wait(30)


_servers: list[_Server] = []  # one at most
_starting = threading.Lock()


def _server() -> _Server:
    with _starting:
        if not _servers:
            _servers.append(_Server())
        return _servers[0]


def stop() -> None:
    """End the process that forks, if there is one; the next request starts another.

    Of processes that were forked before, the end can then no longer be known.
    """
    while _servers:
        _servers.pop().stop()


@contextlib.contextmanager
def another() -> Iterator[None]:
    """Have a process that is started within the context fork; set-ups that run keep theirs."""
    with _starting:
        present, _servers[:] = [*_servers], []
    try:
        yield
    finally:
        stop()
        _servers[:] = present


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(AT_START) and name != "PYTHONUNBUFFERED"  # of the server, too
    }


def can_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a forked process would be the same as that of a command: `python -m` in this environment."""
    usual = _servers[0].read_at_start if _servers else _read_at_start(os.environ)
    return tuple(command[:2]) == (sys.executable, "-m") and _read_at_start(environment) == usual


def start_process(
    command: Sequence[str], out: IO[bytes], environment: Mapping[str, str]
) -> "Forked | subprocess.Popen[bytes]":
    """Start a command without input, with standard output and error in `out`."""
    if not can_fork(command, environment):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    with Path(os.devnull).open("rb") as nothing:
        return _server().fork(command[2:], [nothing.fileno(), out.fileno(), out.fileno()], environment)


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    input: str = "",  # noqa: A002  # as subprocess.run has it
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return its output, as `subprocess.run` with text. Raises TimeoutExpired."""
    variables = os.environ if environment is None else environment
    if not can_fork(command, variables):
        return subprocess.run(
            command, input=input, capture_output=True, text=True, env=variables, timeout=timeout, check=False
        )
    with contextlib.ExitStack() as stack:
        given, out, error = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(input.encode())
        given.seek(0)
        process = _server().fork(command[2:], [one.fileno() for one in (given, out, error)], variables)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(command, code, *texts)
