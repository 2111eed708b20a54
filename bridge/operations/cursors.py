"""Cursors of pages: opaque text for callers, so that their content may change."""

import base64
import binascii
from typing import Annotated

import msgspec

from bridge.errors import RequestError
from bridge.store.fleet import PageEnd

_End = tuple[str | float, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]]
LONGEST = 18  # decimal digits that certainly fit the 64 bits of an id


def id_before(cursor: str) -> int | None:
    """Return the id in a cursor of a list by ids; None for the first page. Raises RequestError."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > LONGEST:
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page")
    return int(cursor)


def cursor_of(page_end: PageEnd) -> str:
    """Return the cursor for the page after a page with this end."""
    return base64.urlsafe_b64encode(msgspec.json.encode((page_end.value, page_end.id))).decode().rstrip("=")


def page_end_at(cursor: str) -> PageEnd | None:
    """Return the end of a page that a cursor is; None for the first page. Raises RequestError."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return PageEnd(*msgspec.json.decode(raw, type=_End))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page") from error
