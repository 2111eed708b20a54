"""R23: servers that are told apart by the kid of a device's OSCORE messages, after port and Uri-Host."""

from dataclasses import replace

import pytest
from test_r23_ports import AtPorts
from test_r23_several_servers import BOOTSTRAP, ONE, TWO, Several, host
from world import ack, register, request, response

from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode

ONE_BY_KID, TWO_BY_KID = replace(ONE, oscore_kids=(b"\x01",)), replace(TWO, oscore_kids=(b"\xa2\xb3", b""))


def sealed(kid: bytes, mid: int = 1, *more: tuple[int, bytes]) -> bytes:
    """Return a device's OSCORE request; all of it but `more` is inside."""
    return option(b"\x09\x14" + kid, mid, *more)


def option(value: bytes, mid: int = 1, *more: tuple[int, bytes]) -> bytes:
    return request(2, "", mid, b"%d" % mid, b"sealed", [(int(Opt.OSCORE), value), *more])


def by_kid() -> Several:
    return Several(ONE_BY_KID, TWO_BY_KID)


def test_r23_the_kid_says_which_server_an_oscore_message_is_for():
    world = by_kid()
    assert world.goes_to(sealed(b"\xa2\xb3", 1)) == "two"
    assert world.goes_to(sealed(b"\x01", 2)) == "one"
    assert world.counted("oscore_kids_unknown") == 0


def test_r23_a_server_may_have_several_kids_and_one_that_is_empty():
    world = by_kid()
    assert world.goes_to(sealed(b"", 1)) == "two"
    assert world.goes_to(sealed(b"\xa2\xb3", 2)) == "two"


def test_r23_the_port_is_believed_before_the_kid():
    one, two = replace(ONE_BY_KID, application_port="1:1"), replace(TWO_BY_KID, application_port="2:2")
    assert AtPorts(one, two).comes(sealed(b"\x01"), "2:2") == ["two"]


def test_r23_uri_host_is_believed_before_the_kid():
    assert by_kid().goes_to(sealed(b"\x01", 1, *host("two.example"))) == "two"


def test_r23_a_uri_host_of_no_server_leaves_the_choice_to_the_kid():
    assert by_kid().goes_to(sealed(b"\xa2\xb3", 1, *host("elsewhere.example"))) == "two"


def test_r23_the_kid_is_believed_before_the_default():
    """The first server at which the device is registered is that of messages that name none."""
    world = by_kid()
    world.registers(register(mid=9), b"rd", b"7")
    assert world.goes_to(sealed(b"\xa2\xb3", 1)) == "two"


def test_r23_a_bootstrap_server_can_have_a_kid():
    world = Several(ONE_BY_KID, replace(BOOTSTRAP, oscore_kids=(b"\x0b",)))
    assert world.goes_to(sealed(b"\x0b")) == "bs"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"\x09\x14\xff", "unknown"),
        (b"\x09\x14\xa2", "unknown"),  # the beginning of a kid is another kid
        (b"", "unreadable"),
        (b"\x01\x14", "unreadable"),
        (b"\x89\x14\xa2\xb3", "unreadable"),
        (b"\x1d\x14", "unreadable"),
    ],
)
def test_r23_without_a_known_kid_the_default_is_taken_and_counted(value, kind):
    world = by_kid()
    assert world.goes_to(option(value)) == "one"
    (counted,) = [one for one in world.counts if one.name == "oscore_kids_unknown"]
    assert counted.label == kind
    assert "oscore_kids" in counted.text
    assert world.counted("malformed_messages") == 0


def test_r23_an_endpoint_without_kids_counts_none():
    world = Several(ONE, TWO)
    assert world.goes_to(sealed(b"\xa2\xb3")) == "one"
    assert world.counted("oscore_kids_unknown") == 0


def test_r23_the_kid_of_a_message_that_is_not_oscore_does_not_exist():
    assert by_kid().goes_to(register(mid=1)) == "one"


def test_r23_a_message_that_waits_keeps_its_server_when_the_kids_change():
    world = by_kid()
    world.device_sends(sealed(b"\xa2\xb3", 1))
    world.endpoint = replace(world.endpoint, servers=(replace(ONE, oscore_kids=(b"\xa2\xb3",)), TWO))
    world.state.place(world.endpoint, world.state.policy)
    world.passes(10)  # it is sent again: nobody acknowledged it
    assert {server for server, _ in world.sent} == {"two"}
    world.server_sends(ack(world.sent[-1][1]), "two")
    assert world.goes_to(sealed(b"\xa2\xb3", 2)) == "one"


def test_r23_an_answer_goes_to_the_server_that_asked_whatever_its_kid():
    """A server's request needs no choice, and the token says whose answer or notification a message is."""
    world = by_kid()
    observing = [(int(Opt.OBSERVE), b""), (int(Opt.OSCORE), b"\x09\x01\xf2")]
    world.server_sends(request(5, "", 1, b"x", b"sealed", observing), "two")
    asked = world.last_south()
    protected = [(int(Opt.OBSERVE), b"\x01"), (int(Opt.OSCORE), b"\x09\x14\x01")]  # the kid of the other server
    world.device_sends(response(asked, Code.CONTENT, b"sealed", protected))
    assert [(server, message.code) for server, message in world.sent if message.code] == [("two", Code.CONTENT)]
    later = [(int(Opt.OBSERVE), b"\x02"), (int(Opt.OSCORE), b"\x09\x15\x01")]
    world.passes(5)
    world.device_sends(response(asked, Code.CONTENT, b"changed", later, mtype=Type.CON, mid=77))
    world.passes(5)
    answers = [(server, message.payload) for server, message in world.sent if message.payload]
    assert set(answers) == {("two", b"sealed"), ("two", b"changed")}
    assert world.counted("oscore_kids_unknown") == 0


def test_r23_the_answer_to_a_message_by_kid_goes_back_to_the_device():
    world = by_kid()
    assert world.goes_to(sealed(b"\xa2\xb3", 1)) == "two"
    world.server_sends(response(world.sent[-1][1], Code.CHANGED, b"sealed too", [(int(Opt.OSCORE), b"")]), "two")
    assert decode(world.submitted[-1].attempt.payload).payload == b"sealed too"
