"""Base types of requests, results, pages and errors."""

from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from bridge.store.access import Role

R_co = TypeVar("R_co", covariant=True)

PAGE = 100  # items on a page by default
LARGEST_PAGE = 10_000

Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="items on a page, at most")]
Id = Annotated[int, Meta(ge=1, le=2**63 - 1, description="id of the message, as lists show it")]
Name = Annotated[str, Meta(min_length=1, description="endpoint client name")]
Cursor = Annotated[str, Meta(description="`next` of the page before; empty: the first page")]


Access = Role
"""The role that a caller needs: READ changes nothing, OPERATE acts on existing messages and endpoints, ADMIN
adds and removes endpoints and keys."""


class Request(msgspec.Struct, Generic[R_co], frozen=True, forbid_unknown_fields=True):
    """Base of all requests. `Request[R]` is answered with an `R`. The docstring of each is its description."""

    NAME: ClassVar[str]  # name of the operation: "endpoint.list"
    ACCESS: ClassVar[Access]
    AUDITED: ClassVar[bool] = True  # whether the audit log records it, if it needs more than READ


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all results. All fields are always present. Times are wall-clock seconds since the epoch."""


class Problem(Result, frozen=True, kw_only=True):
    """The answer of a skin instead of a result."""

    error: Annotated[str, Meta(description="name of the error, as in bridge/errors.py")]
    detail: Annotated[str, Meta(description="what is wrong, and the cure")]


def result_type(request: type[Request[Any]]) -> Any:
    """Return the result type of a request class."""
    for base in request.__orig_bases__:  # type: ignore[attr-defined]  # every subclass of a generic class has it
        if get_origin(base) is Request:
            return get_args(base)[0]
    raise TypeError(f"{request.__name__} does not declare its result type")
