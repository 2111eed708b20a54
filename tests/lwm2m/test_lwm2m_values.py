"""Values of resources: as JSON, as text, in TLV and in SenML, and what a device sends that is none."""

import base64
from typing import Any

import cbor2
import pytest
from hypothesis import given, strategies as st

from bridge.errors import RequestError
from bridge.lwm2m import senml, tlv
from bridge.lwm2m.formats import OCTETS, OLD_JSON, SENML_CBOR, SENML_JSON, TEXT, TLV, decoded
from bridge.lwm2m.objects import Type, resource_at
from bridge.lwm2m.values import as_json, checked, from_bytes, from_text, to_bytes, to_text

IDS = st.integers(0, 65534)
LINKS = st.builds("{}:{}".format, IDS, IDS)
BY_TYPE: dict[Type, st.SearchStrategy[Any]] = {
    Type.STRING: st.text(),
    Type.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Type.UNSIGNED: st.integers(0, 2**64 - 1),
    Type.TIME: st.integers(-(2**63), 2**63 - 1),
    Type.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Type.BOOLEAN: st.booleans(),
    Type.OPAQUE: st.binary(max_size=300).map(lambda data: base64.b64encode(data).decode()),
    Type.OBJLNK: LINKS,
}
typed = st.sampled_from(list(BY_TYPE)).flatmap(lambda kind: st.tuples(st.just(kind), BY_TYPE[kind]))


@given(typed)
def test_a_value_that_is_written_is_the_one_that_is_read(value: tuple[Type, Any]) -> None:
    kind, json = value
    inner = checked(json, kind, "it")
    assert as_json(from_bytes(to_bytes(inner, kind), kind)) == json
    assert as_json(from_text(to_text(inner, kind), kind)) == json


@given(st.lists(st.tuples(st.tuples(IDS, IDS), st.binary(max_size=300)), unique_by=lambda one: one[0]))
def test_tlv_of_an_object_comes_back(values: list[tuple[tuple[int, int], bytes]]) -> None:
    wanted = sorted(((7, *path), data) for path, data in values)
    assert tlv.decode(tlv.encode(wanted, (7,)), (7,)) == wanted


@given(st.dictionaries(IDS, st.binary(max_size=300) | st.dictionaries(IDS, st.binary(max_size=9), min_size=1)))
def test_tlv_of_an_instance_comes_back_with_resources_of_several_values(values: dict[int, Any]) -> None:
    wanted = sorted(
        entry
        for id_, value in values.items()
        for entry in (
            [((3, 0, id_, inner), part) for inner, part in value.items()]
            if isinstance(value, dict)
            else [((3, 0, id_), value)]
        )
    )
    assert tlv.decode(tlv.encode(wanted, (3, 0)), (3, 0)) == wanted


def test_tlv_is_that_of_the_standard() -> None:
    """Core TS 1.1, 7.4.4.2: the Device object's single instance, in part."""
    data = bytes.fromhex(
        "C800144F70656E204D6F62696C6520416C6C69616E6365"  # 0 Manufacturer
        "C80116 4C69676874776569676874204D324D20436C69656E74"  # 1 Model Number
        "C303312E30"  # 3 Firmware Version
        "86064100014101 05"  # 6 Available Power Sources
        "C10964"  # 9 Battery Level
        "C40D5182428F"  # 13 Current Time
        "C60E2B30323A3030"  # 14 UTC Offset
    )
    found = {one.path: one.value for one in decoded(TLV, data, (3, 0)) or ()}
    assert found == {
        (3, 0, 0): "Open Mobile Alliance",
        (3, 0, 1): "Lightweight M2M Client",
        (3, 0, 3): "1.0",
        (3, 0, 6, 0): 1,
        (3, 0, 6, 1): 5,
        (3, 0, 9): 100,
        (3, 0, 13): 1367491215,
        (3, 0, 14): "+02:00",
    }


def test_an_object_link_is_that_of_the_standard() -> None:
    """Core TS 1.1, 7.4.4.2, example of object 66."""
    assert to_bytes("66:1", Type.OBJLNK) == bytes.fromhex("00420001")


@given(st.lists(st.tuples(st.tuples(IDS, IDS, IDS), typed), min_size=1))
def test_senml_comes_back(values: list[tuple[Any, tuple[Type, Any]]]) -> None:
    given_ = [(path, checked(json, kind, "it"), kind is Type.OBJLNK) for path, (kind, json) in values]
    assert senml.decode(senml.encode(given_)) == [(path, value) for path, value, _ in given_]


def test_senml_is_that_of_the_standard() -> None:
    """Core TS 1.1, 7.4.5: a base name, and values of each kind."""
    text = b'[{"bn":"/3/0/","n":"0","vs":"OMA"},{"n":"6/0","v":1},{"n":"22/0","vlo":"66:1"},{"n":"9","v":100}]'
    assert senml.decode(text) == [((3, 0, 0), "OMA"), ((3, 0, 6, 0), 1), ((3, 0, 22, 0), "66:1"), ((3, 0, 9), 100)]


def test_the_json_of_lwm2m_1_0_is_read() -> None:
    text = b'{"bn":"/3/0/","e":[{"n":"0","sv":"OMA"},{"n":"6/0","v":1},{"n":"4","bv":true}]}'
    found = decoded(OLD_JSON, text, (3, 0))
    assert found is not None
    assert [(one.path, one.value) for one in found] == [((3, 0, 0), "OMA"), ((3, 0, 6, 0), 1), ((3, 0, 4), True)]


@given(
    st.sampled_from([TEXT, OCTETS, TLV, SENML_JSON, SENML_CBOR, OLD_JSON, 60, None]),
    st.binary(),
    st.lists(IDS, max_size=4),
)
def test_whatever_a_device_sends_it_is_values_or_none(content_format: int | None, data: bytes, path: list[int]) -> None:
    found = decoded(content_format, data, tuple(path))
    assert found is None or all(isinstance(one.value, bool | int | float | str | bytes) for one in found)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 1 << 16_000], ids=["above", "below", "far above"])
def test_an_integer_of_more_than_64_bits_is_no_value_in_any_format(number: int) -> None:
    digits = b"9" * 5000 if number >> 64 > 1 else str(number).encode()
    assert decoded(SENML_CBOR, cbor2.dumps([{0: "/3/0/9", 2: number}]), (3, 0, 9)) is None
    assert decoded(SENML_JSON, b'[{"n":"/3/0/9","v":' + digits + b"}]", (3, 0, 9)) is None
    assert decoded(OLD_JSON, b'{"e":[{"n":"","v":' + digits + b"}]}", (3, 0, 9)) is None
    assert decoded(TEXT, digits, (3, 0, 9)) is None


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**53 + 1])
def test_an_integer_of_64_bits_is_read_to_the_last_digit(number: int) -> None:
    for content_format, data in (
        (SENML_CBOR, cbor2.dumps([{0: "/3/0/9", 2: number}])),
        (SENML_JSON, b'[{"n":"/3/0/9","v":%d}]' % number),
        (TEXT, b"%d" % number),
    ):
        assert [one.value for one in decoded(content_format, data, (3, 0, 9)) or ()] == [number]


@pytest.mark.parametrize("data", [b"\x08\x00\x7f" * 3000, b"[" * 5000, b'{"e":' * 5000])
def test_nesting_is_no_way_to_hurt(data: bytes) -> None:
    for content_format in (TLV, SENML_JSON, OLD_JSON):
        assert decoded(content_format, data, (3,)) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Type.INTEGER, 2**63), (Type.INTEGER, True), (Type.INTEGER, 1.0), (Type.UNSIGNED, -1), (Type.BOOLEAN, 1),
        (Type.FLOAT, "1,5"), (Type.FLOAT, 10**400), (Type.FLOAT, "1e999"), (Type.FLOAT, "nan"), (Type.INTEGER, "0x10"),
        (Type.INTEGER, "1.0"), (Type.INTEGER, ""), (Type.INTEGER, "9" * 5000), (Type.INTEGER, str(2**63)),
        (Type.UNSIGNED, "-1"), (Type.BOOLEAN, "1"), (Type.BOOLEAN, "True"), (Type.STRING, 1), (Type.OPAQUE, "###"),
        (Type.OBJLNK, "3"),
        (Type.OBJLNK, "3:70000"), (Type.NONE, 1),
    ],
)  # fmt: skip
def test_what_is_no_value_of_its_type_is_refused(kind: Type, value: Any) -> None:
    with pytest.raises(RequestError, match=f"is of type {kind}"):
        checked(value, kind, "/1/2/3")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Type.INTEGER, "9007199254740993", 9007199254740993), (Type.INTEGER, "-0012", -12), (Type.TIME, "0", 0),
        (Type.UNSIGNED, str(2**64 - 1), 2**64 - 1), (Type.FLOAT, "22.5", 22.5), (Type.FLOAT, "-1e3", -1000.0),
        (Type.BOOLEAN, "true", True), (Type.BOOLEAN, "false", False), (Type.STRING, "0012", "0012"),
        (Type.STRING, "true", "true"), (Type.OPAQUE, "1234", b"\xd7\x6d\xf8"), (Type.OBJLNK, "66:1", "66:1"),
    ],
)  # fmt: skip
def test_a_text_is_read_by_the_type_of_its_resource(kind: Type, text: str, value: Any) -> None:
    found = checked(text, kind, "/1/2/3")
    assert (found, type(found)) == (value, type(value))


def test_sensors_share_their_resources() -> None:
    known, other = resource_at((3303, 0, 5700)), resource_at((7, 0, 5700))
    assert (known is not None and known.type, other) == (Type.FLOAT, None)
    assert resource_at((3, 0)) is None
