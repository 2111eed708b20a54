"""An SQL function: whether the registrations in an endpoint's relay row are live."""

from typing import Any

import apsw

from bridge.relay.registrations import decode
from bridge.store.fleet import lapses_at


def add_function(connection: apsw.Connection) -> None:
    """Let queries of a connection ask `is_registered(registrations, now)`."""
    connection.create_scalar_function("is_registered", _is_registered, 2)


def _is_registered(*arguments: Any) -> int:
    column, now = arguments
    return int(any(lapses_at(one) > now for one in decode(column)))
