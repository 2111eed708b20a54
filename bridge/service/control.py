"""The local socket: how the command line talks to the running service. HTTP with JSON bodies, on a Unix socket.

Whoever may open the socket's file may do everything; it is made for the service's own user and group only.
"""

import asyncio
import io
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from aiohttp import web

from bindings.diagnosis import Finding, Grade
from bridge.delivery.explain import explain
from bridge.delivery.ledger import Downlink, DownlinkState, Uplink, UplinkState
from bridge.directory import Draft, Record, export_csv, import_csv
from bridge.errors import BridgeError, ConfigurationError, DirectoryError
from bridge.relay import events as ev
from bridge.service.service import Service

log = logging.getLogger(__name__)

PAGE = 100  # rows given where nobody asks for more
LARGEST_PAGE = 10_000
LONGEST_NUMBER = 18  # decimal digits that certainly fit the 64 bits of an SQLite integer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def plain_endpoint(record: Record) -> dict[str, Any]:
    """Give a record as people read it: only what is set."""
    found = {name: value for name, value in asdict(record).items() if value not in (None, "", {}, ())}
    return {**found, "servers": list(record.servers), "locals": list(record.locals), "enabled": record.enabled}


def plain_downlink(row: Downlink) -> dict[str, Any]:
    """Give a downlink without its bytes, which may be anybody's business but the log's."""
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "kind": row.kind,
        "operation": row.operation,
        "server": row.server,
        "state": row.state.value,
        "over": row.over,
        "cancel_asked": row.cancel_asked,
        "late": row.late,
        "reason": row.reason,
        "attempts": row.attempt,
        "sent": row.sent,
        "bytes": len(row.payload),
        "accepted_at": row.accepted_at,
        "deliver_by": row.deliver_by,
        "answer_by": row.answer_by,
        "not_before": row.not_before,
        "finished_at": row.finished_at,
    }


def plain_uplink(row: Uplink) -> dict[str, Any]:
    """Give an uplink without its bytes."""
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "kind": row.kind,
        "operation": row.operation,
        "server": row.server,
        "state": row.state.value,
        "acknowledged": row.acknowledged,
        "reason": row.reason,
        "bytes": len(row.payload),
        "downlink": row.downlink,
        "received_at": row.received_at,
        "expires_at": row.expires_at,
        "finished_at": row.finished_at,
    }


class Control:
    """Serves the local socket from `start` to `stop`."""

    def __init__(self, service: Service, path: Path) -> None:
        self._service = service
        self._path = path
        app = web.Application(middlewares=[_errors], client_max_size=256 * 1024 * 1024)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/endpoints", self._endpoints)
        app.router.add_post("/endpoints", self._add)
        app.router.add_get("/endpoints.csv", self._export)
        app.router.add_post("/endpoints.csv", self._import)
        app.router.add_get("/endpoints/{name}", self._endpoint)
        app.router.add_patch("/endpoints/{name}", self._change)
        app.router.add_delete("/endpoints/{name}", self._remove)
        app.router.add_get("/endpoints/{name}/explain", self._explain)
        app.router.add_get("/downlinks", self._downlinks)
        app.router.add_get("/uplinks", self._uplinks)
        app.router.add_get("/counts", self._counts)
        app.router.add_post("/downlinks/{id}/cancel", self._cancel)
        app.router.add_get("/doctor", self._doctor)
        app.router.add_post("/networks/{name}/integration", self._integration)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> None:
        """Listen. A socket file that an earlier life left behind is replaced: the store's lock says that it is dead."""
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"control_socket {path}: {error.strerror or error}") from error
        await self._runner.setup()
        before = os.umask(0o117)
        try:
            await web.UnixSite(self._runner, str(path)).start()
        except OSError as error:
            raise ConfigurationError(f"control_socket {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)

    async def stop(self) -> None:
        await self._runner.cleanup()

    # -- handlers ------------------------------------------------------------------------------------------------

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        return _json(self._service.status())

    async def _doctor(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("network")
        found = {}
        for name, binding in self._service.networks.items():
            check = getattr(binding, "check", None)  # not every binding can check itself
            if check is not None and wanted in (None, name):
                try:
                    findings = await check()
                except BridgeError as error:  # the other networks are checked all the same
                    findings = [Finding("checks", Grade.UNCHECKED, str(error), "see the service's log, and restart it")]
                found[name] = [asdict(one) for one in findings]
        return _json(found)

    async def _integration(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        binding = self._service.networks.get(name)
        set_up = getattr(binding, "set_integration", None)
        if set_up is None:
            raise ConfigurationError(f"network {name!r} has no integration that could be set")
        return _json({"new": await set_up(request.query.get("application_id", ""))})

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._service.metrics.text(), content_type="text/plain")

    async def _endpoints(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        found = self._service.directory.page(
            network=query.get("network"),
            server=query.get("server"),
            prefix=query.get("prefix", ""),
            after=query.get("after", ""),
            limit=_limit(request),
        )
        return _json([plain_endpoint(record) for record in found])

    async def _add(self, request: web.Request) -> web.StreamResponse:
        drafts = _read(await request.read(), list[Draft])
        made = await self._service.directory.add_all(drafts)
        return _json([plain_endpoint(record) for record in made], status=201)

    async def _export(self, _request: web.Request) -> web.StreamResponse:
        out = io.StringIO()
        await export_csv(self._service.directory, out)
        return web.Response(text=out.getvalue(), content_type="text/csv")

    async def _import(self, request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode("utf-8-sig", "surrogateescape")
        flags = {name: request.query.get(name) == "true" for name in ("partial", "update")}
        return _json(asdict(await import_csv(self._service.directory, io.StringIO(text, newline=""), **flags)))

    async def _endpoint(self, request: web.Request) -> web.StreamResponse:
        return _json(plain_endpoint(self._record(request)))

    async def _change(self, request: web.Request) -> web.StreamResponse:
        given = _read(await request.read(), dict[str, Any])
        kinds = get_type_hints(Draft)
        fields: dict[str, Any] = {}
        for name, value in given.items():
            if name not in kinds:
                raise ConfigurationError(f"unknown field {name!r}; there are: {', '.join(sorted(kinds))}")
            try:
                fields[name] = msgspec.convert(value, kinds[name])
            except msgspec.ValidationError as error:
                raise ConfigurationError(f"{name}: {error}") from error
        return _json(plain_endpoint(await self._service.directory.update(request.match_info["name"], **fields)))

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        return _json(plain_endpoint(await self._service.remove_endpoint(request.match_info["name"])))

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        record = self._record(request)
        if not self._service.ready:
            raise ConfigurationError("only the running service can tell; `downlink list` shows what is stored")
        loaded = self._service.runner.look(record.id)
        waiting = []
        if loaded is not None:
            profile = loaded.placed.south_profile(record.device)
            waiting = [asdict(e) for e in explain(loaded.state.deliveries, self._service.clock.wall(), profile)]
        return _json({"endpoint": plain_endpoint(record), "time": self._service.clock.wall(), "waiting": waiting})

    async def _downlinks(self, request: web.Request) -> web.StreamResponse:
        endpoint = self._endpoint_id(request)
        state = _state(request, DownlinkState)
        rows = await self._service.store.ask(
            lambda reader: reader.downlinks(endpoint=endpoint, state=state, limit=_limit(request))
        )
        return _json([{**plain_downlink(row), "endpoint_name": self._name(row.endpoint)} for row in rows])

    async def _uplinks(self, request: web.Request) -> web.StreamResponse:
        endpoint = self._endpoint_id(request)
        state = _state(request, UplinkState)
        rows = await self._service.store.ask(
            lambda reader: reader.uplinks(endpoint=endpoint, state=state, limit=_limit(request))
        )
        return _json([{**plain_uplink(row), "endpoint_name": self._name(row.endpoint)} for row in rows])

    async def _counts(self, request: web.Request) -> web.StreamResponse:
        endpoint = self._endpoint_id(request)
        down = await self._service.store.ask(lambda reader: reader.downlink_counts(endpoint))
        up = await self._service.store.ask(lambda reader: reader.uplink_counts(endpoint))
        return _json(
            {
                "downlinks": [{"state": s.value, "over": over, "rows": n} for (s, over), n in sorted(down.items())],
                "uplinks": [{"state": s.value, "rows": n} for s, n in sorted(up.items())],
            }
        )

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["id"]
        if not number.isdecimal() or len(number) > LONGEST_NUMBER:
            raise ConfigurationError(f"{number[:40]!r} is no downlink's id")
        if not self._service.ready:
            raise ConfigurationError(
                "a downlink can only be cancelled while the service runs; start it: lwm2m-bridge run --config FILE"
            )
        row = await self._service.store.ask(lambda reader: reader.downlink(int(number)))
        if row is None:
            raise web.HTTPNotFound(text=f"no downlink {number}")
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if not settled.done():
                settled.set_result(None) if error is None else settled.set_exception(error)

        self._service.runner.event(row.endpoint, ev.CancelAsked(row.id), done)
        await settled
        after = await self._service.store.ask(lambda reader: reader.downlink(int(number)))
        return _json(plain_downlink(after if after is not None else row))

    def _name(self, endpoint: int) -> str:
        record = self._service.directory.by_id(endpoint)
        return f"(removed, {endpoint})" if record is None else record.name

    def _record(self, request: web.Request) -> Record:
        name = request.match_info["name"]
        record = self._service.directory.by_name(name)
        if record is None:
            raise web.HTTPNotFound(text=f"no endpoint {name!r}")
        return record

    def _endpoint_id(self, request: web.Request) -> int | None:
        name = request.query.get("endpoint")
        if name is None:
            return None
        record = self._service.directory.by_name(name)
        if record is None:
            raise web.HTTPNotFound(text=f"no endpoint {name!r}")
        return record.id


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BridgeError as error:
        return _json({"error": str(error)}, status=error.http_status)
    except web.HTTPException as error:
        return _json({"error": error.text or error.reason}, status=error.status)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DirectoryError(f"the request cannot be read: {error}") from error


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(PAGE))
    if not text.isdecimal() or len(text) > LONGEST_NUMBER or not 0 < int(text) <= LARGEST_PAGE:
        raise ConfigurationError(f"limit {text!r} is not a number from 1 to {LARGEST_PAGE}")
    return int(text)


def _state(request: web.Request, states: Any) -> Any:
    text = request.query.get("state")
    if text is None:
        return None
    try:
        return states(text.upper())
    except ValueError:
        raise ConfigurationError(f"no state {text!r}; there are: {', '.join(states)}") from None
