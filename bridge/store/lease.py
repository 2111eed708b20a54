"""How long a bridge may act on a ledger that another one may take over: by its own monotonic clock, without I/O."""

RENEW = 5  # renewals within one lease
EARLY = 0.8  # part of the lease after which its holder stops: before the database lets another one have it


class Lease:
    """A place that is lost unless the database confirms it again and again.

    The database counts a lease from its last answer, the holder from the moment before it asked: so the holder's lease
    always ends first, however long question and answer were under way. Times are seconds of one clock that is never
    set and goes on while the machine is suspended.
    """

    def __init__(self, span: float, asked_at: float, pause: float | None = None) -> None:
        """`span`: seconds after which the database lets another process have the place; `pause`: between renewals."""
        self._span = span
        self.pause = span / RENEW if pause is None else pause  # seconds between two renewals
        self._asked_at = asked_at

    def renewed(self, asked_at: float) -> None:
        """Record that the database confirmed the place when it was asked after `asked_at`."""
        self._asked_at = max(self._asked_at, asked_at)

    def is_over(self, now: float) -> bool:
        """Return whether the holder must have stopped: also after a process was stopped, or its loop was held up."""
        return now >= self._asked_at + EARLY * self._span
