"""What a bootstrap server does with a client: a list of steps, or server accounts from which the steps follow.

As TOML, one table for each endpoint, `*` for all others:

    ["urn:dev:os:meter-1"]
    delete = ["/0", "/1"]                              # before anything is written; this is the default
    servers = [{ id = 1, uri = "coap://192.0.2.1", lifetime = 3600, values = { "13" = 1 } }]
    values = { "/3/0/13" = 1767225600 }                # further values, each a Bootstrap-Write

or, where the order matters, `steps = [{ operation = "write", path = "/1/0", values = { … } }, …]`, the operation of
each step one of discover, read, write, delete and finish; or `manual = true`: all steps come by the control API.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.jsonvalue import format_from_json, from_json
from mock_network.lwm2m.paths import RESOURCE_LEVEL, parse_path
from mock_network.lwm2m.values import Record, TypeOf

OPERATIONS = ("discover", "read", "write", "delete", "finish")
NO_SEC = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on a client in a session. `values` maps paths to JSON values, for a write."""

    operation: str
    path: str = "/"
    values: Mapping[str, Any] = field(default_factory=dict)
    format: ContentFormat | None = None
    optional: bool = False
    """The session continues if the client refuses it."""

    def records(self, type_of: TypeOf) -> list[Record]:
        """Return the values as records; ValueError for a resource that is not known or a value that does not fit."""
        records = []
        for text, data in self.values.items():
            path = parse_path(text)
            data_type = type_of(path)
            if data_type is None:
                raise ValueError(f"no resource is known at {text}")
            records.append(Record(path, from_json(data, data_type)))
        return records

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "Step":
        """Return the step that a table describes; ValueError."""
        if unknown := set(body) - {"operation", "path", "values", "value", "format", "optional"}:
            raise ValueError(f"unknown member of a step: {min(unknown)}")
        operation, path, values = body.get("operation"), body.get("path", "/"), dict(body.get("values", {}))
        if operation not in OPERATIONS:
            raise ValueError(f"a step's operation is one of {', '.join(OPERATIONS)}, not {operation!r}")
        parse_path(path)
        if "value" in body:
            values[path] = body["value"]
        chosen = format_from_json(body["format"], ContentFormat.TLV) if "format" in body else None
        return cls(operation, path, values, chosen, body.get("optional", False) is True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done in a session."""

    fixed: tuple[Step, ...] = ()
    servers: tuple[Mapping[str, Any], ...] = ()
    delete: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    manual: bool = False

    @property
    def needs_discovery(self) -> bool:
        """Return whether `steps` needs the used Security instances."""
        return bool(self.servers)

    def steps(self, taken: frozenset[int]) -> list[Step]:
        """Return all steps; the accounts avoid the Security instances in `taken`."""
        if self.fixed:
            return list(self.fixed)
        found = [Step("delete", path, optional=True) for path in self.delete]
        free = (number for number in range(len(self.servers) + len(taken)) if number not in taken)
        for index, (number, server) in enumerate(zip(free, self.servers, strict=False)):
            found.append(Step("write", f"/0/{number}", _security(f"/0/{number}", server)))
            found.append(Step("write", f"/1/{index}", _server(f"/1/{index}", server)))
        for path, value in self.values.items():
            found.append(Step("write", path, {path: value}))
        return [*found, Step("finish")]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "Plan":
        """Return the plan that a table describes; ValueError."""
        if unknown := set(body) - {"steps", "servers", "delete", "values", "manual"}:
            raise ValueError(f"unknown member of a bootstrap plan: {min(unknown)}")
        servers = tuple(body.get("servers", ()))
        for server in servers:
            if not isinstance(server.get("id"), int) or not isinstance(server.get("uri"), str):
                raise ValueError("a server of a bootstrap plan needs id and uri")  # noqa: TRY004  # any bad input
        values = dict(body.get("values", {}))
        for path in values:
            if len(parse_path(path)) < RESOURCE_LEVEL:
                raise ValueError(f"{path} is no path of a resource")
        return cls(
            tuple(Step.parse(step) for step in body.get("steps", ())),
            servers,
            tuple(body.get("delete", ("/0", "/1"))),
            values,
            body.get("manual", False) is True,
        )


def _security(path: str, server: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"base64": ""}
    values = {0: server["uri"], 1: False, 2: NO_SEC, 3: empty, 4: empty, 5: empty, 10: server["id"]}
    return {f"{path}/{number}": value for number, value in values.items()} | {
        f"{path}/{number}": value for number, value in server.get("security", {}).items()
    }


def _server(path: str, server: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[Any, Any] = {0: server["id"], 1: server.get("lifetime", 86400), 6: True, 7: server.get("binding", "U")}
    values |= {int(number): value for number, value in server.get("values", {}).items()}
    return {f"{path}/{number}": value for number, value in values.items()}


def read_plans(text: str) -> dict[str, Plan]:
    """Return the plans of a TOML file by endpoint name; ValueError."""
    try:
        return {endpoint: Plan.parse(body) for endpoint, body in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"no bootstrap plans: {error}") from None
