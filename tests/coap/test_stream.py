"""Frames of CoAP over TCP (RFC 8323 §3.2): lengths of every kind, in pieces of every size."""

import pytest
from hypothesis import given, strategies as st

from bridge.coap import stream
from bridge.coap.stream import Frame, Reader
from bridge.errors import MessageFormatError


@pytest.mark.parametrize("length", [0, 1, 12, 13, 14, 268, 269, 270, 65804, 65805, 65806, 100_000])
def test_a_frame_of_any_length_is_read_back(length):
    written = stream.frame(69, b"\1\2", bytes(length))
    assert list(Reader().feed(written)) == [Frame(69, b"\1\2", bytes(length))]
    assert list(Reader(len(written)).feed(written))
    with pytest.raises(MessageFormatError):
        list(Reader(len(written) - 1).feed(written))


def test_the_example_of_the_rfc():
    assert stream.frame(0x45, b"\x7f", b"\xff\x31\x32\x33") == bytes.fromhex("41457fff313233")


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=8), st.binary(max_size=400)), max_size=6), st.data())
def test_frames_come_out_as_they_went_in_whatever_the_pieces(messages, data):
    frames = [Frame(*message) for message in messages]
    text = b"".join(stream.frame(*message) for message in messages)
    reader, found = Reader(), []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += reader.feed(text[:size])
        text = text[size:]
    assert found == frames


@pytest.mark.parametrize("token_length", range(9, 16))
def test_a_longer_token_is_refused(token_length):
    with pytest.raises(MessageFormatError, match="token length"):
        list(Reader().feed(bytes((token_length,))))


@pytest.mark.parametrize("head", [b"\xf0\xff\xff\xff\xff", b"\xf0\x80\x00\x00\x00", b"\xf0\x00\x10\x00\x00"])
def test_an_absurd_length_is_refused_before_any_of_it_has_come(head):
    with pytest.raises(MessageFormatError, match="the limit is"):
        list(Reader().feed(head))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    try:
        for message in Reader().feed(data):
            stream.options_of(message)
    except MessageFormatError:
        pass
