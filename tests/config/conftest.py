"""A binding of a third party, as the configuration finds it."""

from typing import Annotated

import msgspec
import pytest

from bridge.config import reading


class Http(msgspec.Struct, kw_only=True, frozen=True):
    """The HTTP client."""

    timeout: Annotated[float, msgspec.Meta(gt=0, description="seconds to wait")] = 10.0
    password: Annotated[str, msgspec.Meta(description="password", extra={"secret": True})] = ""
    headers: Annotated[dict[str, str], msgspec.Meta(description="headers", extra={"secret": True})] = msgspec.field(
        default_factory=dict
    )


class RadioSettings(msgspec.Struct, kw_only=True, frozen=True):
    """One radio network."""

    root: Annotated[str, msgspec.Meta(description="where it is, a URL", examples=["http://127.0.0.1:1"])]
    token: Annotated[str | None, msgspec.Meta(description="token", extra={"secret": True})] = None
    http: Annotated[Http, msgspec.Meta(description="its client")] = Http()


class RadioBinding:
    def __init__(self, name, settings):
        self.created_with = name, settings

    @classmethod
    def settings(cls):
        return RadioSettings


class Point:
    def __init__(self, name, found):
        self.name, self._found = name, found

    def load(self):
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    points = [Point("radio", RadioBinding), Point("broken", ImportError("no module named antenna"))]
    monkeypatch.setattr(reading, "entry_points", lambda group: points)
    monkeypatch.setattr(reading, "_loaded", {})
    return RadioBinding
