"""Errors over HTTP (RFC 9457)."""

import http
from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.errors import BridgeError

CONTENT_TYPE = "application/problem+json"


class HttpProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and the cure."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="what is wrong, and the cure")]
    error: Annotated[str, Meta(description="a name of the error that does not change between releases")]


def problem_of(error: BridgeError, status: int) -> HttpProblem:
    """Return the body of an error answer."""
    return HttpProblem(
        type="about:blank",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=error.text,
        error=type(error).__name__,
    )
