"""The one error of the emulated server's tables: a refusal with the gRPC status a caller of the real API would see."""

from enum import Enum


class Status(Enum):
    """gRPC status names the ChirpStack API answers with."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    INTERNAL = "INTERNAL"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class Refused(Exception):
    """A request that the server refuses; `status` is the gRPC status, the text its message."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def not_found(identifier: str) -> Refused:
    """Return the refusal of a request for an object that is not there."""
    return Refused(Status.NOT_FOUND, f"Object does not exist (id: {identifier})")


def already_exists(identifier: str) -> Refused:
    """Return the refusal of a second object under the same key."""
    return Refused(Status.ALREADY_EXISTS, f"Object already exists (id: {identifier})")


def invalid(reason: str) -> Refused:
    """Return the refusal of a value that fails the server's own validation."""
    return Refused(Status.INVALID_ARGUMENT, f"Validation error: {reason}")
