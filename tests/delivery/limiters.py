"""Limits as networks keep them. Each says None when it takes a message, else the seconds until it would."""

from dataclasses import dataclass


@dataclass
class FixedWindow:
    """So many messages in windows that begin at multiples of their length, or with their first message."""

    most: int
    window: float
    aligned: bool = True
    _begun: float | None = None
    _used: int = 0

    def ask(self, now: float) -> float | None:
        if self._begun is None or now >= self._begun + self.window:
            self._begun = now // self.window * self.window if self.aligned else now
            self._used = 0
        if self._used < self.most:
            self._used += 1
            return None
        return self._begun + self.window - now


@dataclass
class TokenBucket:
    """A burst of so many messages, and as many over `window` seconds after that."""

    most: int
    window: float
    _tokens: float = 0.0
    _at: float | None = None

    def ask(self, now: float) -> float | None:
        rate = self.most / self.window
        since = 0.0 if self._at is None else now - self._at
        self._tokens = float(self.most) if self._at is None else min(self._tokens + since * rate, self.most)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return None
        return (1 - self._tokens) / rate
