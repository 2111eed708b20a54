"""Runs the bridge under a sampling profiler: `profiled.py RESULT ARGUMENTS…` is `lwm2m-bridge ARGUMENTS…`.

Between SIGUSR1 and SIGUSR2 it samples, then it writes to RESULT which room its processor time went to. A sample counts
for the innermost frame that belongs to a room, with the time that the event loop's thread used since the sample before;
other threads count as a whole.
"""

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

INTERVAL = 0.002  # seconds of processor time between two samples: about 1 % of the time is the profiler's own

ROOMS = (
    ("bridge/store/", "store, in the event loop"),
    ("bridge/delivery/rows", "rows to values"),
    ("bridge/relay/", "step"),
    ("bridge/delivery/", "step"),
    ("bridge/coap/", "step"),
    ("bridge/north/", "sockets to servers"),
    ("bridge/directory/", "directory"),
    ("bridge/", "service"),
    ("bindings/t8/client.py", "HTTP out"),
    ("bindings/t8/listener.py", "HTTP in"),
    ("bindings/http/", "HTTP in"),
    ("bindings/", "binding"),
    ("grpc/", "gRPC"),
    ("google/", "protobuf"),
    ("aiohttp/client", "HTTP out"),
    ("aiohttp/connector", "HTTP out"),
    ("aiohttp/web", "HTTP in"),
    ("asyncio/", "event loop, TCP"),
    ("selectors.py", "event loop, waiting"),
)


class Profile:
    """Processor time by room, and by function, seconds."""

    def __init__(self, result: Path) -> None:
        self._result = result
        self._places: dict[str, str | None] = {}
        self._begin()

    def _begin(self) -> None:
        self._rooms: dict[str, float] = defaultdict(float)
        self._functions: dict[str, float] = defaultdict(float)
        self._threads = thread_times()
        self._last = time.thread_time()

    def start(self, _number: int, _frame: FrameType | None) -> None:
        """Forget what was, and begin to sample."""
        self._begin()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """Count the time since the sample before for where the event loop's thread is now."""
        now = time.thread_time()
        spent, self._last = now - self._last, now
        if frame is not None:
            code = frame.f_code
            self._functions[f"{'/'.join(Path(code.co_filename).parts[-2:])} {code.co_qualname}"] += spent
        while frame is not None:
            room = self._room_of(frame.f_code.co_filename)
            if room is not None:
                self._rooms[room] += spent
                return
            frame = frame.f_back
        self._rooms["other"] += spent

    def write(self, _number: int, _frame: FrameType | None) -> None:
        """Sample no more, and write what was found."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        for name, seconds in thread_times().items():
            self._rooms[f"thread {name}"] += seconds - self._threads.get(name, 0.0)
        part = self._result.with_suffix(".part")
        part.write_text(json.dumps({"rooms": self._rooms, "functions": self._functions}))
        part.replace(self._result)

    def _room_of(self, file: str) -> str | None:
        if file not in self._places:
            self._places[file] = next((room for part, room in ROOMS if part in file), None)
        return self._places[file]


def thread_times() -> dict[str, float]:
    """Return the processor time of every other thread, seconds."""
    used = {}
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.ident is not None:
            used[thread.name] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return used


def main() -> None:
    profile = Profile(Path(sys.argv.pop(1)))
    signal.signal(signal.SIGPROF, profile.sample)
    signal.signal(signal.SIGUSR1, profile.start)
    signal.signal(signal.SIGUSR2, profile.write)
    from bridge.cli import main as cli

    cli(prog_name="lwm2m-bridge")


if __name__ == "__main__":
    main()
