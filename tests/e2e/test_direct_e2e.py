"""Direct requests from end to end: HTTP and commands, the service, an emulated SCEF, an emulated device, real sockets.

What a device got is counted on the air; what it did is asked of the device.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from mock_network.lab import free_port
from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANUFACTURER = "LwM2M Non-IP bridge"


VALVE = (
    "<LWM2M><Object><ObjectID>33000</ObjectID><Resources>"
    '<Item ID="1"><Name>Opening</Name><Type>{}</Type></Item></Resources></Object></LWM2M>'
)


class Caller:
    """An application: an HTTP client with a key."""

    def __init__(self, world: SetUp, url: str, key: str) -> None:
        self.world = world
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def send(self, name: str, key: str = "", wait: float = 20, **body: Any) -> tuple[int, Any]:
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        path = f"/v1/endpoints/{name}/downlinks?wait={wait}"
        async with aiohttp.ClientSession(self._url, headers=headers) as http, http.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def outcome(self, id_: int, wait: float = 20) -> Any:
        path = f"/v1/downlinks/{id_}/outcome?wait={wait}"
        async with aiohttp.ClientSession(self._url, headers=self._headers) as http, http.get(path) as answer:
            return await answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    port = free_port()
    directory = tmp_path_factory.mktemp("direct")
    api = f'[api]\nlisten = "127.0.0.1:{port}"\n'
    (directory / "models").mkdir()
    (directory / "models" / "valve.xml").write_text(VALVE.format("Integer"))
    service = 'default_servers = ["lab"]\nobject_models = "models"'
    async with set_up(directory, service=service, sections=api) as world:
        made = await world.bridge.ask("key.create", name="an application", role="operate")
        yield Caller(world, f"http://127.0.0.1:{port}", made["key"])


async def device(caller: Caller, name: str, **ue: Any) -> None:
    await caller.world.add_device(name, endpoint={}, device={}, **ue)


async def test_every_operation_comes_back_with_the_devices_answer(caller: Caller) -> None:
    await device(caller, "all")

    async def send(operation: str, path: str = "", **more: Any) -> Any:
        status, body = await caller.send("all", operation=operation, path=path, **more)
        assert status == 200, body
        return body["response"]

    read = await send("read", "/3/0/0")
    assert (read["code"], read["values"][0]["value"]) == ("2.05", MANUFACTURER)
    for accept in ("text", "tlv", "senml-json"):
        assert (await send("read", "/3/0/0", accept=accept))["values"] == read["values"]
    whole = await send("read", "/3/0", accept="tlv")
    assert {"path": "/3/0/0", "value": MANUFACTURER, "type": "string", "name": "Manufacturer"} in whole["values"]
    for format_ in ("text", "tlv", "senml-json"):
        assert (await send("write", "/3/0/14", value=f"+0{len(format_)}:00", format=format_))["code"] == "2.04"
        assert (await send("read", "/3/0/14"))["values"][0]["value"] == f"+0{len(format_)}:00"
    assert (await send("write", "/1/0", values={"2": 7, "3": 70}))["code"] == "2.04"
    assert (await send("read", "/1/0/3"))["values"][0]["value"] == 70
    assert "</3/0/0>" in (await send("discover", "/3/0"))["text"]
    assert (await send("write-attributes", "/3/0/9", attributes={"pmin": 60}))["code"] == "2.04"
    assert (await send("execute", "/3/0/12"))["code"] == "2.04"
    composite = await send("read-composite", paths=["/3/0/0", "/1/0/3"])
    assert {one["path"]: one["value"] for one in composite["values"]} == {"/3/0/0": MANUFACTURER, "/1/0/3": 70}
    assert (await send("write-composite", values={"/1/0/3": 80, "/3/0/14": "+05:00"}))["code"] == "2.04"
    assert (await send("read", "/1/0/3"))["values"][0]["value"] == 80
    assert (await send("read", "/99/0"))["code"] == "4.04"
    assert await caller.world.seen("requested", "all") == []  # no server had a hand in it


async def test_what_does_not_fit_goes_and_comes_in_blocks(caller: Caller) -> None:
    await device(caller, "large")
    package = bytes(range(256)) * 20
    value = base64.b64encode(package).decode()
    status, body = await caller.send("large", operation="write", path="/5/0/0", value=value)
    assert (status, body["response"]["code"], body["messages"]) == (200, "2.04", 6)
    text = "x" * 3000
    await caller.world.set_value("large", "/3/0/1", text)
    status, body = await caller.send("large", operation="read", path="/3/0/1")
    assert (status, body["response"]["values"][0]["value"], body["response"]["complete"]) == (200, text, True)
    assert body["messages"] == 3


async def test_a_killed_service_keeps_what_it_accepted_and_does_it_once(caller: Caller) -> None:
    world = caller.world
    await device(caller, "killed", t3412=86_400.0)
    await world.scef().post("/ues/killed/sleep")
    before = len(await world.air("killed", "downlink"))
    body = {"operation": "execute", "path": "/3/0/12", "ttl": 80_000}
    status, accepted = await caller.send("killed", "once", 0, **body)
    assert (status, accepted["over"]) == (202, False)
    await world.bridge.restart()
    status, again = await caller.send("killed", "once", 0, **body)
    assert (status, again["id"]) == (202, accepted["id"])
    await world.scef().post("/ues/killed/wake")
    found = await caller.outcome(accepted["id"])
    assert (found["downlink"]["state"], found["response"]["code"]) == ("RESPONDED", "2.04")
    status, again = await caller.send("killed", "once", 0, **body)
    assert (status, again["id"], again["over"]) == (200, accepted["id"], True)
    assert len(await world.air("killed", "downlink")) == before + 1


async def test_a_kill_in_the_middle_of_a_transfer_loses_no_block(caller: Caller) -> None:
    world = caller.world
    await device(caller, "middle")
    package = bytes(range(256)) * 60
    before = len(await world.air("middle", "downlink"))
    value = base64.b64encode(package).decode()
    _, accepted = await caller.send("middle", wait=0, operation="write", path="/5/0/0", value=value)

    async def under_way() -> bool:
        return len(await world.air("middle", "downlink")) >= before + 3

    await until(under_way, why="no block went")
    await world.bridge.restart()
    found = await caller.outcome(accepted["id"], 60)
    assert (found["downlink"]["state"], found["response"]["code"]) == ("RESPONDED", "2.04")
    story = await world.bridge.ask("downlink.list", endpoint="middle", limit=100)
    outcomes = [one["state"] for one in story["items"] if one["server"] == "(API)"]
    assert outcomes == ["RESPONDED"] * 16


async def test_a_server_and_an_application_ask_one_device_at_one_time(caller: Caller) -> None:
    world = caller.world
    await device(caller, "both")
    asked = [caller.send("both", operation="read", path=f"/3/0/{number}") for number in range(3)]
    served = [world.ask("both", "read", f"/3/0/{number}", timeout=60) for number in range(3)]
    mine, theirs = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*served))
    values = [body["response"]["values"][0]["value"] for _, body in mine]
    assert values == [next(iter(one["values"].values())) for one in theirs]


async def test_a_command_sends_and_shows_what_came_of_it(caller: Caller) -> None:
    world = caller.world
    await device(caller, "command")
    done = await world.command("downlink", "send", "command", "read", "/3/0/0")
    assert (done.code, MANUFACTURER in done.out, "2.05" in done.out) == (0, True, True), done
    written = await world.command("downlink", "send", "command", "write", "/1/0", "--set", "2=5", "--set", "3=50")
    assert (written.code, "2.04" in written.out) == (0, True), written
    raw = await world.command("downlink", "send", "command", "GET", "/1/0/3", "--json", "--option", "17=")
    found = json.loads(raw.out)
    assert found["response"]["text"] == "50"
    shown = await world.command("downlink", "outcome", str(found["id"]))
    assert (shown.code, "Default Maximum Period" in shown.out) == (0, True), shown
    wrong = await world.command("downlink", "send", "command", "observe", "/3/0/0")
    assert (wrong.code, "is no operation" in wrong.err) == (2, True), wrong
    nobody = await world.command("downlink", "send", "nobody", "read", "/3/0/0")
    assert (nobody.code, "nobody" in nobody.err) == (1, True), nobody


async def test_an_operators_own_objects_have_types_and_a_reload_reads_them_again(caller: Caller) -> None:
    await device(caller, "valve")
    write = {"operation": "write", "path": "/33000/0/1"}
    status, answer = await caller.send("valve", **write, value="half")
    assert status == 400
    assert "/33000/0/1 is of type integer, and 'half' is none" in answer["detail"]
    (caller.world.lab.directory / "models" / "valve.xml").write_text(VALVE.format("String"))
    await caller.world.bridge.ask("config.reload")
    status, answer = await caller.send("valve", **write, value="half")
    assert (status, answer["response"]["code"]) == (200, "4.04")  # the device has no such object
