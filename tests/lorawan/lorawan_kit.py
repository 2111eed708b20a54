"""A LoRaWAN set-up of processes: LwM2M server, bridge, ChirpStack with its radio, and LwM2M clients on modems.

Every verdict comes from outside the bridge: the server, the air log, the device.
"""

import asyncio
import contextlib
import functools
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mock_network.lab import Api, Lab, free_port
from tests import waiting

T = TypeVar("T")

DEV_EUI = "70b3d57ed0000001"
APP_KEY = "0102030405060708090a0b0c0d0e0f10"
PATH = "lorawan-test-path"
NAME = "meter"
PATIENCE = 86400.0
APPENDIX_C = ("--ack-timeout", "300", "--max-retransmit", "4")  # as LoRaWAN clients are to be patient
RATE = 8.0  # virtual seconds per real one
QUIET = 8.0  # virtual seconds: a device that says nothing for so long has nothing to say by itself
WINDOWS = 5.0  # virtual seconds from a poll until both receive windows are over


until = functools.partial(waiting.until, wait=25.0)  # joins and receive windows take their time


def device(dev_eui: str = DEV_EUI, **values: Any) -> dict[str, Any]:
    """Describe an emulated OTAA device that keeps no duty cycle, so that tests are quick."""
    return {"dev_eui": dev_eui, "app_key": APP_KEY, "duty_cycle": False, **values}


@dataclass
class LorawanSetUp:
    """A running set-up with one LoRaWAN endpoint."""

    lab: Lab
    http_port: int
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

    async def start_client(self, name: str = NAME, dev_eui: str = DEV_EUI, **options: Any) -> None:
        """Start an LwM2M client on a modem, patient as LoRaWAN asks for."""
        body = {"endpoint": name, "connect": self.lab.lorawan_modem(dev_eui), "lifetime": 2592000, **options}
        await self.devices.post("/devices", body)

    async def registered(self, name: str = NAME, dev_eui: str = DEV_EUI) -> dict[str, Any]:
        """Wait until server and client know of the registration and the device is at rest; gives the server's view."""

        async def look() -> Any:
            return next((c for c in await self.server.get("/clients") if c["endpoint"] == name), None)

        found = await until(look, why=f"{name} is not registered; {self.said()}")
        await self.settled(name, dev_eui)
        return found

    async def settled(self, name: str = NAME, dev_eui: str = DEV_EUI) -> None:
        """Wait until the client knows that it is registered, and its device has nothing more to say by itself."""

        async def knows() -> bool:
            if (await self.devices.get(f"/devices/{name}"))["registered"]:
                return True
            await asyncio.sleep(WINDOWS / self.rate)
            await self.poll(dev_eui)  # the answer may have come too late for the Register's own windows
            return False

        await until(knows, why=f"{name} does not know that it is registered")
        end = time.monotonic() + 25
        before = None
        while (now := (await self.radio.get("/state"))["counters"]) != before:
            assert time.monotonic() < end, f"{dev_eui} never comes to rest: {now}"
            before = now
            for _ in range(4):  # in steps, between which the other processes get what was said
                await self.lab.step(QUIET / 4)
                await asyncio.sleep(0.1)

    async def ask(self, operation: str, path: str = "", name: str = NAME, **body: Any) -> Any:
        answer = self.server.post(f"/clients/{name}/{operation}", {"path": path, "timeout": PATIENCE, **body})
        return await asyncio.wait_for(answer, 40)

    async def poll(self, dev_eui: str = DEV_EUI) -> None:
        """Let the device open its windows."""
        await self.radio.post(f"/radio/devices/{dev_eui}/poll")

    async def polled(self, waiting: "asyncio.Task[T]", dev_eui: str = DEV_EUI) -> T:
        """Let the device poll until something has come back."""
        end = time.monotonic() + 40
        while not waiting.done():
            assert time.monotonic() < end, f"no answer; {self.said()}"
            await self.poll(dev_eui)
            await asyncio.wait({waiting}, timeout=WINDOWS / self.rate)
        return waiting.result()

    async def asked(self, operation: str, path: str = "", name: str = NAME, dev_eui: str = DEV_EUI, **body: Any) -> Any:
        """Have the server ask, and the device poll until the answer is there."""
        return await self.polled(asyncio.create_task(self.ask(operation, path, name, **body)), dev_eui)

    async def queued(self) -> None:
        """Wait until something is in ChirpStack's queue for the first device."""

        async def look() -> Any:
            return (await self.radio.get("/state"))["devices"][0]["queue"]

        await until(look, why=f"no request is in ChirpStack's queue; {self.said()}")

    async def air(self, dev_eui: str = DEV_EUI) -> list[dict[str, Any]]:
        """Give the downlink frames that ChirpStack sent."""
        return list(await self.radio.get("/air", dev_eui=dev_eui))

    async def fault(self, kind: str, **more: Any) -> None:
        await self.radio.post("/faults", {"kind": kind, **more})

    async def downlinks(self) -> list[dict[str, Any]]:
        assert self.lab.bridge is not None
        return list(await self.lab.bridge.get("/downlinks"))

    async def metrics(self) -> str:
        assert self.lab.bridge is not None
        return str(await self.lab.bridge.get("/metrics"))

    async def command(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run `lwm2m-bridge ARGUMENTS` on this set-up's configuration; gives exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge.cli",
            *arguments,
            "--config",
            str(self.lab.directory / "bridge.toml"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    def said(self) -> str:
        return "" if self.lab.bridge is None else self.lab.bridge.process.said()[-3000:]


@contextlib.asynccontextmanager
async def lorawan_set_up(
    directory: Path,
    *,
    devices: Sequence[Mapping[str, Any]] | None = None,
    endpoints: Sequence[Mapping[str, Any]] | None = None,
    profile: Mapping[str, Any] | None = None,
    mqtt: str = "",
    arguments: Sequence[str] = (),
    lines: str = "",
    server_lines: str = "patience = 86400.0",
    rate: float = RATE,
) -> AsyncIterator[LorawanSetUp]:
    """Start everything but the LwM2M client. `mqtt`: broker for the events, HOST:PORT; else they come over HTTP."""
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
                )
            )
            starting.create_task(lab.start_server())
            starting.create_task(lab.start_device("none", "coap://127.0.0.1:1", "--count", "0", *APPENDIX_C))
        if mqtt:
            host, _, number = mqtt.rpartition(":")
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
        if endpoints is None:
            endpoints = [{"name": NAME, "network": "lorawan", "address": DEV_EUI}]
        for endpoint in endpoints:
            text += "[[endpoints]]\n" + "".join(
                f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
                for key, value in endpoint.items()
            )
        (directory / "bridge.toml").write_text(text)
        await lab.start_bridge()
        found = LorawanSetUp(lab, port, rate)
        try:
            yield found
        except BaseException:
            print(f"--- the bridge said:\n{found.said()}")
            raise
