"""Rows that are over are forgotten at `keep_until` or beyond the bound, oldest first (R4, R30)."""

import random
from dataclasses import dataclass
from typing import Any

from bridge.delivery.kept import KeptRows


@dataclass
class Over:
    id: int
    keep_until: float


def forget(kept: Any, now: float, most: int = 64) -> list[int]:
    return [row.id for row in kept.forget(now, most)]


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


def test_beyond_the_bound_the_oldest_goes():
    kept: Any = KeptRows()
    for number in range(5):
        kept.keep(Over(number, 100.0))
    assert forget(kept, 0.0, most=3) == [0, 1]
    assert list(kept) == [2, 3, 4]


def test_a_row_whose_time_is_made_shorter_goes_then():
    kept: Any = KeptRows()
    row = Over(1, 100.0)
    kept.keep(row)
    row.keep_until = 10.0
    kept.keep(row)
    assert forget(kept, 10.0) == [1]


def test_any_order_ends_as_if_every_row_was_looked_at():
    drawn = random.Random(1)
    kept: Any = KeptRows()
    plain: dict[int, Over] = {}
    for number in range(2000):
        row = Over(number, number + drawn.choice([0, 5, 50, 500]))
        kept.keep(row)
        plain[number] = row
        expected = []
        for one in list(plain.values()):
            if one.keep_until <= number or len(plain) > 20:
                expected.append(one.id)
                del plain[one.id]
        assert sorted(forget(kept, number, most=20)) == sorted(expected)
        assert list(kept) == list(plain)
