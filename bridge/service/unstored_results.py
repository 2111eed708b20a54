"""Results of network calls that could not be stored: they are stepped when their endpoint is loaded again.

Without them what a network has certainly refused, or accepted under a handle, would be in doubt.
"""

from collections.abc import Callable
from typing import NamedTuple

from bridge.errors import NotServedHere
from bridge.relay import events as ev

CallResult = ev.Submitted | ev.LookedUp | ev.CancelDone
CALL_RESULTS = (ev.Submitted, ev.LookedUp, ev.CancelDone)


class _Unstored(NamedTuple):
    shard: int
    result: CallResult


class UnstoredResults:
    """At most one result for each endpoint: it has one network call at a time."""

    def __init__(self) -> None:
        self._of: dict[int, _Unstored] = {}

    def keep(self, endpoint: int, shard: int, result: CallResult) -> Callable[[BaseException | None], None]:
        """Return a function to call when a result is stored (None), or could not be: then it is kept."""

        def done(error: BaseException | None) -> None:
            if error is not None and not isinstance(error, NotServedHere):
                self._of[endpoint] = _Unstored(shard, result)

        return done

    def call(self, endpoint: int) -> tuple[int, int] | None:
        """Return the downlink and attempt of an endpoint whose result is kept, or None."""
        kept = self._of.get(endpoint)
        return None if kept is None else (kept.result.downlink, kept.result.attempt)

    def pop(self, endpoint: int) -> CallResult | None:
        """Return the result that is kept of an endpoint, and keep it no longer; None if there is none."""
        kept = self._of.pop(endpoint, None)
        return None if kept is None else kept.result

    def forget_shard(self, shard: int) -> None:
        """Keep no results of a shard any more: another node takes up its messages."""
        self._of = {endpoint: kept for endpoint, kept in self._of.items() if kept.shard != shard}
