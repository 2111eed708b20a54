"""The slice: a device registers, a server reads, and both get what is theirs."""

from world import World, register, request, response

from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt


def test_a_device_registers_and_is_read():
    world = World()
    assert world.device_sends(register()) == []
    north = world.last_north()
    assert (north.type, north.code) == (Type.CON, Code.POST)
    assert "b=U" in north.strings(Opt.URI_QUERY)
    created = response(north, Code.CREATED, b"", [(Opt.LOCATION_PATH, b"rd"), (Opt.LOCATION_PATH, b"abc")])
    world.server_sends(created)
    south = world.last_south()
    assert (south.type, south.code, south.mid, south.token) == (Type.ACK, Code.CREATED, 1, b"r")

    assert world.server_sends(request()) == []
    read = world.last_south()
    assert (read.type, read.code, len(read.token)) == (Type.CON, Code.GET, 1)
    world.device_sends(response(read, payload=b"hello"))
    answer = world.last_north()
    assert (answer.type, answer.code, answer.mid, answer.token) == (Type.ACK, Code.CONTENT, 100, b"12345678")
    assert answer.payload == b"hello"
    assert [row["state"] for row in world.downlinks()] == ["RESPONDED"]
    assert [row["state"] for row in world.uplinks("response")] == ["FORWARDED"]


def test_a_slow_answer_goes_separately():
    world = World()
    world.server_sends(request())
    world.passes(2)
    empty = world.last_north()
    assert (empty.type, empty.code, empty.mid) == (Type.ACK, 0, 100)
    world.passes(20)
    world.device_sends(response(world.last_south(), payload=b"late but fine"))
    separate = world.last_north()
    assert (separate.type, separate.code, separate.token) == (Type.CON, Code.CONTENT, b"12345678")
    world.server_sends(bytes([0x60, 0, separate.mid >> 8, separate.mid & 255]))
    assert [row["state"] for row in world.uplinks("response")] == ["FORWARDED"]


def test_a_notification_is_acknowledged_when_the_server_has_it():
    world = World()
    world.server_sends(request(options=[(Opt.OBSERVE, b"")]))
    observed = world.last_south()
    world.device_sends(response(observed, options=[(Opt.OBSERVE, b"\x01")]))
    world.passes(10)
    notify = response(observed, payload=b"21", options=[(Opt.OBSERVE, b"\x02")], mtype=Type.CON, mid=77)
    assert world.device_sends(notify) == []
    north = world.last_north()
    assert (north.type, north.token) == (Type.CON, b"12345678")
    world.server_sends(bytes([0x60, 0, north.mid >> 8, north.mid & 255]))
    assert world.last_south().type is Type.ACK
    assert world.last_south().mid == 77


def test_an_unanswered_request_gets_a_gateway_timeout():
    world = World()
    world.server_sends(request())
    world.passes(116)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT
    world.passes(400)
    assert [row["state"] for row in world.downlinks()] == ["UNANSWERED"]
    assert len(world.submitted) == 2
