"""A long list is read item by item, however it is cut, and one that is not whole is not believed."""

import pytest

from bindings.t8.array import ArrayReader, NoArray


def read(*pieces, limit=1 << 20):
    items = []
    reader = ArrayReader(items.append, limit)
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return items


WHOLE = b' [{"self":"x","n":1.5},\n{"self":"y\xc3\xa4"},{"a":[1,{"b":[]}]}, null] '


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_items_come_however_the_body_is_cut(size):
    pieces = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    assert read(*pieces) == [{"self": "x", "n": 1.5}, {"self": "yä"}, {"a": [1, {"b": []}]}, None]


def test_an_empty_list_is_a_list():
    assert read(b"[]") == read(b"\xef\xbb\xbf", b"[", b"]") == []


@pytest.mark.parametrize(
    "pieces",
    [[], [b""], [b"[1"], [b"[1,"], [b"[1,]"], [b'{"a":1}'], [b"null"], [b"<html>"], [b"[1] x"], [b'["\xff"]'],
     [b"["] * 5000],
)  # fmt: skip
def test_what_is_no_whole_list_is_said_at_its_end(pieces):
    with pytest.raises(NoArray):
        read(*pieces)


def test_a_list_is_bounded():
    with pytest.raises(NoArray, match="too long"):
        read(b"[" + b"1," * 100 + b"1]", limit=50)
