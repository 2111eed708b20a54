"""Payloads that may hold keys are not shown, others are."""

import pytest

from bridge.coap.message import Message, parse
from bridge.coap.numbers import OptionNumber
from bridge.lwm2m.formats import LINKS, SENML_JSON, TLV
from bridge.operations.withheld import blanked, is_withheld

GET, POST, PUT, FETCH, IPATCH, CONTENT, UNAUTHORIZED = 1, 2, 3, 5, 7, 69, 129


def message(code: int, payload: bytes = b"\x05secret", form: int | None = TLV) -> Message:
    format_ = b"" if form is None else bytes((0xC0 + (len(coded := form.to_bytes(2, "big").lstrip(b"\0"))),)) + coded
    return parse(code, format_ + (b"\xff" + payload if payload else b""))


@pytest.mark.parametrize(
    "path", ["/0", "/0/1", "/0/1/5", "/21/0", "/24/0/3", "/lwm2m/0/1", "/a/b/21", "/0/0?x=1", "//0//1"]
)
@pytest.mark.parametrize("code", [PUT, POST, CONTENT])
def test_what_is_written_to_or_read_from_an_object_of_keys_is_withheld(path: str, code: int) -> None:
    assert is_withheld(message(code), path)


@pytest.mark.parametrize("path", ["/1/0", "/3/0/0", "/10/0", "/210/0", "/rd/0", "/rd?ep=0", "/dp", "/bs", "/", "/3/21"])
def test_other_payloads_are_shown(path: str) -> None:
    assert not is_withheld(message(POST), path)


def test_empty_messages_errors_and_links_have_no_keys() -> None:
    assert not is_withheld(message(PUT, b""), "/0/1")
    assert not is_withheld(message(UNAUTHORIZED, b"not for servers"), "/0/1")
    assert not is_withheld(message(CONTENT, b"</0/1>", LINKS), "/0")


@pytest.mark.parametrize("name", ["/0/1/5", "/21/0/0"])
def test_a_write_of_the_root_is_withheld_if_it_names_such_an_object(name: str) -> None:
    assert is_withheld(
        message(IPATCH, b'[{"bn":"/3/0/14","vs":"x"},{"bn":"%s","vd":"YQ"}]' % name.encode(), SENML_JSON), "/"
    )
    assert not is_withheld(message(IPATCH, b'[{"bn":"/3/0/14","vs":"+01:00"}]', SENML_JSON), "/")


def test_a_part_of_a_write_of_the_root_is_withheld() -> None:
    assert is_withheld(message(IPATCH, b'"vd":"c2VjcmV0"}', SENML_JSON), "/")


@pytest.mark.parametrize(("code", "path"), [(CONTENT, "/"), (CONTENT, ""), (POST, "/dp")])
def test_an_answer_or_a_send_is_withheld_if_it_names_such_an_object(code: int, path: str) -> None:
    assert is_withheld(message(code, b'[{"n":"/3/0/9","v":1},{"n":"/24/0/4","vd":"YQ"}]', SENML_JSON), path)
    assert is_withheld(message(code, b'"vd":"c2VjcmV0"}', SENML_JSON), path), "a part of a whole"
    assert not is_withheld(message(code, b'[{"n":"/3/0/9","v":1}]', SENML_JSON), path)
    assert not is_withheld(message(FETCH, b'[{"n":"/24/0/4"}]', SENML_JSON), "/")


def test_what_a_bootstrap_server_packs_is_withheld() -> None:
    assert is_withheld(message(CONTENT), "/bspack?ep=a")
    assert not is_withheld(message(GET, b"x"), "/bspack?ep=a")


def test_zeros_stand_for_a_payload() -> None:
    put = message(PUT)
    assert blanked(b"head" + put.payload, put) == b"head" + bytes(7)
    assert put.uint(OptionNumber.CONTENT_FORMAT) == TLV
