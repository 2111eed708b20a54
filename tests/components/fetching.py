"""Fetch and build a component, watched: with progress, again where it breaks off, and with a limit on silence."""

import fcntl
import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.components.component import Component

SILENCE = 120.0  # seconds without a line of output after which a package manager is ended and begun again
SILENT = "the network went silent"
ATTEMPTS_IN_VAIN = 2  # attempts one after the other that bring no file

Show = Callable[[str], None]
"""Shows how far the work is: called with a short line, several times a second at most."""


class BuildFailed(Exception):
    """The network is not the reason: the message is the output of the package manager."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one run of a package manager ended."""

    succeeded: bool
    files: int  # that were fetched
    output: str


def fetch(component: Component, show: Show) -> None:
    """Build a component that is not built; on return it is built, or its file `reason` says why it is not.

    A package manager keeps what it has fetched. So it is started again as long as each run brings a file more.
    Raises BuildFailed if the network is not the reason.
    """
    component.folder.mkdir(parents=True, exist_ok=True)
    with (component.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the tests may build it now
        if component.is_built():
            return
        last = _try(component, show)
        if last.succeeded:
            component.stamp.write_text(component.digest())
            component.reason.unlink(missing_ok=True)
            return
        if not _is_unreachable(component, last):
            raise BuildFailed(f"{component.title}:\n{last.output[-5000:]}")
        component.reason.write_text(_first_error(last.output, rf"{component.unreachable}|{SILENT}"))


def _try(component: Component, show: Show) -> Attempt:
    files = in_vain = 0
    while True:
        attempt = _run(component, component.command, files, show)
        files += attempt.files
        in_vain = 0 if attempt.files else in_vain + 1
        if attempt.succeeded or not _is_unreachable(component, attempt):
            return attempt
        if in_vain >= ATTEMPTS_IN_VAIN:
            offline = _run(component, component.offline, files, show)
            return offline if offline.succeeded else attempt


def _run(component: Component, command: Sequence[str], before: int, show: Show) -> Attempt:
    """Run a package manager to its end, or until it is silent for too long."""
    output = b""
    began = heard = time.monotonic()
    process = subprocess.Popen(
        command, cwd=component.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(1.0):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                heard = time.monotonic()
                output += chunk
            elif time.monotonic() - heard > SILENCE:
                process.kill()
                output += f"\n{SILENT}: nothing more came for {SILENCE:.0f} s\n".encode()
                break
            files = before + _files(component, output)
            show(f"{component.title}: {files} files fetched, {time.monotonic() - began:.0f} s")
    return Attempt(process.returncode == 0, _files(component, output), output.decode(errors="replace"))


def _is_unreachable(component: Component, attempt: Attempt) -> bool:
    return re.search(rf"{component.unreachable}|{SILENT}", attempt.output) is not None


def _files(component: Component, output: bytes) -> int:
    return len(re.findall(component.fetched.encode(), output))


def _first_error(output: str, unreachable: str) -> str:
    """Return the first line that says why the network gave nothing, without the marks that begin it."""
    found = next(line for line in output.splitlines() if re.search(unreachable, line))
    return re.sub(r"^(\[\w+\]|npm (ERR!|error)) ", "", found).strip()[:300]
