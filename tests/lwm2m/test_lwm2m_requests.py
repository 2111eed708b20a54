"""Operations as CoAP requests (Core TS 1.1, table 6.4.7-1): method, path, options and payload of each."""

from typing import Any

import pytest

from bridge.coap.message import encode_body, parse
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.errors import RequestError
from bridge.lwm2m.requests import Content, Format, Operation, Request, request_of
from bridge.relay.operation import of_server

O = Operation  # noqa: E741  # many of them follow


def made(operation: Operation, path: str = "", **more: Any) -> Request:
    content = {name: more.pop(name) for name in list(more) if name in Content._fields}
    return request_of(operation, path, content=Content(**content), **more)


@pytest.mark.parametrize(
    ("request_", "code", "named"),
    [
        (made(O.READ, "/3/0/0"), Code.GET, "Read"),
        (made(O.READ, "/3"), Code.GET, "Read"),
        (made(O.DISCOVER, "/3/0"), Code.GET, "Discover"),
        (made(O.WRITE, "/3/0/14", value="+02:00"), Code.PUT, "Write"),
        (made(O.WRITE, "/1/0", values={"1": 300}), Code.POST, "Write"),
        (made(O.REPLACE, "/1/0", values={"1": 300}), Code.PUT, "Write"),
        (made(O.EXECUTE, "/3/0/4"), Code.POST, "Execute"),
        (made(O.CREATE, "/3303", values={"5700": 1.5}), Code.POST, "Create"),
        (made(O.DELETE, "/3303/1"), Code.DELETE, "Delete"),
        (made(O.WRITE_ATTRIBUTES, "/3/0/9", attributes={"pmin": 60}), Code.PUT, "Write-Attributes"),
        (made(O.READ_COMPOSITE, paths=["/3/0/0", "/1"]), Code.FETCH, "Read"),
        (made(O.WRITE_COMPOSITE, values={"/3/0/14": "+02:00", "/1/0/1": 5}), Code.IPATCH, "Write"),
    ],
)
def test_each_operation_is_the_request_that_the_bridge_knows_it_by(request_: Request, code: int, named: str) -> None:
    assert request_.code == code
    assert of_server(parse(code, encode_body(request_.options, request_.payload))) == named


@pytest.mark.parametrize(
    ("request_", "content_format", "payload"),
    [
        (made(O.WRITE, "/3/0/14", value="+02:00"), 0, b"+02:00"),
        (made(O.WRITE, "/1/0/1", value=300), 0, b"300"),
        (made(O.WRITE, "/1/0/6", value=True), 0, b"1"),
        (made(O.WRITE, "/1/0/1", value=300, format=Format.TLV), 11542, bytes.fromhex("c201012c")),
        (made(O.WRITE, "/5/0/0", value="AQI="), 11542, bytes.fromhex("c2000102")),
        (made(O.WRITE, "/5/0/0", value="AQI=", format=Format.OPAQUE), 42, b"\x01\x02"),
        (made(O.WRITE, "/1/0", values={"7": "U", "1": 300}), 11542, bytes.fromhex("c201012cc10755")),
        (made(O.WRITE, "/2/0/2", values={"1": 3, "2": 15}), 11542, bytes.fromhex("860241010341020f")),
        (made(O.CREATE, "/2", values={"0": 3}, instance=5), 11542, bytes.fromhex("0305c10003")),
        (made(O.WRITE, "/3303/0/5700", value=21.5, format=Format.SENML_JSON), 110, b'[{"n":"/3303/0/5700","v":21.5}]'),
        (made(O.WRITE_COMPOSITE, values={"/1/0/1": 5}), 110, b'[{"n":"/1/0/1","v":5}]'),
        (made(O.WRITE, "/3/0/14", value="U", format=Format.SENML_CBOR), 112, b"\x81\xa2\0\x67/3/0/14\x03\x61U"),
        (made(O.READ_COMPOSITE, paths=["/3/0/0", "/1"]), 110, b'[{"n":"/3/0/0"},{"n":"/1"}]'),
        (made(O.WRITE, "/9/0/2", payload=b"\x01", content_format=42), 42, b"\x01"),
    ],
)
def test_values_are_written_in_the_format_of_their_kind(request_: Request, content_format: int, payload: bytes) -> None:
    found = dict(request_.options)[Opt.CONTENT_FORMAT]
    assert (int.from_bytes(found, "big"), request_.payload) == (content_format, payload)


def test_a_create_names_its_instance_where_the_caller_does() -> None:
    """Core TS 1.1, 6.3.5: with an id, the new instance is an entry of its own."""
    assert made(O.CREATE, "/3303", values={"5701": "Cel"}, instance=7).payload[0] >> 6 == 0
    assert made(O.CREATE, "/3303", values={"5701": "Cel"}).payload[0] >> 6 == 3


def test_attributes_are_queries() -> None:
    asked = made(O.WRITE_ATTRIBUTES, "/3/0/9", attributes={"pmin": 60, "gt": 1.5, "pmax": None})
    assert [value for number, value in asked.options if number == Opt.URI_QUERY] == [b"pmin=60", b"gt=1.5", b"pmax"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"operation": O.READ, "path": ""}, "is no path"),
        ({"operation": O.READ, "path": "/1/2/3/4/5"}, "is no path"),
        ({"operation": O.DISCOVER, "path": "/3/0/6/0"}, "discover is of"),
        ({"operation": O.CREATE, "path": "/3/0", "values": {"1": 1}}, "create is of an object"),
        ({"operation": O.READ_COMPOSITE}, "name the paths"),
        ({"operation": O.READ_COMPOSITE, "path": "/3", "paths": ["/3"]}, "has no path"),
        ({"operation": O.WRITE_ATTRIBUTES, "path": "/3/0/9"}, "name them"),
        ({"operation": O.WRITE, "path": "/3/0/14"}, "just one of"),
        ({"operation": O.WRITE, "path": "/3/0", "value": "x"}, "one `value` is that of a resource"),
        ({"operation": O.WRITE, "path": "/3/0", "values": {}}, "there are no values"),
        ({"operation": O.WRITE, "path": "/3/0", "values": {"1/2/3": 1}}, "is no path of a resource"),
        (
            {"operation": O.WRITE, "path": "/3/0", "values": {"14": "x", "15": "y"}, "format": Format.TEXT},
            "single value",
        ),
        ({"operation": O.WRITE, "path": "/3/0/14", "value": "x", "format": Format.OPAQUE}, "not opaque"),
        ({"operation": O.WRITE, "path": "/3/0/14", "value": "x", "content_format": 0}, "that of a `payload`"),
        ({"operation": O.WRITE, "path": "/3/0/4", "value": "x"}, "can only be executed"),
        ({"operation": O.WRITE_COMPOSITE, "values": {"/1/0/1": 5}, "format": Format.TLV}, "senml-json"),
        ({"operation": O.READ, "path": "/3", "arguments": "0"}, "takes no arguments"),
        ({"operation": O.CREATE, "path": "/2", "values": {"0": 3}, "format": Format.SENML_JSON}, "name the `instance`"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        made(**asked)
