"""What an uplink costs whose endpoint is not in memory, beside one whose endpoint is, in the same process.

Hot rounds take a few devices in turn; cold rounds take all in turn, so many that none is in memory when it comes again.
A ratio is of two rounds that follow each other.
"""

import statistics
from dataclasses import dataclass
from itertools import cycle

from benchmarks.load import Load
from benchmarks.scenarios import ROUND, devices, observe_all, running_bridge, uplinks
from benchmarks.sides import Side

WORKING_SET = 8192  # devices of a cold round
SMALL = "cache_mib = 24"  # far less than they need, and enough for the few
FEW = 128
AT_ONCE = 1000  # requests


@dataclass(frozen=True, slots=True)
class Cold:
    """Microseconds of processor time for an uplink, and how many times a cold one costs a hot one."""

    hot: float
    cold: float
    ratio: float
    megabytes: float  # of memory, at the end


def measure_cold(rounds: int, service: str = SMALL, working_set: int = WORKING_SET) -> Cold:
    """Measure hot and cold rounds in turns; `service` is the configuration that makes them cold."""
    load = Load(devices(working_set))
    try:
        with running_bridge(load, service=service) as (side, _directory):
            _observe_all(load)
            few, all_ = cycle(load.devices[:FEW]), cycle(load.devices)
            pairs = [(_round(load, side, few), _round(load, side, all_)) for _ in range(rounds + 1)]
            del pairs[0]  # a warm-up
            ratio = statistics.median(cold / hot for hot, cold in pairs)
            hot, cold = (statistics.median(figures) for figures in zip(*pairs, strict=True))
            return Cold(hot, cold, ratio, side.memory() / 1e6)
    finally:
        load.close()


def _observe_all(load: Load) -> None:
    """Have every device observed: as many at once as a socket's buffer holds."""
    whole = load.devices
    for begin in range(0, len(whole), AT_ONCE):
        load.devices = whole[begin : begin + AT_ONCE]
        observe_all(load)
    load.devices = whole


def _round(load: Load, side: Side, turn: "cycle[object]") -> float:
    whole, load.devices = load.devices, [next(turn) for _ in range(ROUND)]
    try:
        return 1e6 / uplinks(load, side).cpu
    finally:
        load.devices = whole
