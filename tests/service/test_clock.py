"""Somebody sets the wall clock: deadlines stay where they were, or come sooner; never later."""

import asyncio

import pytest

from bridge.coap.message import Type, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.udp import decode, frame
from bridge.delivery.states import DownlinkState
from bridge.service.alarms import Alarms
from bridge.service.clock import RealClock, SteadyClock
from tests.service.kit import Kit
from tests.waiting import until

DAY = 86400.0
TTL = 65052  # option number of a request's own deadline


class MachineClock:
    """A wall clock that can be set, and time that passes on demand."""

    def __init__(self) -> None:
        self.set_by = 0.0
        self.passed = 0.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.set_by + self.passed

    def monotonic(self) -> float:
        return 5000.0 + self.passed


class ClockOfHand(RealClock):
    """The machine's clock, whose wall time can be set."""

    def __init__(self) -> None:
        self.set_by = 0.0
        self.real = RealClock()

    def wall(self) -> float:  # type: ignore[override]
        return self.real.wall() + self.set_by

    def monotonic(self) -> float:  # type: ignore[override]
        return self.real.monotonic()


@pytest.fixture
def machine() -> MachineClock:
    return MachineClock()


class Told:
    """Keeps what a clock tells of having been set."""

    def __init__(self, machine: MachineClock) -> None:
        self.told: list[tuple[float, float]] = []
        self.clock = SteadyClock(machine, lambda by, forward: self.told.append((by, forward)))


def test_a_clock_that_nobody_sets_is_the_machines(machine: MachineClock) -> None:
    told = Told(machine)
    for _ in range(100):
        machine.passed += 7.5
        assert told.clock.wall() == machine.wall()
        assert told.clock.moment().mono == machine.monotonic()
    assert told.told == []


def test_set_back_it_goes_on_by_the_monotonic_clock(machine: MachineClock) -> None:
    told = Told(machine)
    before = told.clock.wall()
    machine.set_by = -DAY
    machine.passed = 10.0
    assert told.clock.wall() == before + 10
    assert told.clock.ahead == DAY
    assert told.told == [(-DAY, 0.0)]


def test_set_forward_it_follows(machine: MachineClock) -> None:
    told = Told(machine)
    before = told.clock.wall()
    machine.set_by = 3600.0
    assert told.clock.wall() == before + 3600
    assert told.told == [(3600.0, 3600.0)]


def test_set_back_and_right_again_it_was_right_all_the_time(machine: MachineClock) -> None:
    told = Told(machine)
    machine.set_by = -DAY
    told.clock.wall()
    machine.set_by = 0.0
    machine.passed = 60.0
    assert told.clock.wall() == machine.wall()
    assert told.clock.ahead == 0
    assert told.told == [(-DAY, 0.0), (DAY, 0.0)]


def test_set_forward_beyond_what_it_is_ahead_it_follows_by_the_rest(machine: MachineClock) -> None:
    told = Told(machine)
    machine.set_by = -100.0
    told.clock.wall()
    machine.set_by = 50.0
    assert told.clock.wall() == machine.wall()
    assert told.told == [(-100.0, 0.0), (150.0, 50.0)]


def test_a_process_that_was_stopped_between_two_looks_at_the_clocks_notices_nothing(machine: MachineClock) -> None:
    told = Told(machine)
    monotonic = machine.monotonic
    stops = iter((30.0,))

    def stopped() -> float:
        machine.passed += next(stops, 0.0)
        return monotonic()

    told.clock.monotonic = stopped
    assert told.clock.wall() == machine.wall()
    assert told.told == []


async def test_alarms_ring_sooner_where_the_clock_went_forward() -> None:
    rung: list[int] = []
    alarms = Alarms(rung.append)
    alarms.set(1, 60.0)
    alarms.set(2, 6000.0)
    alarms.set(3, 50.0)
    alarms.clear(3)
    alarms.hasten(61.0)
    await until(lambda: rung)
    assert rung == [1]
    alarms.hasten(6000.0)
    await until(lambda: rung == [1, 2])


def execute(mid: int, ttl: int) -> bytes:
    options = [(OptionNumber.URI_PATH, b"3"), (OptionNumber.URI_PATH, b"0"), (OptionNumber.URI_PATH, b"4")]
    return frame(Type.CON, Code.POST, mid, bytes((mid,)), encode_body([*options, (TTL, bytes((ttl,)))], b""))


async def test_r10_an_execute_that_waits_while_the_clock_is_set_back_a_day_never_goes(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ClockOfHand()
    async with kit.running(clock) as service:
        kit.ask(1)  # the network holds it: what follows waits
        assert await kit.answered() == b"\x60\x00\x00\x01"
        kit.server.sendto(execute(2, ttl=1), kit.address)
        assert await kit.answered() == b"\x60\x00\x00\x02"
        clock.set_by = -DAY
        answer = decode(await kit.answered())
        assert (answer.code, answer.token) == (Code.GATEWAY_TIMEOUT, b"\x02")
        assert (await kit.rows())[1].state is DownlinkState.EXPIRED
        assert len(kit.network.attempts) == 1
        assert service.metrics.value("clock_set", direction="back") == 1
        assert "the wall clock was set by -86400 s: deadlines stay" in caplog.text


async def test_r10_what_has_a_deadline_ends_at_once_where_the_clock_went_beyond_it(kit: Kit) -> None:
    clock = ClockOfHand()
    async with kit.running(clock) as service:
        kit.ask(1)
        assert await kit.answered() == b"\x60\x00\x00\x01"
        kit.server.sendto(execute(2, ttl=100), kit.address)
        assert await kit.answered() == b"\x60\x00\x00\x02"
        clock.set_by = 101.0  # the machine was asleep
        service.now()
        answer = decode(await kit.answered())
        assert (answer.code, answer.token) == (Code.GATEWAY_TIMEOUT, b"\x02")


async def test_r32_a_clock_that_was_set_back_while_nothing_ran_lengthens_no_life_by_a_day(kit: Kit) -> None:
    clock = ClockOfHand()
    async with kit.running(clock):
        kit.ask(1)
        assert await kit.answered() == b"\x60\x00\x00\x01"
        kit.server.sendto(execute(2, ttl=100), kit.address)
        assert await kit.answered() == b"\x60\x00\x00\x02"
    clock.set_by = -DAY
    async with kit.running(clock) as service:
        await until(lambda: service.metrics.value("messages_from_the_future", kind="down") == 2)
        await asyncio.sleep(0)
        rows = await until(lambda: _all_end_within(kit, 115.0))
        assert [row.state for row in rows] == [DownlinkState.BUFFERED, DownlinkState.QUEUED]


async def _all_end_within(kit: Kit, seconds: float) -> list[object]:
    rows = await kit.rows()
    return list(rows) if all(row.deliver_by <= kit.service.now() + seconds for row in rows) else []
