"""The sides under test, each a process of its own, pinned to one core."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CORE_UNDER_TEST = 0
CORE_OF_LOAD = 1
_SCHEDULED = 2  # CPUCLOCK_SCHED: with the complement of a process id, its clock of processor time (clock_getcpuclockid)
BYTE_CODE = Path("build/byte-code").absolute()


@dataclass(slots=True)
class Side:
    """A running process under test."""

    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Return the seconds of processor time used so far, by all its threads."""
        return time.clock_gettime(~self.process.pid << 3 | _SCHEDULED)

    def memory(self) -> int:
        """Return the proportional set size, bytes."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no Pss")

    def peak_memory(self) -> int:
        """Return the largest resident set size so far, bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmHWM")

    def sockets(self) -> int:
        """Count open sockets."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(1 for link in links if str(link.readlink()).startswith("socket:"))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(arguments: list[str], log: Path) -> Side:
    """Start a process on the core under test."""

    # An installation by pip has its modules as byte code; from source they may be compiled at each start.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(BYTE_CODE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out, env=environment)
    os.sched_setaffinity(process.pid, {CORE_UNDER_TEST % (os.cpu_count() or 1)})
    return Side(process)


def write_configuration(
    directory: Path,
    api_root: str,
    server_port: int,
    external_ids: list[str],
    service: str = "",
    more: str = "",
    place: int = 0,
) -> Path:
    """Write a configuration and a CSV of endpoints; give the configuration's path. `service`: more of its section.

    `more`: further sections. `place`: of several bridges that run at one time, which one.
    """
    north_port = 15000 + os.getpid() % 5000 + place  # another bridge may have the usual port
    config = directory / "bridge.toml"
    config.write_text(
        f"""
[service]
state_directory = "{directory}"
log_level = "warning"
{service}

[north]
port = {north_port}

[servers.bench]
uri = "coap://127.0.0.1:{server_port}"
patience = 3600.0

[networks.bench]
binding = "nidd"
api_root = "{api_root}"
scs_as_id = "bench"
configurations = {{ adopt = false }}
callbacks = {{ port = {north_port + 5000} }}
{more}
"""
    )
    rows = "\n".join(f"bench-{n},bench,{external_id},bench" for n, external_id in enumerate(external_ids))
    (directory / "endpoints.csv").write_text(f"endpoint,network,address,servers\n{rows}\n")
    return config


def is_ready(control_socket: Path) -> bool:
    """Return whether a bridge takes messages; False while nobody listens."""
    question = b"POST /ready HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5.0)
            asked.connect(str(control_socket))
            asked.sendall(question)
            with asked.makefile("rb") as answer:
                return b'"ready":true' in answer.read()
    except OSError:
        return False
