"""What else happens to a bridge that is killed: its disk fills, and backups of its database are taken."""

import asyncio
import resource
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mock_network.lab import LabProcess
from tests import forked
from tests.durability.judge import Evidence, read_ledger


def fill_disk(process: LabProcess, room: int) -> None:
    """Let no file of a process grow beyond `room` bytes, until `free_disk` or the end of the process."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))


def free_disk(process: LabProcess) -> None:
    """Let its files grow again."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@dataclass
class Backups:
    """Copies of a bridge's ledger, taken by its own command while it runs or is killed, and what is wrong with them."""

    directory: Path  # of the bridge
    config: Path
    taken: int = 0
    faults: list[str] = field(default_factory=list)

    async def take(self, acknowledged: list[Evidence]) -> None:
        """Copy the ledger; all that was acknowledged before must be in the copy."""
        copy = self.directory / f"copy-{self.taken}.db"
        self.taken += 1
        said = await _command("backup", "--config", str(self.config), str(copy))
        if not copy.exists():
            self.faults.append(f"{copy.name} was not made: {said}")
            return
        with closing(sqlite3.connect(copy)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            self.faults.append(f"{copy.name}: {found}")
        for seen in acknowledged:
            read_ledger(seen, copy)
            rows = {row["north_token"].hex() for row in seen.downlinks if row["kind"] == "request"}
            self.faults += [f"{copy.name} lacks request {token}" for token in seen.acknowledged - rows]
        copy.unlink()


async def _command(*arguments: str) -> str:
    """Run a command of the bridge; return what it printed."""
    done = await asyncio.to_thread(forked.run, [sys.executable, "-m", "bridge.cli", *arguments])
    return (done.stdout + done.stderr).strip()
