"""Message layer numbers of one hop over UDP (RFC 7252 §4.8) and the retransmission of one confirmable message."""

import msgspec

ACK_TIMEOUT = 2.0  # seconds, RFC 7252 §4.8
ACK_RANDOM_FACTOR = 1.5
MAX_RETRANSMIT = 4
EXCHANGE_LIFETIME = 247.0  # seconds in which a message ID must not be used again, RFC 7252 §4.8.2
LONGEST = ACK_TIMEOUT * (1 << MAX_RETRANSMIT)  # seconds between two transmissions of RFC 7252 §4.2
CAP = 60.0  # seconds; after MAX_RETRANSMIT the bridge goes on at this interval until the deadline


class Retransmission(msgspec.Struct):
    """When one confirmable message is sent again: intervals double from ACK_TIMEOUT (RFC 7252 §4.2) up to CAP.

    Times are monotonic seconds. `interval` starts random between ACK_TIMEOUT and ACK_TIMEOUT × ACK_RANDOM_FACTOR.
    """

    at: float
    interval: float
    count: int = 0

    @classmethod
    def begin(cls, now: float, random: float) -> "Retransmission":
        """Start after a first transmission at `now`; `random` in [0, 1)."""
        interval = ACK_TIMEOUT * (1 + random * (ACK_RANDOM_FACTOR - 1))
        return cls(now + interval, interval)

    def again(self, now: float) -> None:
        """Record a retransmission at `now`."""
        self.count += 1
        self.interval = min(self.interval * 2, CAP)
        self.at = now + self.interval

    def hasten(self, now: float) -> None:
        """Shorten a long interval, since the peer was heard."""
        if self.is_long and self.at > now:
            self.at, self.interval = now, ACK_TIMEOUT

    def begin_again(self, now: float) -> None:
        """Send it again at once, then as if it were new: the peer could not receive it before."""
        self.at, self.interval = now, ACK_TIMEOUT

    @property
    def is_long(self) -> bool:
        """Return whether the interval is longer than RFC 7252 has it."""
        return self.interval > LONGEST
