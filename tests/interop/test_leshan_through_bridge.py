"""The bridge as its own process between a real Leshan and a SCEF: a NIDD device is managed, a kill is survived."""

import asyncio
import base64
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import cbor2
import pytest

from mock_network.lab import Running, free_port
from tests import forked
from tests.interop.leshan_server import Leshan
from tests.interop.raw_device import (
    ACK,
    CON,
    CONTENT_FORMAT,
    EMPTY,
    GET,
    OBJECT_LINKS,
    OBSERVE,
    POST,
    PUT,
    Message,
    code,
    decode,
    encode,
    uri,
)
from tests.nidd.scripted_scef import ScriptedScef

TEXT = (CONTENT_FORMAT, b"")  # 0, text/plain
NAME = "through-bridge"
DEVICE = "meter-1@iot.example"

CONFIG = """
[service]
state_directory = "{state}"
[servers.leshan]
uri = "coap://{host}:{port}"
profile = "leshan"
[north]
prefixes = ["127.66.0.0/24"]
port = {north_port}
[networks.nidd]
binding = "nidd"
api_root = "{scef}"
scs_as_id = "as1"
[networks.nidd.callbacks]
port = {callback_port}
[[endpoints]]
name = "{name}"
network = "nidd"
address = "{device}"
"""

pytestmark = pytest.mark.timeout(120)


class BridgeProcess:
    """`lwm2m-bridge run`, which can be killed and started again on the same state."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config = config
        self._log = log
        self._process: Running | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "bridge.cli", "run", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = forked.start_process(command, log, {**os.environ, "NO_COLOR": "1"})

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self._log.read_text()


class NiddDevice:
    """Bytes behind a SCEF whose UE is always connected."""

    def __init__(self, scef: ScriptedScef) -> None:
        self._scef = scef
        self._taken = 0

    async def connected(self) -> None:
        """Wait for the bridge's NIDD configuration."""
        async with asyncio.timeout(30):
            while self._scef.name_of(DEVICE) is None:
                await asyncio.sleep(0.05)

    async def uplink(self, message: Message) -> None:
        """Deliver until the bridge has it, as a SCEF does while its notifications are refused."""
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(aiohttp.ClientError):  # the bridge is down
                    if await self._scef.uplink(DEVICE, encode(message)) == 204:
                        return
                await asyncio.sleep(0.1)

    async def downlink(self) -> Message:
        async with asyncio.timeout(10):
            while len(self._scef.made("submit")) <= self._taken:
                await asyncio.sleep(0.01)
        body = self._scef.made("submit")[self._taken][2]
        self._taken += 1
        return decode(base64.b64decode(body["data"], validate=True))

    async def answer(self, to: Message, dotted: str, payload: bytes = b"", *options: tuple[int, bytes]) -> None:
        await self.uplink(Message(ACK, code(dotted), to.mid, to.token, options, payload))


@contextlib.asynccontextmanager
async def running(
    leshan: Leshan, directory: Path, name: str = NAME, config: str = CONFIG
) -> AsyncIterator[tuple[NiddDevice, BridgeProcess]]:
    """Run a bridge between Leshan and a SCEF, with its files in `directory`; its log is printed if the test fails."""
    async with ScriptedScef() as scef:
        text = config.format(
            state=directory,
            host=leshan.host,
            port=leshan.coap_port,
            scef=scef.root,
            north_port=free_port(),
            callback_port=free_port(),
            name=name,
            device=DEVICE,
        )
        file = directory / "bridge.toml"
        file.write_text(text)
        bridge = BridgeProcess(file, directory / "bridge.log")
        bridge.start()
        try:
            yield NiddDevice(scef), bridge
        except BaseException:
            print(bridge.log())
            raise
        finally:
            bridge.kill()


async def test_a_nidd_device_is_managed_and_a_kill_costs_nothing(leshan: Leshan, tmp_path: Path):
    async with running(leshan, tmp_path) as (device, bridge):
        await _story(leshan, device, bridge)


async def _story(leshan: Leshan, device: NiddDevice, bridge: BridgeProcess) -> None:
    await device.connected()
    options = (*uri("/rd", f"ep={NAME}&lt=300&b=N"), (CONTENT_FORMAT, b"\x28"))
    await device.uplink(Message(CON, POST, 1, b"\x01", options, OBJECT_LINKS.encode()))
    answer = await device.downlink()
    assert (answer.type, answer.dotted(), answer.mid) == (ACK, "2.01", 1)
    registration = await leshan.registration(NAME)
    assert registration is not None

    started = await leshan.start("read", NAME, "/3/0/0", format="TEXT")
    request = await device.downlink()
    assert (request.code, request.path()) == (GET, "/3/0/0")
    await device.answer(request, "2.05", b"ACME", TEXT)
    assert (await leshan.result(started))["values"] == {"/3/0/0": "ACME"}

    started = await leshan.start("write", NAME, "/3/0/14", value="+02:00", format="TEXT")
    request = await device.downlink()
    assert (request.code, request.payload) == (PUT, b"+02:00")
    await device.answer(request, "2.04")
    assert (await leshan.result(started))["code"] == "2.04"

    started = await leshan.start("observe", NAME, "/3303/0/5700", format="TEXT")
    observe = await device.downlink()
    await device.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["values"] == {"/3303/0/5700": 20.5}

    slow = await leshan.start("read", NAME, "/3/0/1", timeout=40, format="TEXT")
    waiting = await device.downlink()
    await leshan.acknowledged(slow)

    for life in (1, 2):
        notification = (TEXT, (OBSERVE, bytes([1 + life])))
        await device.uplink(Message(CON, code("2.05"), 50 + life, observe.token, notification, b"%d.5" % life))
        assert await device.downlink() == Message(ACK, EMPTY, 50 + life)
        assert (await leshan.event("notification", NAME))["values"] == {"/3303/0/5700": life + 0.5}
        data = cbor2.dumps([{0: "/3303/0/5700", 2: life + 0.25}])
        await device.uplink(Message(CON, POST, 60 + life, b"\x02", (*uri("/dp"), (CONTENT_FORMAT, b"\x70")), data))
        assert (await device.downlink()).dotted() == "2.04"
        assert (await leshan.event("send", NAME))["values"] == {"/3303/0/5700": life + 0.25}
        if life == 1:
            bridge.kill()
            bridge.start()

    await device.answer(waiting, "2.05", b"Meter", TEXT)
    result = await leshan.result(slow)
    assert (result["code"], result["values"]) == ("2.05", {"/3/0/1": "Meter"})
    assert await leshan.registration(NAME) == registration  # the same address, port and id, and no Update needed
