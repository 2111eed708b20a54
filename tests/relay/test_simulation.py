"""Invariants over whole lives (seeded): one outcome each, held against what really happened; at most once; in order;
nothing after its deadline; bounded; everything drains once faults stop."""

import pytest
from life import Life


def live(seed: int, steps: int) -> None:
    life = Life(seed)
    try:
        life.run(steps)
        life.drain()
        life.check()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("tens", range(20))
def test_invariants_hold_for_200_lives(tens):
    for seed in range(tens * 10, tens * 10 + 10):
        live(seed, 40)


def test_in_these_lives_blocks_are_split_and_large_answers_fetched():
    """R25: what the invariants say of transfers is said of some."""
    lives = [Life(seed) for seed in range(40)]
    for life in lives:
        life.run(40)
        life.drain()
    assert sum(life.split for life in lives) > 0
    assert sum(life.fetched for life in lives) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("hundreds", range(20))
def test_invariants_hold_for_2000_longer_lives(hundreds):
    for seed in range(1000 + hundreds * 100, 1100 + hundreds * 100):
        live(seed, 150)
