"""Control API of emulated LoRaWAN devices and gateways, for tests and demos. Loopback only; it has no credentials."""

from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from mock_network.control_api import body_of, errors_as_json
from mock_network.lorawan.device_config import parse_device
from mock_network.lorawan.radio import TxStatus
from mock_network.lorawan.radio_process import RadioProcess


class Control:
    """The routes:

    GET /devices, GET /devices/{DevEUI}, POST /devices (a device as in the file, `port` too), DELETE /devices/{DevEUI},
    POST /devices/{DevEUI}/{action} (see `RadioProcess.act`), GET /air?dev_eui=, GET /gateways,
    POST /gateways/{id}/faults {offline, late, lost_tx_ack, next_statuses, refusal, refusal_status}.
    """

    def __init__(self, radio: RadioProcess) -> None:
        self._radio = radio

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(middlewares=[errors_as_json])
        app.add_routes(
            [
                web.get("/devices", self._devices),
                web.post("/devices", self._add_device),
                web.get("/devices/{eui}", self._device),
                web.delete("/devices/{eui}", self._remove_device),
                web.post("/devices/{eui}/{action}", self._act),
                web.get("/air", self._air),
                web.get("/gateways", self._gateways),
                web.post("/gateways/{id}/faults", self._faults),
            ]
        )
        return app

    async def _devices(self, _: web.Request) -> web.Response:
        return web.json_response([self._radio.state(name) for name in self._radio.air.devices])

    async def _add_device(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        port = int(body.pop("port", 0))
        config = parse_device(body)
        await self._radio.add_device(config, port)
        return web.json_response(self._radio.state(config.dev_eui), status=201)

    async def _device(self, request: web.Request) -> web.Response:
        return web.json_response(self._radio.state(request.match_info["eui"].lower()))

    async def _remove_device(self, request: web.Request) -> web.Response:
        self._radio.remove_device(request.match_info["eui"].lower())
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        state = await self._radio.act(request.match_info["eui"].lower(), request.match_info["action"], body)
        if state is None:
            raise KeyError(request.match_info["eui"])
        return web.json_response(state)

    async def _air(self, request: web.Request) -> web.Response:
        wanted = request.query.get("dev_eui", "").lower()
        log = self._radio.air.log
        return web.json_response([event.to_json() for event in log if wanted in ("", event.dev_eui)])

    async def _gateways(self, _: web.Request) -> web.Response:
        return web.json_response(
            [
                {"gateway_id": name, "received": g.received, "sent": g.sent, "offline": g.faults.offline}
                for name, g in self._radio.air.gateways.items()
            ]
        )

    async def _faults(self, request: web.Request) -> web.Response:
        faults = self._radio.air.gateways[request.match_info["id"]].faults
        readers: dict[str, Callable[[Any], Any]] = {
            "offline": bool,
            "late": float,
            "lost_tx_ack": float,
            "next_statuses": lambda names: deque(TxStatus[name] for name in names),
            "refusal": float,
            "refusal_status": lambda name: TxStatus[name],
        }
        body = await body_of(request)
        try:
            values = {name: readers[name](value) for name, value in body.items()}
        except (KeyError, TypeError) as error:
            raise ValueError(f"unknown fault or status {error}") from error
        for name, value in values.items():
            setattr(faults, name, value)
        return web.Response(status=204)
