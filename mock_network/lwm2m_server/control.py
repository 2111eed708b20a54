"""Control API of the emulated server: HTTP and JSON, loopback only.

GET  /control/clients                       registrations
GET  /control/clients/{endpoint}            one; ?wait=seconds waits until it is there
POST /control/clients/{endpoint}/{operation}
     read, discover, delete, execute, create, write, write_attributes, observe, cancel, forget, read_composite,
     write_composite: {"path": "/3/0/9", "timeout": 120, "ttl": 60, "accept": "tlv", "format": "senml_cbor", …}
     → {"outcome": "response", "code": "2.05", "values": {"/3/0/9": 100}, …}, or "outcome" one of "no answer",
     "not acknowledged", "reset", "closed"
GET  /control/observations                  observations with their notifications, in order of arrival
GET  /control/sends                         what devices sent; ?since=n
GET  /control/seen                          what was seen (`seen.Seen`); ?since=n&kind=…&endpoint=…
POST /control/stop, /control/start          stop listening {"forget": true}, and listen again on the same port
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from mock_network.control_api import body_of, errors_as_json
from mock_network.lwm2m.control import MAX_BODY, outcomes_as_json
from mock_network.lwm2m.definitions import type_of
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat
from mock_network.lwm2m.jsonvalue import format_from_json, from_json, to_json
from mock_network.lwm2m.messages import Response
from mock_network.lwm2m.paths import RESOURCE_LEVEL, Path, format_path, parse_path
from mock_network.lwm2m.values import FormatError, Record
from mock_network.lwm2m_server.server import RESPONSE_TIMEOUT, LwM2mServer, NotRegistered, Observed, Result

_SERVER: web.AppKey[LwM2mServer] = web.AppKey("server", LwM2mServer)
Body = dict[str, Any]


def make_app(server: LwM2mServer) -> web.Application:
    """The application."""
    app = web.Application(middlewares=[errors_as_json, outcomes_as_json], client_max_size=MAX_BODY)
    app[_SERVER] = server
    app.router.add_get("/control/clients", _clients)
    app.router.add_get("/control/clients/{endpoint}", _client)
    app.router.add_post("/control/clients/{endpoint}/{operation}", _operate)
    app.router.add_get("/control/observations", _observations)
    app.router.add_get("/control/sends", _sends)
    app.router.add_get("/control/seen", _seen)
    app.router.add_post("/control/stop", _stop)
    app.router.add_post("/control/start", _start)
    return app


async def _clients(request: web.Request) -> web.Response:
    return web.json_response([client.to_json() for client in request.app[_SERVER].clients])


async def _client(request: web.Request) -> web.Response:
    server, endpoint = request.app[_SERVER], request.match_info["endpoint"]
    try:
        if "wait" in request.query:
            return web.json_response((await server.wait_registered(endpoint, float(request.query["wait"]))).to_json())
        return web.json_response(server.client(endpoint).to_json())
    except (NotRegistered, TimeoutError):
        return web.json_response({"error": "not registered"}, status=404)


async def _operate(request: web.Request) -> web.Response:
    operation = _OPERATIONS[request.match_info["operation"]]
    body = await body_of(request)
    try:
        result = await operation(request.app[_SERVER], request.match_info["endpoint"], body)
    except NotRegistered:
        return web.json_response({"error": "not registered"}, status=404)
    return web.json_response({"outcome": "done"} if result is None else describe(result))


def describe(result: Result) -> Body:
    """A response as JSON: always its code and payload (hex), its values or links where it has some."""
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
        described["values"] = _values(lambda: result.records)
    return described


def _values(records: Callable[[], list[Record]]) -> Body | None:
    try:
        return {format_path(record.path): to_json(record.value) for record in records()}
    except (FormatError, UnsupportedFormat):
        return None


def _path(body: Body) -> str:
    path = body.get("path")
    if not isinstance(path, str):
        raise ValueError("path is needed")  # noqa: TRY004 becomes 400
    return path


def _call(body: Body) -> Body:
    wait, ttl = body.get("timeout", RESPONSE_TIMEOUT), body.get("ttl")
    if wait is not None and (isinstance(wait, bool) or not isinstance(wait, int | float)):
        raise ValueError("timeout is in seconds, or null for ever")
    if ttl is not None and (not isinstance(ttl, int) or not 0 <= ttl < 1 << 32):
        raise ValueError("ttl is in whole seconds")
    return {"wait": wait, "ttl": ttl}


def _accept(body: Body) -> int | None:
    return None if body.get("accept") is None else int(format_from_json(body["accept"], ContentFormat.TLV))


def _record(path: Path, data: Any) -> Record:
    data_type = type_of(path)
    if data_type is None:
        raise ValueError(f"no resource is known at {format_path(path)}")
    return Record(path, from_json(data, data_type))


def _content(body: Body, *, needed: bool = True) -> list[Record]:
    """{"value": …} for the path itself, or {"values": {path: value}}."""
    if "values" in body:
        return [_record(parse_path(path), data) for path, data in body["values"].items()]
    if "value" in body:
        return [_record(parse_path(_path(body)), body["value"])]
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
    records = _content(body, needed=False)
    return await server.create(endpoint, _path(body), records, content_format=content_format, **_call(body))


async def _write(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    path = _path(body)
    single = len(parse_path(path)) >= RESOURCE_LEVEL
    content_format = _format(body, ContentFormat.TEXT if single and "value" in body else ContentFormat.TLV)
    return await server.write(
        endpoint,
        path,
        _content(body),
        content_format=content_format,
        replace=bool(body.get("replace", True)),
        **_call(body),
    )


async def _write_attributes(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    attributes = body.get("attributes")
    if not isinstance(attributes, dict):
        raise ValueError('attributes is {"pmin": 10}, null removes one')  # noqa: TRY004 becomes 400
    query = [name if value is None else f"{name}={value}" for name, value in attributes.items()]
    return await server.write_attributes(endpoint, _path(body), query, **_call(body))


async def _observe(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return (await server.observe(endpoint, _path(body), accept=_accept(body), **_call(body))).first


def _observed(server: LwM2mServer, endpoint: str, body: Body) -> Observed:
    return server.observations[endpoint, parse_path(_path(body))]


async def _cancel(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    return await server.cancel(_observed(server, endpoint, body), **_call(body))


async def _forget(server: LwM2mServer, endpoint: str, body: Body) -> None:
    server.forget(_observed(server, endpoint, body))


async def _read_composite(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.SENML_CBOR)
    return await server.read_composite(endpoint, body["paths"], content_format=content_format, **_call(body))


async def _write_composite(server: LwM2mServer, endpoint: str, body: Body) -> Result:
    content_format = _format(body, ContentFormat.SENML_CBOR)
    return await server.write_composite(endpoint, _content(body), content_format=content_format, **_call(body))


_OPERATIONS: dict[str, Callable[[LwM2mServer, str, Body], Awaitable[Result | None]]] = {
    "read": _read,
    "discover": _discover,
    "delete": _delete,
    "execute": _execute,
    "create": _create,
    "write": _write,
    "write_attributes": _write_attributes,
    "observe": _observe,
    "cancel": _cancel,
    "forget": _forget,
    "read_composite": _read_composite,
    "write_composite": _write_composite,
}


async def _observations(request: web.Request) -> web.Response:
    return web.json_response([_describe_observed(one) for one in request.app[_SERVER].observations.values()])


def _describe_observed(observed: Observed) -> Body:
    def describe_one(notification: Response) -> Body:
        return {
            "time": notification.time,
            "observe": notification.observe,
            "code": notification.code,
            "type": notification.type,
            "values": _values(lambda: observed.records_of(notification)),
        }

    return {
        "endpoint": observed.endpoint,
        "path": format_path(observed.path),
        "token": observed.token.hex(),
        "notifications": [describe_one(notification) for notification in observed.notifications],
    }


async def _sends(request: web.Request) -> web.Response:
    since = int(request.query.get("since", "0"))
    return web.json_response(
        [
            {
                "endpoint": endpoint,
                "records": [
                    {"path": format_path(record.path), "value": to_json(record.value), "time": record.time}
                    for record in records
                ],
            }
            for endpoint, records in request.app[_SERVER].sends[since:]
        ]
    )


async def _seen(request: web.Request) -> web.Response:
    since = int(request.query.get("since", "0"))
    kind, endpoint = request.query.get("kind"), request.query.get("endpoint")
    return web.json_response(
        [
            entry.to_json()
            for entry in request.app[_SERVER].seen.entries[since:]
            if kind in {None, entry.kind} and endpoint in {None, entry.endpoint}
        ]
    )


async def _stop(request: web.Request) -> web.Response:
    await request.app[_SERVER].stop(forget=bool((await body_of(request)).get("forget", True)))
    return web.json_response({"outcome": "done"})


async def _start(request: web.Request) -> web.Response:
    host, port = await request.app[_SERVER].start()
    return web.json_response({"coap": f"coap://{host}:{port}"})
