"""One operation: the type of its request, and the function that carries it out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bridge.operations.types.request import Access, Request, result_type


@dataclass(frozen=True, slots=True)
class Operation:
    """`carry_out` takes a bridge and a request of the type `request`, and returns the result type of that request.

    With `names_caller` it also takes who asks, as the audit log names them.
    """

    request: type[Request[Any]]
    carry_out: Callable[..., Awaitable[Any]]
    names_caller: bool = False

    @property
    def name(self) -> str:
        return self.request.NAME

    @property
    def access(self) -> Access:
        return self.request.ACCESS

    @property
    def result(self) -> Any:
        return result_type(self.request)
