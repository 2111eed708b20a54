"""A downlink that left the queue is forgotten when the report of it is committed, not before."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bindings.contract import Report
from bindings.lorawan import network_events as net
from bindings.lorawan.reconciler import Reconciler
from bindings.lorawan.reports import Reports
from bridge.errors import StoreUnavailable

DEVICE, ITEM = "0102030405060708", "item"


class Outstanding:
    """One downlink in the queue of one device."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {ITEM: SimpleNamespace(uplinks=3, deadline=None)}

    def of(self, _device: str) -> dict[str, Any]:
        return self.items

    def drop(self, _device: str, item: str) -> Any:
        return self.items.pop(item, None)


class Events:
    """Commits reports, or refuses them as long as the store fails."""

    def __init__(self) -> None:
        self.fails = True
        self.reported: list[Report] = []

    async def deliver(self, report: Report) -> None:
        if self.fails:
            raise StoreUnavailable("the disk is full")
        self.reported.append(report)

    def count(self, *_: object) -> None:
        pass

    def now(self) -> float:
        return 0.0


async def nothing(*_: object) -> Any:
    """Return what says nothing."""
    return ()


def reports(outstanding: Any, events: Any) -> Reports:
    async def is_certain(_event: object) -> bool:
        return False

    evidence: Any = SimpleNamespace(of_discarded=is_certain)
    return Reports(outstanding, evidence, events)


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_an_acknowledgement_that_was_not_committed_leaves_the_downlink_noted(acknowledged: bool) -> None:
    outstanding, events = Outstanding(), Events()
    event: Any = SimpleNamespace(device=DEVICE, item=ITEM, acknowledged=acknowledged)
    with pytest.raises(StoreUnavailable):
        await reports(outstanding, events).acknowledged(event)
    assert ITEM in outstanding.items
    events.fails = False
    await reports(outstanding, events).acknowledged(event)
    assert (outstanding.items, len(events.reported)) == ({}, 1)


async def test_a_discard_that_was_not_committed_leaves_the_downlink_noted() -> None:
    outstanding, events = Outstanding(), Events()
    event: Any = SimpleNamespace(device=DEVICE, item=ITEM, why=net.DiscardReason.EXPIRED, text="expired")
    with pytest.raises(StoreUnavailable):
        await reports(outstanding, events).discarded(event)
    assert ITEM in outstanding.items


async def test_what_the_reconciler_could_not_report_it_reports_at_its_next_look() -> None:
    outstanding: Any = Outstanding()
    events: Any = Events()
    doubts: asyncio.Queue[str] = asyncio.Queue()
    parts: Any = SimpleNamespace(next_device=doubts.get, get=nothing, device=nothing, queue=nothing)
    reconciler = Reconciler(parts, parts, parts, parts, parts, parts, outstanding, events)
    await reconciler._settle(DEVICE)
    assert ITEM in outstanding.items
    events.fails = False
    await reconciler._settle(DEVICE)
    assert [one.handle for one in events.reported] == [ITEM]
    assert outstanding.items == {}
