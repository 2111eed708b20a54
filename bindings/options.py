"""Reads values of an endpoint's options from text."""

from bridge.errors import ConfigurationError

_DIGITS = 9  # the largest number of bytes that is useful


def number_of_bytes(name: str, value: str) -> int:
    """Read a number of bytes. Raises ConfigurationError."""
    if not (value.isascii() and value.isdigit()) or len(value) > _DIGITS:
        raise ConfigurationError(f"option {name} {value!r} is not a number of bytes")
    return int(value)
