"""The codec is strict and byte-faithful (RFC 7252 §3)."""

import pytest
from hypothesis import given, strategies as st

from bridge.coap.message import Message, Type, encode_body, parse, uint_value
from bridge.coap.numbers import Code, OptionNumber, dotted
from bridge.coap.udp import MessageIds, decode, empty, frame, size
from bridge.errors import MessageFormatError

options = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=300)), max_size=6)


@given(
    st.sampled_from([Type.CON, Type.NON]),
    st.sampled_from([1, 2, 5, 65, 69, 132, 160]),
    st.integers(0, 65535),
    st.binary(max_size=8),
    options,
    st.binary(max_size=50),
)
def test_what_is_encoded_is_decoded_to_the_same(mtype, code, mid, token, opts, payload):
    data = frame(mtype, code, mid, token, encode_body(opts, payload))
    message = decode(data)
    assert (message.type, message.code, message.mid, message.token, message.payload) == (
        mtype,
        code,
        mid,
        token,
        payload,
    )
    assert list(message.options) == sorted(opts, key=lambda o: o[0])
    assert frame(mtype, code, mid, token, encode_body(message.options, message.payload)) == data


@given(st.binary(max_size=80))
def test_any_bytes_give_a_message_that_encodes_to_the_same_bytes_or_our_own_error(data):
    try:
        message = decode(data)
    except MessageFormatError:
        return
    assert frame(message.type, message.code, message.mid, message.token, message.body) == data
    assert (
        frame(message.type, message.code, message.mid, message.token, encode_body(message.options, message.payload))
        == data
    )


@given(st.binary(min_size=4, max_size=80).map(lambda b: bytes([0x40 | b[0] & 0x3F]) + b[1:]))
def test_the_same_with_a_valid_version(data):
    try:
        message = decode(data)
    except MessageFormatError:
        return
    assert frame(message.type, message.code, message.mid, message.token, message.body) == data


BAD = {
    "nothing": "",
    "three bytes": "400100",
    "version 2": "80010001",
    "token length 9": "49010001" + "00" * 9,
    "token length 15": "4f010001" + "00" * 15,
    "token cut off": "44010001aabb",
    "payload marker without payload": "40010001ff",
    "option cut off": "40010001b372",
    "option extension cut off": "40010001d0",
    "long option extension cut off": "40010001e001",
    "option nibble 15 as length": "400100010f",
    "option nibble 15 as delta": "40010001f0",
    "option number above 65535": "40010001e0ffff00"[:16] + "e0ffff",
    "empty with token": "41000001aa",
    "empty with payload": "40000001ff01",
    "reserved class 1": "40200001",
    "reserved class 7": "40e10001",
    "reset with a code": "70450001",
    "acknowledgement of a request code": "60010001",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_message_is_our_own_error(name):
    with pytest.raises(MessageFormatError):
        decode(bytes.fromhex(BAD[name]))


def test_non_minimal_integers_are_kept_as_they_came():
    data = bytes.fromhex("40010001" + "c20028")
    message = decode(data)
    assert message.options == ((OptionNumber.CONTENT_FORMAT, b"\x00\x28"),)
    assert message.uint(OptionNumber.CONTENT_FORMAT) == 40
    assert frame(message.type, message.code, message.mid, message.token, message.body) == data


def test_unknown_critical_options_are_kept():
    body = encode_body([(9999, b"x")], b"")
    assert decode(frame(Type.CON, Code.GET, 1, b"", body)).body == body


def test_helpers_say_what_a_message_is():
    request = decode(frame(Type.CON, Code.POST, 7, b"t", encode_body([(11, b"rd"), (15, b"ep=a")], b"")))
    assert request.is_request
    assert not request.is_response
    assert request.strings(OptionNumber.URI_PATH) == ["rd"]
    assert request.option(OptionNumber.ACCEPT) is None
    assert decode(empty(Type.ACK, 9)) == Message(Type.ACK, 0, 9, b"", (), b"", b"")
    assert uint_value(0) == b""
    assert uint_value(256) == b"\x01\x00"
    assert dotted(Code.GATEWAY_TIMEOUT) == "5.04"


@given(st.sampled_from([1, 2, 69]), st.binary(max_size=8), options, st.binary(max_size=50))
def test_a_body_alone_says_the_same_as_its_datagram_and_size_tells_how_long_that_is(code, token, opts, payload):
    body = encode_body(opts, payload)
    datagram = decode(frame(Type.CON, code, 7, token, body))
    held = parse(code, body, token)
    assert (held.code, held.token, held.options, held.payload) == (code, token, datagram.options, datagram.payload)
    assert size(token, body) == len(frame(Type.CON, code, 7, token, body))


def test_message_ids_go_round_and_step_over_what_is_taken():
    ids = MessageIds(0xFFFD)
    assert [ids.allocate({0xFFFF}) for _ in range(3)] == [0xFFFE, 0, 1]
    ids.continue_after(40)
    assert ids.allocate(()) == 41
    ids.continue_after(0xFFF0)  # older, the shorter way round
    assert ids.allocate(()) == 42
