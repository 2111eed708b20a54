"""R21: a Register is fitted to its server. R22: the network vouches for identity, not the payload."""

import pytest
from world import LORAWAN, NIDD, World, register, registered, request, response

from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.relay.model import QueueMode, ServerProfile


def queries(world: World) -> list[str]:
    return world.last_north().strings(Opt.URI_QUERY)


def test_r21_what_leshan_insists_on_is_added():
    world = World(LORAWAN, object_list="</1/0>,</3/0>")
    world.device_sends(register(None, queries=[], payload=b""))
    assert set(queries(world)) == {"ep=urn:dev:1", "lt=2592000", "lwm2m=1.1"}
    assert world.last_north().payload == b"</1/0>,</3/0>"
    assert world.last_north().uint(Opt.CONTENT_FORMAT) == 40


def test_r21_what_the_device_says_is_kept(world: World):
    world.device_sends(register(queries=["lt=77", "lwm2m=1.2", "sms=123", "b=N"]))
    assert queries(world) == ["ep=urn:dev:1", "lt=77", "lwm2m=1.2", "sms=123", "b=U"]


def test_r21_a_lifetime_is_only_added_where_the_network_implies_one():
    world = World(NIDD)
    world.device_sends(register(queries=[]))
    assert not [q for q in queries(world) if q.startswith("lt=")]


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        (QueueMode.STRIP, ["b=N", "Q"], ["b=U"]),
        (QueueMode.STRIP, ["b=UQ"], ["b=U"]),
        (QueueMode.KEEP, ["b=N", "Q"], ["b=U", "Q"]),
        (QueueMode.KEEP, ["b=N"], ["b=U"]),
        (QueueMode.ADD, ["b=N"], ["b=U", "Q"]),
        (QueueMode.ADD, ["b=N", "Q"], ["b=U", "Q"]),
    ],
)
def test_r21_queue_mode_is_stripped_kept_or_added(mode, before, after):
    world = World(NIDD, ServerProfile(queue_mode=mode))
    world.device_sends(register(queries=["lt=1", "lwm2m=1.1", *before]))
    assert [q for q in queries(world) if q[0] in "bQ"] == after


def test_r21_the_binding_may_be_kept():
    world = World(NIDD, ServerProfile(binding=None))
    world.device_sends(register())
    assert "b=N" in queries(world)


@pytest.mark.parametrize("keep", [True, False])
def test_r21_the_number_for_sms_is_kept_or_stripped_and_binding_s_rewritten(keep):
    world = World(NIDD, ServerProfile(keep_sms=keep))
    world.device_sends(register(queries=["lt=1", "lwm2m=1.1", "b=S", "sms=491700000000"]))
    assert [q for q in queries(world) if q[0] in "bs"] == ["b=U", *["sms=491700000000"][:keep]]


def test_r21_without_any_object_list_the_device_is_asked_for_it(world: World):
    world.device_sends(register(payload=b"", mid=8, token=b"t"))
    assert world.to_server == []
    answer = world.last_south()
    assert (answer.type, answer.code, answer.mid, answer.token) == (Type.ACK, Code.CONFLICT, 8, b"t")


def test_r21_an_update_keeps_its_place_and_gets_its_binding_rewritten(world: World):
    registered(world, location=b"x")
    world.device_sends(request(2, "rd/x", 3, b"u", options=[(15, b"b=N"), (15, b"lt=5"), (15, b"Q")]))
    assert queries(world) == ["b=U", "lt=5"]
    assert world.last_north().strings(Opt.URI_PATH) == ["rd", "x"]


def test_r21_profile_transparent_changes_nothing():
    world = World(LORAWAN, ServerProfile(fit_register=False))
    data = register(None, queries=["Q", "b=N"], payload=b"")
    world.device_sends(data)
    assert world.last_north().body == decode(data).body


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("path", ["rd", "bs", "tenant/rd"])
def test_r22_another_endpoints_name_is_forbidden(south, path, transparent):
    world = World(south, ServerProfile(fit_register=not transparent))
    data = request(2, path, 5, b"tokentok", b"</1/0>", [(15, b"ep=somebody else")])
    world.device_sends(data)
    assert world.to_server == []
    answer = world.last_south()
    assert (answer.type, answer.code, answer.mid, answer.token) == (Type.ACK, Code.FORBIDDEN, 5, b"tokentok")
    assert [up["state"] for up in world.uplinks("request")] == ["REJECTED"]


def test_r22_a_name_that_is_right_once_and_wrong_once_is_wrong(world: World):
    world.device_sends(request(2, "rd", 5, b"t", b"</1/0>", [(15, b"ep=urn:dev:1"), (15, b"ep=other")]))
    assert world.to_server == []


def test_r22_a_refused_register_is_answered_the_same_again(world: World):
    world.device_sends(register("other"), "a")
    first = world.submitted[-1].attempt.payload
    assert world.device_sends(register("other"), "b") == [first]
    assert len(world.uplinks("request")) == 1


@pytest.mark.parametrize("before", ["never registered", "registered", "deregistered"])
@pytest.mark.parametrize(("code", "name"), [(2, "Update"), (4, "De-register")])
def test_r22_another_devices_registration_is_out_of_reach_without_one_of_its_own_too(code, name, before):
    """Servers take the address of an Update for the new one: the registration would be given away."""
    world = World(NIDD)
    if before != "never registered":
        registered(world, location=b"mine")
    if before == "deregistered":
        world.device_sends(request(4, "rd/mine", 2, b"d"))
        world.server_sends(response(world.last_north(), Code.DELETED, b""))
    said = len(world.to_server)
    world.device_sends(request(code, "rd/theirs", mid=50, token=b"x"))
    assert len(world.to_server) == said
    assert world.last_south().code == Code.NOT_FOUND


@pytest.mark.parametrize(("code", "name"), [(2, "Update"), (4, "De-register")])
def test_r22_a_device_updates_and_ends_its_own_registration(code, name):
    world = World(NIDD)
    registered(world, location=b"mine")
    before = len(world.to_server)
    world.device_sends(request(code, "rd/theirs", mid=50, token=b"x"))
    assert len(world.to_server) == before
    assert world.last_south().code == Code.NOT_FOUND
    world.device_sends(request(code, "rd/mine", mid=51, token=b"y"))
    assert world.last_north().strings(Opt.URI_PATH) == ["rd", "mine"]
