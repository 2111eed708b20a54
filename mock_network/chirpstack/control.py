"""Control API of the emulated server, for tests and demos: state, air log, faults. Loopback only."""

import json
from typing import Any

from aiohttp import web
from chirpstack_api import common

from mock_network.control_api import errors_as_json, fault_routes

from . import device_queue
from .context import AirEntry
from .driver import Driver
from .errors import Refused
from .messages import to_json
from .model import Device, QueueItem
from .post_log import PostLog
from .values import eui64


def air_entry(entry: AirEntry) -> dict[str, Any]:
    """Return an entry of the air log as JSON values."""
    return {
        "time": entry.time,
        "downlinkId": entry.downlink_id,
        "gatewayId": entry.gateway_id,
        "devEui": entry.dev_eui,
        "kind": entry.kind,
        "queueItemId": entry.queue_item_id,
        "fCntDown": entry.f_cnt_down,
        "fPort": entry.f_port,
        "confirmed": entry.confirmed,
        "ack": entry.ack,
        "fPending": entry.f_pending,
        "payload": entry.payload.hex(),
        "status": entry.status,
        "items": entry.items,
    }


def _item(item: QueueItem) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "fPort": item.f_port,
        "confirmed": item.confirmed,
        "data": item.data.hex(),
        "isPending": item.is_pending,
        "fCntDown": item.f_cnt_down,
        "expiresAt": item.expires_at,
        "timeoutAfter": item.timeout_after,
    }


class Control:
    """The routes:

    GET /state, GET /air?dev_eui=, GET /posts?dev_eui=, GET /history/{DevEUI} (the retained events),
    GET and POST and DELETE /faults, DELETE /faults/{number},
    POST /devices/{DevEUI}/flush (as another user would), POST /restart;
    under /radio those of the emulated devices and gateways in the same process, if there are any.
    """

    def __init__(self, driver: Driver, posts: PostLog, radio: web.Application | None = None) -> None:
        self._driver, self._posts, self._radio = driver, posts, radio

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(middlewares=[errors_as_json])
        app.add_routes(
            [
                web.get("/state", self._state),
                web.get("/air", self._air),
                web.get("/posts", self._post_log),
                web.get("/history/{eui}", self._history),
                *fault_routes(lambda: self._driver.server.context.faults),
                web.post("/devices/{eui}/flush", self._flush),
                web.post("/restart", self._restart),
            ]
        )
        if self._radio is not None:
            app.add_subapp("/radio/", self._radio)
        return app

    async def _state(self, _: web.Request) -> web.Response:
        context = self._driver.server.context
        return web.json_response(
            {
                "now": self._driver.now(),
                "region": context.region.id,
                "counters": context.counters,
                "faultsHappened": dict(context.faults.happened),
                "devices": [self._device(device) for device in context.tables.devices.rows.values()],
            }
        )

    def _device(self, device: Device) -> dict[str, Any]:
        session = device.session
        queue = device_queue.items(self._driver.server.context.tables, device.dev_eui)
        return {
            "devEui": device.eui,
            "name": device.message.name,
            "applicationId": str(device.application_id),
            "class": common.DeviceClass.Name(device.enabled_class),
            "devAddr": f"{session.dev_addr:08x}" if session else None,
            "fCntUp": device.f_cnt_up,
            "nFCntDown": session.n_f_cnt_down if session else None,
            "aFCntDown": session.a_f_cnt_down if session else None,
            "rx1Delay": session.rx1_delay if session else None,
            "dr": session.dr if session else None,
            "queue": [_item(item) for item in queue],
        }

    async def _air(self, request: web.Request) -> web.Response:
        wanted = request.query.get("dev_eui", "").lower()
        entries = [entry for entry in self._driver.server.context.air if wanted in ("", entry.dev_eui)]
        return web.json_response([air_entry(entry) for entry in entries])

    async def _post_log(self, request: web.Request) -> web.Response:
        return web.json_response(self._posts.listing(request.query.get("dev_eui", "").lower()))

    async def _history(self, request: web.Request) -> web.Response:
        kept = self._driver.server.context.history.get(request.match_info["eui"].lower(), ())
        events = [{"kind": one.event.kind, "event": json.loads(to_json(one.event.message))} for one in kept]
        return web.json_response(events)

    async def _flush(self, request: web.Request) -> web.Response:
        try:
            gone = device_queue.flush(self._driver.server.context.tables, eui64(request.match_info["eui"]))
        except Refused as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"flushed": gone})

    async def _restart(self, _: web.Request) -> web.Response:
        self._driver.server.restart(self._driver.now())
        self._driver.wake()
        return web.Response(status=204)
