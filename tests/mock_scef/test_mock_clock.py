"""The test clock: one virtual time for every process of a machine."""

import asyncio
import json
import logging
import subprocess
import sys
import time

import pytest

from mock_network.clock import (
    ClockControl,
    ClockError,
    ClockLoop,
    ClockThread,
    Mapping,
    Segment,
    clock_loop_factory,
    connect,
    current_clock,
)


@pytest.fixture
def clock():
    with ClockThread(rate=0) as thread:
        yield ClockControl(thread.url)


def run(url, main):
    with asyncio.Runner(loop_factory=clock_loop_factory(url)) as runner:
        return runner.run(main())


def test_a_mapping_inverts_itself_over_rates_steps_and_ramps():
    mapping = Mapping(1, 0.0, (Segment(100.0, 100.0, 1.0),))
    mapping = mapping.changed(real=110.0, at=110.0, rate=10.0)  # 110
    assert mapping.monotonic(111.0) == pytest.approx(120.0)
    mapping = mapping.changed(real=112.0, at=112.0, step=1000.0)  # 130 → 1130
    mapping = mapping.changed(real=113.0, at=113.0, step=600.0, over=2.0, rate=1.0)  # 1140 → 1760 at 115
    assert mapping.monotonic(112.0) == pytest.approx(1130.0)
    assert mapping.monotonic(114.0) == pytest.approx(1450.0)
    assert mapping.monotonic(116.0) == pytest.approx(1761.0)
    for target, when in ((1135.0, 112.5), (1450.0, 114.0), (1761.0, 116.0)):
        assert mapping.real_delay(target, 112.0) == pytest.approx(when - 112.0)
    assert mapping.real_delay(500.0, 112.0) == 0.0
    assert Mapping.from_json(json.loads(json.dumps(mapping.to_json()))) == mapping


def test_time_that_stands_still_never_reaches_a_later_moment():
    assert Mapping(1, 0.0, (Segment(0.0, 5.0, 0.0),)).real_delay(5.1, 1.0) is None


def test_a_jump_that_is_still_to_come_ends_a_wait_when_it_takes_effect():
    mapping = Mapping(1, 0.0, (Segment(0.0, 0.0, 0.0),)).changed(real=1.0, at=1.5, step=3600.0)
    assert mapping.real_delay(1800.0, 1.0) == pytest.approx(0.5)


def test_a_step_of_an_hour_fires_every_timer_due_within_it_and_no_later_one(clock):
    fired = []

    async def main():
        loop, due = asyncio.get_running_loop(), asyncio.Event()
        for delay in (0.5, 60, 1800, 3600, 3601):
            loop.call_later(delay, fired.append, delay)
        loop.call_later(3600, due.set)
        began = loop.time()
        await asyncio.to_thread(clock.step, 3600)
        async with asyncio.timeout(3600):
            await due.wait()
        return loop.time() - began

    assert run(clock.url, main) == pytest.approx(3600, abs=1e-3)
    assert fired == [0.5, 60, 1800, 3600]


def test_a_step_over_a_stretch_of_real_time_fires_timers_that_timers_set(clock):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(600)
                ticks += 1

        async with asyncio.TaskGroup() as group:
            task = group.create_task(tick())
            await asyncio.to_thread(lambda: clock.step(3900, over=0.4))
            task.cancel()
        return ticks

    assert 1 < run(clock.url, main) <= 6  # at 10 000 times the speed each sleep wakes late, on a busy machine very late


def test_time_runs_at_the_rate_and_a_change_of_it_wakes_a_sleeper(clock):
    async def main():
        sleeper = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0)
        began = time.monotonic()
        await asyncio.to_thread(clock.rate, 10000)
        await sleeper
        return time.monotonic() - began

    assert 0.1 <= run(clock.url, main) < 5.0


def test_two_processes_agree(clock):
    program = (
        "import asyncio, sys, time\n"
        "from mock_network.clock import connect\n"
        "clock = connect(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    print(clock.monotonic(), clock.wall(), flush=True)\n"
        "clock.close()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, clock.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    here = connect(clock.url)
    try:
        for step in (0, 3600, 86400.5):
            clock.step(step)
            child.stdin.write("now\n")
            child.stdin.flush()
            there = child.stdout.readline().split()
            assert float(there[0]) == pytest.approx(here.monotonic(), abs=1e-4)
            assert float(there[1]) == pytest.approx(here.wall(), abs=1e-4)
    finally:
        here.close()
        child.communicate(timeout=10)


def test_the_process_prints_its_url_and_takes_steps():
    child = subprocess.Popen(
        [sys.executable, "-m", "mock_network.clock", "--rate", "0", "--start", "2030-01-01T00:00:00Z"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        control = ClockControl(json.loads(child.stdout.readline())["clock"])
        assert control.wall() == pytest.approx(1893456000.0)
        control.step(3600)
        assert control.wall() == pytest.approx(1893459600.0)
        with pytest.raises(ClockError, match="refused"):
            control.step(-1)
    finally:
        child.terminate()
        child.communicate(timeout=10)


def test_following_is_announced_loudly(clock, caplog):
    with caplog.at_level(logging.WARNING):
        connect(clock.url).close()
    assert "never use this in production" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1:80", "http://example.com:80", "https://127.0.0.1:80", "http://127.0.0.1", "fast", "http://[::1"],
)
def test_only_a_loopback_url_is_taken(url):
    with pytest.raises(ClockError):
        connect(url)


def test_no_clock_process_is_an_error_that_says_so():
    with pytest.raises(ClockError, match="no clock process answers"):
        connect("http://127.0.0.1:9")


def test_real_is_the_time_of_the_machine():
    async def main():
        assert not isinstance(asyncio.get_running_loop(), ClockLoop)
        return current_clock()

    clock = run("real", main)
    assert clock.wall() == pytest.approx(time.time(), abs=1)
    assert clock.monotonic() == pytest.approx(time.monotonic(), abs=1)


def test_a_clock_that_dies_leaves_time_going_as_it_was(caplog):
    with ClockThread(rate=1) as thread:
        follower = connect(thread.url)
    try:
        first = follower.monotonic()
        assert follower.monotonic() >= first
        assert follower.monotonic() == pytest.approx(time.monotonic(), abs=1)
    finally:
        follower.close()
