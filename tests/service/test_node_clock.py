"""A node's wall clock against that of the database: only a difference that is certain is told."""

import logging

import pytest

from bridge.service.clock import SteadyClock
from bridge.service.node_clock import NodeClock, keep_the_databases_time

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
    await clock.compare()
    assert clock.ahead == pytest.approx(ahead)


@pytest.mark.parametrize(("offset", "words"), [(-3.0, "3 s ahead of"), (3.0, "3 s behind")])
async def test_seconds_are_warned_of_with_the_cure(caplog, offset, words):
    ledger = Ledger()
    clock = NodeClock(ledger, lambda: ledger.time)
    with caplog.at_level(logging.WARNING):
        ledger.offset = offset / 3
        await clock.compare()
        assert not caplog.records
        ledger.offset = offset
        await clock.compare()
    (line,) = [one.getMessage() for one in caplog.records]
    assert all(word in line for word in (words, "NTP"))


class Machine:
    """The clocks of the node's machine: the wall clock can be set."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.set_by = 0.0

    def wall(self) -> float:
        return self.ledger.time + self.set_by

    def monotonic(self) -> float:
        return self.ledger.time - NOW + 5000.0


@pytest.mark.parametrize("offset", [-3600.0, 0.0, 3600.0])
async def test_a_node_keeps_the_databases_time_whatever_its_machine_says(offset):
    ledger = Ledger()
    ledger.offset = offset
    machine = Machine(ledger)
    set_by: list[tuple[float, float]] = []
    clock = SteadyClock(machine, lambda by, forward: set_by.append((by, forward)))
    await keep_the_databases_time(clock, ledger)
    for machine.set_by in (0.0, 7200.0, -7200.0, 0.0):
        ledger.time += 60.0
        assert clock.wall() == pytest.approx(ledger.time + offset)
    assert [by for by, _ in set_by] == pytest.approx([7200.0, -14400.0, 7200.0])
    assert not any(forward for _, forward in set_by), "a timer would ring early"


async def test_small_changes_of_the_machines_clock_are_followed():
    """The machine's clock is kept right by NTP, and drifts no more than the database's."""
    ledger = Ledger()
    ledger.offset = -3600.0
    machine = Machine(ledger)
    clock = SteadyClock(machine, lambda *_: None)
    await keep_the_databases_time(clock, ledger)
    machine.set_by = 0.5
    assert clock.wall() == pytest.approx(ledger.time + ledger.offset + 0.5)
