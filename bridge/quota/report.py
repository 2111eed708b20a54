"""Usage and quotas, as operations report them."""

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


class EndpointQuotas(msgspec.Struct, frozen=True):
    """The quotas of an endpoint with what was used of each, and the largest message to it in bytes."""

    quotas: tuple[tuple[Quota, Amount], ...]
    largest: int | None  # None: not known yet
