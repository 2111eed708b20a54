"""A PostgreSQL server of one's own: as an unprivileged user, reached through a socket in its folder alone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlencode


def programs() -> Path | None:
    """Return the folder with the programs of the newest PostgreSQL that is installed, if there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    return Path(elsewhere).parent if elsewhere else None


class PostgresServer:
    """Starts with the object; `stop` ends it and removes all that it had."""

    def __init__(
        self,
        *,
        durable: bool = False,
        settings: tuple[str, ...] = (),
        standby_of: "PostgresServer | None" = None,
        owner: str = "bridge",
    ) -> None:
        """With `standby_of`, make a copy of that server, which follows it by streaming replication.

        `owner`: the user of the database that may do everything.
        """
        self._owner = owner
        self._programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._data = self.folder / "data"
        self._options = [f"unix_socket_directories='{self.folder}'", "listen_addresses=''", *settings]
        if not durable:
            self._options += ["fsync=off"]
        self._schemas = 0
        if standby_of is None:
            self._run(
                "initdb", "-D", str(self._data), "-U", self._owner, "-E", "UTF8", "--no-locale", "-A", "trust", "-N"
            )
            self._start_with_options()
        else:
            self.make_standby_of(standby_of)

    def make_standby_of(self, other: "PostgresServer") -> None:
        """Follow another server from now on, with a copy of all that it has. This one must be stopped."""
        shutil.rmtree(self._data, ignore_errors=True)
        self._run(
            "pg_basebackup", "-D", str(self._data), "-h", str(other.folder), "-U", self._owner, "-R", "-c", "fast"
        )
        self._start_with_options()

    def _start_with_options(self) -> None:
        with (self._data / "postgresql.auto.conf").open("a") as written:
            written.write("\n".join(self._options) + "\n")
        self.start()

    def promote(self) -> None:
        """Make a standby the server that takes commits."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "promote")

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "60", "-l", str(self.folder / "log"), "start")

    def stop_server(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop_server("immediate")
        shutil.rmtree(self.folder)

    def where(self, schema: str) -> str:
        """Return the connection string for a schema, which becomes the place of a store's tables."""
        return f"host={self.folder} user={self._owner} dbname=postgres options=-csearch_path={schema}"

    def schema(self) -> str:
        """Make a new schema; return its connection string."""
        self._schemas += 1
        name = f"s{os.getpid()}_{self._schemas}"
        self.sql(f"CREATE SCHEMA {name}")
        return self.where(name)

    def uri(self) -> str:
        """Make a new schema; return its URI."""
        members = dict(part.split("=", 1) for part in self.schema().split())
        database = members.pop("dbname")
        return f"postgresql:///{database}?{urlencode(members)}"

    def sql(self, statement: str) -> None:
        import psycopg  # only where there is a server

        with psycopg.connect(self.where("public"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def holds_a_transaction(self) -> bool:
        """Return whether a client began a transaction more than half a second ago and does not go on with it."""
        import psycopg  # only where there is a server

        held = (
            "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            " AND xact_start < clock_timestamp() - interval '0.5 s'"
        )
        with psycopg.connect(self.where("public"), autocommit=True) as connection:
            return connection.execute(held).fetchone() is not None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" or "start" not in arguments else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, (program, done.stdout)
