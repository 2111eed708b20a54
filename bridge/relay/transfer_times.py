"""How long a server's block-wise write may take as a whole, and whether that is enough (R25).

Servers count from the first block. A transfer is known only in memory, and its endpoint stays loaded until the
transfer's time has passed. After a restart each block has the time of a single request.
"""

from math import ceil

from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.relay.blocks import block_of
from bridge.relay.model import ServerProfile
from bridge.relay.size import block_room, block_size, largest_szx
from bridge.relay.state import Step

TRANSFERS = 8  # transfers of an endpoint that are known; beyond that the oldest is forgotten


def answer_by(step: Step, server: str, message: Message, profile: ServerProfile, otherwise: float) -> float:
    """Return until when a block must be answered; `otherwise`: the time that holds for each request."""
    block = block_of(message, OptionNumber.BLOCK1)
    if block is None or profile.transfer is None:
        return otherwise
    transfers = step.state.transfers
    key = server, tuple(message.strings(OptionNumber.URI_PATH))
    if block.number == 0:
        transfers.pop(key, None)
        if block.more:
            transfers[key] = step.wall
            if len(transfers) > TRANSFERS:
                del transfers[next(iter(transfers))]
    began = transfers.get(key)
    if began is None:
        return otherwise
    if not block.more:
        del transfers[key]
    end = began + profile.transfer - profile.margin
    return min(otherwise, end) if end > step.wall else otherwise  # a server that goes on later evidently waits longer


def too_slow(step: Step, message: Message, profile: ServerProfile) -> str | None:
    """Return why a write that begins cannot end in time, judged by the quickest of the latest answers; None: it can."""
    block = block_of(message, OptionNumber.BLOCK1)
    total = message.uint(OptionNumber.SIZE1)
    trips = step.state.round_trips
    if block is None or block.number or not block.more or not total or profile.transfer is None or not trips:
        return None
    size, largest = block.size, step.south.max_downlink
    if largest is not None:
        szx = largest_szx(block_room(message, step.state.south_hop.size_of(message.token, message.body), largest))
        size = size if szx is None else min(size, block_size(szx))
    takes = ceil(total / size) * min(trips)
    if takes <= profile.transfer - profile.margin:
        return None
    return f"{total} bytes take about {takes:.0f} s here, {profile.transfer:.0f} s are allowed: raise timeouts, or pull"
