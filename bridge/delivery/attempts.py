"""The attempts of one downlink: a bounded list of what is known of each, stored as one column of the row."""

from collections.abc import Sequence

import msgspec

from bindings.contract import Refusal
from bridge.delivery.knowledge import Knowledge, grow
from bridge.enums import members

MOST = 32  # attempts that are kept; beyond that the oldest that certainly did not reach the device are dropped

_K = members(Knowledge)
_R = members(Refusal)
_LEFT = int(Knowledge.LEFT)  # from this number on, the message was transmitted


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """What is known of one attempt. Times are wall-clock seconds.

    Fields are stored in this order, so new ones come last and have a default.
    """

    number: int  # from 1
    known: Knowledge
    at: float  # since when that is known
    handle: str | None = None  # under which the network knows it
    why: Refusal | None = None  # why the network refused it
    left_at: float | None = None  # when it was transmitted, as far as the network says
    look_up_at: float | None = None  # when its network is to be asked whether it has it; None: it is not asked
    cancel_failed_at: float | None = None  # when a cancel did not find out whether the network still had it
    released: bool = False  # it no longer holds the device's request slot
    detail: str = ""  # the network's text of that moment
    charged_at: float | None = None  # the time that quotas count it at, where a clock was set back; None: see `at`

    def learn(self, said: Knowledge, now: float) -> bool:
        """Add a report; return whether it was new."""
        known = grow(self.known, said)
        if known is self.known:
            return False
        if known >= _LEFT and self.left_at is None:
            self.left_at = now
        self.known = known
        self.at = now
        self.look_up_at = None
        return True

    @property
    def is_certain(self) -> bool:
        """Return whether the attempt certainly did not reach the device."""
        return self.known is _K.REFUSED or self.known is _K.TAKEN_BACK

    @property
    def counts(self) -> bool:
        """Return whether a refused attempt counts toward `SouthProfile.max_attempts`: the network had accepted it."""
        return self.why is _R.FAILED and self.handle is not None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Attempt]).decode


def encode(attempts: list[Attempt]) -> bytes | None:
    """Return attempts encoded as a column; None if there are none."""
    return _encode(attempts) if attempts else None


def decode(column: bytes | None) -> list[Attempt]:
    """Return the attempts that a column holds."""
    return [] if column is None else _decode(column)


def begin(attempts: list[Attempt], now: float) -> Attempt:
    """Add the next attempt, and drop old ones beyond MOST, never one that may have reached the device.

    Those that count toward `SouthProfile.max_attempts` are dropped last.
    """
    number = attempts[-1].number + 1 if attempts else 1
    if len(attempts) >= MOST:
        certain = [one for one in attempts if one.is_certain]
        oldest = min(certain, key=lambda one: (one.counts, one.number), default=None)
        if oldest is not None:
            attempts.remove(oldest)
    attempt = Attempt(number, _K.PENDING, now)
    attempts.append(attempt)
    return attempt


# -- all attempts together


class Facts(msgspec.Struct, frozen=True, gc=False):
    """A summary of the attempts of one downlink: all that the rules need to know of them."""

    is_called: bool = False  # the network is being called
    is_asked: bool = False  # the network is to be asked about an attempt
    held: Attempt | None = None  # the network has it
    in_doubt: int = 0  # attempts of which it is unknown whether the network accepted them
    in_doubt_at: float = 0.0  # since when the latest of them is in doubt
    gone: int = 0  # attempts that the network no longer has, and may have transmitted
    left: int = 0  # attempts that were transmitted, without a sign that the device has the message
    failed: int = 0  # attempts that count toward `SouthProfile.max_attempts`: nacks, and failures in the network
    uncertain: int = 0  # attempts that may have reached the device, or still may
    latest: Attempt | None = None  # the latest of them
    transmitted: Attempt | None = None  # the one that the device has, else the latest that was certainly transmitted

    @property
    def nobody_has_it(self) -> bool:
        """Return whether certainly no attempt reached the device."""
        return self.latest is None


NO_ATTEMPTS = Facts()


def facts_of(attempts: Sequence[Attempt]) -> Facts:
    """Return the summary of some attempts."""
    if not attempts:
        return NO_ATTEMPTS
    called = asked = False
    held = latest = transmitted = None
    in_doubt = gone = left = failed = uncertain = 0
    in_doubt_at = 0.0
    for one in attempts:
        known = one.known
        if known is _K.REFUSED or known is _K.TAKEN_BACK:
            failed += one.counts
            continue
        latest = one
        uncertain += 1
        asked = asked or one.look_up_at is not None
        if known is _K.LEFT:
            left += 1
        elif known is _K.PENDING:
            called = True
        elif known is _K.HELD:
            held = one
        elif known is _K.IN_DOUBT:
            in_doubt += 1
            in_doubt_at = one.at
        elif known is _K.GONE:
            gone += 1
        failed += known is _K.NACKED
        if known >= _LEFT and (transmitted is None or transmitted.known is not _K.DELIVERED):
            transmitted = one
    return Facts(called, asked, held, in_doubt, in_doubt_at, gone, left, failed, uncertain, latest, transmitted)


def nobody_has_it(attempts: Sequence[Attempt]) -> bool:
    """Return whether certainly no attempt reached the device."""
    for one in attempts:  # noqa: SIM110  # a third of the time that all() takes
        if not one.is_certain:
            return False
    return True


def may_yet_be_transmitted(attempts: Sequence[Attempt]) -> bool:
    """Return whether the network may have an attempt and still transmit it."""
    return any(one.known < _LEFT and not one.is_certain for one in attempts)


def last_uncertain(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the latest attempt that may have reached the device, or still may."""
    for one in reversed(attempts):
        if not one.is_certain:
            return one
    return None


def refusals_in_a_row(attempts: Sequence[Attempt]) -> int:
    """Return how many attempts were refused since the last one that was not."""
    found = 0
    for one in reversed(attempts):
        if one.known is not _K.REFUSED:
            break
        found += 1
    return found
