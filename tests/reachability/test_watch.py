"""Notes about subscriptions: work on one device from several sides loses none of them."""

import asyncio
import json
from itertools import count

import pytest

from bindings.contract import Reachable
from bindings.reachability.settings import Reachability
from bindings.reachability.watch import ReachabilityMonitor
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
    watch = ReachabilityMonitor(Reachability(events=kinds), scef, memory, side)
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


def report(kind="UE_REACHABILITY", name="s1", **idle):
    one = {"monitoringType": kind, "externalId": UE} | ({"idleStatusInfo": idle} if idle else {})
    body = {"subscription": f"https://scef/3gpp-monitoring-event/v1/as/subscriptions/{name}"}
    return json.dumps(body | {"monitoringEventReports": [one]}).encode()


@pytest.mark.parametrize("timer", ["periodicAUTimer", "edrxCycleLength"])
@pytest.mark.parametrize("seconds", [0, -5, 1e-320, 1e300])
async def test_a_timer_that_no_device_can_have_counts_as_absent(scef, timer, seconds):
    """A downlink that is certainly refused must not end in doubt because the time of the next try is unknown."""
    memory, side = DictMemory(), BridgeSide()
    memory.notes["s/s1"] = UE.encode()
    watch = ReachabilityMonitor(Reachability(events=("UE_REACHABILITY",)), scef, memory, side)
    await watch.commit(report(activeTime=0, **{timer: seconds}))
    assert watch.wakes_at(UE) is None
    await watch.commit(report(activeTime=0, periodicAUTimer=3600))
    assert watch.wakes_at(UE) is not None


@pytest.mark.parametrize("kind", ["UE_REACHABILITY", "PDN_CONNECTIVITY_STATUS"])
async def test_a_report_that_overtakes_the_answer_to_its_subscription_is_not_lost(scef, kind):
    """The report names a subscription that is not known yet; the SCEF reports once, and deletes the subscription."""
    memory, side = DictMemory(), BridgeSide()
    watch = ReachabilityMonitor(Reachability(events=(kind,)), scef, memory, side)
    scef.hold.clear()
    if kind == "UE_REACHABILITY":
        watch.cannot_be_reached(UE)
    standing = asyncio.create_task(watch.see_to(UE, {}))
    await asyncio.sleep(0)
    early = asyncio.create_task(watch.commit(report(kind)))
    await asyncio.sleep(0.01)
    scef.hold.set()
    await early
    await standing
    assert side.counts["reachability_reports"] == 1
    if kind == "UE_REACHABILITY":
        assert side.delivered == [Reachable(UE)]
        watch.cannot_be_reached(UE)
        await until(lambda: len(scef.there) == 2)
    await watch.stop()
