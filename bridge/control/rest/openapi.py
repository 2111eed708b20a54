"""The description of the API (OpenAPI 3.1), made from the types of the operations."""

import copy
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from bridge.control.rest.problem import CONTENT_TYPE, HttpProblem
from bridge.control.rest.routes import ROUTES, VERSION, Route
from bridge.operations.types.events import ListEvents

_REF = "#/components/schemas/{name}"

DESCRIPTION = """\
Everything that a bridge can be asked to do. Send `Authorization: Bearer KEY`; `lwm2m-bridge key create` makes keys.
Times are seconds since the epoch. Lists come in pages: `next` of a page is `after` of the following page. A `GET`
answer has an `ETag`; with `If-None-Match` an unchanged answer is not sent again, and with `If-Match` a change is
refused if somebody else made one before."""


def described() -> dict[str, Any]:
    """Return the whole description."""
    kinds = [kind for route in ROUTES for kind in (route.request, route.result)]
    schemas, components = msgspec.json.schema_components([*kinds, HttpProblem], ref_template=_REF)
    requests = {route.request: _resolved(schemas[2 * i], components) for i, route in enumerate(ROUTES)}
    paths: dict[str, dict[str, Any]] = {}
    for i, route in enumerate(ROUTES):
        asked = requests[route.request]
        paths.setdefault(VERSION + route.path, {})[route.method.lower()] = _operation(route, asked, schemas[2 * i + 1])
    for route in ROUTES:  # described by parameters and bodies of their own
        components.pop(route.request.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LwM2M Non-IP bridge",
            "version": version("lwm2m-nonip-bridge"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(route) for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "What is wrong, and the cure (RFC 9457).",
                    "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="HttpProblem")}}},
                }
            },
        },
    }


def fields_of(route: Route) -> Mapping[str, Mapping[str, Any]]:
    """Return the schema of each field of a route's request."""
    (schema,), components = msgspec.json.schema_components([route.request], ref_template=_REF)
    properties: Mapping[str, Mapping[str, Any]] = _resolved(schema, components).get("properties", {})
    return {name: _inlined(one, components) for name, one in properties.items()}


def _operation(route: Route, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> dict[str, Any]:
    text = " ".join((route.request.__doc__ or "").split())
    operation: dict[str, Any] = {
        "operationId": route.id,
        "tags": [_tag(route)],
        "summary": text.split(". ")[0].rstrip("."),
        "description": f"{text} Needs the role `{route.request.ACCESS}`.",
        "parameters": [*_parameters(route, asked)],
        "responses": {
            str(route.status): {
                "description": " ".join((route.result.__doc__ or "The result.").split()),
                "content": {"application/json": {"schema": answered}},
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.pending is not None:
        content = operation["responses"][str(route.status)]["content"]
        operation["responses"][str(route.pending)] = {
            "description": "It is accepted, and not over yet: see `Location`.",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": content,
        }
    if route.method == "GET":
        operation["responses"]["304"] = {"description": "The answer has not changed since (`If-None-Match`)."}
    if route.request is ListEvents:
        content = operation["responses"][str(route.status)]["content"]
        content["text/event-stream"] = {"schema": {"type": "string"}}
    if not route.in_query and (body := _body(route, asked)):
        required = bool(body.get("required"))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    return operation


def _parameters(route: Route, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    properties = asked.get("properties", {})
    for name, of_request in route.in_path.items():
        yield _parameter(name, "path", properties[of_request], required=True)
    for name in route.rest if route.in_query else route.query:
        yield _parameter(name, "query", properties[name], required=name in asked.get("required", ()))
    for name, of_request in route.headers.items():
        yield _parameter(name, "header", properties[of_request], required=False)
    if route.conditional is not None:
        about = "`ETag` of the endpoint when it was read; if the endpoint has changed since, nothing is done (412)"
        yield {"name": "If-Match", "in": "header", "description": about, "schema": {"type": "string"}}


def _parameter(name: str, where: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    shown = dict(in_text(schema))
    description = shown.pop("description", "")
    shown.pop("default", None)
    parameter = {"name": name, "in": where, "required": required, "schema": shown}
    return parameter | ({"description": description} if description else {})


def in_text(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a value in a path or a query, which cannot be null: it is left out instead."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}


def _body(route: Route, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a request's body: the request without the fields in the path; {} if nothing is left."""
    if not route.rest:
        return {}
    taken = {*route.in_path.values(), *route.headers.values(), *route.query}
    body = copy.deepcopy(dict(asked))
    body.pop("title", None)
    body["properties"] = {name: one for name, one in body["properties"].items() if name not in taken}
    body["required"] = [name for name in body.get("required", ()) if name not in taken]
    if not body["required"]:
        del body["required"]
    return body


def _tag(route: Route) -> str:
    return route.request.NAME.partition(".")[0]


def _resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    return components[reference.rpartition("/")[2]] if reference else schema


def _inlined(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema in which its own references, and those of its choices and items, are resolved."""
    found = dict(_resolved(schema, components))
    if "anyOf" in found:
        found["anyOf"] = [_inlined(one, components) for one in found["anyOf"]]
    if "items" in found:
        found["items"] = _inlined(found["items"], components)
    return found
