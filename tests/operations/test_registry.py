"""The table of operations: complete, typed, and able to describe itself."""

from typing import get_type_hints

import msgspec
import pytest

from bridge.errors import NotFound, RequestError
from bridge.operations.bridge import Bridge
from bridge.operations.cursors import cursor_of
from bridge.operations.operation import Entry, Operation
from bridge.operations.registry import OPERATIONS, call
from bridge.operations.types.request import Request
from bridge.store.fleet import PageEnd
from bridge.store.order import Order

TOO_LARGE = cursor_of(PageEnd("e1", 2**63), Order.NAME).encode()  # an id that no database has
ALL = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def subclasses(kind: type) -> set[type]:
    return {one for direct in kind.__subclasses__() for one in (direct, *subclasses(direct))}


def test_every_request_can_be_made() -> None:
    assert {operation.request for operation in OPERATIONS.values()} == subclasses(Request)


@ALL
def test_an_operation_takes_its_request_and_returns_the_result_that_this_names(operation: Operation) -> None:
    hints = get_type_hints(operation.carry_out)
    result = hints.pop("return")
    assert result == operation.result
    caller = [Entry] if operation.names_caller else []
    assert list(hints.values()) == [Bridge, operation.request, *caller]


@ALL
def test_an_operation_describes_itself(operation: Operation) -> None:
    """What a generated description of an API needs: a sentence, and a JSON schema of both types."""
    sentence = operation.request.__doc__ or ""
    assert sentence[0].isupper()
    assert "." in sentence
    (asked, answered), components = msgspec.json.schema_components((operation.request, operation.result))
    assert asked["$ref"].rpartition("/")[2] in components
    assert answered["$ref"].rpartition("/")[2] in components


async def test_an_unknown_operation_is_answered_with_those_there_are(bridge: Bridge) -> None:
    with pytest.raises(NotFound, match=r"no operation 'dance'; there are: endpoint\.list, "):
        await call(bridge, "dance", b"{}")


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("status", b"[1]", "Expected `object`"),
        ("endpoint.add", b'{"endpoints":' + b"[" * 100_000, "Expected `object`"),
        ("endpoint.explain", b'{"name":' + b"[" * 100_000, "Expected `str`"),
        ("status", b"{", "truncated"),
        ("status", b"\xff", "malformed"),
        ("status", b'{"verbose": true}', "unknown field `verbose`"),
        ("endpoint.show", b"{}", "missing required field `name`"),
        ("endpoint.show", b'{"name": ""}', "length >= 1"),
        ("endpoint.list", b'{"limit": 0}', ">= 1"),
        ("endpoint.list", b'{"limit": 10001}', "<= 10000"),
        ("endpoint.update", b'{"endpoint": "e1", "colour": "red"}', "unknown field `colour`"),
        ("endpoint.import", b'{"csv": "no base64!"}', "base64"),
        ("downlink.list", b'{"state": "LOST"}', "Invalid enum value 'LOST'"),
        ("downlink.list", b'{"after": "-1"}', "is not `next` of an earlier page"),
        ("endpoint.list", b'{"after": "%s"}' % TOO_LARGE, "is not `next` of an earlier page"),
        ("downlink.list", b'{"after": "\xc2\xb2"}', "is not `next` of an earlier page"),
        ("uplink.list", b'{"after": "' + b"9" * 5000 + b'"}', "is not `next` of an earlier page"),
        ("downlink.cancel", b'{"id": 0}', ">= 1"),
        ("downlink.cancel", b'{"id": ' + b"9" * 30 + b"}", "<= 9223372036854775807"),
        ("downlink.cancel", b'{"id": "x"}', "Expected `int`"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    bridge: Bridge, name: str, body: bytes, said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        await call(bridge, name, body)
    assert str(refused.value).startswith(name) or "after" in str(refused.value)
    assert said in str(refused.value)
