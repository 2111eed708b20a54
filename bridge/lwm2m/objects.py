"""What resources are: their types, names and units, as far as the bridge knows them (`objects.tsv`).

The table has the core objects, and the resources that sensor objects share. An operator may define more. Of any other
resource nothing is known but its bytes.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from bridge.lwm2m.paths import RESOURCE, Path

_SHARED = 3200  # objects from here on use the shared resources of sensors and actuators


class Type(StrEnum):
    """Types of resources (Core TS 1.1, appendix C)."""

    STRING = "string"
    INTEGER = "integer"
    UNSIGNED = "unsigned"
    FLOAT = "float"
    BOOLEAN = "boolean"
    OPAQUE = "opaque"
    TIME = "time"
    OBJLNK = "objlnk"
    CORELNK = "corelnk"
    NONE = "none"  # it can only be executed


class Resource(NamedTuple):
    type: Type
    name: str
    unit: str = ""  # as the registry has it; "" for none


def resource_at(path: Path) -> Resource | None:
    """Return what the resource at a path is; None: that is not known."""
    if len(path) < RESOURCE:
        return None
    own = _own.get((path[0], path[2]))
    if own is not None:
        return own
    known = _table()
    found = known.get((path[0], path[2]))
    return known.get((0, path[2])) if found is None and path[0] >= _SHARED else found


_own: Mapping[tuple[int, int], Resource] = {}


def define(models: Mapping[tuple[int, int], Resource]) -> None:
    """Let `resource_at` know an operator's own definitions in the whole process, instead of earlier ones.

    They come before the table. They are set where the process reads its configuration, and nowhere else.
    """
    global _own  # noqa: PLW0603  # what resources are is a fact of the process, as the table is
    _own = models


@cache
def _table() -> dict[tuple[int, int], Resource]:
    """Return the resources by object and resource id; those that sensors share are under object 0."""
    text = (files("bridge.lwm2m") / "objects.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return {(int(row[0]), int(row[1])): Resource(Type(row[2]), *row[3:]) for row in rows}
