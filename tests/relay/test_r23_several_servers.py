"""R23: what a device begins goes to the server that is meant: by Uri-Host, by Location, or by its operation."""

import pytest
from world import NIDD, World, ack, notification, observe, register, request, response, rst

from bridge.coap.message import Message, encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.relay import events as ev
from bridge.relay.effects import SendToServer
from bridge.relay.model import Observation, RelayState, Server

BOOTSTRAP = Server("bs", hosts=("bs.example",), port=5683, bootstrap=True)
ONE = Server("one", hosts=("one.example",), port=5683)
TWO = Server("two", hosts=("two.example",), port=5683)


class Several(World):
    """Knows which server each datagram went to."""

    def __init__(self, *servers: Server, south=NIDD) -> None:
        self.sent: list[tuple[str, Message]] = []
        super().__init__(south, servers=servers)

    def _release(self, effect) -> None:
        if isinstance(effect, SendToServer):
            self.sent.append((effect.server, decode(effect.data)))
        super()._release(effect)

    def goes_to(self, data: bytes, key: str = "") -> str:
        """Return the server that a device's message goes to; it acknowledges the message."""
        before = len(self.sent)
        self.device_sends(data, key or None)
        ((server, message),) = self.sent[before:]
        self.server_sends(ack(message), server)
        return server

    def registers(self, data: bytes, *location: bytes) -> tuple[str, tuple[bytes, ...]]:
        """Let the device register, and its server choose a location; return the server, and what the device is told."""
        server = self.goes_to(data)
        options = [(int(Opt.LOCATION_PATH), segment) for segment in location]
        self.server_sends(response(self.sent[-1][1], Code.CREATED, b"", options), server)
        return server, tuple(value for number, value in self.last_south().options if number == Opt.LOCATION_PATH)


def host(name: str) -> list[tuple[int, bytes]]:
    return [(int(Opt.URI_HOST), name.encode())]


def named(name: str, mid: int) -> bytes:
    message = decode(register(mid=mid, token=b"%d" % mid))
    options = [one for one in message.options if one[0] != Opt.URI_PATH]
    return request(2, "rd", mid, message.token, message.payload, [*options, *host(name)])


def updating(location: tuple[bytes, ...], mid: int, code: int = Code.POST) -> bytes:
    return request(code, "/".join(segment.decode() for segment in location), mid, b"u%d" % mid)


def test_r23_a_bootstrap_request_goes_to_the_bootstrap_server_and_a_register_to_another():
    world = Several(BOOTSTRAP, ONE)
    assert world.goes_to(request(2, "bs", 1, b"b", options=[(int(Opt.URI_QUERY), b"ep=urn:dev:1")])) == "bs"
    assert world.registers(register(mid=2), b"rd", b"a") == ("one", (b"rd", b"a"))
    assert world.goes_to(request(2, "dp", 3, b"s", b"[]")) == "one"


def test_r23_the_order_of_an_endpoints_servers_does_not_matter_for_that():
    world = Several(ONE, BOOTSTRAP)
    assert world.goes_to(request(2, "bs", 1, b"b")) == "bs"
    assert world.goes_to(request(1, "bspack", 2, b"c")) == "bs"
    assert world.goes_to(register(mid=3)) == "one"


def test_r23_with_one_server_everything_is_its():
    world = Several(ONE)
    assert world.goes_to(request(2, "bs", 1, b"b")) == "one"


@pytest.mark.parametrize("spelling", ["two.example", "TWO.example"])
def test_r23_uri_host_names_a_server(spelling):
    world = Several(ONE, TWO)
    assert world.goes_to(named(spelling, 1)) == "two"
    assert world.goes_to(named("one.example", 2)) == "one"


def test_r23_uri_port_tells_servers_of_one_host_apart():
    here, there = Server("here", hosts=("lab",), port=5683), Server("there", hosts=("lab",), port=5693)
    world = Several(here, there)
    port = [(int(Opt.URI_PORT), (5693).to_bytes(2, "big"))]
    assert world.goes_to(request(2, "dp", 1, b"a", b"[]", [*host("lab"), *port])) == "there"
    assert world.goes_to(request(2, "dp", 2, b"b", b"[]", host("lab"))) == "here"


def test_r23_a_name_of_no_server_is_looked_up_nowhere():
    world = Several(ONE, TWO)
    assert world.goes_to(request(2, "dp", 1, b"a", b"[]", host("elsewhere.example"))) == "one"


@pytest.mark.parametrize("restarts", [False, True])
def test_r23_an_update_goes_to_the_server_whose_location_it_names(restarts):
    world = Several(ONE, TWO)
    world.registers(named("one.example", 1), b"rd", b"a")
    world.registers(named("two.example", 2), b"rd", b"b")
    if restarts:
        world.restart()
    assert world.goes_to(updating((b"rd", b"b"), 3)) == "two"
    assert world.goes_to(updating((b"rd", b"a"), 4)) == "one"
    assert world.goes_to(updating((b"rd", b"b"), 5, Code.DELETE)) == "two"


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("code", [Code.POST, Code.PUT, Code.DELETE])
def test_r23_two_servers_with_one_location_are_told_apart_and_translated_back(code, restarts):
    world = Several(ONE, TWO)
    _, first = world.registers(named("one.example", 1), b"rd", b"a")
    _, second = world.registers(named("two.example", 2), b"rd", b"a")
    assert first == (b"rd", b"a")
    assert second != first
    if restarts:
        world.restart()
    assert world.goes_to(updating(second, 3, code)) == "two"
    assert world.sent[-1][1].strings(Opt.URI_PATH) == ["rd", "a"]
    assert world.goes_to(updating(first, 4, code)) == "one"
    assert world.sent[-1][1].strings(Opt.URI_PATH) == ["rd", "a"]


@pytest.mark.parametrize("code", [Code.PATCH, Code.IPATCH])
def test_r22_r23_a_registration_is_the_devices_own_at_its_server_only(code):
    world = Several(ONE, TWO)
    _, first = world.registers(named("one.example", 1), b"rd", b"a")
    _, second = world.registers(named("two.example", 2), b"rd", b"a")
    path = [(int(Opt.URI_PATH), segment) for segment in first]
    before = len(world.sent)
    (refused,) = world.device_sends(_with(decode(request(code, "", 3, b"p", b"x")), [*host("two.example"), *path]))
    assert decode(refused).code == Code.FORBIDDEN
    assert len(world.sent) == before
    assert world.goes_to(updating(second, 4, code)) == "two"
    assert world.sent[-1][1].strings(Opt.URI_PATH) == ["rd", "a"]


def test_r23_a_location_that_means_something_else_to_the_device_is_told_apart_as_well():
    world = Several(ONE)
    _, told = world.registers(register(), b"rd")
    assert told != (b"rd",)
    assert world.goes_to(updating(told, 2)) == "one"
    assert world.sent[-1][1].strings(Opt.URI_PATH) == ["rd"]


def test_r23_a_send_goes_to_the_server_that_has_the_device_registered():
    world = Several(ONE, TWO)
    world.registers(named("two.example", 1), b"rd", b"b")
    assert world.goes_to(request(2, "dp", 2, b"s", b"[]")) == "two"


def test_r23_r20_observations_of_one_server_do_not_end_with_the_others_registration():
    world = Several(ONE, TWO)
    world.registers(named("one.example", 1), b"rd", b"a")
    world.registers(named("two.example", 2), b"rd", b"b")
    asked = {}
    for server in "one", "two":
        world.server_sends(request(mid=9, token=b"same", options=observe()), server)
        asked[server] = world.last_south()
        world.device_sends(response(asked[server], options=observe(1)))
    world.registers(named("one.example", 5), b"rd", b"c")
    states = {row["server"]: row["state"] for row in world.rows(Observation)}
    assert states == {"one": "cancelled", "two": "active"}
    assert world.device_sends(notification(asked["one"], 900)) == [rst(900)]
    assert world.goes_to(notification(asked["two"], 901)) == "two"


def test_r23_r24_an_endpoint_that_moved_registers_anew_with_each_of_its_servers():
    world = Several(ONE, TWO)
    world.registers(named("one.example", 1), b"rd", b"a")
    world.registers(named("two.example", 2), b"rd", b"b")
    world.event(ev.NorthChanged())
    world.registers(named("one.example", 3), b"rd", b"c")
    (refused,) = world.device_sends(updating((b"rd", b"b"), 4))
    assert decode(refused).code == Code.NOT_FOUND
    assert world.goes_to(updating((b"rd", b"c"), 5)) == "one"


def test_r23_r24_a_path_that_the_device_still_knows_for_another_server_is_told_for_none(south):
    world = Several(ONE, TWO, south=south)
    world.registers(named("one.example", 1), b"rd", b"0")
    world.registers(named("two.example", 2), b"rd", b"1")
    world.event(ev.NorthChanged())
    _, told = world.registers(named("one.example", 3), b"rd", b"1")
    assert told != (b"rd", b"1")
    before = len(world.sent)
    (refused,) = world.device_sends(updating((b"rd", b"1"), 4))  # meant for the other server, which has it no longer
    assert decode(refused).code == Code.NOT_FOUND
    assert len(world.sent) == before
    assert world.goes_to(updating(told, 5)) == "one"


def test_r23_one_servers_404_ends_its_own_registration_only():
    world = Several(ONE, TWO)
    world.registers(named("one.example", 1), b"rd", b"a")
    world.registers(named("two.example", 2), b"rd", b"b")
    world.goes_to(updating((b"rd", b"a"), 3))
    world.server_sends(response(world.sent[-1][1], Code.NOT_FOUND, b""), "one")
    (relay,) = world.loaded([RelayState])
    assert [(one.server, one.path) for one in relay.registrations] == [("two", "/rd/b")]


def test_r23_one_server_may_use_the_message_ids_and_tokens_of_another():
    world = Several(ONE, TWO)
    for server in "one", "two":
        world.server_sends(request(mid=9, token=b"same"), server)
        world.device_sends(response(world.last_south(), payload=server.encode()))
        assert world.sent[-1][0] == server
        assert world.sent[-1][1].payload == server.encode()


# -- registrations, wherever a server puts them (R20, R21)


@pytest.mark.parametrize("below", ["", "tenant/", "a/b/"])
@pytest.mark.parametrize("code", [Code.POST, Code.PUT])
@pytest.mark.parametrize("location", [(b"rd", b"x"), (b"5a3f",), (b"tenant", b"rd", b"x"), ()])
def test_r20_a_registration_is_followed_wherever_it_is(below, code, location):
    world = Several(ONE)
    data = decode(register(None, queries=["b=N"]))
    options = [one for one in data.options if one[0] != Opt.URI_PATH]
    world.device_sends(request(2, f"{below}rd", 1, b"r", data.payload, options))
    assert "ep=urn:dev:1" in world.last_north().strings(Opt.URI_QUERY)  # fitted
    created = [(int(Opt.LOCATION_PATH), segment) for segment in location]
    world.server_sends(response(world.last_north(), Code.CREATED, b"", created), "one")
    world.server_sends(request(token=b"o", options=observe()), "one")
    world.device_sends(response(world.last_south(), options=observe(1)))
    path = [(int(Opt.URI_PATH), segment) for segment in location]
    lifetime = [(int(Opt.URI_QUERY), b"lt=60"), (int(Opt.URI_QUERY), b"b=NQ")]
    update = decode(request(code, "", 2, b"u", b"", lifetime))
    world.device_sends(_with(update, path + lifetime))
    assert world.last_north().strings(Opt.URI_QUERY) == ["lt=60", "b=U"]
    world.server_sends(response(world.last_north(), Code.CHANGED, b""), "one")
    (relay,) = world.loaded([RelayState])
    assert [one.lifetime for one in relay.registrations] == [60]
    world.device_sends(_with(decode(request(Code.DELETE, "", 3, b"d")), path))
    world.server_sends(response(world.last_north(), Code.DELETED, b""), "one")
    assert [row["state"] for row in world.rows(Observation)] == ["cancelled"]
    assert world.loaded([RelayState])[0].registrations == []


def _with(message: Message, options: list[tuple[int, bytes]]) -> bytes:
    return frame(message.type, message.code, message.mid, message.token, encode_body(options, message.payload))


def test_r21_a_device_that_updates_too_seldom_is_named_before_it_is_lost():
    world = Several(ONE)
    world.registers(register(queries=["lt=300"]), b"rd", b"a")
    for pause, late in (200, 0), (280, 1):
        world.passes(pause)
        world.goes_to(updating((b"rd", b"a"), 10 + pause))
        world.server_sends(response(world.sent[-1][1], Code.CHANGED, b""), "one")
        assert world.counted("late_updates") == late
    (count,) = [count for count in world.counts if count.name == "late_updates"]
    assert "endpoint urn:dev:1 renewed its registration at one after 280 of 300 s only" in count.text
