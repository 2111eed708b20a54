"""What a running service says of the last hours, and of everything that waits."""

import pytest

from bindings.contract import Accepted, NetworkState
from bridge.control.client import DirectClient
from bridge.delivery.states import DownlinkState
from bridge.errors import NotRunning
from bridge.operations.types.endpoints import ListWaiting
from bridge.operations.types.history import GetHistory
from bridge.service.service import Service
from tests.service.kit import Kit
from tests.waiting import until


async def test_a_service_tells_what_happened_and_how_long_it_took(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.BUFFERED)
        kit.ask(1)

        async def held() -> bool:
            return await kit.states() == [DownlinkState.BUFFERED]

        await until(held)
        (point,) = (await client.ask(GetHistory())).points
        assert point.submissions == {"net": {"buffered": 1}}
        assert (point.calls["net"].count, point.calls["net"].median is not None) == (1, True)
        assert point.downlinks == {}
        assert (await client.ask(GetHistory(span=86400, step=3600))).points[0].submissions == point.submissions


async def test_before_it_runs_there_is_no_history(kit: Kit) -> None:
    with pytest.raises(NotRunning):
        await DirectClient(Service(kit.config)).ask(GetHistory())


async def test_what_waits_is_listed_by_device_with_its_path_and_the_reason(kit: Kit) -> None:
    kit.have_endpoints(3)
    async with kit.running() as service:
        client = DirectClient(service)
        await kit.ask_each(3)
        kit.ask(9)

        async def all_wait() -> bool:
            items = (await client.ask(ListWaiting())).items
            return [len(one.messages) for one in items] == [2, 1, 1]

        await until(all_wait)
        page = await client.ask(ListWaiting(limit=2))
        assert [(one.endpoint, one.network) for one in page.items] == [("e1", "net"), ("e2", "net")]
        held, behind = page.items[0].messages
        assert (held.operation, held.target, held.server) == ("Read", "/3", "lab")
        assert held.why == "the network holds it until the device can be reached"
        assert (behind.blocked_by, behind.deliver_by is not None) == (held.downlink, True)
        assert page.next is not None
        rest = await client.ask(ListWaiting(after=page.next))
        assert [one.endpoint for one in rest.items] == ["e3"]
        assert rest.next is None
        assert (await client.ask(ListWaiting(network="other"))).items == ()
