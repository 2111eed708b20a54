"""What happened in the last hours: minute by minute, bounded, and nothing kept where nothing happened."""

import math
from typing import Any

import pytest

from bridge.operations import minutes
from bridge.operations.history import spread
from bridge.operations.minutes import Minutes

A, B = ("outcome", "down", "SENT"), ("outcome", "up", "FORWARDED")


def risen(of: Minutes, at: float, step: float) -> list[tuple[float, dict[Any, float]]]:
    return [(one.at, dict(one.by)) for one in of.since(at, step)]


def test_counters_become_rises_by_the_minute() -> None:
    kept = Minutes(0.0, {A: 10.0})
    kept.note(60.0, {A: 12.0, B: 1.0})
    kept.note(120.0, {A: 12.0, B: 1.0})
    kept.note(180.0, {A: 13.0, B: 1.0})
    assert risen(kept, 0.0, 60) == [(60.0, {A: 2.0, B: 1.0}), (180.0, {A: 1.0})]
    assert risen(kept, 60.0, 60) == [(180.0, {A: 1.0})]
    assert risen(kept, 0.0, 180) == [(180.0, {A: 3.0, B: 1.0})]


def test_whoever_asks_often_sees_the_same_minutes() -> None:
    kept = Minutes(0.0, {})
    for second in range(1, 121):
        kept.note(float(second), {A: float(second)})
    assert risen(kept, 0.0, 60) == [(60.0, {A: 60.0}), (120.0, {A: 60.0})]


def test_a_day_is_kept_and_a_minute_without_traffic_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Minutes(0.0, {})
    for minute in range(1, 3000):
        kept.note(minute * 60.0, {A: float(minute)})
    assert len(risen(kept, 0.0, 60)) == minutes.KEPT
    quiet = Minutes(0.0, {A: 1.0})
    for minute in range(1, 100):
        quiet.note(minute * 60.0, {A: 1.0})
    assert risen(quiet, 0.0, 60) == []
    monkeypatch.setattr(minutes, "SERIES", 3)
    wide = Minutes(0.0, {})
    wide.note(60.0, {("outcome", "down", str(n)): 1.0 for n in range(10)})
    ((_, by),) = risen(wide, 0.0, 60)
    assert len(by) == 3


@pytest.mark.parametrize(
    ("buckets", "median", "p95"),
    [
        ({0.1: 100.0, 1.0: 1.0}, 0.1, 0.1),
        ({0.1: 50.0, 1.0: 45.0, 5.0: 5.0}, 0.1, 1.0),
        ({5.0: 1.0}, 5.0, 5.0),
        ({0.1: 1.0, math.inf: 9.0}, None, None),
        ({}, None, None),
    ],
)
def test_a_spread_names_bounds_that_are_certainly_not_too_small(
    buckets: dict[float, float], median: float | None, p95: float | None
) -> None:
    found = spread(buckets)
    assert (found.count, found.median, found.p95) == (sum(buckets.values()), median, p95)
