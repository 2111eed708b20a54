"""The condition of a network at one moment, as far as the core needs it to decide what may go."""

from enum import Enum

import msgspec


class Turn(Enum):
    """Who goes first when a network takes one more call."""

    ANSWER = "answer"  # to a device that has just spoken, and listens for a short time
    OTHER = "other"


class NetworkCondition(msgspec.Struct, frozen=True, gc=False):
    """Whether an endpoint may call its network now. The service knows it, and reserves the call right after the step.

    Where as many calls are under way as the network takes, or other endpoints wait for their turn, it may not.
    """

    takes_answers: bool = True
    takes_others: bool = True
    paused_until: float | None = None  # wall-clock seconds; the network is out of order, and is tried again then

    def takes(self, turn: Turn) -> bool:
        return self.takes_answers if turn is Turn.ANSWER else self.takes_others


FREE = NetworkCondition()
