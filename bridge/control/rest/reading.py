"""Reads requests of operations from paths, queries and bodies."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from bridge.control.rest.openapi import fields_of, in_text
from bridge.control.rest.routes import Route
from bridge.errors import RequestError
from bridge.operations.types.request import Request

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


class Reader:
    """Reads the requests of one route."""

    def __init__(self, route: Route) -> None:
        self._route = route

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        """Return the fields' schemas, made at the first request: those of all routes would delay each start."""
        return {name: in_text(schema) for name, schema in fields_of(self._route).items()}

    def request(
        self,
        path: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Request[Any]:
        """Return the request that a path, a query, a body and headers make. Raises RequestError."""
        route = self._route
        if route.in_query:
            if body:
                raise RequestError(f"{route.method} takes no body; put parameters into the query")
            given = self._from_query(query, route.rest)
        else:
            if query and not route.query:
                raise RequestError(f"unknown parameter {query[0][0]!r}; parameters of {route.method} are in its body")
            given = self._from_query(query, route.query)
            _add(given, _decoded(body or b"{}"), {*route.query, *route.headers.values()})
        for name, of_request in route.headers.items():
            texts = [text for one, text in headers if one.lower() == name.lower()]
            if len(texts) > 1:
                raise RequestError(f"header {name} is given twice")
            if texts:
                given[of_request] = _unquoted(texts[0])
        for name, of_request in route.in_path.items():
            if of_request in given:
                raise RequestError(f"{of_request} is already given by the path")
            given[of_request] = _converted(name, path[name], self._fields[of_request])
        try:
            asked: Request[Any] = msgspec.convert(given, route.request)
        except msgspec.ValidationError as error:
            raise RequestError(str(error)) from error
        return asked

    def _from_query(self, query: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, text in query:
            schema = self._fields.get(name)
            if schema is None or name not in names:
                known = ", ".join(names) or "none"
                raise RequestError(f"unknown parameter {name!r}; there are: {known}")
            if schema.get("type") == "array":
                given.setdefault(name, []).append(_converted(name, text, schema["items"]))
            elif name in given:
                raise RequestError(f"parameter {name!r} is given twice")
            else:
                given[name] = _converted(name, text, schema)
        return given


def _add(given: dict[str, Any], body: Mapping[str, Any], elsewhere: Collection[str]) -> None:
    """Add what a body has. Raises RequestError for what belongs into the query or a header."""
    for name, value in body.items():
        if name in elsewhere:
            raise RequestError(f"{name} belongs into the query or a header, not into the body")
        given[name] = value


def _unquoted(text: str) -> str:
    """Return the string that a header has, in quotes (RFC 8941, 3.3.3) or without."""
    text = text.strip()
    if len(text) < len('""') or text[0] != '"' or text[-1] != '"':
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    except RecursionError:
        raise RequestError("the body is nested too deeply") from None
    if not isinstance(decoded, dict):
        raise RequestError("the body must be a JSON object")
    return decoded


def _converted(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """Return the value of a text in a path or a query. Raises RequestError."""
    kind = schema.get("type")
    if kind == "boolean":
        if text not in _BOOLEANS:
            raise RequestError(f"{name}: {text[:40]!r} is not true or false")
        return _BOOLEANS[text]
    if kind == "integer":
        if not _INTEGER.fullmatch(text):
            raise RequestError(f"{name}: {text[:40]!r} is not a whole number")
        return int(text)
    if kind == "number":
        if not _NUMBER.fullmatch(text):
            raise RequestError(f"{name}: {text[:40]!r} is not a number")
        return float(text)
    return text
