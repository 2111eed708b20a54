"""When a device listens again, by the timers of its power saving (TS 23.682 §4.5.4, §4.5.13)."""

import pytest

from bindings.reachability.wake import Sleep

HOUR = 3600.0


@pytest.mark.parametrize(
    ("what", "sleep", "now", "at"),
    [
        ("nothing is known", Sleep(0), 10, None),
        ("still in its active time", Sleep(0, active=20, periodic=HOUR), 10, 10),
        ("asleep until its periodic update", Sleep(0, active=20, periodic=HOUR), 30, HOUR),
        ("on the very second", Sleep(0, active=20, periodic=HOUR), HOUR, HOUR),
        ("an update was missed: the next one", Sleep(0, active=20, periodic=HOUR), HOUR + 1, 2 * HOUR),
        ("asleep, and it never updates", Sleep(0, active=20), 30, None),
        ("no active time: asleep at once", Sleep(0, active=0, periodic=HOUR), 0, HOUR),
        ("eDRX: the next cycle", Sleep(0, cycle=20.48), 21, 40.96),
        ("eDRX: now", Sleep(0, cycle=20.48), 0, 0),
        ("eDRX within an active time", Sleep(0, active=60, periodic=HOUR, cycle=20), 30, 40),
        ("eDRX beyond the active time", Sleep(0, active=50, periodic=HOUR, cycle=20), 45, HOUR),
        ("eDRX beyond, and it never updates", Sleep(0, active=50, cycle=20), 45, None),
    ],
)  # fmt: skip
def test_wakes_at(what, sleep, now, at):
    assert sleep.wakes_at(now) == pytest.approx(at)
