"""Faults on purpose: the same seed and the same traffic give the same faults."""

import random

import pytest

from mock_network.faults import Fault, FaultError, Faults

KINDS = {"cut": "cuts", "slow": "slows"}


def story(seed):
    faults = Faults(random.Random(seed), KINDS, [Fault("cut", probability=0.3), Fault("slow", probability=0.5)])
    return [(faults.draw("cut") is not None, faults.draw("slow") is not None) for _ in range(200)]


def test_the_same_seed_gives_the_same_faults_and_another_seed_others():
    assert story(1) == story(1)
    assert story(1) != story(2)
    assert 30 < sum(cut for cut, _ in story(1)) < 90


def test_a_fault_waits_for_its_turn_happens_as_often_as_told_and_only_where_it_belongs():
    faults = Faults(random.Random(0), KINDS, [Fault("cut", count=2, after=1, where={"method": "POST"})])
    assert [faults.draw("cut", method="GET") for _ in range(3)] == [None] * 3
    assert [faults.draw("cut", method="POST") is not None for _ in range(5)] == [False, True, True, False, False]
    assert faults.listing() == []
    assert faults.happened["cut"] == 2


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(FaultError, match="cut, slow"):
        Faults(random.Random(0), KINDS).add(Fault("flood"))


def test_what_is_listed_can_be_read_again():
    fault = Fault("cut", 0.5, 3, 1, {"method": "POST"}, {"seconds": 2})
    assert Fault.parse(fault.to_json()) == fault
