"""Calls of a network's API as a trace shows them to people: without headers, secrets and payloads."""

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

Seen = Callable[[str, str], None]
"""`seen(device, text)` shows a call that was about a device."""

device_of_call: ContextVar[str] = ContextVar("device_of_call", default="")
"""The device that the present task's calls are about; "" for none."""

_LONGEST = 400  # characters of a body
_PAYLOADS = frozenset({"data", "sms", "triggerPayload"})
_SECRETS = frozenset({"notificationDestination"})  # its path is the secret that callers of the listener must know


def shown_body(body: bytes) -> str:
    """Return a JSON body on one line, its payloads replaced by their sizes; "" for none, its size if it is no JSON."""
    if not body:
        return ""
    try:
        members = _redacted(json.loads(body))
        text = json.dumps(members, ensure_ascii=False, separators=(", ", ": "))
    except (ValueError, RecursionError):  # what can be read may still be nested too deeply to be walked through
        return f"{len(body)} bytes"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _redacted(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, name) for item in value]
    if isinstance(value, str) and name in _PAYLOADS:
        return f"({len(value)} characters)"
    if isinstance(value, str) and name in _SECRETS:
        return f"{value.rpartition('/')[0]}/***"
    return value
