"""What is said of a FORWARDED message is no more than what is known: docs/guarantees.md, What FORWARDED says."""

from typing import Any

import msgspec
import pytest

from bridge.coap.message import ACK, CON, NON, RST
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import Notification, OpaqueUplink, Response, Verdict
from bridge.operations.message_views import _what_is_not_known

ONCE = "nothing acknowledges it"


def said(kind: type[Any], *, coap_type: int | None = None, state: str = "FORWARDED") -> str:
    """Return what is said of a row that has nothing else to say."""
    known = {"state": UplinkState(state), "coap_type": coap_type}
    row = kind(**{field.name: known.get(field.name) for field in msgspec.structs.fields(kind)})
    return _what_is_not_known(row)


@pytest.mark.parametrize("kind", [Response, Verdict])
@pytest.mark.parametrize("coap_type", [ACK, NON, RST])
def test_an_answer_that_goes_once_says_that_the_server_may_not_have_it(kind: type[Any], coap_type: int) -> None:
    assert ONCE in said(kind, coap_type=coap_type)


def test_a_dtls_record_says_so_too() -> None:
    assert ONCE in said(OpaqueUplink)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Response, {"coap_type": CON}),
        (Response, {"coap_type": None}),  # an answer to a direct request
        (Notification, {"coap_type": CON}),
        (OpaqueUplink, {"state": "REJECTED"}),
        (Response, {"coap_type": ACK, "state": "RECEIVED"}),
    ],
)
def test_of_what_was_acknowledged_or_is_not_forwarded_nothing_is_said(kind: type[Any], more: dict[str, Any]) -> None:
    assert said(kind, **more) == ""
