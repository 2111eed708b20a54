"""A node's wall clock against that of the database: only a difference that is certain is told."""

import logging

import pytest

from bridge.service.node_clock import NodeClock

NOW = 1_796_040_000.0


class Ledger:
    """Answers with its own clock after `way` seconds, and the answer takes as long."""

    def __init__(self) -> None:
        self.time = NOW  # of this node
        self.offset = 0.0  # of the database's clock
        self.way = 0.0

    async def clock(self) -> float:
        self.time += self.way
        there = self.time + self.offset
        self.time += self.way
        return there


@pytest.mark.parametrize(
    ("offset", "way", "ahead"),
    [
        (0.0, 0.0, 0.0),
        (-30.0, 0.0, 30.0),
        (30.0, 0.0, -30.0),
        (0.0, 4.0, 0.0),  # a database that takes long to answer has no wrong clock
        (-30.0, 4.0, 26.0),
        (30.0, 4.0, -26.0),
    ],
)
async def test_what_is_certain_is_known(offset, way, ahead):
    ledger = Ledger()
    ledger.offset, ledger.way = offset, way
    clock = NodeClock(ledger, lambda: ledger.time)
    assert clock.ahead is None
    await clock.look()
    assert clock.ahead == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("offset", "words"), [(-3.0, ("3 s ahead of", "too early")), (3.0, ("3 s behind", "too late"))]
)
async def test_seconds_are_warned_of_with_the_cure(caplog, offset, words):
    ledger = Ledger()
    clock = NodeClock(ledger, lambda: ledger.time)
    with caplog.at_level(logging.WARNING):
        ledger.offset = offset / 3
        await clock.look()
        assert not caplog.records
        ledger.offset = offset
        await clock.look()
    (line,) = [one.getMessage() for one in caplog.records]
    assert all(word in line for word in (*words, "NTP"))
