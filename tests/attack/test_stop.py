"""Stopping while much is under way."""

import asyncio
from types import SimpleNamespace
from typing import Any

from bindings.contract import Accepted, Kind, NetworkState, Presence, Refusal, Refused, Submission
from bridge.relay import events as ev
from bridge.relay.effects import LookUp, Submit
from bridge.relay.model import Endpoint
from bridge.service.actor import NetworkActor


async def test_nothing_new_goes_to_a_network_during_a_stop() -> None:
    """Otherwise every answer would start the next call, and a stop last as long as all queues together."""
    called: list[Submission] = []
    told: list[ev.Event] = []

    async def submit(attempt: Submission) -> Accepted:
        called.append(attempt)
        return Accepted(None, NetworkState.SENT)

    network: Any = SimpleNamespace(submit=submit)
    north: Any = SimpleNamespace()
    actor = NetworkActor(north, {"net": network}, lambda *_, **__: None)
    actor.stop()

    def result(_placed: object, event: ev.Event) -> None:
        told.append(event)

    placed: Any = SimpleNamespace(endpoint=Endpoint(1, 0, "urn:dev:1", "net", "dev@example.com", ()))
    attempt = Submission(1, 1, "dev@example.com", b"@", Kind.REQUEST)
    actor.act(placed, Submit(attempt), result)
    actor.act(placed, LookUp(attempt), result)
    await asyncio.wait_for(actor.finish(), 5)
    assert called == []
    refused, looked_up = told
    assert isinstance(refused, ev.Submitted)
    assert isinstance(refused.result, Refused)
    assert refused.result.why is Refusal.NETWORK_UNAVAILABLE
    assert isinstance(looked_up, ev.LookedUp)
    assert looked_up.result.presence is Presence.FAILED
