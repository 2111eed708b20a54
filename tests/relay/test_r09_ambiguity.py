"""R9: presence in the network's queue proves BUFFERED, absence proves nothing."""

import pytest
from world import World, ack, observe, registered, request, response

from bindings.contract import Accepted, Ambiguous, Lookup, NetworkState, Presence, Refusal, Refused
from bridge.coap.numbers import OptionNumber as Opt

REPEATABLE = {
    "Read": request(),
    "Discover": request(options=[(int(Opt.ACCEPT), b"\x28")]),
    "Observe": request(options=observe()),
    "Write": request(3, "3/0/13", payload=b"x"),
    "Write-Attributes": request(3, "3/0/9", options=[(int(Opt.URI_QUERY), b"pmin=5")]),
}
ONCE = {
    "Execute": request(2, "3/0/4"),
    "Create": request(2, "3303", payload=b"x"),
    "Delete": request(4, "3303/1"),
    "OSCORE": request(2, "", options=[(int(Opt.OSCORE), b"\x09")], payload=b"sealed"),
    "DTLS": bytes([23, 254, 253]) + bytes(8) + b"\x00\x01x",
}
NOT_THERE = [Presence.ABSENT, Presence.UNSUPPORTED]


def ambiguous(south, data: bytes, presence: Presence, handle: str | None = None) -> World:
    world = World(south)
    world.network = Ambiguous("the answer was lost")
    world.lookup_answer = Lookup(presence, handle)
    world.server_sends(data)
    return world


@pytest.mark.parametrize("name", [*REPEATABLE, *ONCE])
def test_r09_presence_proves_that_the_network_has_it(south, name):
    world = ambiguous(south, {**REPEATABLE, **ONCE}[name], Presence.PRESENT, "found")
    (row,) = world.downlinks() + world.downlinks("opaque")
    assert (row["state"], row["attempts"][-1].handle) == ("BUFFERED", "found")
    assert len(world.submitted) == 1


@pytest.mark.parametrize("presence", NOT_THERE)
@pytest.mark.parametrize("name", REPEATABLE)
def test_r09_what_may_be_repeated_goes_once_more_with_the_same_bytes(south, name, presence):
    world = ambiguous(south, REPEATABLE[name], presence)
    world.passes(200)
    assert len(world.submitted) == 2
    assert len({s.attempt.payload for s in world.submitted}) == 1
    assert world.states() == ["UNKNOWN"]
    assert world.downlinks()[0]["operation"] == name


@pytest.mark.parametrize("presence", NOT_THERE)
@pytest.mark.parametrize("name", ONCE)
def test_r09_what_may_not_be_repeated_is_submitted_once(south, name, presence):
    world = ambiguous(south, ONCE[name], presence)
    world.network = Accepted("h", NetworkState.SENT)
    world.passes(20)
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    world.restart()
    world.passes(2000)
    assert len([s for s in world.submitted if s.attempt.kind.value != "answer"]) == 1
    assert world.states() + world.states("opaque") == ["UNKNOWN"]


@pytest.mark.parametrize("name", ["Execute", "Create", "DTLS"])
@pytest.mark.parametrize("moment", ["submitting", "sent"])
def test_r09_a_restart_never_repeats_an_execute_create_or_opaque_message(south, name, moment):
    world = World(south, default_ttl=9000.0)
    world.network = None if moment == "submitting" else Accepted("h", NetworkState.SENT)
    world.server_sends(ONCE[name])
    world.network = Accepted("h2", NetworkState.SENT)
    for _ in range(3):
        world.restart()
        world.passes(400)
    assert len(world.submitted) == 1


def test_r09_absence_is_no_proof_expired_is_never_said_of_it(south):
    """The device may have it nevertheless: the network took it and sent it on before it was asked."""
    world = ambiguous(south, request(), Presence.ABSENT)
    world.passes(2000)
    assert world.states() == ["UNKNOWN"]
    again = ambiguous(south, request(), Presence.ABSENT)
    again.network = Accepted("h", NetworkState.BUFFERED)
    again.passes(2000)
    assert "EXPIRED" not in again.states()


def test_r09_a_failed_lookup_is_asked_again_and_nothing_new_goes_meanwhile(south):
    world = ambiguous(south, request(), Presence.FAILED)
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=2, token=b"2"))
    world.passes(35)
    assert len(world.lookups) == 2
    assert len(world.submitted) == 1
    world.lookup_answer = Lookup(Presence.PRESENT, "h")
    world.passes(35)
    assert world.states()[0] == "BUFFERED"


def test_r09_a_lookup_that_never_succeeds_ends_with_the_deadline(south):
    world = ambiguous(south, request(2, "3/0/4"), Presence.FAILED)
    world.network = Accepted("h", NetworkState.SENT)
    world.passes(1000)
    assert world.states() == ["UNKNOWN"]
    assert world.downlinks()[0]["over"]
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 2


def test_r09_unknown_frees_the_slot_at_the_next_uplink(south):
    world = World(south, default_ttl=5000.0)
    world.network = Ambiguous("lost")
    world.server_sends(request(2, "3/0/4", mid=1, token=b"1"))
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 1
    registered(world)
    assert world.states() == ["UNKNOWN", "SENT"]


def test_r09_unknown_is_resolved_by_whatever_the_device_says(south):
    world = ambiguous(south, request(2, "3/0/4"), Presence.ABSENT)
    first = world.last_south()
    world.device_sends(ack(first))
    assert world.states() == ["DELIVERED"]
    world.device_sends(response(first, 68))
    assert world.states() == ["RESPONDED"]


def test_r09_a_device_that_acknowledges_while_the_repetition_waits_gets_no_second_copy(south):
    world = World(south)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 60)
    world.server_sends(request())
    world.device_sends(ack(world.last_south()))
    world.network = Accepted("h", NetworkState.SENT)
    world.passes(61)
    assert world.states() == ["DELIVERED"]
    assert len(world.submitted) == 1


@pytest.mark.parametrize("path", ["3/0/reboot", "reboot", "a/1/2", "3/x/0", "3//0", "3/0/4/1/2", ""])
def test_r09_a_post_that_is_no_lwm2m_operation_is_submitted_once(south, path):
    world = ambiguous(south, request(2, path, payload=b"x"), Presence.ABSENT)
    world.passes(200)
    assert len(world.submitted) == 1
    assert world.downlinks()[0]["operation"] == "Request"


def test_r09_a_post_of_an_instance_is_a_write(south):
    world = ambiguous(south, request(2, "3/0", payload=b"x"), Presence.ABSENT)
    world.passes(200)
    assert len(world.submitted) == 2
    assert world.downlinks()[0]["operation"] == "Write"
