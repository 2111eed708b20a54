"""Why a job of a device's configuration could not be done, and whose trouble that is."""

from bindings.t8.answer import Answer
from bindings.t8.times import PeerClock

_OVERLOADED = {401, 408, 429, 502, 503, 504}  # nothing against this device: credentials, load, a gateway


class JobFailed(Exception):
    """A job could not be done. It is tried again: `after` that many seconds if the SCEF said so.

    `network`: the trouble is the SCEF's or of the way to it, so that other devices will meet it, too.
    """

    def __init__(self, text: str, after: float | None = None, *, network: bool = False) -> None:
        super().__init__(text)
        self.after = after
        self.network = network


def refused(what: str, answer: Answer, clock: PeerClock) -> JobFailed:
    """Return the failure that an answer means."""
    until = clock.wait_for(answer.headers.get("retry-after"))
    after = None if until is None else until - clock.now()
    return JobFailed(f"{what}: {answer}", after, network=answer.status in _OVERLOADED)


def is_passing(answer: Answer, failures: int) -> bool:
    """Whether an answer says nothing against the request itself.

    Some SCEFs answer 500 to what they do not know, so that a 500 means no after a second try.
    """
    if not answer.own or answer.status in _OVERLOADED:
        return True
    return answer.status == 500 and failures == 0  # noqa: PLR2004
