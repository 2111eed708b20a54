"""A LoRaWAN set-up of processes: LwM2M server, bridge, ChirpStack with its radio, and LwM2M clients on modems.

Every verdict comes from outside the bridge: the server, the air log, the device.
"""

import asyncio
import contextlib
import functools
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bindings.lorawan.settings import Downlinks
from mock_network.lab import Api, Bridge, Lab, free_port
from mock_network.lab.lab import GATEWAY
from mock_network.lwm2m.messages import Tuning
from tests import waiting
from tests.e2e.kit import Ended, counter, run_command
from tests.repeats import fit

T = TypeVar("T")

DEV_EUI = "70b3d57ed0000001"
APP_KEY = "0102030405060708090a0b0c0d0e0f10"
PATH = "lorawan-test-path"
NAME = "meter"
PATIENCE = 86400.0
CLIENT = Tuning(ack_timeout=300.0, max_retransmit=4)  # as LoRaWAN clients are to be patient (OMA Transport, App. C.2)
APPENDIX_C = ("--ack-timeout", f"{CLIENT.ack_timeout:g}", "--max-retransmit", f"{CLIENT.max_retransmit}")
RATE = 12.0  # virtual seconds per real one
QUIET = 8.0  # virtual seconds: a device that says nothing for so long has nothing to say by itself
WINDOWS = 5.0  # virtual seconds from a poll until both receive windows have ended


# Joins and receive windows take their time, and each question takes time from the radio, whose clock runs fast.
until = functools.partial(waiting.until, wait=60.0, every=0.05)


def device(dev_eui: str = DEV_EUI, **values: Any) -> dict[str, Any]:
    """Describe an emulated OTAA device with a key of its own; it keeps no duty cycle, so that tests are quick."""
    return {"dev_eui": dev_eui, "app_key": 2 * dev_eui, "duty_cycle": False, **values}


@dataclass
class LorawanSetUp:
    """A running set-up. Endpoints are named; `euis` has the DevEUI of each."""

    lab: Lab
    euis: dict[str, str]
    rate: float = RATE

    @property
    def radio(self) -> Api:
        return self.lab.chirpstacks["chirpstack"].api

    @property
    def server(self) -> Api:
        assert self.lab.server is not None
        return self.lab.server

    @property
    def devices(self) -> Api:
        assert self.lab.devices is not None
        return self.lab.devices

    @property
    def bridge(self) -> Bridge:
        assert self.lab.bridge is not None
        return self.lab.bridge

    async def start_client(self, name: str = NAME, **options: Any) -> None:
        """Start an LwM2M client on a modem, patient as LoRaWAN asks for."""
        modem = (await self.device(name))["modem"]
        body = {"endpoint": name, "connect": "coap://{}:{}".format(*modem), "lifetime": 2592000, **options}
        await self.devices.post("/devices", body)

    async def device(self, name: str = NAME) -> dict[str, Any]:
        """Return the state of a device's radio."""
        found: dict[str, Any] = await self.radio.get(f"/radio/devices/{self.euis[name]}")
        return found

    async def act(self, action: str, name: str = NAME, **body: Any) -> Any:
        """Let a device's radio do something (`RadioProcess.act`)."""
        return await self.radio.post(f"/radio/devices/{self.euis[name]}/{action}", body)

    async def client(self, name: str = NAME, **options: Any) -> dict[str, Any]:
        """Have a registered client on a device, and all devices at rest; return the server's view."""
        if name not in [one["endpoint"] for one in await self.devices.get("/devices")]:
            await self.start_client(name, **options)
        return await self.registered(name)

    async def registered(self, name: str = NAME) -> dict[str, Any]:
        """Wait until server and client know of the registration and all devices are at rest; the server's view."""
        found = await self.known(name)
        await self.settled()
        return found

    async def known(self, name: str = NAME) -> dict[str, Any]:
        """Wait until server and client know of the registration; return the server's view."""

        async def look() -> Any:
            return next((c for c in await self.server.get("/clients") if c["endpoint"] == name), None)

        async def knows() -> bool:
            if (await self.devices.get(f"/devices/{name}"))["registered"]:
                return True
            await asyncio.sleep(WINDOWS / self.rate)
            await self.act("poll", name)  # the answer may have come too late for the Register's own windows
            return False

        found: dict[str, Any] = await until(look, why=f"{name} is not registered; {self.said()}")
        await until(knows, why=f"{name} does not know that it is registered")
        return found

    async def joined(self) -> None:
        """Wait until all devices have joined: a gateway that sends hears nothing, and many want it at first."""

        async def all_of_them() -> bool:
            return all(one["joined"] for one in await self.radio.get("/radio/devices"))

        await until(all_of_them, why="a device does not join")
        await self.settled()

    async def settled(self) -> None:
        """Wait until no device has anything more to say by itself."""
        end = time.monotonic() + 25
        before = None
        while (now := (await self.radio.get("/state"))["counters"]) != before:
            assert time.monotonic() < end, f"the devices never come to rest: {now}"
            before = now
            for _ in range(4):  # in steps, between which the other processes get what was said
                await self.lab.step(QUIET / 4)
                await asyncio.sleep(0.06)

    async def faster(self, rate: float) -> None:
        """Let so many virtual seconds pass for each real one."""
        assert self.lab.clock_api is not None
        await self.lab.clock_api.post("/rate", {"rate": rate})
        self.rate = rate

    async def windows_over(self) -> None:
        """Let the windows of all uplinks pass, and the bridge read the queues that it then reads."""
        await self.lab.step(2 * WINDOWS)
        await asyncio.sleep(0.3)

    async def ask(self, operation: str, path: str = "", name: str = NAME, **body: Any) -> Any:
        answer = self.server.post(f"/clients/{name}/{operation}", {"path": path, "timeout": PATIENCE, **body})
        return await asyncio.wait_for(answer, 40)

    async def asked_by(self, server: Api, operation: str, path: str, name: str = NAME) -> Any:
        """Have one of several servers ask, and the device poll until the answer is there."""
        question = server.post(f"/clients/{name}/{operation}", {"path": path, "timeout": PATIENCE})
        return await self.polled(asyncio.create_task(question), name)

    async def polled(self, waiting: "asyncio.Task[T]", name: str = NAME) -> T:
        """Let the device open its windows until something has come back."""
        end = time.monotonic() + 40
        while not waiting.done():
            assert time.monotonic() < end, f"no answer; {self.said()}"
            await self.act("poll", name)
            await asyncio.wait({waiting}, timeout=WINDOWS / self.rate)
        return waiting.result()

    async def asked(self, operation: str, path: str = "", name: str = NAME, **body: Any) -> Any:
        """Have the server ask, and the device poll until the answer is there."""
        return await self.polled(asyncio.create_task(self.ask(operation, path, name, **body)), name)

    async def queue(self, name: str = NAME) -> list[dict[str, Any]]:
        """Return what is in ChirpStack's queue for a device."""
        devices = (await self.radio.get("/state"))["devices"]
        return next(one["queue"] for one in devices if one["devEui"] == self.euis[name])

    async def queued(self, name: str = NAME) -> list[dict[str, Any]]:
        """Wait until something is in ChirpStack's queue for a device."""
        return await until(lambda: self.queue(name), why=f"nothing is in ChirpStack's queue; {self.said()}")

    async def air(self, name: str = NAME) -> list[dict[str, Any]]:
        """Return the downlink frames that ChirpStack sent."""
        return list(await self.radio.get("/air", dev_eui=self.euis[name]))

    async def heard(self, name: str = NAME) -> list[dict[str, Any]]:
        """Return the log of a device: what it sent, received and missed."""
        return list(await self.radio.get("/radio/air", dev_eui=self.euis[name]))

    async def fault(self, kind: str, **more: Any) -> None:
        await self.radio.post("/faults", {"kind": kind, **more})

    async def downlinks(self, name: str = NAME) -> list[dict[str, Any]]:
        """Return the ledger's rows of an endpoint, newest first."""
        return list((await self.bridge.ask("downlink.list", endpoint=name))["items"])

    async def count(self, name: str, **labels: str) -> float:
        """Return a counter of the bridge: the sum over all labels that are not named."""
        return counter((await self.bridge.ask("metrics"))["text"], name, **labels)

    async def events(self) -> dict[str, Any]:
        """Return what the bridge says of the way on which events come."""
        found: dict[str, Any] = (await self.bridge.ask("status"))["networks"]["lorawan"]["events"]
        return found

    async def command(self, *arguments: str, **environment: str) -> Ended:
        """Run `lwm2m-bridge ARGUMENTS` on this set-up's configuration."""
        return await run_command(self.lab.directory, *arguments, **environment)

    def said(self) -> str:
        return "" if self.lab.bridge is None else self.lab.bridge.process.said()[-3000:]


@contextlib.asynccontextmanager
async def lorawan_set_up(
    directory: Path,
    *,
    devices: Sequence[Mapping[str, Any]] | None = None,
    endpoints: Sequence[Mapping[str, Any]] | None = None,
    profile: Mapping[str, Any] | None = None,
    join_server: Mapping[str, Any] | None = None,
    mqtt: str = "",
    mqtt_of_bridge: str = "",
    arguments: Sequence[str] = (),
    lines: str = "",
    server_lines: str = "patience = 86400.0",
    server_arguments: Sequence[str] = (),
    rate: float = RATE,
    gateways: Sequence[str] = (GATEWAY,),
    prefix: Sequence[str] = (),
    also: Callable[[Lab], Awaitable[str]] | None = None,
) -> AsyncIterator[LorawanSetUp]:
    """Start everything but LwM2M clients. `mqtt`: broker for the events, HOST:PORT; else they come over HTTP.

    `also` starts more before the bridge, and returns sections of the bridge's configuration for it.
    `mqtt_of_bridge`: where the bridge reaches it, if not there. `prefix`: arguments of python for the bridge's process.
    """
    port = free_port()
    async with Lab(directory) as lab:
        await lab.start_clock(rate)
        described = [device()] if devices is None else devices
        more = ["--mqtt", mqtt, "--mqtt-qos", "1"] if mqtt else []
        values = {"rx1_delay": 3, "flush_queue_on_activate": True, **(profile or {})}
        async with asyncio.TaskGroup() as starting:
            starting.create_task(
                lab.start_chirpstack(
                    described,
                    *more,
                    *arguments,
                    http="" if mqtt else f"http://127.0.0.1:{port}/{PATH}",
                    profile=values,
                    join_server=join_server,
                    gateways=gateways,
                )
            )
            starting.create_task(lab.start_server(*server_arguments))
            starting.create_task(lab.start_device("none", "coap://127.0.0.1:1", "--count", "0", *APPENDIX_C))
        if mqtt:
            host, _, number = (mqtt_of_bridge or mqtt).rpartition(":")
            way = f'events = "mqtt"\nmqtt = {{ host = "{host}", port = {number} }}\n'
        else:
            way = f'http = {{ port = {port}, path = "{PATH}" }}\n'
        text = f"""\
[service]
state_directory = "{directory}"
[north]
port = {free_port()}
[servers.lab]
uri = "{lab.server_ready["coap"]}"
{server_lines}
{lab.lorawan_network(lines=way + lines)}
"""
        if also is not None:
            text += await also(lab)
        if endpoints is None:
            endpoints = [{"name": NAME, "network": "lorawan", "address": DEV_EUI}]
        for endpoint in endpoints:
            text += "[[endpoints]]\n" + "".join(
                f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
                for key, value in endpoint.items()
            )
        downlinks = tomllib.loads(text)["networks"]["lorawan"].get("downlinks", {})
        fit(CLIENT, downlinks.get("exchange_span", Downlinks().exchange_span))
        (directory / "bridge.toml").write_text(text)
        await lab.start_bridge(prefix=prefix)
        euis = {one["name"]: one["address"].replace("-", "").lower() for one in endpoints}
        found = LorawanSetUp(lab, euis, rate)
        try:
            yield found
        except BaseException:
            print(f"--- the bridge said:\n{found.said()}")
            raise
