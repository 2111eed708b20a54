"""Every endpoint wakes at the time last set for it, and at no other."""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import pytest

from bridge.service import alarms
from bridge.service.alarms import SPARE, Alarms


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop's clock and timers; time passes on demand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        timer = Timer(at, call)
        self.timers.append(timer)
        return timer

    def passes(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self.timers = [timer for timer in self.timers if not timer.cancelled]
            timer = min(self.timers, key=Timer.when, default=None)
            if timer is None or timer.at > end:
                break
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            timer.call()
        self.now = end


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(alarms, "asyncio", SimpleNamespace(get_running_loop=lambda: made))
    return made


def test_an_endpoint_wakes_once_and_at_its_last_time(loop: Loop) -> None:
    woken: list[tuple[int, float]] = []
    bell = Alarms(lambda endpoint: woken.append((endpoint, loop.now)))
    bell.set(1, 5.0)
    bell.set(2, 1.0)
    bell.set(1, 3.0)  # earlier
    bell.set(2, 4.0)  # later
    bell.set(3, 2.0)
    bell.clear(3)
    loop.passes(10.0)
    assert woken == [(1, 3.0), (2, 4.0)]


def test_a_time_that_is_past_is_now(loop: Loop) -> None:
    woken: list[int] = []
    bell = Alarms(woken.append)
    bell.set(1, 0.0)
    loop.passes(0.0)
    assert woken == [1]


def test_an_endpoint_may_set_its_next_time_while_it_wakes(loop: Loop) -> None:
    woken: list[float] = []

    def wake(endpoint: int) -> None:
        woken.append(loop.now)
        bell.set(endpoint, 2.0)

    bell = Alarms(wake)
    bell.set(1, 1.0)
    loop.passes(6.0)
    assert woken == [1.0, 3.0, 5.0]


def test_one_that_raises_does_not_silence_the_others(loop: Loop) -> None:
    woken: list[int] = []

    def wake(endpoint: int) -> None:
        if endpoint == 1:
            raise RuntimeError
        woken.append(endpoint)

    bell = Alarms(wake)
    bell.set(1, 1.0)
    bell.set(2, 1.0)
    with pytest.raises(RuntimeError):
        loop.passes(1.0)
    loop.passes(1.0)
    assert woken == [2]


def test_nobody_wakes_when_all_is_cleared(loop: Loop) -> None:
    woken: list[int] = []
    bell = Alarms(woken.append)
    bell.set(1, 1.0)
    bell.clear_all()
    assert all(timer.cancelled for timer in loop.timers)
    loop.passes(2.0)
    assert not woken


def test_r30_times_that_are_set_and_cleared_again_and_again_leave_no_heap_behind(loop: Loop) -> None:
    bell = Alarms(lambda _endpoint: None)
    for number in range(10_000):
        bell.set(number % 10, 100.0)
        bell.clear(number % 10)
        bell.set(number % 10, 1.0)
        loop.passes(0.5)
    assert len(bell._heap) <= 2 * 10 + SPARE + 1


def test_any_order_of_times_wakes_each_endpoint_at_its_own(loop: Loop) -> None:
    random = Random(7)
    due: dict[int, float] = {}

    def wake(endpoint: int) -> None:
        assert due.pop(endpoint) == loop.now

    bell = Alarms(wake)
    for _ in range(5000):
        endpoint = random.randrange(20)
        if random.random() < 0.3:
            due.pop(endpoint, None)
            bell.clear(endpoint)
        else:
            seconds = random.choice((0.5, 2.0, 100.0))
            due[endpoint] = loop.now + seconds
            bell.set(endpoint, seconds)
        loop.passes(random.random())
        assert all(at > loop.now for at in due.values())
