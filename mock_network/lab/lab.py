"""Brings a set-up up, piece by piece, and takes it down."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mock_network.lab.api import Api, Dialler
from mock_network.lab.ports import free_port
from mock_network.lab.process import START_TIMEOUT, LabProcess, ProcessEnded, real_sleep

TOKEN = "lab-token"  # noqa: S105 - of an emulated SCEF on loopback
SCS_AS = "lab"
GATEWAY = "00000000000000a1"


@dataclass(slots=True)
class Bridge:
    """The bridge of a set-up: a process that may be killed and started again on the same state."""

    directory: Path
    process: LabProcess
    api: Api | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "control.sock"

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it takes traffic. `environment` is for this life only."""
        if self.api is not None:
            await self.api.close()
            self.api = None
        self.process.start(environment)
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            self.process.check()
            api = Api("http://bridge", str(self.socket))
            try:
                if (await api.post("/ready"))["ready"]:
                    self.api = api
                    return
            except OSError:
                pass
            await api.close()
            await real_sleep(0.05)
        raise ProcessEnded(f"the bridge is not ready:\n{self.process.said()[-3000:]}")

    async def restart(self) -> None:
        """Kill it, and start it again with the same files."""
        self.process.kill()
        await self.start()

    async def ask(self, operation: str, /, **request: Any) -> Any:
        """Return the result of one of the running bridge's operations; for people, never for a verdict."""
        if self.api is None:
            raise ProcessEnded("the bridge is not running")
        return await self.api.post(f"/{operation}", request)

    async def close(self) -> None:
        if self.api is not None:
            await self.api.close()
        self.process.stop()


@dataclass(frozen=True, slots=True)
class Part:
    """A running SCEF or server: its control API, its ready line, and its process."""

    api: Api
    ready: dict[str, Any]
    process: LabProcess


@dataclass(frozen=True, slots=True)
class PartLocation:
    """Where a part of a set-up runs: by default on this machine, else where `within` starts its program.

    `dialler` makes the sockets with which its control API is reached there.
    """

    within: tuple[str, ...] = ()
    dialler: Dialler | None = None


_HERE = PartLocation()


@dataclass(slots=True)
class Lab:
    """A set-up in `directory`. Use it as an asynchronous context; everything ends with it.

    `clock` is "real" or the URL of a clock process; `start_clock` sets it.
    """

    directory: Path
    clock: str = "real"
    places: Mapping[str, PartLocation] = field(default_factory=dict)  # by the name of the process
    processes: list[LabProcess] = field(default_factory=list)
    scefs: dict[str, Part] = field(default_factory=dict)
    chirpstacks: dict[str, Part] = field(default_factory=dict)
    servers: dict[str, Part] = field(default_factory=dict)
    devices: Api | None = None
    clock_api: Api | None = None
    bridge: Bridge | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def at_the_end(self, stop: Callable[[], object]) -> None:
        """Have something stopped with the set-up."""
        self._stack.callback(stop)

    @property
    def scef(self) -> Api | None:
        """Return the control API of the SCEF that was started without a name."""
        return self.scefs["scef"].api if "scef" in self.scefs else None

    @property
    def scef_ready(self) -> dict[str, Any]:
        """Return the ready line of that SCEF."""
        return self.scefs["scef"].ready if "scef" in self.scefs else {}

    @property
    def server(self) -> Api | None:
        """Return the control API of the server that was started without a name."""
        return self.servers["server"].api if "server" in self.servers else None

    @property
    def server_ready(self) -> dict[str, Any]:
        """Return the ready line of that server."""
        return self.servers["server"].ready if "server" in self.servers else {}

    async def _start(self, name: str, *arguments: str) -> tuple[LabProcess, dict[str, Any]]:
        process = self._process(name, *arguments)
        process.start()
        return process, await process.ready_line()

    def _process(self, name: str, *arguments: str) -> LabProcess:
        within = self.places.get(name, _HERE).within
        process = LabProcess(name, ["-m", "bridge.cli", *arguments], self.directory / f"{name}.log", within=within)
        self.processes.append(process)
        self._stack.callback(process.stop)
        return process

    async def _api(self, base: str, name: str) -> Api:
        api = Api(base, dialler=self.places.get(name, _HERE).dialler)
        self._stack.push_async_callback(api.close)
        return api

    async def start_clock(self, rate: float = 1.0) -> None:
        """Start the clock that all later processes follow."""
        _, ready = await self._start("clock", "mock", "clock", "--rate", str(rate))
        self.clock = ready["clock"]
        self.clock_api = await self._api(self.clock, "clock")

    async def step(self, seconds: float) -> None:
        """Let virtual time jump."""
        if self.clock_api is None:
            raise ProcessEnded("there is no clock process")
        await self.clock_api.post("/step", {"seconds": seconds})

    async def start_scef(self, ues: Sequence[Mapping[str, Any]] = (), *arguments: str, name: str = "scef") -> Part:
        """Start a SCEF with UEs: their settings, `name` and, if wanted, `port`."""
        file = self.directory / f"{name}-ues.toml"
        file.write_text("\n".join(_toml_table("ue", ue) for ue in ues))
        process, ready = await self._start(
            name, "mock", "scef", "--ues", str(file), "--token", TOKEN, "--clock", self.clock, *arguments
        )
        self.scefs[name] = Part(await self._api(ready["control"], name), ready, process)
        return self.scefs[name]

    async def start_chirpstack(
        self,
        devices: Sequence[Mapping[str, Any]] = (),
        *arguments: str,
        name: str = "chirpstack",
        http: str = "",
        profile: Mapping[str, Any] | None = None,
        join_server: Mapping[str, Any] | None = None,
        gateways: Sequence[str] = (GATEWAY,),
    ) -> Part:
        """Start a ChirpStack with devices and gateways; with `http`, events are posted there."""
        server = {"tenant": "lab", "application": "lab", **({"http": http} if http else {})}
        text = "[server]\n" + _toml_lines(server) + "[server.profile]\n" + _toml_lines(profile or {})
        if join_server is not None:
            text += "[server.join_server]\n" + _toml_lines(join_server)
        text += "".join(_toml_table("gateway", {"gateway_id": gateway}) for gateway in gateways)
        text += "".join(_toml_table("device", device) for device in devices)
        file = self.directory / f"{name}-population.toml"
        file.write_text(text)
        process, ready = await self._start(
            name, "mock", "chirpstack", "--population", str(file), "--token", TOKEN, "--clock", self.clock, *arguments
        )
        self.chirpstacks[name] = Part(await self._api(ready["control"], name), ready, process)
        return self.chirpstacks[name]

    def lorawan_modem(self, dev_eui: str, chirpstack: str = "chirpstack") -> str:
        """Return the CoAP URI that a client on this LoRaWAN device, there from the start, is pointed to."""
        return f"coap://{self.chirpstacks[chirpstack].ready['devices'][dev_eui]['modem']}"

    def lorawan_network(self, name: str = "lorawan", chirpstack: str = "chirpstack", lines: str = "") -> str:
        """Return the section of the bridge's configuration for a ChirpStack; `lines` are further ones."""
        ready = self.chirpstacks[chirpstack].ready
        return f"""\
[networks.{name}]
binding = "lorawan"
api = {{ server = {json.dumps(ready["grpc"])}, key = "{TOKEN}" }}
application_id = {json.dumps(ready["application_id"])}
{lines}
"""

    def server_section(self, name: str, lines: str = "") -> str:
        """Return the section of the bridge's configuration for a server that was started under `name`."""
        return f"[servers.{name}]\nuri = {json.dumps(self.servers[name].ready['coap'])}\n{lines}\n"

    def modem(self, ue: str, scef: str = "scef") -> str:
        """Return the CoAP URI that a client on this UE, there from the start, is pointed to."""
        host, port = self.scefs[scef].ready["ues"][ue]
        return f"coap://{host}:{port}"

    def sms_modem(self, ue: str, scef: str = "scef") -> str:
        """Return the CoAP URI of a UE's port for SMS; the UE has one if it was described with `sms_udp_port`."""
        host, port = self.scefs[scef].ready["sms"][ue]
        return f"coap://{host}:{port}"

    async def start_server(self, *arguments: str, name: str = "server", host: str = "127.0.0.1") -> Part:
        """Start an LwM2M server at a port of its own, which it keeps over a restart."""
        listen = f"{host}:{free_port()}"
        process, ready = await self._start(
            name, "mock", "server", "--listen", listen, "--clock", self.clock, *arguments
        )
        self.servers[name] = Part(await self._api(ready["control"], name), ready, process)
        return self.servers[name]

    async def start_device(self, name: str, connect: str, *arguments: str, process: str = "device") -> Api:
        """Start an LwM2M client, which registers automatically by default; return its control API.

        `devices` is that of the process "device"; others have names of their own.
        """
        _, ready = await self._start(
            process, "mock", "device", "--name", name, "--connect", connect, "--clock", self.clock, *arguments
        )
        api = await self._api(ready["control"], process)
        if process == "device":
            self.devices = api
        return api

    def write_configuration(
        self,
        endpoints: Sequence[Mapping[str, Any]],
        *,
        api_root: str | None = None,
        server_uri: str | None = None,
        sections: str = "",
        network: str = "",
        server: str = "",
        service: str = "",
    ) -> Path:
        """Write the bridge's configuration for this set-up; `network`, `server` and `service` are further lines."""
        text = f"""\
[service]
state_directory = {json.dumps(str(self.directory))}
{service}

[north]
port = {free_port()}

[servers.lab]
uri = {json.dumps(server_uri or self.server_ready["coap"])}
{server}

[networks.nidd]
binding = "nidd"
api_root = {json.dumps(api_root or self.scef_ready["scef"])}
scs_as_id = "{SCS_AS}"
credentials = {{ kind = "bearer", token = "{TOKEN}" }}
callbacks = {{ port = {free_port()} }}
{network}

{sections}
"""
        path = self.directory / "bridge.toml"
        path.write_text(text + "\n".join(_toml_table("endpoints", endpoint) for endpoint in endpoints))
        return path

    async def start_bridge(
        self, *, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = (), wait: bool = True
    ) -> Bridge:
        """Start the bridge on `bridge.toml`. `prefix`: arguments of python before the bridge's own."""
        arguments = ["-m", "bridge.cli", "run", "-c", str(self.directory / "bridge.toml"), "--clock", self.clock]
        process = LabProcess("bridge", [*prefix, *arguments], self.directory / "bridge.log", environment)
        self.bridge = Bridge(self.directory, process)
        self._stack.push_async_callback(self.bridge.close)
        if wait:
            await self.bridge.start()
        else:
            process.start()
        return self.bridge


def _toml_table(name: str, values: Mapping[str, Any]) -> str:
    return f"[[{name}]]\n" + _toml_lines(values)


def _toml_lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
