"""What the parts of the core share."""

import datetime as dt
import random
from collections import Counter
from dataclasses import dataclass, field

from mock_network.scef.core.air_log import AirLog
from mock_network.scef.core.effects import Effect
from mock_network.scef.core.profile import Profile
from mock_network.scef.core.timers import Timers


@dataclass(slots=True, eq=False)
class Context:
    """`out` collects the effects in their order; `skew` is how many seconds the SCEF's own clock is ahead."""

    profile: Profile
    rng: random.Random
    timers: Timers = field(default_factory=Timers)
    air: AirLog = field(default_factory=AirLog)
    counts: Counter[str] = field(default_factory=Counter)
    out: list[Effect] = field(default_factory=list)
    skew: float = 0.0
    _count: int = 0

    def new_id(self) -> tuple[int, str]:
        """Return the next number, and an identifier as the profile has them."""
        self._count += 1
        return self._count, str(self._count) if self.profile.numeric_ids else f"{self.rng.getrandbits(64):016x}"

    def read(self, moment: dt.datetime | None) -> float | None:
        """Return the true wall-clock seconds at which the SCEF's clock shows `moment`."""
        return None if moment is None else moment.timestamp() - self.skew

    def written(self, moment: float) -> dt.datetime:
        """Return what the SCEF's clock shows at a true moment."""
        return dt.datetime.fromtimestamp(moment + self.skew, dt.UTC)

    def drain(self) -> list[Effect]:
        """Take what has been collected."""
        out, self.out = self.out, []
        return out
