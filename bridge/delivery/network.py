"""The condition of a network at one moment, as far as the core needs it to decide what is sent."""

from enum import Enum

import msgspec


class Turn(Enum):
    """Which endpoint is first when a network has room for one more call."""

    ANSWER = "answer"  # to a device that has just spoken, and listens for a short time
    OTHER = "other"
    CHECK = "cancel or look-up"  # for a message that the network may have; a limit of submits does not hold it


class NetworkCondition(msgspec.Struct, frozen=True, gc=False):
    """Whether an endpoint may call its network now. The service knows it, and reserves the call right after the step.

    The endpoint may not if the network has as many calls as it can have, or if other endpoints wait for their turn.
    """

    takes_answers: bool = True
    takes_others: bool = True
    takes_checks: bool = False  # it takes a cancel or a look-up, even if it takes no submit
    paused_until: float | None = None  # wall-clock seconds; the network is down, and no call begins before
    limited_until: float | None = None  # wall-clock seconds; the network would take no submit for this device before
    why_limited: str = ""
    is_turn_soon: bool = False  # an endpoint that has to wait waits only for a few calls of others to end

    def takes(self, turn: Turn) -> bool:
        if turn is Turn.ANSWER:
            return self.takes_answers
        return self.takes_others or (turn is Turn.CHECK and self.takes_checks)


FREE = NetworkCondition()
