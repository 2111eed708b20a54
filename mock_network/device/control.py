"""Control API of the emulated devices: HTTP and JSON, loopback only.

GET    /control/devices                           all devices
POST   /control/devices                           add one: {"endpoint", "connect", "lifetime", "binding", "servers",
                                                  "bearers", "rds_pipes", "bootstrap_uri", "objects", …}
GET    /control/devices/{endpoint}                one
DELETE /control/devices/{endpoint}                stop and remove it
GET    /control/devices/{endpoint}/operations     what it executed (?since=n)
GET    /control/devices/{endpoint}/resources/{path}   a value; PUT {"value": …} sets it, as a sensor would
POST   /control/devices/{endpoint}/{action}       register, update, deregister, bootstrap, send {"paths": […]}, poll,
                                                  mute, unmute, crash, restart {"lose_state": false}; with several
                                                  servers {"server": Short Server ID}
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from mock_network.command_line import parse_address
from mock_network.control_api import body_of, errors_as_json
from mock_network.device.accounts import Account
from mock_network.device.client import NotRegistered
from mock_network.device.device import Device, SendMuted
from mock_network.device.fleet import Fleet
from mock_network.device.options import DEFAULT_OBJECTS, REGISTER_PARAMETERS, DeviceOptions
from mock_network.device.parameters import bearer_options, rds_pipe, server_options
from mock_network.device.refusal import OperationError
from mock_network.lwm2m.control import MAX_BODY, outcomes_as_json
from mock_network.lwm2m.credentials import client_certificate_from, key_from
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.jsonvalue import format_from_json, from_json, to_json
from mock_network.lwm2m.messages import Response
from mock_network.lwm2m.oscore import OscoreError, keys_from
from mock_network.lwm2m.paths import format_path, parse_path
from mock_network.lwm2m.small_records import largest_from

_FLEET: web.AppKey[Fleet] = web.AppKey("fleet", Fleet)
_DEFAULTS: web.AppKey[DeviceOptions] = web.AppKey("defaults", DeviceOptions)
_EXTRA: dict[str, tuple[str, Callable[[str], Any]]] = {
    "servers": ("more_servers", server_options),
    "bearers": ("more_bearers", bearer_options),
    "rds_pipes": ("rds_pipes", rds_pipe),
}
_SETTABLE = {
    "lifetime": int,
    "binding": str,
    "queue_mode": bool,
    "keep_registered": bool,
    "version": str,
    "confirmable_notifications": bool,
    "bootstrap_uri": str,
    "bootstrap_hold_off": int,
    "bootstrap_account_timeout": int,
    "awake_time": float,
    "answer_delay": float,
    "root": str,
    "has_clock": bool,
    "fresh_within": float,
}


_READ: dict[str, Callable[[Any], Any]] = {
    "oscore": keys_from,
    "bootstrap_oscore": keys_from,
    "psk": key_from,
    "certificate": client_certificate_from,
    "pipe": parse_address,
    "tunnel": parse_address,
    "largest_record": largest_from,
}


def make_app(fleet: Fleet, defaults: DeviceOptions) -> web.Application:
    """Return the application; devices added through it take over `defaults`."""
    app = web.Application(middlewares=[errors_as_json, outcomes_as_json], client_max_size=MAX_BODY)
    app[_FLEET] = fleet
    app[_DEFAULTS] = defaults
    app.router.add_get("/control/devices", _list)
    app.router.add_post("/control/devices", _add)
    app.router.add_get("/control/devices/{endpoint}", _show)
    app.router.add_delete("/control/devices/{endpoint}", _remove)
    app.router.add_get("/control/devices/{endpoint}/operations", _operations)
    app.router.add_get("/control/devices/{endpoint}/resources/{path:.*}", _get)
    app.router.add_put("/control/devices/{endpoint}/resources/{path:.*}", _set)
    app.router.add_post("/control/devices/{endpoint}/{action}", _act)
    return app


def _device(request: web.Request) -> Device:
    return request.app[_FLEET].devices[request.match_info["endpoint"]]


def describe(device: Device) -> dict[str, Any]:
    """Return the state of one device."""
    location = device.registration.location
    host, port = device.address
    return {
        "endpoint": device.options.endpoint,
        "connect": device.options.server_uri,
        "address": f"{host}:{port}",
        "running": device.running,
        "muted": device.running and device.muted,
        "registered": device.registration.registered,
        "location": None if location is None else "/" + "/".join(location),
        "observed": [format_path(path) for path in device.observed],
        "asleep": device.asleep,
        "servers": [_describe_server(device, account) for account in device.accounts.servers()],
        "bootstrap": device.lifecycle.bootstrap_phase.value,
        "bootstrap_failures": device.lifecycle.bootstrap_failures[-10:],
        "failures": device.registration.failures[-10:],
        "session_failures": device.session_failures,
        "operations": len(device.operations.entries),
    }


def _describe_server(device: Device, account: Account) -> dict[str, Any]:
    registration = device.lifecycle.registrations.get(account.server_id)
    location = None if registration is None else registration.location
    return {
        "id": account.server_id,
        "uri": account.uri,
        "state": "away" if registration is None else registration.phase.value,
        "location": None if location is None else "/" + "/".join(location),
        "failures": [] if registration is None else registration.failures[-10:],
    }


async def _list(request: web.Request) -> web.Response:
    return web.json_response([describe(device) for device in request.app[_FLEET].devices.values()])


async def _show(request: web.Request) -> web.Response:
    return web.json_response(describe(_device(request)))


async def _add(request: web.Request) -> web.Response:
    body = await body_of(request)
    changes: dict[str, Any] = {}
    if not isinstance(body.get("endpoint"), str) or not isinstance(body.get("connect", ""), str):
        raise ValueError("endpoint and connect are needed")  # noqa: TRY004 becomes 400
    if not body.get("connect") and not body.get("bootstrap_uri"):
        raise ValueError("endpoint and connect are needed, or bootstrap_uri in place of connect")
    for name, kind in _SETTABLE.items():
        if name in body:
            value = float(body[name]) if kind is float and isinstance(body[name], int) else body[name]
            if not isinstance(value, kind):
                raise ValueError(f"{name} is no {kind.__name__}")
            changes[name] = value
    for name, (option, parse) in _EXTRA.items():
        if name in body:
            changes[option] = tuple(parse(text) for text in body[name])
    if "objects" in body:
        changes["objects"] = DEFAULT_OBJECTS | frozenset(body["objects"])
    if "send_at_register" in body:
        changes["send_at_register"] = tuple(body["send_at_register"])
    changes |= {name: read(body[name]) for name, read in _READ.items() if name in body}
    if "omit" in body:
        changes["omit"] = frozenset(body["omit"])
        if not changes["omit"] <= REGISTER_PARAMETERS:
            raise ValueError(f"omit is of {sorted(REGISTER_PARAMETERS)}")
    defaults = request.app[_DEFAULTS]
    options = dataclasses.replace(defaults, endpoint=body["endpoint"], server_uri=body.get("connect", ""), **changes)
    return web.json_response(describe(await request.app[_FLEET].add(options)), status=201)


async def _remove(request: web.Request) -> web.Response:
    await request.app[_FLEET].remove(request.match_info["endpoint"])
    return web.Response(status=204)


async def _operations(request: web.Request) -> web.Response:
    since = int(request.query.get("since", "0"))
    return web.json_response(_device(request).operations.to_json()[since:])


async def _get(request: web.Request) -> web.Response:
    value = _device(request).tree.get(parse_path("/" + request.match_info["path"]))
    return web.json_response({"value": to_json(value)})


async def _set(request: web.Request) -> web.Response:
    path = "/" + request.match_info["path"]
    data_type = _device(request).tree.model.type_of(parse_path(path))
    if data_type is None:
        raise KeyError(path)
    _device(request).set(path, from_json((await body_of(request))["value"], data_type))
    return web.Response(status=204)


async def _act(request: web.Request) -> web.Response:
    device = _device(request)
    action = _ACTIONS[request.match_info["action"]]
    try:
        response = await action(device, await body_of(request))
    except NotRegistered:
        return web.json_response({"error": "not registered"}, status=409)
    except SendMuted:
        return web.json_response({"error": "the server muted Send"}, status=409)
    except OperationError as error:
        return web.json_response({"error": str(error)}, status=404)
    except OscoreError as error:
        return web.json_response({"error": str(error)}, status=409)
    if response is None:
        return web.json_response({"outcome": "done"})
    return web.json_response(
        {"outcome": "response", "code": response.code, "payload": response.payload.decode(errors="replace")}
    )


async def _register(device: Device, body: dict[str, Any]) -> Response:
    return await device.register(complete=bool(body.get("complete")), server=_server(body))


async def _update(device: Device, body: dict[str, Any]) -> Response:
    return await device.update(
        lifetime=bool(body.get("lifetime")),
        binding=bool(body.get("binding")),
        links=bool(body.get("links")),
        server=_server(body),
    )


async def _deregister(device: Device, body: dict[str, Any]) -> Response:
    return await device.deregister(server=_server(body))


async def _bootstrap(device: Device, _body: dict[str, Any]) -> Response:
    return await device.bootstrap()


def _server(body: dict[str, Any]) -> int | None:
    server = body.get("server")
    if server is not None and (not isinstance(server, int) or isinstance(server, bool)):
        raise ValueError("server is a Short Server ID")
    return server


async def _send(device: Device, body: dict[str, Any]) -> Response | None:
    paths = body.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError("paths is a list of paths")
    return await device.send(
        paths,
        content_format=format_from_json(body.get("format"), ContentFormat.SENML_CBOR),
        confirmable=bool(body.get("confirmable", True)),
        timestamp=body.get("timestamp"),
        server=_server(body),
    )


async def _poll(device: Device, body: dict[str, Any]) -> None:
    device.poll(confirmable=bool(body.get("confirmable")))


async def _mute(device: Device, _body: dict[str, Any]) -> None:
    device.muted = True


async def _unmute(device: Device, _body: dict[str, Any]) -> None:
    device.muted = False


async def _crash(device: Device, _body: dict[str, Any]) -> None:
    await device.crash()


async def _restart(device: Device, body: dict[str, Any]) -> None:
    await device.restart(
        lose_state=bool(body.get("lose_state")), lose_replay_windows=bool(body.get("lose_replay_windows"))
    )


_ACTIONS: dict[str, Callable[[Device, dict[str, Any]], Awaitable[Response | None]]] = {
    "register": _register,
    "update": _update,
    "deregister": _deregister,
    "bootstrap": _bootstrap,
    "send": _send,
    "poll": _poll,
    "mute": _mute,
    "unmute": _unmute,
    "crash": _crash,
    "restart": _restart,
}
