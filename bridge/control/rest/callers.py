"""Authentication of callers: bearer keys, sessions begun with one, and a limit on guessing keys."""

from collections.abc import Callable

from bridge.control.dashboard.sessions import Sessions
from bridge.errors import TooManyGuesses, UnknownCaller
from bridge.lru import Lru
from bridge.operations.access import Caller, holder_of, key_holder
from bridge.operations.bridge import Bridge

GUESSES = 10  # requests with a wrong key from one address without a wait
REFILL = 10.0  # seconds until one more is checked
ADDRESSES = 4096  # addresses whose wrong keys are counted


class Callers:
    """Finds the holder of a request's key.

    A key that was valid before is always checked. Any other key has to wait if its address sent too many wrong ones.
    """

    def __init__(self, bridge: Bridge, monotonic: Callable[[], float]) -> None:
        self._bridge = bridge
        self._now = monotonic
        self._guesses: Lru[str, tuple[float, float]] = Lru(ADDRESSES)  # wrong keys of an address that count, and when
        self._seen: Lru[str, int] = Lru(ADDRESSES)  # keys that were valid
        self.sessions = Sessions(monotonic)

    async def holder(self, authorization: str, address: str) -> Caller:
        """Return the holder of the key. Raises UnknownCaller, TooManyGuesses, StoreUnavailable."""
        scheme, _, text = authorization.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise UnknownCaller("send a key: Authorization: Bearer KEY; lwm2m-bridge key create makes one")
        guessed, wait = self._wrong_so_far(address)
        if guessed > GUESSES - 1 and self._seen.get(text) is None:
            raise TooManyGuesses(f"too many wrong keys from {address}; try again in {wait:.0f} s")
        try:
            caller = await key_holder(self._bridge, text)
        except UnknownCaller:
            self._seen.drop(text)
            self._guesses.put(address, (self._wrong_so_far(address)[0] + 1, self._now()))
            raise
        self._seen.put(text, caller.id)
        return caller

    async def holder_of_session(self, cookie: str) -> Caller:
        """Return the user who signed in for this cookie. Raises UnknownCaller, StoreUnavailable.

        A value has 256 random bits: guessing needs no limit.
        """
        key = self.sessions.key(cookie)
        if key is None:
            raise UnknownCaller("the session is over; sign in again")
        try:
            return await holder_of(self._bridge, key)
        except UnknownCaller:
            self.sessions.end(cookie)
            raise

    async def is_still(self, caller: Caller) -> bool:
        """Return whether the key of a caller is still valid. Raises StoreUnavailable."""
        try:
            await holder_of(self._bridge, caller.id)
        except UnknownCaller:
            return False
        return True

    def _wrong_so_far(self, address: str) -> tuple[float, float]:
        """Return how many wrong keys still count, and the seconds until one no longer counts."""
        found = self._guesses.get(address)
        if found is None:
            return 0, 0.0
        number, at = found
        left = max(number - (self._now() - at) / REFILL, 0.0)
        return left, max((left - GUESSES + 1) * REFILL, 1.0)
