"""What the life cycle of a client asks its shell to do, and what came of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Register:
    """Send Register to a server; `complete` leaves no parameter out."""

    server: int
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Send Update to a server, with the named parameters; none is a plain sign of life."""

    server: int
    lifetime: bool = False
    binding: bool = False
    links: bool = False


@dataclass(frozen=True, slots=True)
class Deregister:
    """Send De-register to a server."""

    server: int


@dataclass(frozen=True, slots=True)
class RequestBootstrap:
    """Send Bootstrap-Request; a session begins when it is answered 2.04."""


@dataclass(frozen=True, slots=True)
class UndoBootstrap:
    """The session ended without Bootstrap-Finish: restore the state from before it."""


@dataclass(frozen=True, slots=True)
class RemoveBootstrapAccount:
    """The Bootstrap-Server Account Timeout has passed."""


Task = Register | Update | Deregister | RequestBootstrap | UndoBootstrap | RemoveBootstrapAccount


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request. `code` is None without an answer, or after a Reset; `reason` says why."""

    code: str | None
    reason: str = ""
    location: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether the response is a success (2.xx)."""
        return self.code is not None and self.code.startswith("2.")
