"""What end-to-end tests share: a whole set-up of processes whose T8 traffic is validated, and waits with a deadline.

Every verdict comes from outside the bridge: what the server saw, what the SCEF was answered, the air log.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from mock_network.lab import SCS_AS, TOKEN, Api, Bridge, Lab, free_port
from tests import forked
from tests.conftest import need_openapi
from tests.e2e.planted import places, reveals
from tests.t8.files import are_required, openapi_dir
from tests.t8.proxy import T8Proxy
from tests.waiting import until


class Ended(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


async def run_command(directory: Path, *arguments: str, **environment: str) -> Ended:
    """Run `lwm2m-bridge ARGUMENTS` on the configuration in a set-up's directory."""
    words = [sys.executable, "-m", "bridge.cli", *arguments, "--config", str(directory / "bridge.toml")]
    done = await asyncio.to_thread(forked.run, words, environment={**os.environ, **environment})
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert not reveals(directory, ended.out + ended.err), f"a secret stands in the output of {arguments}"
    return ended


def counter(metrics: str, name: str, **labels: str) -> float:
    """Return a counter of the bridge's metrics: the sum over all labels that are not named."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name.removeprefix("lwm2m_bridge_").removesuffix("_total") == name
        and labels.items() <= sample.labels.items()
    )


@dataclass
class SetUp:
    """Processes of one set-up, by the names of the bridge's networks and servers."""

    lab: Lab
    proxies: dict[str, T8Proxy] = field(default_factory=dict)
    callbacks: dict[str, str] = field(default_factory=dict)  # URLs of the bridge's listeners
    raw: Any = None  # a server that a test plays itself
    _ues: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def bridge(self) -> Bridge:
        assert self.lab.bridge is not None
        return self.lab.bridge

    @property
    def devices(self) -> Api:
        assert self.lab.devices is not None
        return self.lab.devices

    def server(self, name: str = "lab") -> Api:
        return self.lab.servers[name].api

    def scef(self, network: str = "nidd") -> Api:
        return self.lab.scefs[network].api

    # The device's side

    async def add_device(
        self,
        name: str,
        network: str = "nidd",
        *,
        endpoint: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        registered: str | Sequence[str] = "lab",
        **ue: Any,
    ) -> dict[str, Any]:
        """Add a UE, its endpoint and an LwM2M client on it, and wait until the servers of `registered` know it.

        `endpoint` None: the directory has it already. `device` None: no client is started. A UE that `add_ue` added
        before is used as it is.
        """
        made = self._ues.get((network, name)) or await self.add_ue(name, network, **ue)
        if endpoint is not None:
            await self.add_endpoint(name=name, network=network, address=f"{name}@iot", **endpoint)
        await self.configured(name, network)
        if device is not None:
            await self.devices.post(
                "/devices", {"endpoint": name, "connect": "coap://{}:{}".format(*made["modem"]), **device}
            )
            for server in [registered] if isinstance(registered, str) else registered:
                if server:
                    await self.registered(name, server)
            if registered:
                await until(lambda: self._knows(name), why=f"{name} does not know that it is registered")
        return made

    async def _knows(self, name: str) -> bool:
        return bool((await self.devices.get(f"/devices/{name}"))["registered"])

    async def add_ue(self, name: str, network: str = "nidd", **ue: Any) -> dict[str, Any]:
        """Add a UE whose radio is quick, so that tests are."""
        quick = {"radio_latency": 0.005, "paging_latency": 0.01}
        made: dict[str, Any] = await self.scef(network).post(
            "/ues", {"name": name, "external_id": f"{name}@iot", **quick, **ue}
        )
        self._ues[network, name] = made
        return made

    async def sms_modem(self, ue: str, network: str = "nidd") -> str:
        """Return the address at which a UE's application sends and receives SMS."""
        host, port = (await self.scef(network).get(f"/ues/{ue}"))["channels"]["sms"]
        return f"{host}:{port}"

    async def configured(self, ue: str, network: str = "nidd") -> str:
        """Wait until the bridge has a NIDD configuration for a UE, and give its id."""

        async def look() -> str:
            found = await self.scef(network).get("/configurations")
            return next((one["id"] for one in found if one["ue"] == ue), "")

        return await until(look, why=f"no NIDD configuration for {ue}")

    async def registered(self, name: str, server: str = "lab") -> dict[str, Any]:
        """Wait until a server has a registration and return it."""

        async def look() -> Any:
            clients = await self.server(server).get("/clients")
            return next((client for client in clients if client["endpoint"] == name), None)

        found: dict[str, Any] = await until(look, why=f"{name} is not registered at {server}")
        return found

    async def act(self, name: str, action: str, **body: Any) -> Any:
        """Let a device do something; return what came of it."""
        return await self.devices.post(f"/devices/{name}/{action}", body)

    async def set_value(self, name: str, path: str, value: Any) -> None:
        """Let a device's sensor measure something."""
        await self.devices.ask("PUT", f"/devices/{name}/resources{path}", {"value": value})

    async def uplink(self, ue: str, data: bytes, network: str = "nidd") -> None:
        """Let bytes leave a UE, whatever its client is."""
        await self.scef(network).post(f"/ues/{ue}/uplink", {"data": data.hex()})

    # The server's side

    async def ask(self, name: str, operation: str, path: str = "", server: str = "lab", **body: Any) -> Any:
        """Let a server carry out an operation and return what came of it."""
        return await self.server(server).post(
            f"/clients/{name}/{operation}", {**({"path": path} if path else {}), **body}
        )

    async def seen(self, kind: str, endpoint: str | None = None, server: str = "lab") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.server(server).get("/seen", kind=kind, endpoint=endpoint)
        return found

    # The network's side

    async def air(self, ue: str, what: str, network: str = "nidd") -> list[dict[str, Any]]:
        """Return lines of the air log: "downlink" is what a UE received, "uplink" what it sent."""
        found: list[dict[str, Any]] = await self.scef(network).get("/air-log", ue=ue, what=what)
        return found

    async def notifications(self, ue: str, kind: str = "uplink", network: str = "nidd") -> list[dict[str, Any]]:
        """Return attempts of the SCEF to notify the bridge of something of a UE, with what it was answered."""
        found = await self.scef(network).get("/notifications")
        return [one for one in found if one["ue"] == ue and one["kind"] == kind]

    async def ue(self, ue: str, network: str = "nidd") -> dict[str, Any]:
        found: dict[str, Any] = await self.scef(network).get(f"/ues/{ue}")
        return found

    async def fault(self, kind: str, network: str = "nidd", **more: Any) -> None:
        """Arm a fault of the SCEF."""
        await self.scef(network).post("/faults", {"kind": kind, **more})

    async def no_faults(self, network: str = "nidd") -> None:
        await self.scef(network).ask("DELETE", "/faults")

    # The bridge

    async def add_endpoint(self, **endpoint: Any) -> None:
        """Add an endpoint to the bridge's directory."""
        await self.bridge.ask("endpoint.add", endpoints=[endpoint])

    async def count(self, name: str, **labels: str) -> float:
        """Return a counter of the bridge: the sum over all labels that are not named."""
        return counter((await self.bridge.ask("metrics"))["text"], name, **labels)

    def log(self) -> str:
        """Return what the bridge said since its last start."""
        return self.bridge.process.said()

    async def logged(self, *words: str) -> str:
        """Wait for a line of the bridge's log with all these words."""

        async def look() -> str:
            return next((line for line in self.log().splitlines() if all(word in line for word in words)), "")

        return await until(look, why=f"no line with {words}")

    async def command(self, *arguments: str) -> Ended:
        """Run `lwm2m-bridge ARGUMENTS` on this set-up's configuration."""
        return await run_command(self.lab.directory, *arguments)


@contextlib.asynccontextmanager
async def set_up(
    directory: Path,
    *,
    networks: Mapping[str, str] | None = None,
    servers: Mapping[str, str] | None = None,
    clock: bool = True,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    tolerate: tuple[str, ...] = (),
    north: str = "",
    service: str = "",
    server_lines: str = "",
    lines_of: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    network_lines: str = "",
    sections: str = "",
    sms: Mapping[str, str] | None = None,
    sms_lines: str = "",
    devices: Sequence[str] = (),
) -> AsyncIterator[SetUp]:
    """Start everything: SCEFs (network → profile), servers (name → host, or the URI of one that runs already),
    devices (none yet) and the bridge. `sms` are networks of SMS (network → that of the SCEF which carries them), and
    `devices` are further arguments of the process of devices, `lines_of` further lines of single servers' sections, and
    `kinds` the profiles that emulated servers act by.

    T8 goes through proxies that record it. Leaving fails if anything on the way was not as 3GPP's files have it; where
    those are absent the traffic is not judged, and the summary of the tests says so. Further
    lines for sections of the configuration, and arguments of python for the bridge's process, can be given.
    """
    folder = need_openapi() if are_required() else openapi_dir()
    networks = networks or {"nidd": "strict-r17"}
    servers = servers or {"lab": "127.0.0.1"}
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(directory))
        found = SetUp(lab)
        if clock:
            await lab.start_clock()
        async with asyncio.TaskGroup() as starting:
            for name, profile in networks.items():
                starting.create_task(lab.start_scef((), "--profile", profile, name=name))
            for name, host in servers.items():
                if "://" not in host:
                    kind = ("--profile", kinds[name]) if kinds and name in kinds else ()
                    starting.create_task(lab.start_server(*kind, name=name, host=host))
            none_yet = ("--count", "0", "--retry-timer", "5", *devices)
            starting.create_task(lab.start_device("none", "coap://127.0.0.1:1", *none_yet))
        for name in networks:
            record = directory / f"t8-{name}.jsonl"
            root = lab.scefs[name].ready["scef"].removesuffix(_prefix(lab.scefs[name].ready["scef"]))
            proxy = T8Proxy(root, folder, record=record, tolerate=tolerate)
            found.proxies[name] = await stack.enter_async_context(proxy)
        text = f'[service]\nstate_directory = "{directory}"\n{service}\n[north]\n{north or f"port = {free_port()}"}\n'
        for name, host in servers.items():
            address = lab.servers[name].ready["coap"] if name in lab.servers else host
            text += f'[servers.{name}]\nuri = "{address}"\n{server_lines}\n{(lines_of or {}).get(name, "")}\n'
        for name, proxy in found.proxies.items():
            port = free_port()
            found.callbacks[name] = f"http://127.0.0.1:{port}/told-to-nobody"
            text += f"""\
[networks.{name}]
binding = "nidd"
api_root = "{proxy.url}{_prefix(lab.scefs[name].ready["scef"])}"
scs_as_id = "{SCS_AS}"
credentials = {{ kind = "bearer", token = "{TOKEN}" }}
callbacks = {{ port = {port}, path = "told-to-nobody" }}
{network_lines}
"""
        for name, scef in (sms or {}).items():
            port = free_port()
            text += f"""\
[networks.{name}]
binding = "sms"
api_root = "{found.proxies[scef].url}{_prefix(lab.scefs[scef].ready["scef"])}"
scs_as_id = "{SCS_AS}"
credentials = {{ kind = "bearer", token = "{TOKEN}" }}
callbacks = {{ port = {port}, path = "{name}" }}
{sms_lines}
"""
            mo_sms = found.proxies[scef].callback(f"http://127.0.0.1:{port}/{name}")
            await lab.scefs[scef].api.ask("PATCH", "/settings", {"mo_sms_url": mo_sms})
        (directory / "bridge.toml").write_text(text + sections)
        await lab.start_bridge(environment=environment, prefix=prefix)
        try:
            yield found
        except BaseException:
            print(f"--- the bridge said:\n{found.log()[-6000:]}")
            raise
        assert not places(directory), "a secret of the configuration stands there"


def _prefix(root: str) -> str:
    """Return the path of an apiRoot, which the proxy passes on."""
    path = root.partition("://")[2].partition("/")[2]
    return f"/{path}" if path else ""
