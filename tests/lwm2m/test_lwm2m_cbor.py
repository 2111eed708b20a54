"""SenML CBOR, held against another library, and the content formats that a device names when it registers."""

from typing import Any

import cbor2
import pytest
from hypothesis import given, strategies as st

from bridge.lwm2m.registered import content_formats
from bridge.lwm2m.requests import Content, Format, Operation, request_of
from bridge.lwm2m.senml import encode_cbor

VALUES = (
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=300) | st.binary()
)


@given(st.lists(VALUES, max_size=30))
def test_another_library_reads_what_is_written(values: list[Any]) -> None:
    labels = {bool: 4, int: 2, float: 2, str: 3, bytes: 8}
    found = cbor2.loads(encode_cbor([((3, number, 9), value, False) for number, value in enumerate(values)]))
    assert found == [{0: f"/3/{number}/9", labels[type(value)]: value} for number, value in enumerate(values)]
    assert [type(next(reversed(one.values()))) for one in found] == [*map(type, values)]


@given(st.integers(-(2**63), 2**64 - 1) | st.text())
def test_it_is_as_short_as_it_can_be(value: Any) -> None:
    assert encode_cbor([((3, 0, 9), value, False)]) == cbor2.dumps(
        [{0: "/3/0/9", 3 if isinstance(value, str) else 2: value}]
    )


def test_an_object_link_has_a_name_instead_of_a_number() -> None:
    assert cbor2.loads(encode_cbor([((22, 0, 1), "3:0", True)])) == [{0: "/22/0/1", "vlo": "3:0"}]


@pytest.mark.parametrize(
    ("format_", "formats", "written"),
    [
        (None, {60, 112}, 112),
        (None, {60, 110}, 110),
        (None, (), 110),
        (Format.SENML_JSON, {112}, 110),
        (Format.SENML_CBOR, (), 112),
    ],
)
def test_a_composite_write_is_cbor_where_the_device_reads_that(
    format_: Format | None, formats: Any, written: int
) -> None:
    content = Content(values={"/1/0/1": 5}, format=format_)
    made = request_of(Operation.WRITE_COMPOSITE, content=content, formats=formats)
    assert dict(made.options)[12] == bytes((written,))
    expected = cbor2.dumps([{0: "/1/0/1", 2: 5}]) if written == 112 else b'[{"n":"/1/0/1","v":5}]'
    assert made.payload == expected


@pytest.mark.parametrize(
    ("links", "formats"),
    [
        (b'</>;rt="oma.lwm2m";ct=110,</1/0>', {110}),
        (b'</>;rt="oma.lwm2m";ct="60 110 112",</1/0>;ct=40', {60, 110, 112}),
        (b'</lwm2m> ; ct = "112" ; rt = "x oma.lwm2m"', {112}),
        (b'</>;rt="oma.lwm2m",</1/0>;ct=112', None),
        (b'</>;title=", rt=oma.lwm2m";ct=112', None),
        (b"</1/0>,</3/0>", None),
        (b"", None),
        (b'<<<"' * 20_000, None),
        (b"\xff\xfe;=,", None),
        (b"</>;rt=oma.lwm2m;ct=" + b"9" * 5_000, set()),
    ],
)  # fmt: skip
def test_the_formats_are_those_of_the_link_that_speaks_for_the_client(links: bytes, formats: set[int] | None) -> None:
    assert content_formats(links) == formats
