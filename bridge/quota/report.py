"""What was used, and how quotas stand, as people ask for it."""

import msgspec

from bridge.quota.limits import Quota
from bridge.quota.usage import Amount


class UsageSum(msgspec.Struct, frozen=True):
    """The usage of one endpoint, or of all (0), on a network and a day. Bytes are those of CoAP messages or records."""

    day: int
    network: str
    endpoint: int
    down_messages: int
    down_bytes: int
    up_messages: int
    up_bytes: int


class Standing(msgspec.Struct, frozen=True):
    """How an endpoint stands: its quotas with what was used of each, and the bytes that a message to it can have."""

    quotas: tuple[tuple[Quota, Amount], ...]
    largest: int | None  # None: nobody knows yet
