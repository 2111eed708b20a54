"""Pairs of messages and bytes, as quotas limit them."""

Pair = tuple[int, int]
"""Messages and bytes."""

NONE: Pair = (0, 0)


def added(one: Pair, other: Pair) -> Pair:
    """Return the sum."""
    return one[0] + other[0], one[1] + other[1]


def reduced(one: Pair, by: Pair) -> Pair:
    """Return what is left of a pair; no number falls below zero."""
    return max(one[0] - by[0], 0), max(one[1] - by[1], 0)


def larger(one: Pair, other: Pair) -> Pair:
    """Return the larger number of messages, and of bytes."""
    return max(one[0], other[0]), max(one[1], other[1])


def smaller(one: Pair, other: Pair) -> Pair:
    """Return the smaller number of messages, and of bytes."""
    return min(one[0], other[0]), min(one[1], other[1])


def fits(one: Pair, into: Pair) -> bool:
    """Return whether neither number is larger than that of another pair."""
    return one[0] <= into[0] and one[1] <= into[1]
