"""Values in messages of a trace: decoded by the registry's types, with names and units, harmless whatever they are."""

import json

import cbor2
import pytest

from bridge.cli.trace import shown_lines
from bridge.coap import udp
from bridge.coap.message import Message, Type
from bridge.coap.udp import frame
from bridge.operations.traced_values import MOST, values_of
from bridge.operations.types.tracing import TraceLine, ValueView

SENML = [{"bn": "/3303/0/", "n": "5700", "v": 21.5}, {"n": "5701", "vs": "Cel"}]
CBOR = [{-2: "/3303/0/", 0: "5700", 2: 21.5}, {0: "5701", 3: "Cel"}]


def content(format_: int, payload: bytes, more: bytes = b"") -> Message:
    number = format_.to_bytes(2, "big")
    return udp.decode(frame(Type.ACK, 69, 1, b"t", b"\xc2" + number + more + b"\xff" + payload))


def shown(message: Message, path: str) -> list[tuple[str, str, str, str]]:
    return [(one.path, one.name, one.value, one.unit) for one in values_of(message, path)]


@pytest.mark.parametrize(
    ("format_", "payload", "path", "values"),
    [
        (0, b"87", "/3/0/9", [("/3/0/9", "Battery Level", "87", "%")]),
        (11542, b"\xc1\x09\x57\xc2\x07\x0e\xd8", "/3/0", [
            ("/3/0/9", "Battery Level", "87", "%"), ("/3/0/7", "Power Source Voltage", "3800", "mV"),
        ]),
        (110, json.dumps(SENML).encode(), "/dp", [
            ("/3303/0/5700", "Sensor Value", "21.5", ""), ("/3303/0/5701", "Sensor Units", "Cel", ""),
        ]),
        (112, cbor2.dumps(CBOR), "/dp", [
            ("/3303/0/5700", "Sensor Value", "21.5", ""), ("/3303/0/5701", "Sensor Units", "Cel", ""),
        ]),
        (11542, b"\xc4\x0d\x65\x53\xf1\x00", "/3/0", [
            ("/3/0/13", "Current Time", "1700000000 (2023-11-14 22:13:20 UTC)", ""),
        ]),
        (42, b"\x00\xff", "/32768/0/1", [("/32768/0/1", "", "00ff", "")]),
    ],
)  # fmt: skip
def test_values_have_the_registrys_names_and_units(
    format_: int, payload: bytes, path: str, values: list[tuple[str, str, str, str]]
) -> None:
    assert shown(content(format_, payload), path) == values


@pytest.mark.parametrize("format_", [0, 40, 42, 60, 110, 112, 11542, 11543, 65000])
@pytest.mark.parametrize(
    "payload", [b"\xff" * 40, b"[" * 4000, b"{}", b"\x9f" * 4000, b"\xdb" + b"\xff" * 8, b"\xc8\x00\xff\x00"]
)
def test_what_cannot_be_read_has_no_values_and_raises_nothing(format_: int, payload: bytes) -> None:
    values_of(content(format_, payload), "/3/0")
    values_of(content(format_, payload), "/no/path?at=all")


def test_a_part_of_a_whole_is_not_read_as_if_it_were_all() -> None:
    assert values_of(content(0, b"1234", more=b"\xb1\x08"), "/3/0/9") == ()  # Block2 0/1/16
    assert values_of(content(0, b"1234", more=b"\xb1\x10"), "/3/0/9") == ()  # Block2 1/0/16
    assert len(values_of(content(0, b"1234", more=b"\xb1\x00"), "/3/0/9")) == 1  # the only one


@pytest.mark.parametrize("code", [0x80, 0x84, 0x9F, 0xA3, 0xA4])
def test_the_text_of_an_error_is_no_value(code: int) -> None:
    """So that a trace does not say that the resource is "no such resource"."""
    error = udp.decode(frame(Type.ACK, code, 1, b"t", b"\xffno such resource"))
    assert values_of(error, "/3/0/4444") == ()
    assert shown(udp.decode(frame(Type.ACK, 69, 1, b"t", b"\xff21.5")), "/3303/0/5700") == [
        ("/3303/0/5700", "Sensor Value", "21.5", "")
    ]


def test_values_are_bounded() -> None:
    many = [{"n": f"/3/0/{number}", "vs": "x" * 10_000} for number in range(200)]
    values = values_of(content(110, json.dumps(many).encode()), "/dp")
    assert len(values) == MOST
    assert all(len(one.value) < 250 for one in values)


def test_a_number_that_python_cannot_write_stops_no_trace() -> None:
    huge = cbor2.dumps([{0: "/3/0/9", 2: 1 << 16_000}])
    assert values_of(content(112, huge), "/3/0/9") == ()
    assert shown(content(112, cbor2.dumps([{0: "/3303/0/5700", 2: float("nan")}])), "/dp")[0][2] == "nan"


def test_control_characters_and_markup_reach_no_terminal() -> None:
    bad = "\x1b[2J\x07<b>\u202e\r\nnext"
    value = ValueView(path="/3/0/0", name="Manufacturer", value=bad, unit="")
    line = TraceLine(
        number=1,
        at=0.0,
        kind="to server",
        peer=bad,
        size=3,
        coap=None,
        note=bad,
        payload=b"x",
        values=(value,),
        data=None,
    )
    text = "".join(shown_lines(line, payload=True))
    assert text.isprintable()
    call = TraceLine(number=1, at=0.0, kind="call", peer="nidd", size=0, coap=None, note=bad, payload=None, data=None)
    assert "".join(shown_lines(call, payload=False)).isprintable()
