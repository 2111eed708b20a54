"""One operation: the type of its request, and the function that carries it out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.operations.types.request import Access, Request, result_type


class Entry(Protocol):
    """The entry of the audit log about an operation under way."""

    who: str  # as the log names the caller; "": nobody that is to be recorded

    async def write(self, outcome: str) -> None:
        """Write the entry now; otherwise the registry does so when the operation has ended. The first outcome stays."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`carry_out` takes a bridge and a request of the type `request`, and returns the result type of that request.

    With `names_caller` it also takes the `Entry` of the audit log, which says who asks.
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
