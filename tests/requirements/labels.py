"""The labels of the OMA's requirements, as data: `labels.toml` beside this file."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("labels.toml")


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of requirement. `labels` → what satisfies it, in our words; "" where nothing is said yet."""

    name: str
    title: str
    labels: dict[str, str]


def groups() -> list[Group]:
    """Return all groups in the order of the document."""
    return [Group(**entry) for entry in tomllib.loads(_FILE.read_text())["group"]]


@cache  # asked for each test that is collected
def all_labels() -> tuple[str, ...]:
    """Return all labels in the order of the document."""
    return tuple(label for group in groups() for label in group.labels)
