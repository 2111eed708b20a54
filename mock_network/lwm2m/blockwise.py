"""Block-wise transfer, responder side (RFC 7959): assembling requests and cutting responses."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

LARGEST_EXPONENT = 6  # 1024 bytes (RFC 7959 §2.2)
SMALLEST_SIZE = 16  # bytes
LIFETIME = 600.0  # seconds a half-done transfer is kept: longer than the gaps of a slow network
MAX_TRANSFERS = 256
MAX_BODY = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Value of a Block1 or Block2 option."""

    number: int
    more: bool
    exponent: int

    @property
    def size(self) -> int:
        """Return the size of a full block in bytes."""
        return int(2 ** (min(self.exponent, LARGEST_EXPONENT) + 4))


class Incomplete(Exception):
    """4.08: blocks are missing (RFC 7959 §2.9.2)."""


class TooLarge(Exception):
    """4.13: the body is larger than this endpoint takes (RFC 7959 §2.9.3); `hint`: it does in blocks."""

    def __init__(self, *, hint: bool = False) -> None:
        super().__init__()
        self.hint = hint


def exponent_of(size: int) -> int:
    """Return the size exponent of a block size in bytes; ValueError unless it is a power of two from 16 to 1024."""
    exponent = size.bit_length() - 5
    if not 0 <= exponent <= LARGEST_EXPONENT or size != SMALLEST_SIZE << exponent:
        raise ValueError(f"{size} is no block size: a power of two from 16 to 1024")
    return exponent


@dataclass(slots=True)
class Transfers:
    """Half-done transfers of both directions. `clock` returns seconds; `exponent` is that of the largest block."""

    clock: Callable[[], float]
    exponent: int = LARGEST_EXPONENT
    _bodies: dict[Hashable, tuple[float, bytes, Any]] = field(default_factory=dict)

    def _keep(self, key: Hashable, body: bytes, head: Any = None) -> None:
        now = self.clock()
        for old in [old for old, (since, *_) in self._bodies.items() if now - since > LIFETIME]:
            del self._bodies[old]
        while len(self._bodies) >= MAX_TRANSFERS:
            del self._bodies[next(iter(self._bodies))]
        self._bodies.pop(key, None)
        self._bodies[key] = (now, body, head)

    def _get(self, key: Hashable) -> bytes | None:
        since, body, _ = self._bodies.get(key, (0.0, None, None))
        return body if body is not None and self.clock() - since <= LIFETIME else None

    def take_block1(self, key: Hashable, block: Block, payload: bytes) -> bytes | None:
        """Return the whole body once its last block is there, None before. Raises Incomplete and TooLarge."""
        body = b"" if block.number == 0 else self._get((1, key))
        if body is None or len(body) != block.number * block.size or (block.more and len(payload) != block.size):
            raise Incomplete
        body += payload
        if len(body) > MAX_BODY:
            raise TooLarge
        if block.more:
            self._keep((1, key), body)
            return None
        self._bodies.pop((1, key), None)
        return body

    def first_block2(
        self, key: Hashable, wanted: Block | None, body: bytes, head: Any = None
    ) -> tuple[bytes, Block | None]:
        """Return the part of `body` in the response, and its Block2 if it does not fit whole.

        `head` is kept for the later blocks, which have the same code and Content-Format (RFC 7959 §2.4).
        """
        exponent = min(wanted.exponent, self.exponent) if wanted else self.exponent
        size = 2 ** (exponent + 4)
        if len(body) <= size:
            return body, Block(0, more=False, exponent=exponent) if wanted else None
        self._keep((2, key), body, head)
        return body[:size], Block(0, more=True, exponent=exponent)

    def later_block2(self, key: Hashable, wanted: Block) -> tuple[bytes, Block, Any]:
        """Return a later block, and the head of a response from `first_block2`. Raises Incomplete if it is not kept."""
        body = self._get((2, key))
        start = wanted.number * wanted.size
        if body is None or start >= len(body):
            raise Incomplete
        end = start + wanted.size
        head = self._bodies[2, key][2]
        return body[start:end], Block(wanted.number, more=end < len(body), exponent=wanted.exponent), head
