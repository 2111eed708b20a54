"""Effects become calls of the parts around the core."""

from types import SimpleNamespace
from typing import Any

from bridge.relay.effects import Count, ServerSilent
from bridge.relay.model import Endpoint
from bridge.service.actor import NetworkActor


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
