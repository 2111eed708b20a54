"""What a change of the directory needs of an endpoint's messages is done, also where the store fails meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bindings.contract import MISS, Refusal, Refused, UplinkMessage
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.delivery.states import DownlinkState
from bridge.directory import Directory
from bridge.directory.keys import ById
from bridge.errors import StoreUnavailable, UnknownDevice
from bridge.service import runner as runners
from bridge.service.service import Service
from tests.service.kit import Kit
from tests.waiting import until


async def one_out_one_waiting(kit: Kit) -> None:
    """Let one request be held by the network, and another one wait behind it."""
    kit.ask(1)
    kit.ask(2)

    async def there() -> bool:
        return await kit.states() == [DownlinkState.BUFFERED, DownlinkState.QUEUED]

    await until(there)


def failing_once(service: Service, monkeypatch: pytest.MonkeyPatch, name: str, refuse: Callable[..., None]) -> None:
    """Let the next call of a method of the runner's store fail."""
    store, runner = service.store, service.parts.runner

    class Once:
        def __getattr__(self, wanted: str) -> Any:
            if wanted == name:
                monkeypatch.setattr(runner, "store", store)
                return refuse
            return getattr(store, wanted)

    monkeypatch.setattr(runner, "store", Once())


def no_commit(_changes: Any, done: Any, **_more: Any) -> None:
    asyncio.get_running_loop().call_soon(done, StoreUnavailable("the disk is full"))


def no_load(_key: Any, _now: float, done: Any) -> None:
    asyncio.get_running_loop().call_soon(done, None, StoreUnavailable("the disk does not answer"))


async def ended(kit: Kit) -> bool:
    rows = await kit.rows()
    return len(rows) == 2 and all(row.over and row.reason == "the endpoint was disabled" for row in rows)


@pytest.mark.parametrize("fails", ["commit", "load"])
async def test_what_waits_for_a_disabled_endpoint_ends_although_the_store_fails(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    async with kit.running() as service:
        await one_out_one_waiting(kit)
        if fails == "load":
            service.parts.runner.forget(1)
        failing_once(service, monkeypatch, fails, no_commit if fails == "commit" else no_load)
        await service.directory.update("e1", enabled=False)
        await until(lambda: ended(kit))
        assert len(kit.network.attempts) == 1


async def test_what_waits_for_an_endpoint_that_was_disabled_while_the_service_was_down_ends_at_a_load(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kit.running() as service:
        await one_out_one_waiting(kit)
        monkeypatch.setattr(service.parts.changes, "_keep_up", lambda *_args, **_more: None)
        service.directory.unsubscribe(service.parts.changes.follow)
        await service.directory.update("e1", enabled=False)
    async with kit.running():
        await until(lambda: ended(kit))
        assert kit.network.attempts == []


@pytest.mark.parametrize("fails", ["load", "find"])
async def test_what_waits_after_a_start_is_taken_up_although_the_first_read_fails(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    async with kit.running():
        kit.network.answer = lambda _attempt: Refused(Refusal.UNREACHABLE, "not now")
        kit.ask(1)
        await until(lambda: kit.network.attempts)
    monkeypatch.setattr(runners, "RELOAD_AFTER", 0.01)
    monkeypatch.setattr(Directory, "cached", lambda *_: MISS)  # as in a fleet that is larger than its memory
    start, asked = Service._start, []

    async def start_with_a_fault(service: Service, store: Any) -> None:
        where = store if fails == "load" else store.directory
        read = getattr(where, fails)

        def first_fails(key: Any, *more: Any) -> None:
            first = isinstance(key, ById) and not asked
            if isinstance(key, ById):
                asked.append(key)
            (no_load if first else read)(key, *(more if fails == "load" or not first else (0.0, *more)))

        monkeypatch.setattr(where, fails, first_fails)
        await start(service, store)

    monkeypatch.setattr(Service, "_start", start_with_a_fault)
    async with kit.running() as service:
        await until(lambda: kit.network.provisioned)
        await until(lambda: not [*service._progress])
        await until(lambda: 1 in service.parts.runner._taken_up)


async def test_an_endpoint_with_another_device_forgets_what_the_former_ones_network_holds_although_the_store_fails(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kit.running() as service:
        await one_out_one_waiting(kit)
        failing_once(service, monkeypatch, "load", no_load)
        await service.directory.update("e1", device="d9")
        await until(lambda: [one.device for one in kit.network.attempts] == ["d1", "d9"])


async def test_r3_a_message_for_an_endpoint_whose_removal_fails_is_not_acknowledged(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def deprovision(_device: str) -> None:
        asked.set()
        await go.wait()

    async def remove(_name: str) -> None:
        raise StoreUnavailable("the disk is full")

    async with kit.running() as service:
        monkeypatch.setattr(kit.network, "deprovision", deprovision)
        monkeypatch.setattr(service.directory, "remove", remove)
        removing = asyncio.create_task(service.remove_endpoint("e1"))
        await asked.wait()
        post = frame(Type.CON, Code.POST, 7, b"\1", b"\xb2dp")
        with pytest.raises(UnknownDevice):
            await kit.network.events.deliver(UplinkMessage("d1", post, service.now(), None))
        go.set()
        with pytest.raises(StoreUnavailable):
            await removing
        await kit.network.events.deliver(UplinkMessage("d1", post, service.now(), None))
        assert len(await service.reads.uplinks()) == 1
