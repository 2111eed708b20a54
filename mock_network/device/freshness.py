"""Freshness of requests by Echo (RFC 9175 §2): what must not be carried out late is asked for twice. No I/O."""

import random
from collections import OrderedDict

from mock_network.lwm2m.messages import DELETE, IPATCH, POST, PUT, Request, Response
from mock_network.lwm2m.transport import Address

UNAUTHORIZED = "4.01"
CHANGING = frozenset({POST, PUT, DELETE, IPATCH})
_VALUE_LENGTH = 8  # bytes (§5: at least 64 bits that cannot be guessed)
_MAX_VALUES = 1000


class Freshness:
    """Lets a request that changes something through only with an Echo value not older than `seconds`."""

    def __init__(self, seconds: float, rng: random.Random) -> None:
        self._seconds, self._rng = seconds, rng
        self._issued: OrderedDict[tuple[Address, bytes], float] = OrderedDict()

    def challenge(self, request: Request, now: float) -> Response | None:
        """Return the 4.01 with an Echo value that asks for the request again, None for a request that is fresh."""
        if request.code not in CHANGING:
            return None
        issued = None if request.echo is None else self._issued.pop((request.peer, request.echo), None)
        if issued is not None and now - issued <= self._seconds:
            return None
        value = self._rng.randbytes(_VALUE_LENGTH)
        self._issued[request.peer, value] = now
        while len(self._issued) > _MAX_VALUES:
            self._issued.popitem(last=False)
        return Response(UNAUTHORIZED, echo=value)
