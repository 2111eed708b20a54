"""A test notification that a bridge posts to its own public URL, to learn whether a listener of its own gets it.

Where several nodes share the URL, a load balancer may lead it to another node. That one knows nothing of the check, but
its answer shows that a bridge has taken the notification: a header with a digest of what it was sent.
"""

import secrets
from collections.abc import Awaitable, Mapping
from hashlib import sha256

from bindings.http.messages import Answer

HEADER = "LwM2M-Bridge-Self-Check"

_PREFIX = "self-check/"  # of a subscription: none of a SCEF's begins so
_PURPOSE = b"lwm2m-bridge self-check "


class SelfChecks:
    """The checks of one network instance that have not arrived yet."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def begin(self) -> str:
        """Return what to name as the subscription; call `end` in any case."""
        check = _PREFIX + secrets.token_urlsafe(12)
        self._open.add(check)
        return check

    def answer_to(self, subscription: str) -> Awaitable[Answer] | None:
        """Return the answer to a check, whichever node began it; None: it is a test notification of a SCEF."""
        if not subscription.startswith(_PREFIX):
            return None
        self._open.discard(subscription)
        return _answered(Answer(204, headers=((HEADER, _digest(subscription)),)))

    def end(self, check: str) -> bool:
        """Forget a check; return whether it has arrived here."""
        arrived = check not in self._open
        self._open.discard(check)
        return arrived


def is_of_a_bridge(check: str, headers: Mapping[str, str]) -> bool:
    """Return whether the answer to a check is that of a bridge's listener."""
    return headers.get(HEADER) == _digest(check)  # no secret: whoever gets the check can make it


def _digest(check: str) -> str:
    return sha256(_PURPOSE + check.encode()).hexdigest()[:32]


async def _answered(answer: Answer) -> Answer:
    return answer
