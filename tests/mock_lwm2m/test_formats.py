"""Content formats against the examples that OMA publishes in Core TS 1.1 §7.4, and each format with itself."""

import contextlib
import json

import cbor2
import pytest
from hypothesis import given, strategies as st

from mock_network.lwm2m import tlv
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, decode_text, encode, encode_text
from mock_network.lwm2m.links import Link, format_links, parse_links
from mock_network.lwm2m.paths import PathError, format_path, parse_path
from mock_network.lwm2m.standard import type_of
from mock_network.lwm2m.values import DataType, FormatError, ObjectLink, Record

DEVICE_INSTANCE = [
    Record((3, 0, 0), "Open Mobile Alliance"),
    Record((3, 0, 1), "Lightweight M2M Client"),
    Record((3, 0, 2), "345000123"),
    Record((3, 0, 3), "1.0"),
    Record((3, 0, 6, 0), 1),
    Record((3, 0, 6, 1), 5),
    Record((3, 0, 7, 0), 3800),
    Record((3, 0, 7, 1), 5000),
    Record((3, 0, 8, 0), 125),
    Record((3, 0, 8, 1), 900),
    Record((3, 0, 9), 100),
    Record((3, 0, 10), 15),
    Record((3, 0, 11, 0), 0),
    Record((3, 0, 13), 1367491215),
    Record((3, 0, 14), "+02:00"),
    Record((3, 0, 16), "U"),
]
# Core TS 1.1 §7.4.3.1: Read of /3/0, as resources and as one object instance.
DEVICE_TLV = bytes.fromhex(
    "c800144f70656e204d6f62696c6520416c6c69616e6365c801164c69676874776569676874204d324d20436c69656e74"
    "c80209333435303030313233c303312e30860641000141010588070842000ed842011388870841007d42010384c10964c10a0f"
    "830b410000c40d5182428fc60e2b30323a3030c11055"
)
DEVICE_OBJECT_TLV = bytes.fromhex("080079") + DEVICE_TLV
# §7.4.5: the same as SenML CBOR.
DEVICE_SENML_CBOR = bytes.fromhex(
    "90a321652f332f302f00613003744f70656e204d6f62696c6520416c6c69616e6365a200613103764c696768747765696768"
    "74204d324d20436c69656e74a20061320369333435303030313233a20061330363312e30a20063362f300201a20063362f310205a20063372f"
    "3002190ed8a20063372f3102191388a20063382f3002187da20063382f3102190384a2006139021864a200623130020fa2006431312f300200"
    "a200623133021a5182428fa20062313403662b30323a3030a200623136036155"
)
# §7.4.4: the same as SenML JSON.
DEVICE_SENML_JSON = (
    b'[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},'
    b'{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},'
    b'{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},'
    b'{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]'
)

# A made-up object with one resource of each type, as Appendix C lists them.
TYPES = {
    0: DataType.STRING,
    1: DataType.INTEGER,
    2: DataType.UNSIGNED,
    3: DataType.FLOAT,
    4: DataType.BOOLEAN,
    5: DataType.OPAQUE,
    6: DataType.TIME,
    7: DataType.OBJLNK,
    8: DataType.CORELNK,
    300: DataType.STRING,
}
VALUES = {
    DataType.STRING: st.text(st.characters(exclude_categories=["Cs"])),
    DataType.CORELNK: st.text(st.characters(exclude_categories=["Cs"])),
    DataType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    DataType.TIME: st.integers(-(2**63), 2**63 - 1),
    DataType.UNSIGNED: st.integers(0, 2**64 - 1),
    DataType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.OPAQUE: st.binary(max_size=300),
    DataType.OBJLNK: st.builds(ObjectLink, st.integers(0, 65535), st.integers(0, 65535)),
}


def any_type(path):
    return TYPES.get(path[2]) if len(path) > 2 else None


@st.composite
def instance_records(draw):
    records = []
    for number, data_type in TYPES.items():
        shape = draw(st.sampled_from(["absent", "single", "multiple"]))
        if shape == "single":
            records.append(Record((10, 0, number), draw(VALUES[data_type])))
        elif shape == "multiple":
            keys = draw(st.sets(st.integers(0, 65534), min_size=1, max_size=3))
            records += [Record((10, 0, number, key), draw(VALUES[data_type])) for key in sorted(keys)]
    return records


def test_tlv_of_the_device_object_is_the_published_example():
    assert encode(ContentFormat.TLV, (3, 0), DEVICE_INSTANCE, type_of) == DEVICE_TLV
    assert encode(ContentFormat.TLV, (3,), DEVICE_INSTANCE, type_of) == DEVICE_OBJECT_TLV


@pytest.mark.parametrize(
    ("base", "payload"), [((3, 0), DEVICE_TLV), ((3, 0), DEVICE_OBJECT_TLV), ((3,), DEVICE_OBJECT_TLV)]
)
def test_tlv_of_the_device_object_is_read_with_and_without_instance_wrapper(base, payload):
    assert decode(ContentFormat.TLV, base, payload, type_of) == DEVICE_INSTANCE


def test_tlv_of_two_access_control_instances_is_the_published_example():
    """§7.4.3.2 B: multi-instance object, 16-bit resource instance identifier 310."""
    payload = bytes.fromhex("08000ec10001c101008302417f07c1037f080212c10003c101008702417f0761013601c1037f")
    types = {0: DataType.INTEGER, 1: DataType.INTEGER, 2: DataType.INTEGER, 3: DataType.INTEGER}
    records = [
        Record((2, 0, 0), 1),
        Record((2, 0, 1), 0),
        Record((2, 0, 2, 127), 7),
        Record((2, 0, 3), 127),
        Record((2, 2, 0), 3),
        Record((2, 2, 1), 0),
        Record((2, 2, 2, 127), 7),
        Record((2, 2, 2, 310), 1),
        Record((2, 2, 3), 127),
    ]
    assert decode(ContentFormat.TLV, (2,), payload, lambda path: types[path[2]]) == records
    assert encode(ContentFormat.TLV, (2,), records, lambda path: types[path[2]]) == payload


def test_tlv_of_the_server_object_is_the_published_example():
    """§7.4.3.2 C: a 32-bit integer and a boolean."""
    payload = bytes.fromhex("08000fc10001c40100015180c10601c10755")
    records = [Record((1, 0, 0), 1), Record((1, 0, 1), 86400), Record((1, 0, 6), True), Record((1, 0, 7), "U")]
    assert decode(ContentFormat.TLV, (1,), payload, type_of) == records
    assert encode(ContentFormat.TLV, (1,), records, type_of) == payload


def test_tlv_object_links_are_two_identifiers_of_16_bits():
    """§7.4.3.3: object 65 refers to instances of object 66."""
    payload = bytes.fromhex("88000c440000420000440100420001")
    records = [Record((65, 0, 0, 0), ObjectLink(66, 0)), Record((65, 0, 0, 1), ObjectLink(66, 1))]
    assert decode(ContentFormat.TLV, (65, 0), payload, lambda _: DataType.OBJLNK) == records
    assert encode(ContentFormat.TLV, (65, 0), records, lambda _: DataType.OBJLNK) == payload


def test_senml_json_of_the_device_object_is_the_published_example():
    assert json.loads(encode(ContentFormat.SENML_JSON, (3, 0), DEVICE_INSTANCE, type_of)) == json.loads(
        DEVICE_SENML_JSON
    )
    assert decode(ContentFormat.SENML_JSON, (3, 0), DEVICE_SENML_JSON, type_of) == DEVICE_INSTANCE


def test_senml_cbor_of_the_device_object_is_the_published_example():
    assert encode(ContentFormat.SENML_CBOR, (3, 0), DEVICE_INSTANCE, type_of) == DEVICE_SENML_CBOR
    assert decode(ContentFormat.SENML_CBOR, (3, 0), DEVICE_SENML_CBOR, type_of) == DEVICE_INSTANCE


def test_senml_base_time_and_record_time_add_up():
    pack = b'[{"bn":"/3303/0/","bt":100.5,"n":"5700","v":1},{"n":"5700","t":2,"v":2}]'
    assert decode(ContentFormat.SENML_JSON, (3303, 0), pack, type_of) == [
        Record((3303, 0, 5700), 1.0, 100.5),
        Record((3303, 0, 5700), 2.0, 102.5),
    ]


@pytest.mark.parametrize("content_format", [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
def test_senml_times_come_back_as_they_were_written(content_format):
    records = [Record((3303, 0, 5700), 20.5, 1000.0), Record((3303, 0, 5700), 21.0, 1010.0)]
    assert decode(content_format, (), encode(content_format, (), records, type_of), type_of) == records


@pytest.mark.parametrize("content_format", [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
def test_a_composite_read_names_paths_without_values(content_format):
    records = [Record((3, 0, 9), None), Record((3303,), None)]
    assert decode(content_format, (), encode(content_format, (), records, type_of), type_of) == records


def test_senml_must_understand_fields_are_refused():
    """RFC 8428 §4.4: a label that ends in '_' must be understood."""
    with pytest.raises(FormatError):
        decode(ContentFormat.SENML_JSON, (3, 0), b'[{"n":"/3/0/9","v":1,"x_":2}]', type_of)


@given(instance_records())
@pytest.mark.parametrize(
    "content_format", [ContentFormat.TLV, ContentFormat.JSON, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]
)
def test_structured_formats_return_what_was_written(content_format, records):
    assert decode(content_format, (10, 0), encode(content_format, (10, 0), records, any_type), any_type) == records


@given(st.data())
@pytest.mark.parametrize("content_format", [ContentFormat.TEXT, ContentFormat.CBOR])
@pytest.mark.parametrize("number", list(TYPES))
def test_single_value_formats_return_what_was_written(content_format, number, data):
    record = Record((10, 0, number), data.draw(VALUES[TYPES[number]]))
    assert decode(content_format, record.path, encode(content_format, record.path, [record], any_type), any_type) == [
        record
    ]


def test_opaque_carries_bytes_and_nothing_else():
    record = Record((10, 0, 5), b"\x00\xff")
    assert encode(ContentFormat.OPAQUE, record.path, [record], any_type) == b"\x00\xff"
    assert decode(ContentFormat.OPAQUE, record.path, b"\x00\xff", any_type) == [record]
    with pytest.raises(UnsupportedFormat):
        encode(ContentFormat.OPAQUE, (10, 0, 0), [Record((10, 0, 0), "text")], any_type)


def test_cbor_time_may_carry_the_epoch_tag():
    assert decode(ContentFormat.CBOR, (3, 0, 13), bytes.fromhex("c11a5182428f"), type_of) == [
        Record((3, 0, 13), 1367491215)
    ]


@pytest.mark.parametrize(
    ("value", "data_type", "text"),
    [
        (True, DataType.BOOLEAN, b"1"),
        (-5, DataType.INTEGER, b"-5"),
        (22.5, DataType.FLOAT, b"22.5"),
        (b"\x01\x02\x03\x04\x05", DataType.OPAQUE, b"AQIDBAU="),
        (ObjectLink(10245, 0), DataType.OBJLNK, b"10245:0"),
        ("grün", DataType.STRING, "grün".encode()),
    ],
)
def test_text_is_as_appendix_c_says(value, data_type, text):
    assert encode_text(value, data_type) == text
    assert decode_text(text, data_type) == value


@pytest.mark.parametrize("kind", list(tlv.Kind))
@pytest.mark.parametrize("identifier", [0, 255, 256, 65534])
@pytest.mark.parametrize("length", [0, 7, 8, 255, 256, 65535, 65536])
def test_tlv_identifiers_and_lengths_use_the_fewest_bytes(kind, identifier, length):
    packed = tlv.pack(kind, identifier, bytes(length))
    width = 0 if length < 8 else 1 if length < 256 else 2 if length < 65536 else 3
    assert len(packed) == 1 + (1 if identifier < 256 else 2) + width + length
    assert list(tlv.unpack(packed)) == [(kind, identifier, bytes(length))]


@given(st.binary(max_size=60))
@pytest.mark.parametrize("content_format", [form for form in ContentFormat if form is not ContentFormat.LINK])
@pytest.mark.parametrize("base", [(10,), (10, 0), (10, 0, 1), (10, 0, 5, 0)])
def test_any_bytes_are_records_or_a_format_error(content_format, base, payload):
    with contextlib.suppress(FormatError, UnsupportedFormat):
        decode(content_format, base, payload, any_type)


def test_bytes_after_a_cbor_item_are_an_error():
    with pytest.raises(FormatError):
        decode(ContentFormat.CBOR, (10, 0, 1), cbor2.dumps(1) + b"\x00", any_type)


def test_links_of_a_register_payload():
    """Core TS 1.1 §6.2.1 example: root with content formats, versions, instances."""
    payload = b'</>;rt="oma.lwm2m";ct=110,</1/0>,</3/0>;ver=1.1,</3303>'
    links = parse_links(payload)
    assert [link.target for link in links] == ["/", "/1/0", "/3/0", "/3303"]
    assert links[0].attributes == {"rt": "oma.lwm2m", "ct": "110"}
    assert links[2].attributes == {"ver": "1.1"}
    assert format_links(links) == payload


def test_links_keep_commas_and_quotes_inside_quotes():
    assert parse_links(b'</a>;title="one, \\"two\\"";obs,</b>') == [
        Link("/a", {"title": 'one, "two"', "obs": None}),
        Link("/b"),
    ]


@pytest.mark.parametrize("payload", [b"\xff", b"</1", b"</1>,", b"</1> </2>", b"x"])
def test_links_that_are_none_are_an_error(payload):
    with pytest.raises(FormatError):
        parse_links(payload)


@pytest.mark.parametrize("text", ["", "3/0", "/3//0", "/a", "/1/2/3/4/5", "/65535", "/-1", "/03", "/٣"])
def test_paths_that_are_none_are_an_error(text):
    with pytest.raises(PathError):
        parse_path(text)


@given(st.lists(st.integers(0, 65534), max_size=4).map(tuple))
def test_paths_return_what_was_written(path):
    assert parse_path(format_path(path)) == path
