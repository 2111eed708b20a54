"""What a check of a network instance finds: `lwm2m-bridge doctor` prints it."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How much a finding matters."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked, how it is, and what to do about it (empty where nothing is)."""

    what: str
    grade: Grade
    detail: str
    cure: str = ""
