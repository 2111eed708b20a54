"""The condition of a network at one moment, as far as the core needs it to decide what is sent."""

from enum import Enum

import msgspec


class Turn(Enum):
    """Which endpoint is first when a network has room for one more call."""

    ANSWER = "answer"  # to a device that has just spoken, and listens for a short time
    OTHER = "other"


class NetworkCondition(msgspec.Struct, frozen=True, gc=False):
    """Whether an endpoint may call its network now. The service knows it, and reserves the call right after the step.

    It may not if the network has as many calls as it can have, or if other endpoints wait for their turn.
    """

    takes_answers: bool = True
    takes_others: bool = True
    paused_until: float | None = None  # wall-clock seconds; the network is left alone, and is tried again then
    why_paused: str = ""
    limited_until: float | None = None  # wall-clock seconds; the network would take no message of this device before
    why_limited: str = ""

    def takes(self, turn: Turn) -> bool:
        return self.takes_answers if turn is Turn.ANSWER else self.takes_others


FREE = NetworkCondition()
