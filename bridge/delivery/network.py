"""The condition of a network at one moment, as far as the core needs it to decide what may go."""

from enum import Enum

import msgspec


class Turn(Enum):
    """Who goes first when a network takes one more call."""

    ANSWER = "answer"  # to a device that has just spoken, and listens for a short time
    OTHER = "other"


class NetworkCondition(msgspec.Struct, frozen=True, gc=False):
    """Whether a call of a network can begin now. The service knows it, and reserves the call with the effect."""

    is_free: bool = True  # False: as many calls are under way as it takes at once
    paused_until: float | None = None  # wall-clock seconds; it is out of order, and is tried again then

    @property
    def takes_calls(self) -> bool:
        return self.is_free and self.paused_until is None


FREE = NetworkCondition()
