"""R23: servers that are told apart by the application port of their messages, such as the ports of RDS, both ways."""

from dataclasses import replace

from test_r23_several_servers import ONE, TWO, Several, host
from test_r26_r27_protected import record
from world import ack, register, request, response

from bindings.contract import Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, empty, frame
from bridge.relay import events as ev
from bridge.relay.effects import SendToServer
from bridge.relay.model import Policy

ONE_AT, TWO_AT = replace(ONE, application_port="1:1"), replace(TWO, application_port="2:2")


class AtPorts(Several):
    """Two servers, each with a port of its own."""

    def __init__(self, *servers, **more) -> None:
        self.records: list[str] = []  # servers that got a DTLS record
        super().__init__(*(servers or (ONE_AT, TWO_AT)), **more)

    def _release(self, effect) -> None:
        if isinstance(effect, SendToServer) and effect.secure:
            self.records.append(effect.server)
        else:
            super()._release(effect)

    def comes(self, data: bytes, port: str | None) -> list[str]:
        """Deliver a device's message on a port; return the servers that got something."""
        before = len(self.sent)
        self.event(ev.DeviceMessage(data, None, None, port))
        return [server for server, _ in self.sent[before:]]

    @property
    def ports(self) -> list[str | None]:
        """Return the ports of all submissions, in order."""
        return [one.attempt.port for one in self.submitted]


def test_r23_the_port_says_which_server_a_message_is_for():
    world = AtPorts()
    assert world.comes(register(mid=1, token=b"a"), "2:2") == ["two"]
    assert world.comes(register(mid=2, token=b"b"), "1:1") == ["one"]


def test_r23_the_port_is_believed_before_uri_host():
    assert AtPorts().comes(request(2, "dp", 1, b"a", b"[]", host("one.example")), "2:2") == ["two"]


def test_r23_without_a_port_the_other_rules_hold():
    world = AtPorts()
    assert world.comes(request(2, "dp", 1, b"a", b"[]", host("two.example")), None) == ["two"]
    assert world.comes(register(mid=2, token=b"b"), None) == ["one"]


def test_r23_the_answer_goes_to_the_port_of_its_server():
    for restarts in False, True:
        world = AtPorts()
        world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 50)
        world.comes(register(mid=1, token=b"a"), "2:2")
        created = [(int(Opt.LOCATION_PATH), b"rd"), (int(Opt.LOCATION_PATH), b"7")]
        world.server_sends(response(world.sent[-1][1], Code.CREATED, b"", created), "two")
        if restarts:
            world.restart()
        world.passes(60)
        assert world.ports, restarts
        assert set(world.ports) == {"2:2"}, restarts


def test_r23_a_servers_request_goes_to_its_port():
    world = AtPorts()
    for server in "two", "one":
        world.server_sends(request(1, "3", 1, b"x"), server)
        asked = world.last_south()
        world.comes(frame(Type.ACK, Code.CONTENT, asked.mid, asked.token, b"\xffv"), None)
    assert world.ports == ["2:2", "1:1"]


def test_r23_a_request_that_waits_follows_a_port_that_was_changed():
    world = AtPorts()
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 50)
    world.server_sends(request(1, "3", 1, b"x"), "two")
    world.endpoint = replace(world.endpoint, servers=(ONE_AT, replace(TWO, application_port="4:4")))
    world.state.place(world.endpoint, Policy())
    world.passes(60)
    assert (world.ports[0], world.ports[-1]) == ("2:2", "4:4")


def test_r23_r13_equal_messages_on_two_ports_are_two_messages():
    """A device may have one CoAP stack for each server, each of which counts its message IDs from 1."""
    world = AtPorts()
    same = register(mid=1, token=b"a")
    assert world.comes(same, "1:1") == ["one"]
    assert world.comes(same, "2:2") == ["two"]
    assert world.comes(same, "2:2") == []
    assert world.counted("device_repeats") == 1


def test_r23_a_ping_is_answered_on_its_port():
    world = AtPorts()
    world.comes(empty(Type.CON, 9), "2:2")
    assert world.ports == ["2:2"]
    assert decode(world.submitted[-1].attempt.payload).type is Type.RST


def test_r23_r26_dtls_records_go_to_the_server_of_their_port_and_back():
    world = AtPorts()
    world.event(ev.DeviceMessage(record(23, b"sealed"), None, None, "2:2"))
    assert world.records == ["two"]
    world.server_sends(record(23, b"back"), "two")
    assert world.ports == ["2:2"]


def test_r23_what_comes_on_a_port_of_no_server_goes_nowhere():
    """A Register on it would take the place of the registration that another server has."""
    world = AtPorts()
    assert world.comes(register(mid=1, token=b"a"), "5:5") == []
    assert world.submitted == []
    (counted,) = [one for one in world.counts if one.name == "uplinks_dropped"]
    assert "5:5" in counted.text
    assert "server_ports" in counted.text


def test_r23_ports_of_an_endpoint_without_server_ports_mean_nothing():
    world = AtPorts(ONE, TWO)
    assert world.comes(register(mid=1, token=b"a"), "5:5") == ["one"]
    world.server_sends(ack(world.sent[-1][1]), "one")
    world.server_sends(request(1, "3", 1, b"x"), "two")
    assert world.ports[-1] is None


def test_r23_a_port_that_several_servers_share_leaves_the_choice_to_the_other_rules():
    world = AtPorts(ONE_AT, TWO_AT, replace(ONE, key="three", hosts=("three.example",), application_port="1:1"))
    assert world.comes(request(2, "dp", 1, b"a", b"[]", host("three.example")), "1:1") == ["three"]
    assert world.comes(request(2, "dp", 2, b"b", b"[]"), "2:2") == ["two"]


def test_r23_a_response_on_any_of_the_ports_is_known_by_its_token():
    world = AtPorts()
    world.server_sends(request(1, "3", 1, b"x"), "two")
    asked = world.last_south()
    answer = frame(Type.ACK, Code.CONTENT, asked.mid, asked.token, b"\xffv")
    assert "two" in world.comes(answer, "2:2")
    assert world.states() == ["RESPONDED"]
