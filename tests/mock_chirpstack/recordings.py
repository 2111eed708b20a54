"""Events that a real ChirpStack v4 published while the scenarios were played, and what of them can be compared."""

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
STABLE = frozenset(
    {
        "acknowledged",
        "adr",
        "code",
        "confirmed",
        "data",
        "description",
        "deviceClassEnabled",
        "dr",
        "fCnt",
        "fCntDown",
        "fPort",
        "level",
        "item_size",
        "max_payload_size",
        "regionConfigId",
    }
)
"""Members whose values do not depend on chance, time or names."""

Entry = tuple[int, str, tuple[str, ...], tuple[tuple[str, str], ...]]


def write(name: str, events: list[Any]) -> None:
    """Keep the events of one scenario."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.json").write_text(json.dumps(events, indent=1, sort_keys=True) + "\n")


def read(name: str) -> list[Any]:
    """Return the events kept of one scenario."""
    found: list[Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def comparable(events: list[Any]) -> list[Entry]:
    """Return events as (step, kind, paths of all members, stable values); those of a step in no order of their own."""
    return sorted((number, kind, *_members(body)) for number, kind, body in events)


def _members(body: Any) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    paths: set[str] = set()
    values: set[tuple[str, str]] = set()

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "tags":  # of the profile of the one set-up or the other
                    walk(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for inner in value:
                walk(inner, f"{path}[]")
        else:
            paths.add(path)
            if path.rpartition(".")[2] in STABLE:
                values.add((path, str(value)))

    walk(body, "")
    return tuple(sorted(paths)), tuple(sorted(values))
