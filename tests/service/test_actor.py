"""Effects become calls of the parts around the core."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bindings.contract import Submission, SubmitResult
from bridge.delivery.states import DownlinkState
from bridge.north.contract import Link, LinkState, Sending
from bridge.relay import events as ev
from bridge.relay.effects import Count, SendToServer, ServerSilent
from bridge.relay.model import Endpoint
from bridge.service.actor import NetworkActor
from tests.service.kit import Kit
from tests.waiting import until


def test_the_name_of_a_silent_server_is_looked_up_again_and_counted() -> None:
    looked_up: list[tuple[int, str]] = []
    counted: list[tuple[str, str]] = []
    north: Any = SimpleNamespace(unanswered=lambda *about: looked_up.append(about))
    actor = NetworkActor(north, {}, lambda name, **labels: counted.append((name, *labels.values())))
    placed: Any = SimpleNamespace(endpoint=Endpoint(1, 0, "urn:dev:1", "net", "dev@example.com", ()), source=7)
    actor.act(placed, ServerSilent("srv"), lambda *_: None)
    actor.act(placed, Count("silent_servers", "other"), lambda *_: None)  # a counter is a counter, whatever its name
    assert looked_up == [(7, "srv")]
    assert counted == [("silent_servers", "srv"), ("silent_servers", "other")]


@pytest.mark.parametrize("sending", list(Sending))
async def test_a_message_that_no_server_acknowledges_has_left_only_when_the_link_took_it(sending: Sending) -> None:
    asked: list[dict[str, bool]] = []
    told: list[ev.Event] = []

    def send(_source: int, _server: str, _data: bytes, **how: bool) -> Sending:
        asked.append(how)
        return sending

    north: Any = SimpleNamespace(send=send, link=lambda *_: Link(LinkState.FAILING, "no route"))
    counted: list[str] = []
    actor = NetworkActor(north, {}, lambda name, **_: counted.append(name))
    placed: Any = SimpleNamespace(endpoint=Endpoint(1, 0, "urn:dev:1", "net", "dev@example.com", ()), source=7)
    actor.act(placed, SendToServer("srv", b"@", row=5), lambda _placed, event: told.append(event))
    assert told == []  # never inside of the step that sent it
    await asyncio.sleep(0)
    assert told == ([ev.LeftForServer(5)] if sending is Sending.LEFT else [])
    assert asked == [{"may_wait": False}]
    assert counted == []  # it is not lost


async def test_r7_a_network_call_of_which_a_part_was_cancelled_has_a_result(kit: Kit) -> None:
    """A binding that is stopped by a reload cancels its work: the device's one call would be under way forever."""
    async with kit.running() as service:

        def is_cancelled(_attempt: Submission) -> SubmitResult:
            raise asyncio.CancelledError

        kit.network.answer = is_cancelled
        kit.ask(1)
        await until(lambda: len(kit.network.attempts) == 2)  # a Read may go once more
        await until(lambda: not service.parts.calls["net"].under_way)
        assert service.parts.actor.call_in_flight(1) is None
        assert await kit.states() == [DownlinkState.UNKNOWN]
