"""Calls of ChirpStack's API as a trace shows them: names and small fields, no keys and no payloads."""

from typing import Any

_HIDDEN = ("key", "data")  # fields whose names end so are keys, or bytes of a device
_LONGEST = 400  # characters


def device_in(request: Any) -> str:
    """Return the DevEUI that a request is about; "" for none."""
    item = getattr(request, "queue_item", None)
    return str(getattr(request if item is None else item, "dev_eui", ""))


def shown_message(message: Any) -> str:
    """Return the name of a message's type and its fields, on one line."""
    name = type(message).__name__.removesuffix("Request").removesuffix("Response")
    text = f"{name} {_fields(message)}".rstrip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _fields(message: Any) -> str:
    return ", ".join(_shown(field, value) for field, value in message.ListFields())


def _shown(field: Any, value: Any) -> str:
    if field.name.endswith(_HIDDEN):
        size = len(value) if isinstance(value, bytes | str) else 0
        return f"{field.name} ({size} {'bytes' if isinstance(value, bytes) else 'characters'})"
    if hasattr(value, "ListFields"):
        return f"{field.name} {{{_fields(value)}}}"
    if isinstance(value, bytes | str | bool | int | float):
        return f"{field.name} {value!r}" if isinstance(value, bytes) else f"{field.name} {value}"
    return f"{field.name} ({len(value)})"  # several of them
