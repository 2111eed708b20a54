"""Reads values of an endpoint's options from text."""

from bridge.errors import ConfigurationError

_DIGITS = 9  # of any number of bytes that means something


def number_of_bytes(name: str, value: str) -> int:
    """Read a number of bytes. Raises ConfigurationError."""
    if not (value.isascii() and value.isdigit()) or len(value) > _DIGITS:
        raise ConfigurationError(f"option {name} {value!r} is not a number of bytes")
    return int(value)
