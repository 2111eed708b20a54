"""The kid in the OSCORE option is read as RFC 8613 §6.1 lays it out; what breaks that has none, and raises nothing."""

import pytest

from bridge.coap.oscore import kid_of


@pytest.mark.parametrize(
    ("value", "kid"),
    [
        ("0914a2", "a2"),  # flags, partial IV, kid
        ("091400", "00"),  # test vector C.5 of RFC 8613
        ("0914", ""),  # test vector C.4: the empty Sender ID
        ("191408 37cbf3210017a2d3", ""),  # test vector C.6: a kid context of eight bytes, and the empty Sender ID
        ("191402 37cb a2d3", "a2d3"),
        ("1901 00 a2", "a2"),  # an empty kid context
        ("08a2", "a2"),  # no partial IV
        ("0d0102030405 01020304050607", "01020304050607"),  # the longest partial IV and kid
    ],
)
def test_r23_the_kid_stands_behind_partial_iv_and_kid_context(value, kid):
    assert kid_of(bytes.fromhex(value)) == bytes.fromhex(kid)


@pytest.mark.parametrize(
    "value",
    [
        "",  # all flags zero
        "0114",  # flag k is not set: a response
        "01 14 a2",  # bytes behind the partial IV without flag k
        "2914a2", "4914a2", "8914a2",  # reserved flags
        "0e010203040506a2", "0f01020304050607a2",  # reserved lengths of the partial IV
        "0d01020304",  # the partial IV is cut off
        "1901",  # the length of the kid context is cut off
        "190108 37cb",  # the kid context is cut off
    ],
)  # fmt: skip
def test_r23_an_option_that_is_malformed_has_no_kid(value):
    assert kid_of(bytes.fromhex(value)) is None
