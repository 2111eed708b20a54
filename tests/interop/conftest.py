"""Servers that all interoperability tests share, and a client of each for one test."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from tests.components import LESHAN
from tests.conftest import need_component
from tests.interop.core_bridge import Bridge
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan

SOURCES = count(10)  # an address for each endpoint: Leshan remembers the MIDs of the others for 247 s

# A server whose clocks run about 40 times as fast as RFC 7252 §4.8 says: MAX_TRANSMIT_WAIT is 2.1 s instead of 93 s and
# EXCHANGE_LIFETIME 3 s instead of 247 s, so that a test passes them while it waits.
QUICK = {
    "COAP.ACK_TIMEOUT": "300[ms]",
    "COAP.ACK_INIT_RANDOM": "1.0",
    "COAP.MAX_RETRANSMIT": "2",
    "COAP.EXCHANGE_LIFETIME": "3[s]",
    "COAP.MARK_AND_SWEEP_INTERVAL": "200[ms]",
}


@pytest.fixture(scope="session")
def leshan_process() -> Iterator[LeshanProcess]:
    """An unmodified Leshan with all its defaults."""
    need_component(LESHAN)
    process = start_leshan()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def quick_leshan_process() -> Iterator[LeshanProcess]:
    """A Leshan with the timers of QUICK, and one second of awake window for clients in queue mode."""
    need_component(LESHAN)
    process = start_leshan(californium=QUICK, awake_window=1)
    yield process
    process.stop()


@pytest.fixture
async def leshan(leshan_process: LeshanProcess) -> AsyncIterator[Leshan]:
    async with Leshan(leshan_process) as client:
        yield client


@pytest.fixture
async def quick_leshan(quick_leshan_process: LeshanProcess) -> AsyncIterator[Leshan]:
    async with Leshan(quick_leshan_process) as client:
        yield client


@pytest.fixture
async def bridges(leshan: Leshan) -> AsyncIterator[Any]:
    made: list[Bridge] = []

    def make(name: str, **world: Any) -> Bridge:
        made.append(Bridge(leshan, name, next(SOURCES), **world))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()
