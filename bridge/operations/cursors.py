"""Cursors of pages: opaque text for callers, so that their content may change."""

import base64
import binascii
from typing import Annotated

import msgspec

from bridge.errors import RequestError
from bridge.store.fleet import PageEnd
from bridge.store.order import Order

_End = tuple[Order, str | float, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]]
_TEXTS = frozenset({Order.NAME, Order.ADDRESS})  # the orders whose values are texts; those of the others are numbers
LONGEST = 18  # decimal digits that certainly fit the 64 bits of an id


def id_before(cursor: str) -> int | None:
    """Return the id in a cursor of a list by ids; None for the first page. Raises RequestError."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > LONGEST:
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page")
    return int(cursor)


def cursor_of(page_end: PageEnd, order: Order) -> str:
    """Return the cursor for the page after a page with this end, of a list in this order."""
    raw = msgspec.json.encode((order, page_end.value, page_end.id))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def page_end_at(cursor: str, order: Order) -> PageEnd | None:
    """Return the end of a page that a cursor is, of a list in this order; None for the first page.

    Raises RequestError, also for a cursor of a list in another order: where it ends says nothing about this one.
    """
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of, value, id_ = msgspec.json.decode(raw, type=_End)
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page") from error
    if of is not order:
        raise RequestError(
            f"after {cursor[:40]!r} is `next` of a page that is sorted by {of}, and this list is sorted by {order}: "
            "ask with the sort order of the first page, or without after"
        )
    if isinstance(value, str) is not (order in _TEXTS):
        raise RequestError(f"after {cursor[:40]!r} is not `next` of an earlier page")
    return PageEnd(value, id_)
