"""CoAP in words, as the registry and RFC 7959 write it."""

import pytest

from bridge.coap.message import CON, Message, encode_body, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.words import code_name, option_name, option_value, target


def request(*options: tuple[int, bytes]) -> Message:
    return parse(Code.GET, encode_body(options, b""))


@pytest.mark.parametrize(("code", "name"), [(1, "GET"), (7, "iPATCH"), (69, "2.05"), (164, "5.04"), (8, "0.08")])
def test_codes_have_the_names_of_the_registry(code: int, name: str) -> None:
    assert code_name(code) == name


def test_a_target_is_written_as_in_a_uri() -> None:
    path = [(OptionNumber.URI_PATH, segment) for segment in (b"3", b"0")]
    assert request().type is CON
    assert target(request()) == "/"
    assert target(request(*path)) == "/3/0"
    assert target(request(*path, (OptionNumber.URI_QUERY, b"pmin=1"), (OptionNumber.URI_QUERY, b"pmax=2"))) == (
        "/3/0?pmin=1&pmax=2"
    )


@pytest.mark.parametrize(
    ("number", "value", "shown"),
    [
        (OptionNumber.URI_PATH, b"rd", "rd"),
        (OptionNumber.URI_PATH, b"\xff", "\\xff"),
        (OptionNumber.CONTENT_FORMAT, b"\x2d\x16", "11542"),
        (OptionNumber.OBSERVE, b"", "0"),
        (OptionNumber.BLOCK1, b"\x1e", "1/1/1024"),
        (OptionNumber.OSCORE, b"\x09\x14", "0914"),
        (65052, b"\x3c", "3c"),
        (OptionNumber.MAX_AGE, b"\x01" * 9, "01" * 9),
    ],
)
def test_option_values_are_written_by_their_format(number: int, value: bytes, shown: str) -> None:
    assert option_value(number, value) == shown


def test_options_that_nobody_registered_go_by_their_number() -> None:
    assert (option_name(OptionNumber.BLOCK2), option_name(65052)) == ("Block2", "65052")
