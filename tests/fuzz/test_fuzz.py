"""Every input that is checked in, and every seed, is run through its target: what once was a fault stays fixed."""

import pytest

from tests.fuzz.target import joined, pieces
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_reach_something_and_break_nothing(name: str):
    assert TARGETS[name].seeds()
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_is_checked_in_breaks_its_target(name: str):
    broken = {}
    for file, data in TARGETS[name].inputs():
        try:
            TARGETS[name].run(data)
        except Exception as error:  # noqa: BLE001 - each is reported with its file
            broken[file] = repr(error)
    assert not broken


def test_pieces_are_what_was_joined():
    assert pieces(joined(b"ab", b"", b"c")) == [b"ab", b"", b"c"]
    assert pieces(b"\5ab") == [b"ab"]
