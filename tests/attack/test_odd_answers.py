"""Answers of a SCEF that make no sense."""

import pytest

from bindings.contract import Ambiguous, Refused
from bindings.nidd.answers import read_submit
from bindings.nidd.client import Answer
from bindings.nidd.models import Configuration, Delivery, read_tolerant, read_tolerant_list

DEEP = b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize("body", [DEEP, b"[" * 20_000, b'{"self":"\\ud800"}', b"\xff\xfe", b"1e999", b'"x"'])
def test_a_body_of_any_shape_is_read_as_far_as_it_can_be(body: bytes) -> None:
    assert read_tolerant(body, Delivery).state is None
    assert read_tolerant(body, Configuration).status is None
    read_tolerant_list(body, Delivery)
    assert isinstance(read_submit(Answer(500, body), "http://scef/x", 0.0), Ambiguous)
    assert isinstance(read_submit(Answer(403, body), "http://scef/x", 0.0), Refused)
    assert isinstance(read_submit(Answer(201, body), "http://scef/x", 0.0), Ambiguous)
