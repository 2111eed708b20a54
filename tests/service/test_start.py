"""A start listens first, works on beside, and says how far it is."""

import asyncio
import logging

import pytest

from bridge.cli.run import _completed
from bridge.cli.status import _how_far
from bridge.control.client import DirectClient
from bridge.errors import NotRunning, StoreUnavailable
from bridge.north.contract import LinkState
from bridge.operations.types.endpoints import EnableEndpoint, ExplainEndpoint, ListEndpoints, ShowEndpoint
from bridge.operations.types.state import GetReadiness, GetStatus, Phase, WorkView
from bridge.service import upkeep
from bridge.service.progress import Progress
from bridge.service.service import Service
from mock_network.lab import free_port, free_ports
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding
from tests.waiting import until


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """An event that the start of the network waits for."""
    go = asyncio.Event()
    begin = ScriptedBinding.start

    async def start(self: ScriptedBinding, events: object, memory: object) -> None:
        await go.wait()
        await begin(self, events, memory)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(ScriptedBinding, "start", start)
    return go


async def test_a_bridge_that_starts_says_so_and_refuses_what_it_cannot_do_yet(kit: Kit, held: asyncio.Event) -> None:
    service = Service(kit.config)
    client = DirectClient(service)
    await service.open()
    starting = asyncio.create_task(service.start())
    status = await client.ask(GetStatus())
    assert (status.phase, status.ready, status.in_memory, status.networks) == (Phase.STARTING, False, None, {"net": {}})
    assert not (await client.ask(GetReadiness())).ready
    with pytest.raises(NotRunning, match=r"the service is starting.*ask again later"):
        await client.ask(EnableEndpoint("e1"))
    assert (await client.ask(ListEndpoints())).items == (), "the ledger can be looked at already"
    held.set()
    await starting
    assert (await client.ask(GetReadiness())).ready
    assert [one.name for one in (await client.ask(ListEndpoints())).items] == ["e1"]
    await service.stop()
    with pytest.raises(NotRunning, match="the service is stopping"):
        await client.ask(EnableEndpoint("e1"))


async def test_a_start_that_is_asked_to_stop_ends_at_once_and_leaves_nothing_open(
    kit: Kit, held: asyncio.Event
) -> None:
    service = Service(kit.config)
    asked = asyncio.Event()
    running = asyncio.create_task(_completed(service.start(), asked))
    await until(lambda: service.networks)
    asked.set()
    assert not await running
    await service.stop()
    held.set()
    async with kit.running():  # the port and the ledger's lock are free
        pass


async def test_a_start_that_fails_leaves_nothing_open(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ScriptedBinding.start

    async def fail(_self: ScriptedBinding, _events: object, _memory: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(ScriptedBinding, "start", fail)
    with pytest.raises(StoreUnavailable):
        await Service(kit.config).start()
    monkeypatch.setattr(ScriptedBinding, "start", begin)
    async with kit.running():
        pass


async def test_messages_are_taken_while_a_start_still_works(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provisioning a large fleet takes long; nobody waits for it."""
    go = asyncio.Event()

    async def provision(_self: ScriptedBinding, _device: str, _options: object) -> None:
        await go.wait()

    monkeypatch.setattr(ScriptedBinding, "provision", provision)

    async def left() -> list[tuple[str, int, int | None]]:
        return [(work.name, work.done, work.total) for work in (await service.status()).work]

    async with kit.running() as service:
        kit.ask(1)
        assert await kit.answered() == b"\x60\x00\x00\x01"
        status = await DirectClient(service).ask(GetStatus())
        assert (status.phase, status.ready) == (Phase.RUNNING, True)
        asked = [("networks are asked to carry endpoints' data", 0, 1)]

        async def only_asked() -> bool:
            return await left() == asked  # the rest of the start is done

        async def nothing_left() -> bool:
            return not await left()

        await until(only_asked)
        go.set()
        await until(nothing_left)


async def test_an_endpoint_whose_address_is_another_now_gets_it_while_the_service_runs(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old address is used no more: servers would take it for another client."""
    async with kit.running():
        pass
    go = asyncio.Event()
    renew = upkeep.give_addresses

    async def later(*arguments: object) -> None:
        await go.wait()
        await renew(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr("bridge.service.service.give_addresses", later)
    port = free_port()
    kit.move_to(port)
    async with kit.running() as service:
        client = DirectClient(service)
        await kit.network.uplink("d1", b"\x40\x02\x00\x07\xb2dp\xff[]")
        await until(lambda: service.metrics.value("north_dropped", server="lab"))
        go.set()

        async def seen() -> bool:
            return (await client.ask(ShowEndpoint("e1"))).seen_as == (f"127.64.0.1:{port}",)

        await until(seen)
        assert await kit.heard_from() == ("127.64.0.1", port)


async def test_what_a_start_leaves_to_be_done_outlives_a_failing_store(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "AGAIN_AFTER", 0.0)
    tries: list[int] = []

    async def work() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreUnavailable("the disk is full")

    await upkeep.persistently(work)
    assert len(tries) == 3
    assert "begins again in 0 s: the disk is full" in caplog.text


def test_work_is_shown_while_it_lasts_and_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    caplog.set_level(logging.INFO)
    all_work = Progress(lambda: now)
    with all_work.work("stones are counted", 30) as work:
        for second in range(25):
            now = float(second)
            work.step()
        assert [(one.name, one.done, one.total) for one in all_work] == [("stones are counted", 25, 30)]
    assert list(all_work) == []
    assert [record.getMessage() for record in caplog.records] == [
        "stones are counted, 36 % (11 of 30)",
        "stones are counted, 70 % (21 of 30)",
    ]


async def test_a_piece_of_work_that_fails_is_shown_no_more() -> None:
    all_work = Progress(lambda: 0.0)
    with pytest.raises(ValueError, match="x"), all_work.work("work"):
        raise ValueError("x")
    assert list(all_work) == []


@pytest.mark.parametrize(
    ("work", "shown"),
    [
        (WorkView(name="w", done=1, total=3), "33 % (1 of 3)"),
        (WorkView(name="w", done=7, total=None), "7 so far"),
    ],
)
def test_people_see_a_percentage_where_the_whole_is_known(work: WorkView, shown: str) -> None:
    assert _how_far(work) == shown


async def test_endpoints_with_ports_of_their_own_are_open_after_a_start(kit: Kit) -> None:
    """Also those that never sent anything in this life: a server may ask them first."""
    ports = free_ports(2)
    kit.give_ports(ports)
    for mid in (1, 2):
        async with kit.running() as service:
            kit.address = ("127.0.0.1", ports.start)

            async def is_open(service: Service = service) -> bool:
                (link,) = (await DirectClient(service).ask(ExplainEndpoint("e1"))).links
                return link.state is LinkState.OPEN

            await until(is_open)
            kit.ask(mid)

            async def is_taken(number: int = mid) -> bool:
                return len(await kit.rows()) == number

            await until(is_taken)
