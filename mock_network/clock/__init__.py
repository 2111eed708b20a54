"""One test clock for every process of a machine.

A clock process (`python -m mock_network.clock`) owns the relation between CLOCK_MONOTONIC, which all processes of a
machine share, and virtual time; it can run at any rate, stand still, and be stepped. A process that follows it makes
its event loop with `clock_loop_factory(url)`: then `loop.time()`, and with it every asyncio timer of every library, is
virtual.

    with asyncio.Runner(loop_factory=clock_loop_factory(url)) as runner:
        runner.run(main())

Inside, `current_clock()` returns the clock with `wall()` and `monotonic()`. ``real`` instead of the URL gives
the machine's own time. Tests use `ClockThread` and move time with `ClockControl`.
"""

from mock_network.clock.client import Clock, ClockControl, ClockError, FollowedClock, RealClock, connect
from mock_network.clock.loop import ClockLoop, clock_loop_factory, current_clock
from mock_network.clock.mapping import Mapping, Segment
from mock_network.clock.server import ClockThread, serve

__all__ = [
    "Clock",
    "ClockControl",
    "ClockError",
    "ClockLoop",
    "ClockThread",
    "FollowedClock",
    "Mapping",
    "RealClock",
    "Segment",
    "clock_loop_factory",
    "connect",
    "current_clock",
    "serve",
]
