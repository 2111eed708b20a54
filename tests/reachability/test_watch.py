"""Notes about subscriptions: work on one device from several sides loses none of them."""

import asyncio
from itertools import count

import pytest

from bindings.reachability.settings import Reachability
from bindings.reachability.watch import Watch
from bindings.t8.answer import Answer
from bindings.t8.times import PeerClock
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.waiting import until

UE = "meter-1@iot.example"


class Scef:
    """The T8 client's side: makes every subscription that it is asked for, when `hold` is set."""

    def __init__(self, now):
        self.clock = PeerClock(now)
        self.numbers = count(1)
        self.there = {}
        self.hold = asyncio.Event()
        self.hold.set()

    async def ask(self, operation, *names, body=None, bounded=True):
        await self.hold.wait()
        if operation.method == "DELETE":
            return Answer(204 if self.there.pop(names[0], None) else 404, b'{"title":"gone"}')
        name = f"s{next(self.numbers)}"
        self.there[name] = body["monitoringType"]
        return Answer(201, b"{}", {"location": f"https://scef/3gpp-monitoring-event/v1/as/subscriptions/{name}"})


@pytest.fixture
def scef():
    return Scef(BridgeSide().now)


async def test_two_sides_at_once_forget_no_subscription(scef):
    """A subscription that is forgotten stays at the SCEF, and its reports are answered 404."""
    memory, side = DictMemory(), BridgeSide()
    kinds = ("LOSS_OF_CONNECTIVITY", "PDN_CONNECTIVITY_STATUS", "UE_REACHABILITY")
    watch = Watch(Reachability(events=kinds), scef, memory, side)
    scef.hold.clear()
    standing = asyncio.create_task(watch.see_to(UE, {}))
    watch.cannot_be_reached(UE)
    await asyncio.sleep(0.01)
    scef.hold.set()
    await standing
    await until(lambda: len(scef.there) == len(kinds))
    await watch.stop()
    await watch.forget(UE)
    assert scef.there == {}
    assert memory.notes == {}
