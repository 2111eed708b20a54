"""The service from start to stop, between a server's socket and a binding that the test scripts."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from bindings.contract import Accepted, NetworkState
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode, frame
from bridge.delivery.states import DownlinkState
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.service.metrics_server import MetricsServer
from tests.service.kit import Kit, both_ledgers
from tests.waiting import until


@both_ledgers
async def test_a_binding_needs_nothing_but_the_contract(kit: Kit) -> None:
    async with kit.running():
        kit.ask(1)
        (attempt,) = await until(lambda: kit.network.attempts)
        asked = decode(attempt.payload)
        assert await kit.answered() == b"\x60\x00\x00\x01"  # the Empty ACK: the network holds it
        answer = frame(Type.ACK, Code.CONTENT, asked.mid, asked.token, b"\xff42")
        await kit.network.uplink("d1", answer)
        response = decode(await kit.answered())
        assert (response.code, response.token, response.payload) == (Code.CONTENT, b"\x01", b"42")
        assert await kit.states() == [DownlinkState.RESPONDED]


@both_ledgers
async def test_r32_messages_that_wait_in_a_network_are_taken_up_after_a_restart(kit: Kit) -> None:
    async with kit.running():
        kit.ask(1)
        assert await kit.answered() == b"\x60\x00\x00\x01"
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))
    async with kit.running():
        assert await kit.answered() == b"\x60\x00\x00\x01"
        kit.ask(2)
        assert await kit.answered() == b"\x60\x00\x00\x02"
        assert await kit.states() == [DownlinkState.BUFFERED, DownlinkState.QUEUED]
        assert kit.service.metrics.value("failed_tasks") == 0


async def _is(kit: Kit, states: list[DownlinkState]) -> bool:
    return await kit.states() == states


@both_ledgers
async def test_a_disabled_endpoint_accepts_nothing_and_what_waits_gets_its_outcome(kit: Kit) -> None:
    async with kit.running() as service:
        kit.ask(1)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))
        kit.ask(2)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED, DownlinkState.QUEUED]))
        await service.directory.update("e1", enabled=False)
        await until(lambda: _is(kit, [DownlinkState.UNKNOWN, DownlinkState.CANCELLED]))
        kit.ask(3)
        await until(lambda: service.metrics.value("messages_of_disabled_endpoints"))
        await service.directory.update("e1", enabled=True)
        await until(lambda: kit.network.provisioned == ["d1", "d1"])
        kit.ask(4)
        await until(lambda: _is(kit, [DownlinkState.UNKNOWN, DownlinkState.CANCELLED, DownlinkState.BUFFERED]))


@both_ledgers
async def test_an_endpoint_with_another_device_leaves_the_first_one(kit: Kit) -> None:
    async with kit.running() as service:
        await until(lambda: kit.network.provisioned)
        kit.ask(1)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))
        await service.directory.update("e1", device="d2")
        await until(lambda: [a.device for a in kit.network.attempts] == ["d1", "d2"])
        await until(lambda: (kit.network.deprovisioned, kit.network.provisioned) == (["d1"], ["d1", "d2"]))


@both_ledgers
async def test_a_removed_endpoint_leaves_no_message_without_an_outcome(kit: Kit) -> None:
    async with kit.running() as service:
        kit.ask(1)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))
        await service.remove_endpoint("e1")
        assert all(row.over for row in await kit.rows())
        assert kit.network.deprovisioned == ["d1"]
        kit.ask(2)
        await until(lambda: service.metrics.value("north_without_endpoint"))
        assert len(await kit.rows()) == 1


@both_ledgers
async def test_r32_a_stop_stores_what_the_network_said_and_refuses_the_rest(kit: Kit) -> None:
    async with kit.running() as service:
        kit.network.go.clear()
        kit.ask(1)
        await until(lambda: kit.network.attempts)
        runner = service.parts.runner
        stopping = asyncio.create_task(service.stop())
        await until(lambda: runner.stopping)
        with pytest.raises(StoreUnavailable):
            await kit.network.uplink("d1", b"\x40\x01\x00\x01")
        kit.network.go.set()
        await stopping
    async with kit.running():
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))


@both_ledgers
async def test_an_endpoint_that_cannot_be_removed_goes_on(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kit.running() as service:
        await until(lambda: kit.network.provisioned)

        async def fail(_name: str) -> None:
            raise StoreUnavailable("disk full")

        monkeypatch.setattr(service.directory, "remove", fail)
        with pytest.raises(StoreUnavailable):
            await service.remove_endpoint("e1")
        await until(lambda: kit.network.provisioned == ["d1", "d1"])
        kit.ask(1)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))


def _raise(_attempt: object) -> Accepted:
    raise ValueError("a binding's mistake")


@both_ledgers
@pytest.mark.parametrize("answer", [_raise, lambda _attempt: None, lambda _attempt: NetworkState.SENT])
async def test_r9_a_binding_that_breaks_its_promise_leaves_the_attempt_unknown(
    kit: Kit, answer: Callable[..., Any]
) -> None:
    async with kit.running():
        good = kit.network.answer
        kit.network.answer = lambda attempt: (answer if attempt.number == 1 else good)(attempt)
        kit.ask(1)
        await until(lambda: _is(kit, [DownlinkState.BUFFERED]))  # looked up, absent: once more, a Read may be
        assert [a.number for a in kit.network.attempts] == [1, 2]


async def test_a_metrics_port_that_is_taken_is_named_with_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = ("127.0.0.1", other.getsockname()[1])
        bridge: Any = None
        metrics = MetricsServer(bridge, address)
        with pytest.raises(ConfigurationError, match=r"metrics_listen: .*in use; end the program that uses it"):
            await metrics.start()
        await metrics.stop()
