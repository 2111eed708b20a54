"""`python -m tests.forked.server FD`: a process that has imported the bridge and the emulators, and forks on request.

A request comes over the socket FD as one packet: JSON, and with it four descriptors, those of standard input, output
and error, and the write end of a pipe. Over that pipe go the new process's id and, once it has ended, its exit code
(negative for a signal), a line each. The server ends when the socket is closed; the processes that it started do not.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked.preloaded import PRELOADED

LARGEST = 1 << 18  # bytes of a request: arguments and environment
DESCRIPTORS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """A module to run as `python -m`, with its arguments, environment and directory."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: str


class Server:
    """Forks on request. `serve` returns in each process that it starts, with what that process has to run."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._reports: dict[int, int] = {}  # by process id: the pipe of its exit code

    def serve(self) -> Request | None:
        """Take requests until the socket is closed. Return None then, and in each new process its request."""
        woken, wakes = socket.socketpair()
        woken.setblocking(False)
        wakes.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends tests, and they close the socket
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes.fileno())
        while True:
            readable, _, _ = select.select([self._requests, woken], [], [])
            if woken in readable:
                woken.recv(1024)
                self._reap()
            if self._requests in readable:
                data, descriptors, _, _ = socket.recv_fds(self._requests, LARGEST, DESCRIPTORS)
                if not data:
                    return None
                request = self._fork(json.loads(data), descriptors)
                if request is not None:
                    woken.close()
                    wakes.close()
                    return request

    def _fork(self, data: dict[str, Any], descriptors: list[int]) -> Request | None:
        *standard, report = descriptors
        pid = os.fork()
        if pid:
            for descriptor in standard:
                os.close(descriptor)
            os.write(report, b"%d\n" % pid)
            self._reports[pid] = report
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        self._requests.close()
        for descriptor in (*descriptors, *self._reports.values()):
            os.close(descriptor)
        return Request(data["module"], tuple(data["arguments"]), data["environment"], data["directory"])

    def _reap(self) -> None:
        while self._reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            report = self._reports.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody asks any more
                os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(report)


def preload() -> None:
    """Import what processes will need. Raises RuntimeError if that starts a thread: a forked process would lack it."""
    for name in PRELOADED:
        importlib.import_module(name)
    native = sum(1 for _ in Path("/proc/self/task").iterdir())
    if native != 1 or threading.active_count() != 1:
        raise RuntimeError(f"imports started threads: {native} run")
    gc.collect()
    gc.freeze()


def run(request: Request) -> None:
    """Run a request as `python -m MODULE ARGUMENTS` would."""
    os.chdir(request.directory)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = [request.module, *request.arguments]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve, and in each new process run what was asked for."""
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        preload()
        request = Server(requests).serve()
    if request is not None:
        run(request)


if __name__ == "__main__":
    main()
