"""The relation between CLOCK_MONOTONIC ("real") and virtual time: straight pieces, some of them still to come.

A change is announced a moment before it takes effect, so that every follower knows it in time and all of them change
over at the same reading of CLOCK_MONOTONIC. No I/O and no clock in here.
"""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Segment:
    """From real time `real` on, virtual monotonic time is `virtual + (now - real) * rate`; seconds."""

    real: float
    virtual: float
    rate: float

    def at(self, real: float) -> float:
        """Return the virtual monotonic time at a real time of this piece."""
        return self.virtual + (real - self.real) * self.rate


@dataclass(frozen=True, slots=True)
class Mapping:
    """Pieces in the order of their beginnings; virtual wall time is virtual monotonic time plus `wall_offset`."""

    version: int
    wall_offset: float
    segments: tuple[Segment, ...]

    def segment(self, real: float) -> Segment:
        """Return the piece that holds at `real`."""
        found = self.segments[0]
        for segment in self.segments[1:]:
            if segment.real > real:
                break
            found = segment
        return found

    def monotonic(self, real: float) -> float:
        """Return virtual monotonic seconds."""
        return self.segment(real).at(real)

    def wall(self, real: float) -> float:
        """Return virtual seconds since the epoch."""
        return self.monotonic(real) + self.wall_offset

    def real_delay(self, virtual: float, real: float) -> float | None:
        """Return the real seconds from `real` until virtual monotonic time reaches `virtual`; None if it never will."""
        for index, segment in enumerate(self.segments):
            end = self.segments[index + 1].real if index + 1 < len(self.segments) else None
            if end is not None and end <= real:
                continue
            begin = max(real, segment.real) if index else real
            missing = virtual - segment.at(begin)
            if missing <= 0:
                return begin - real
            if segment.rate > 0:
                reached = begin + missing / segment.rate
                if end is None or reached < end:
                    return reached - real
        return None

    def changed(
        self, *, real: float, at: float, step: float = 0.0, over: float = 0.0, rate: float | None = None
    ) -> "Mapping":
        """Return the mapping with one change that takes effect at real time `at`.

        `step` virtual seconds are added, at once or, with `over`, evenly within that many real seconds; from then on
        time runs at `rate`, or as fast as before.
        """
        last = self.segments[-1]
        at = max(at, last.real)
        kept = tuple(
            s for i, s in enumerate(self.segments) if i + 1 == len(self.segments) or self.segments[i + 1].real > real
        )
        afterwards = last.rate if rate is None else rate
        begin = last.at(at)
        new: tuple[Segment, ...]
        if over > 0:
            end = begin + step + over * last.rate
            new = (Segment(at, begin, (end - begin) / over), Segment(at + over, end, afterwards))
        else:
            new = (Segment(at, begin + step, afterwards),)
        return Mapping(self.version + 1, self.wall_offset, kept + new)

    def to_json(self) -> dict[str, Any]:
        """Return the form in which the mapping travels."""
        return {
            "version": self.version,
            "wall_offset": self.wall_offset,
            "segments": [{"real": s.real, "virtual": s.virtual, "rate": s.rate} for s in self.segments],
        }

    @classmethod
    def from_json(cls, body: MappingOf[str, Any]) -> "Mapping":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        segments = tuple(Segment(float(s["real"]), float(s["virtual"]), float(s["rate"])) for s in body["segments"])
        if not segments:
            raise ValueError("a mapping has at least one segment")
        return cls(int(body["version"]), float(body["wall_offset"]), segments)
