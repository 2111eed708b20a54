"""R24: an endpoint gets other servers. Nothing more goes to those that were removed, and the device starts anew."""

from dataclasses import replace

import pytest
from world import World, ack, notification, observed, register, registered, request, response, rst

from bridge.coap.numbers import Code
from bridge.relay import events as ev
from bridge.relay.model import Server

SEND = request(2, "dp", 21, b"s", b"[]")


@pytest.fixture
def world() -> World:
    return World()


def gets_server(world: World, *keys: str) -> None:
    """Change the endpoint's servers, as the service does: the directory first, then a load, then the event."""
    world.endpoint = replace(world.endpoint, servers=tuple(Server(key) for key in keys))
    world.restart()
    world.event(ev.NorthChanged())


def test_a_waiting_register_goes_to_the_new_server_when_the_device_repeats_it(world: World) -> None:
    world.device_sends(register())
    world.passes(10.0)
    sent = len(world.to_server)
    gets_server(world, "other")
    world.passes(300.0)
    assert len(world.to_server) == sent, "nothing more goes to the server that was removed"
    (waited,) = world.uplinks("request")
    assert (waited["state"], waited["reason"]) == ("EXPIRED", "the endpoint no longer has this server")


@pytest.mark.parametrize("message", [register(), SEND], ids=["Register", "Send"])
def test_the_device_s_repeat_counts_as_new(world: World, message: bytes) -> None:
    world.device_sends(message)
    gets_server(world, "other")
    world.passes(1.0)
    sent = len(world.to_server)
    world.device_sends(message)
    assert len(world.to_server) == sent + 1
    assert [row["server"] for row in world.uplinks("request")] == ["srv", "other"]
    world.server_sends(response(world.last_north(), Code.CHANGED, b""), "other")
    assert world.last_south().code == Code.CHANGED


def test_a_repeat_of_what_the_removed_server_answered_counts_as_new(world: World) -> None:
    registered(world)
    gets_server(world, "other")
    world.passes(3.0)
    world.device_sends(register(mid=1, token=b"\x01"))
    assert [row["server"] for row in world.uplinks("request")] == ["srv", "other"]


def test_a_request_that_the_removed_server_has_acknowledged_is_waited_for_no_longer(world: World) -> None:
    world.device_sends(SEND)
    world.server_sends(ack(world.last_north()))
    gets_server(world, "other")
    world.passes(3.0)
    world.device_sends(SEND)
    assert [row["server"] for row in world.uplinks("request")] == ["srv", "other"]


def test_requests_of_the_removed_server_end_and_it_is_told_nothing(world: World) -> None:
    world.network = None
    world.server_sends(request())
    world.server_sends(request(mid=101, token=b"t"))
    told = len(world.to_server)
    gets_server(world, "other")
    world.passes(300.0)
    assert world.states()[1] == "CANCELLED"
    assert world.states()[0] in ("UNKNOWN", "CANCELLED")
    assert len(world.to_server) == told


def test_what_goes_to_a_server_that_stays_is_left_alone(world: World) -> None:
    world.endpoint = replace(world.endpoint, servers=(Server("srv"), Server("second")))
    world.restart()
    world.device_sends(register())
    world.server_sends(request())
    sent = len(world.to_server)
    gets_server(world, "other", "srv")
    world.passes(30.0)
    assert len(world.to_server) > sent, "the Register is repeated"
    (register_row,) = world.uplinks("request")
    assert register_row["state"] == "RECEIVED"
    assert not world.downlinks()[0]["over"]


def test_a_crash_between_the_change_and_its_step_loses_nothing_of_that(world: World) -> None:
    world.device_sends(register())
    sent = len(world.to_server)
    world.endpoint = replace(world.endpoint, servers=(Server("other"),))
    world.restart()  # the process ended before NorthChanged was stepped
    world.passes(300.0)
    assert len(world.to_server) == sent
    assert world.uplinks("request")[0]["state"] == "EXPIRED"


def test_observations_of_the_removed_server_end(world: World) -> None:
    asked = observed(world)
    gets_server(world, "other")
    assert world.device_sends(notification(asked, 61)) == [rst(61)]
    assert world.uplinks("notification") == []
