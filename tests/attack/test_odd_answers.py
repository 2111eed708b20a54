"""Answers of a SCEF that make no sense."""

import pytest

from bindings.contract import Ambiguous, Refused
from bindings.nidd.answers import read_submit
from bindings.nidd.models import Configuration, Delivery
from bindings.t8.answer import Answer
from bindings.t8.reading import read_tolerant, read_tolerant_list
from bindings.t8.times import LONGEST_WAIT, PeerClock

CLOCK = PeerClock(lambda: 0.0)
DEEP = b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize("body", [DEEP, b"[" * 20_000, b'{"self":"\\ud800"}', b"\xff\xfe", b"1e999", b'"x"'])
def test_a_body_of_any_shape_is_read_as_far_as_it_can_be(body: bytes) -> None:
    assert read_tolerant(body, Delivery).state is None
    assert read_tolerant(body, Configuration).status is None
    read_tolerant_list(body, Delivery)
    for status in (200, 201, 204, 400, 401, 403, 404, 409, 429, 500, 503):
        assert isinstance(read_submit(Answer(status, body), "c1", CLOCK), Ambiguous)


@pytest.mark.parametrize("text", ["\xb2", "\u0663", "9" * 5000, "-1", "nan", "Wed, 99 Oct 0000 99:99:99 +9999"])
def test_a_time_to_wait_of_any_shape_is_one_or_none(text: str) -> None:
    """Digits that are no ASCII come through HTTP too, as Latin-1 (RFC 9110 §5.5): the 503 is still a 503."""
    answer = Answer(503, b'{"title":"busy"}', {"retry-after": text})
    result = read_submit(answer, "c1", CLOCK)
    assert isinstance(result, Refused)
    assert result.retry_at is None or 0 < result.retry_at <= LONGEST_WAIT
