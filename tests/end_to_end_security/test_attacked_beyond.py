"""Security end to end beyond LwM2M's own ends, while the bridge attacks: OSCORE in object 19.

Two stories each: an LwM2M server and a device without LwM2M behind a gateway, which is an LwM2M client; and an
application server and an application within the device, by way of an LwM2M server that has none of their keys.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
import pytest_asyncio

from mock_network.lwm2m.messages import GET, PUT, Request
from mock_network.lwm2m.oscore import OscoreError, OscoreKeys, new_context
from mock_network.lwm2m.tunnelled import Asking
from tests.e2e.kit import set_up
from tests.end_to_end_security.beyond import SETTING, Beyond
from tests.end_to_end_security.conftest import SECRET, Hostile
from tests.end_to_end_security.hostile import HOSTILE
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

TO_BEYOND, FROM_BEYOND = "/19/0/0/0", "/19/1/0/0"
MARKER = "+13:37"  # a value that stands nowhere else
KINDS = ["gateway", "application"]
ECHOED = 58  # bytes: more than a write without an Echo value has, less than one with it
LONG = 40  # bytes: more than a request without a payload has, less than one with an OSCORE message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostile]:
    async with set_up(tmp_path_factory.mktemp("beyond"), prefix=HOSTILE) as world:
        yield Hostile(world)


class Ends(Protocol):
    """Both ends: `beyond` is the far one, `ask` has the near one ask it."""

    name: str
    beyond: Beyond

    async def ask(self, operation: str, value: str = "") -> dict[str, Any]:
        """Return the verified answer with its code and value, or the outcome "not verified" or "no answer"."""
        ...


class Behind:
    """The LwM2M server asks the device behind a gateway."""

    def __init__(self, hostile: Hostile, name: str, beyond: Beyond) -> None:
        self.name, self.beyond, self._world = name, beyond, hostile.world

    async def ask(self, operation: str, value: str = "") -> dict[str, Any]:
        body = {"device": f"{self.name}-sensor", "operation": operation, "path": SETTING, "value": value, "timeout": 60}
        answer: dict[str, Any] = await self._world.server().post(f"/clients/{self.name}/beyond", body)
        return answer


class Within:
    """An application server asks the application: all it has of LwM2M is the server's Write and Read of object 19."""

    def __init__(self, hostile: Hostile, name: str, beyond: Beyond, keys: OscoreKeys) -> None:
        self.name, self.beyond, self._world = name, beyond, hostile.world
        self._context = new_context(keys)

    async def ask(self, operation: str, value: str = "") -> dict[str, Any]:
        code, echo = PUT if operation == "write" else GET, None
        for _ in range(2):
            asking = Asking(self._context, Request(code, ("setting",), payload=value.encode(), echo=echo))
            before = await self._read()
            await self._world.ask(self.name, "write", TO_BEYOND, payload=base64.b64encode(asking.data).decode())
            try:
                found = await self._newer(before)
                response = asking.verify(found)
            except TimeoutError:
                return {"outcome": "no answer"}
            except OscoreError:
                return {"outcome": "not verified"}
            if response.echo is None:
                break
            echo = response.echo
        return {"outcome": "response", "code": response.code, "value": response.payload.decode()}

    async def _newer(self, before: bytes) -> bytes:
        async with asyncio.timeout(5):
            while (found := await self._read()) == before:
                await asyncio.sleep(0.05)
        return found

    async def _read(self) -> bytes:
        read = await self._world.ask(self.name, "read", FROM_BEYOND, accept="opaque")
        return bytes.fromhex(read.get("payload", ""))


@contextlib.asynccontextmanager
async def ends(hostile: Hostile, kind: str, what: str, **options: Any) -> AsyncIterator[Ends]:
    """Start what lies beyond, and the LwM2M client before it; wait until the client is registered."""
    name, world = f"{kind}-{what}", hostile.world
    keys = OscoreKeys(bytes.fromhex(SECRET), b"\x01", b"\xf1")
    loop = asyncio.get_running_loop()
    socket, beyond = await loop.create_datagram_endpoint(lambda: Beyond(keys, **options), local_addr=("127.0.0.1", 0))
    try:
        tunnel = "{}:{}".format(*socket.get_extra_info("sockname"))
        await world.add_device(name, endpoint={}, device={"tunnel": tunnel})
        if kind == "gateway":
            theirs = {"secret": SECRET, "sender": "f1", "recipient": "01"}
            await world.server().ask("PUT", f"/oscore/{name}-sensor", theirs)
            yield Behind(hostile, name, beyond)
        else:
            yield Within(hostile, name, beyond, keys.mirrored())
    finally:
        socket.close()


async def works(both: Ends) -> bool:
    """Write and read; return whether that is as without an attacker."""
    written = await both.ask("write", MARKER)
    return (written.get("code"), (await both.ask("read")).get("value")) == ("2.04", MARKER)


@pytest.mark.requirement("LightweightM2M-E2Eo-2", "LightweightM2M-E2Eo -8")
@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_between_reads_anything(hostile: Hostile, kind: str):
    async with ends(hostile, kind, "sealed") as both:
        assert await works(both)
        world, name = hostile.world, both.name
        passed = [bytes.fromhex(one["data"]) for way in ("uplink", "downlink") for one in await world.air(name, way)]
        passed += both.beyond.heard
        kept = [await hostile.value(name, path) for path in (TO_BEYOND, FROM_BEYOND)]
        passed += [base64.b64decode(one["base64"]) for one in kept]
        assert len(both.beyond.heard) >= 2
        assert not any(word in data for data in passed for word in (MARKER.encode(), b"setting"))
        seen = str(await world.seen("request", name)) + str(await world.server().get("/seen"))
        assert MARKER not in seen


@pytest.mark.requirement("LightweightM2M-E2Eo-1", "LightweightM2M-E2Eo-7")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["alter", "truncate"])
async def test_what_is_changed_on_its_way_is_neither_carried_out_nor_believed(hostile: Hostile, kind: str, what: str):
    async with ends(hostile, kind, what) as both:
        hostile.attack(both.name, "down", what, longer_than=LONG)
        assert (await both.ask("write", MARKER))["outcome"] != "response"
        await hostile.attacked(both.name, what)
        assert both.beyond.written == []
        hostile.attack(both.name, "up", what, longer_than=12)
        answer = await both.ask("read")
        await hostile.attacked(both.name, what, 2)
        assert answer["outcome"] != "response" or answer["value"] == "as it was"
        assert await works(both)  # and nothing was spoilt by it


@pytest.mark.requirement("LightweightM2M-E2Eo-3", "LightweightM2M-E2Eo -9")
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_replayed_is_carried_out_once(hostile: Hostile, kind: str):
    async with ends(hostile, kind, "replayed") as both:
        hostile.attack(both.name, "down", "replay", longer_than=LONG)
        await both.ask("write", MARKER)
        await hostile.attacked(both.name, "replay")
        await until(lambda: len(both.beyond.heard) != len(set(both.beyond.heard)), why="it did not come twice")
        assert both.beyond.written == [MARKER]
        assert await works(both)


@pytest.mark.requirement("LightweightM2M-E2Eo-4", "LightweightM2M-E2Eo-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_between_speaks_for_an_end(hostile: Hostile, kind: str):
    plain = bytes((0x50, 3, 0, 0)) + b"\xb7setting\xff" + MARKER.encode()
    async with ends(hostile, kind, "forged") as both:
        world = hostile.world
        await world.ask(both.name, "write", TO_BEYOND, payload=base64.b64encode(plain).decode())
        await until(lambda: plain in both.beyond.heard, why="what was forged did not arrive")
        assert both.beyond.written == []
        await world.set_value(both.name, FROM_BEYOND, {"base64": base64.b64encode(plain).decode()})
        assert await works(both)
        assert both.beyond.written == [MARKER]


@pytest.mark.requirement("LightweightM2M-E2Eo -5", "LightweightM2M-E2Eo -11")
@pytest.mark.parametrize("kind", KINDS)
async def test_the_response_to_one_request_is_not_taken_for_that_to_another(hostile: Hostile, kind: str):
    async with ends(hostile, kind, "bound") as both:
        assert (await both.ask("read"))["value"] == "as it was"
        older = await hostile.value(both.name, FROM_BEYOND)
        assert await works(both)
        both.beyond.is_blocked = True
        before = len(both.beyond.heard)
        asking = asyncio.create_task(both.ask("read"))
        await until(lambda: len(both.beyond.heard) > before, why="nothing was asked")
        await hostile.world.set_value(both.name, FROM_BEYOND, older)  # as whoever is between can
        assert (await asking)["outcome"] == "not verified"
        both.beyond.is_blocked = False
        assert await works(both)


@pytest.mark.requirement("LightweightM2M-E2Eo-6", "LightweightM2M-E2Eo -12")
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_held_back_is_not_carried_out_late(hostile: Hostile, kind: str):
    async with ends(hostile, kind, "fresh", fresh_within=20.0) as both:
        assert await works(both)
        hostile.attack(both.name, "down", "delay", seconds=30.0, longer_than=ECHOED)
        late = asyncio.create_task(both.ask("write", "late"))
        await hostile.attacked(both.name, "delay")
        both.beyond.now += 31
        await hostile.world.lab.step(31)
        await until(lambda: len(both.beyond.heard) >= 5, why="what was held back did not come")
        assert both.beyond.written == [MARKER]
        assert (await late).get("code") != "2.04"
        assert await works(both)
