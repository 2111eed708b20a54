"""Waiting for what a test expects: as long as it takes, under a deadline, with a word of what did not come."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

PATIENCE = 20.0  # seconds of real time that a condition may take on a machine that does much else
LOOKED_EVERY = 0.01  # seconds
ASKED_EVERY = 0.03  # seconds; an answer that is awaited is work for another process, which has enough to do


async def until(
    what: Callable[[], Awaitable[T] | T], wait: float = PATIENCE, why: str = "", every: float | None = None
) -> T:
    """Ask until the answer is true and return it; fail with the last answer after `wait` seconds."""
    end = time.monotonic() + wait
    while True:
        found = what()
        pause = every or LOOKED_EVERY
        if inspect.isawaitable(found):
            found = await found
            pause = every or ASKED_EVERY
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not within {wait} s: {why}; last: {found!r}")
        await asyncio.sleep(pause)
