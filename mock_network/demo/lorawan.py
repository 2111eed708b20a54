"""The LoRaWAN part of the tour: the same server, a device behind ChirpStack. Witnesses are the server and the air."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mock_network.demo.outside import StepFailed, check, until
from mock_network.demo.screen import Screen
from mock_network.lab import Api, Lab
from mock_network.lab.process import real_sleep

DEV_EUI = "70b3d57ed0000001"
APP_KEY = "0102030405060708090a0b0c0d0e0f10"  # of an emulated device
ENDPOINT = "urn:dev:os:lorawan-meter"
DATA_RATE = 0  # EU868: 51 bytes a frame
LARGEST = 51
OBJECTS = "</1/0>,</3/0>,</3303/0>"  # in the directory: the device leaves them out
PATIENCE = ("--ack-timeout", "300", "--max-retransmit", "4")  # OMA LwM2M Transport, App. C.2
RATE = 3.0  # virtual seconds per real one: receive windows take seconds
HASTE = 2.0  # seconds of real time between two polls of the device
TEMPERATURE = "/3303/0/5700"
TEXT = "/3303/0/5750"
LONG_TEXT = "The boiler room behind the laundry, second door on the left"

DEVICE: dict[str, Any] = {
    "dev_eui": DEV_EUI,
    "app_key": APP_KEY,
    "data_rate": DATA_RATE,
    "adr": False,
    "duty_cycle": False,
}
PROFILE: dict[str, Any] = {"rx1_delay": 3, "flush_queue_on_activate": True}


@dataclass(slots=True)
class LorawanTour:
    """The steps with the LoRaWAN device of a set-up that is running."""

    lab: Lab
    screen: Screen
    devices: Api | None = None  # the LwM2M client's control

    @property
    def steps(self) -> list[tuple[str, str, Callable[[], Awaitable[str]]]]:
        """Return all steps: name, description, and the step; it returns its finding, or raises StepFailed."""
        return [
            ("lorawan-join", "a LoRaWAN device joins over the air and registers at the same server", self.join),
            ("lorawan-window", "a read waits for the window of a class A device", self.window),
            ("lorawan-observe", "it is observed, and notifies", self.observe),
            ("lorawan-block", "a write that does not fit a frame goes block-wise", self.block),
            ("lorawan-nack", "a confirmed downlink is lost on the air, nacked, and sent again", self.nack),
        ]

    @property
    def chirpstack(self) -> Api:
        return self.lab.chirpstacks["chirpstack"].api

    async def join(self) -> str:
        await self._faster(RATE)
        options = ["--omit", "ep", "--omit", "lt", "--omit", "lwm2m", "--omit", "b", "--omit", "links"]
        self.devices = await self.lab.start_device(
            ENDPOINT,
            self.lab.lorawan_modem(DEV_EUI),
            "--lifetime",
            str(30 * 86400),
            *options,
            *PATIENCE,
            process="lorawan-device",
        )
        clients = await until("the registration", self._registered, 25)
        await until("the device at rest", self._at_rest, 25)
        counters = (await self.chirpstack.get("/state"))["counters"]
        check(counters.get("event_join"), f"no join: {counters}")
        return f"joined by OTAA, its Register has no parameters; the server sees {ENDPOINT} at {clients[0]['address']}"

    async def window(self) -> str:
        before = len(await self._frames())
        waiting = asyncio.create_task(self._ask("read", "/3/0/0"))
        await until("the request in ChirpStack's queue", self._queue)
        await real_sleep(1.0)
        check(len(await self._frames()) == before, "it was sent before the device spoke")
        check(not waiting.done(), "it was answered before the device spoke")
        answer = await self._polled(waiting)
        check(answer.get("ok"), f"the server got {answer}")
        return "accepted at once, sent in the window after the device's next uplink, answered 2.05"

    async def observe(self) -> str:
        answer = await self._polled(asyncio.create_task(self._ask("observe", TEMPERATURE)))
        check(answer.get("ok"), f"the server got {answer}")
        before = await self._seen()
        await self._devices().ask("PUT", f"/devices/{ENDPOINT}/resources{TEMPERATURE}", {"value": 24.5})
        await until("a notification at the server", lambda: self._seen_since(len(before)), 15)
        return f"{TEMPERATURE} was {answer['values'][TEMPERATURE]}, the server is told of 24.5"

    async def block(self) -> str:
        before = len(await self._frames())
        answer = await self._polled(asyncio.create_task(self._ask("write", TEXT, value=LONG_TEXT)))
        check(answer.get("code") == "2.04", f"the server got {answer}")
        value = (await self._devices().get(f"/devices/{ENDPOINT}/resources{TEXT}"))["value"]
        check(value == LONG_TEXT, f"the device has {value!r}")
        sizes = [len(frame["payload"]) // 2 for frame in (await self._frames())[before:]]
        check(max(sizes) <= LARGEST, f"frames of {sizes} bytes")
        return f"{len(LONG_TEXT)} bytes in {len(sizes)} frames of at most {max(sizes)} bytes, {LARGEST} fit"

    async def nack(self) -> str:
        await self._bridge().post("/endpoint.update", {"endpoint": ENDPOINT, "confirmed": True})
        where = {"dev_eui": DEV_EUI, "confirmed": "true"}  # no frame that answers the device itself
        await self.chirpstack.post("/faults", {"kind": "downlink_lost", "count": 1, "where": where})
        before = len(await self._frames())
        answer = await self._polled(asyncio.create_task(self._ask("read", "/3/0/1")))
        check(answer.get("ok"), f"the server got {answer}")
        frames = [frame for frame in (await self._frames())[before:] if frame["confirmed"]]
        check(len(frames) == 2, f"{len(frames)} confirmed frames went over the air")  # noqa: PLR2004 - lost, and again
        await self._faster(1.0)
        return "two confirmed frames: the first was lost and nacked, the second acknowledged; the server got one answer"

    # -- parts of steps ------------------------------------------------------------------------------------------

    async def _faster(self, rate: float) -> None:
        if self.lab.clock_api is not None:
            await self.lab.clock_api.post("/rate", {"rate": rate})

    async def _ask(self, operation: str, path: str, **body: Any) -> dict[str, Any]:
        if self.lab.server is None:
            raise StepFailed("there is no server")
        answer: dict[str, Any] = await self.lab.server.post(
            f"/clients/{ENDPOINT}/{operation}", {"path": path, "timeout": 3600, **body}
        )
        return answer

    async def _polled(self, waiting: "asyncio.Task[dict[str, Any]]") -> dict[str, Any]:
        """Let the device open its windows until the server has its answer."""
        while not waiting.done():
            await self.chirpstack.post(f"/radio/devices/{DEV_EUI}/poll")
            await asyncio.wait({waiting}, timeout=HASTE)
        return waiting.result()

    async def _at_rest(self) -> bool:
        """Return whether the client knows that it is registered, and its device says nothing more by itself."""
        if not (await self._devices().get(f"/devices/{ENDPOINT}"))["registered"]:
            await self.chirpstack.post(f"/radio/devices/{DEV_EUI}/poll")  # the answer came too late for its window
            await real_sleep(HASTE)
            return False
        before = (await self.chirpstack.get("/state"))["counters"]
        await real_sleep(HASTE)
        return bool(before == (await self.chirpstack.get("/state"))["counters"])

    async def _registered(self) -> list[dict[str, Any]]:
        if self.lab.server is None:
            raise StepFailed("there is no server")
        return [one for one in await self.lab.server.get("/clients") if one["endpoint"] == ENDPOINT]

    async def _queue(self) -> Any:
        return (await self.chirpstack.get("/state"))["devices"][0]["queue"]

    async def _frames(self) -> list[dict[str, Any]]:
        """Return the frames with something for the LwM2M client in them."""
        return [frame for frame in await self.chirpstack.get("/air", dev_eui=DEV_EUI) if frame["payload"]]

    async def _seen(self) -> list[dict[str, Any]]:
        if self.lab.server is None:
            raise StepFailed("there is no server")
        return list(await self.lab.server.get("/seen", kind="notification", endpoint=ENDPOINT))

    async def _seen_since(self, number: int) -> list[dict[str, Any]]:
        return (await self._seen())[number:]

    def _devices(self) -> Api:
        if self.devices is None:
            raise StepFailed("there is no device")
        return self.devices

    def _bridge(self) -> Api:
        if self.lab.bridge is None or self.lab.bridge.api is None:
            raise StepFailed("there is no bridge")
        return self.lab.bridge.api
