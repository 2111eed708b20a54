"""What the parts of the SCEF's core share."""

import random
from collections import Counter
from dataclasses import dataclass, field

from mock_network.scef import messages as m
from mock_network.scef.cell import Cell
from mock_network.scef.model import Configuration
from mock_network.scef.profiles import Profile
from mock_network.scef.timers import Timers


@dataclass(slots=True, eq=False)
class Shared:
    """`out` collects the effects of a step in their order."""

    profile: Profile
    rng: random.Random
    timers: Timers
    cell: Cell
    configurations: dict[str, Configuration] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    out: list[m.Effect] = field(default_factory=list)
    _count: int = 0

    def new_id(self) -> tuple[int, str]:
        """Give the next number, and an identifier as the profile has them."""
        self._count += 1
        return self._count, str(self._count) if self.profile.numeric_ids else f"{self.rng.getrandbits(64):016x}"

    def drain(self) -> list[m.Effect]:
        """Take what has been collected."""
        out, self.out = self.out, []
        return out
