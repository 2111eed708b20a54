"""Numbered migrations: applied once, in order, and never edited."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from bridge.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `digest` is remembered by each database, so that an edited step is noticed.

    A step that takes away what earlier releases use says so in its first line, `-- needs: VERSION`: of the nodes that
    share the database, each must be of a release that knows at least this version of the schema.
    """

    version: int
    name: str
    sql: str

    @property
    def needs(self) -> int:
        """Return the schema version that each running node must know; 0: the step takes nothing away."""
        found = re.match(r"-- needs: (\d+)$", self.sql, re.MULTILINE)
        return int(found[1]) if found else 0

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(package: str) -> tuple[Migration, ...]:
    """Return all migrations in the folder `migrations` of a package, in order."""
    found = [
        Migration(int(match[1]), match[2], entry.read_text("utf-8"))
        for entry in sorted((files(package) / "migrations").iterdir(), key=lambda e: e.name)
        if (match := re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name))
    ]
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise AssertionError("migrations are not numbered 1, 2, 3, …")
    return tuple(found)


def check_applied(applied: Iterable[tuple[int, str]], known: Sequence[Migration]) -> int:
    """Return the newest version among those applied, which are given with their digests by rising version.

    Raises ConfigurationError if it is newer than `known`, or if the two differ.
    """
    versions = list(applied)
    newest = versions[-1][0] if versions else 0
    if newest > len(known):
        raise ConfigurationError(
            f"the database has schema version {newest}, this release knows {len(known)}: "
            "run the newer release, or restore the copy made before the upgrade"
        )
    for number, digest in versions:
        if known[number - 1].digest != digest:
            raise ConfigurationError(
                f"schema version {number} of the database was made by another build of that version: "
                "run the build that made it, or export the directory and start a new database"
            )
    return newest
