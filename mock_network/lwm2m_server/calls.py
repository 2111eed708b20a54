"""The operations of the emulated server as calls: a name and a JSON object in, a result out.

Every call takes `timeout` (seconds, null forever; left out: the patience of the profile) and `ttl` (seconds, for the
TTL_OPTION).
Formats are `text`, `opaque`, `cbor`, `tlv`, `json`, `senml_json`, `senml_cbor`, or their numbers.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat
from mock_network.lwm2m.jsonvalue import format_from_json, from_json, to_json
from mock_network.lwm2m.messages import POST, PUT, Request
from mock_network.lwm2m.paths import RESOURCE_LEVEL, Path, format_path, parse_path
from mock_network.lwm2m.values import FormatError, Record
from mock_network.lwm2m_server.server import PATIENCE, LwM2mServer, Observed, Result

Body = dict[str, Any]


def describe(result: Result) -> Body:
    """Return a response as JSON: always its code and payload (hex), its values or links where it has some."""
    response = result.response
    described: Body = {
        "outcome": "response",
        "code": response.code,
        "ok": response.ok,
        "payload": response.payload.hex(),
        "content_format": response.content_format,
        "elapsed": result.elapsed,
        "mid": response.mid,
        "token": response.token.hex(),
        "type": response.type,
    }
    if response.location:
        described["location"] = "/" + "/".join(response.location)
    if not response.ok:
        described["diagnostic"] = response.payload.decode(errors="replace")
    elif response.content_format == ContentFormat.LINK:
        described["links"] = {link.target: dict(link.attributes) for link in result.links}
    elif response.content_format is not None:
        described["values"] = values_of(lambda: result.records)
    return described


def values_of(records: Callable[[], list[Record]]) -> Body | None:
    """Return values by path as JSON, None where the payload holds none."""
    try:
        return {format_path(record.path): to_json(record.value) for record in records()}
    except (FormatError, UnsupportedFormat):
        return None


def _path(body: Body) -> str:
    path = body.get("path")
    if not isinstance(path, str):
        raise ValueError("path is needed")  # noqa: TRY004 becomes 400
    return path


def _paths(body: Body) -> list[str]:
    paths = body.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError("paths is a list of paths")
    return paths


def _call(body: Body) -> Body:
    wait, ttl = body.get("timeout", PATIENCE), body.get("ttl")
    if wait is not None and (isinstance(wait, bool) or not isinstance(wait, int | float)):
        raise ValueError("timeout is in seconds, or null for ever")
    if ttl is not None and (not isinstance(ttl, int) or not 0 <= ttl < 1 << 32):
        raise ValueError("ttl is in whole seconds")
    return {"wait": wait, "ttl": ttl}


def _accept(body: Body) -> int | None:
    return None if body.get("accept") is None else int(format_from_json(body["accept"], ContentFormat.TLV))


def _record(server: LwM2mServer, path: Path, data: Any) -> Record:
    data_type = server.type_of(path)
    if data_type is None:
        raise ValueError(f"no resource is known at {format_path(path)}")
    return Record(path, from_json(data, data_type))


def _content(server: LwM2mServer, body: Body, *, needed: bool = True) -> list[Record]:
    """Return {"value": …} for the path itself, or {"values": {path: value}}."""
    if "values" in body:
        return [_record(server, parse_path(path), data) for path, data in body["values"].items()]
    if "value" in body:
        return [_record(server, parse_path(_path(body)), body["value"])]
    if needed:
        raise ValueError("value or values is needed")
    return []


def _format(body: Body, default: ContentFormat) -> ContentFormat:
    return format_from_json(body.get("format"), default)


async def _read(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.read(endpoint, _path(body), accept=_accept(body), **_call(body))


async def _discover(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.discover(endpoint, _path(body), **_call(body))


async def _delete(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.delete(endpoint, _path(body), **_call(body))


async def _execute(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.execute(endpoint, _path(body), str(body.get("arguments", "")), **_call(body))


async def _create(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.TLV)
    records = _content(server, body, needed=False)
    return await server.create(endpoint, _path(body), records, content_format=content_format, **_call(body))


async def _write(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    """As TEXT for one value, else TLV; {"payload": base64} sends these bytes as they are."""
    path = _path(body)
    replace = bool(body.get("replace", True))
    if "payload" in body:
        content_format = _format(body, ContentFormat.OPAQUE)
        request = Request(PUT if replace else POST, payload=_bytes(body["payload"]), content_format=int(content_format))
        return (await server.request(endpoint, parse_path(path), request, **_call(body)))[0]
    single = len(parse_path(path)) >= RESOURCE_LEVEL and "value" in body
    content_format = _format(body, ContentFormat.TEXT if single else ContentFormat.TLV)
    records = _content(server, body)
    return await server.write(endpoint, path, records, content_format=content_format, replace=replace, **_call(body))


def _bytes(data: Any) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("payload is base64") from None


async def _write_attributes(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    attributes = body.get("attributes")
    if not isinstance(attributes, dict):
        raise ValueError('attributes is {"pmin": 10}, null removes one')  # noqa: TRY004 becomes 400
    query = [name if value is None else f"{name}={value}" for name, value in attributes.items()]
    return await server.write_attributes(endpoint, _path(body), query, **_call(body))


async def _observe(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return (await server.observe(endpoint, _path(body), accept=_accept(body), **_call(body))).first


async def _observe_composite(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.SENML_CBOR)
    observed = await server.observe_composite(endpoint, _paths(body), content_format=content_format, **_call(body))
    return observed.first


def _observed(server: LwM2mServer, endpoint: str, body: Body) -> Observed:
    return server.observation(endpoint, _paths(body) if "paths" in body else [_path(body)])


async def _cancel(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.cancel(_observed(server, endpoint, body), **_call(body))


async def _forget(server: LwM2mServer, endpoint: str, body: Body) -> None:
    server.forget(_observed(server, endpoint, body))


async def _read_composite(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.SENML_CBOR)
    return await server.read_composite(endpoint, _paths(body), content_format=content_format, **_call(body))


async def _write_composite(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.SENML_CBOR)
    return await server.write_composite(endpoint, _content(server, body), content_format=content_format, **_call(body))


CALLS: dict[str, Callable[[LwM2mServer, str, Body], Awaitable[Result | None]]] = {
    "read": _read,
    "discover": _discover,
    "delete": _delete,
    "execute": _execute,
    "create": _create,
    "write": _write,
    "write_attributes": _write_attributes,
    "observe": _observe,
    "observe_composite": _observe_composite,
    "cancel": _cancel,
    "forget": _forget,
    "read_composite": _read_composite,
    "write_composite": _write_composite,
}
"""By the names of the control API."""
