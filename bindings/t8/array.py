"""A long JSON array, read item by item as it comes: a list of all configurations has an item for each device."""

from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import ijson


class NoArray(Exception):
    """The body is not a JSON array, or incomplete."""


class ArrayReader:
    """Takes pieces of a body by `feed`, and passes each item to `handle`; `finish` checks that it was complete.

    `feed` does not raise: `finish` does. `limit`: bytes of the body, at most.
    """

    def __init__(self, handle: Callable[[Any], None], limit: int) -> None:
        self._handle = handle
        self._left = limit
        self._items: list[Any] = ijson.sendable_list()
        self._parser = ijson.items_coro(self._items, "item", use_float=True)
        self._head = b""
        self._wrong = ""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        if self._wrong:
            return
        self._left -= len(piece)
        if self._left < 0:
            self._wrong = "it is too long"
        elif not self._begins(piece):
            self._wrong = "it is not an array"
        else:
            self._parse(piece)

    def _begins(self, piece: bytes) -> bool:
        """Return whether the bytes so far may be an array, which may have no items."""
        if self._head != b"[":
            self._head = (self._head + piece.removeprefix(BOM_UTF8)).lstrip()[:1]
        return self._head in (b"", b"[")

    def _parse(self, piece: bytes) -> None:
        try:
            if piece := piece.removeprefix(BOM_UTF8):
                self._parser.send(piece)
        except (ijson.JSONError, StopIteration) as error:
            self._wrong = _reason(error) or "there is data behind the array"
        for item in self._items:
            self._handle(item)
        self._items.clear()

    def finish(self) -> None:
        """Check the end of the body. Raises NoArray if it was not one complete array."""
        if not self._wrong and self._head != b"[":
            self._wrong = "it is empty"
        if not self._wrong:
            try:
                self._parser.close()
            except ijson.JSONError as error:
                self._wrong = _reason(error)
        if self._wrong:
            raise NoArray(self._wrong)


def _reason(error: Exception) -> str:
    """Return the first line of a parser's error, which continues with a picture of the position."""
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return text.partition("\n")[0]
