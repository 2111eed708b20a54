"""Rows that are over are forgotten at `keep_until`; beyond the bound the oldest goes of those that may (R4, R30)."""

import random
from dataclasses import dataclass
from typing import Any

from bridge.delivery.kept import KeptRows


@dataclass
class Over:
    id: int
    keep_until: float


def forget(kept: Any, now: float) -> list[int]:
    return [row.id for row in kept.forget(now)]


def test_a_row_is_kept_until_its_time():
    kept: Any = KeptRows()
    kept.keep(Over(1, 100.0))
    assert forget(kept, 99.9) == []
    assert forget(kept, 100.0) == [1]
    assert not kept


def test_a_row_that_is_needed_for_long_does_not_hold_others():
    kept: Any = KeptRows()
    kept.keep(Over(1, 1000.0))
    kept.keep(Over(2, 100.0))
    assert forget(kept, 100.0) == [2]
    assert forget(kept, 1000.0) == [1]


def test_a_row_whose_time_is_made_shorter_goes_then():
    kept: Any = KeptRows()
    row = Over(1, 100.0)
    kept.keep(row)
    row.keep_until = 10.0
    kept.keep(row)
    assert forget(kept, 10.0) == [1]


def test_a_row_that_is_needed_again_is_the_latest():
    kept: Any = KeptRows()
    row = Over(1, 100.0)
    kept.keep(row)
    kept.keep(Over(2, 100.0))
    row.keep_until = 200.0
    kept.renew(row)
    assert list(kept) == [2, 1]
    assert forget(kept, 100.0) == [2]
    assert forget(kept, 200.0) == [1]


def test_many_rows_that_went_before_their_time_leave_nothing_behind():
    kept: Any = KeptRows()
    for number in range(1000):
        kept.keep(Over(number, 1e6))
        kept.make_room(10, lambda _row: True)
    assert len(kept._times) <= 40


def test_any_order_ends_as_if_every_row_was_looked_at():
    drawn = random.Random(1)
    kept: Any = KeptRows()
    plain: dict[int, Over] = {}
    for number in range(2000):
        row = Over(number, number + drawn.choice([0, 5, 50, 500]))
        kept.keep(row)
        plain[number] = row
        expected = [one.id for one in plain.values() if one.keep_until <= number]
        for one in expected:
            del plain[one]
        assert sorted(forget(kept, number)) == sorted(expected)
        assert list(kept) == list(plain)


def test_r30_beyond_the_bound_the_oldest_goes():
    kept: Any = KeptRows()
    for number in range(5):
        kept.keep(Over(number, 100.0))
    assert [row.id for row in kept.make_room(3, lambda _row: True)] == [0, 1]
    assert list(kept) == [2, 3, 4]
    assert kept.make_room(3, lambda _row: True) == []


def test_r30_what_may_not_go_stays_however_many_there_are():
    kept: Any = KeptRows()
    for number in range(5):
        kept.keep(Over(number, 100.0))
    assert [row.id for row in kept.make_room(2, lambda row: row.id % 2 == 1)] == [1, 3]
    assert list(kept) == [0, 2, 4]
