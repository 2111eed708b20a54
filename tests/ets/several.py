"""Enabler test cases that need a bootstrap server or a server that keeps requests, and devices of their own.

Bootstrap is shown without security (NoSec) here; `secure.py` has the cases with keys.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.ets.cases import Case
from tests.ets.worlds import World
from tests.lorawan.lorawan_kit import until  # it waits long enough for both networks

SERVERS = ["lab", "boot", "patient", "gone"]
ACCOUNT = {"id": 1, "uri": "coap://lab.example", "lifetime": 600}
DELETES = [{"operation": "delete", "path": path} for path in ("/0", "/1")]

SEVERAL: dict[int, Case] = {}


def server_lines() -> dict[str, str]:
    """Return lines of the servers' sections in the bridge's configuration."""
    lines = {name: f'known_as = ["{name}.example"]' for name in SERVERS}
    lines["boot"] += "\nbootstrap = true"
    lines["patient"] += '\nqueue_mode = "keep"'
    return lines


_Run = Callable[[Any], Awaitable[None]]


def several(number: int, title: str, shows: str, *objects: int) -> Callable[[_Run], _Run]:
    """Put a function into the table."""

    def add(run: _Run) -> _Run:
        SEVERAL[number] = Case(number, title, shows, objects, run)
        return run

    return add


async def add(world: World, name: str, plan: dict[str, Any] | None, **device: Any) -> None:
    """Add a device on one pipe that knows a bootstrap server, and what that server is to do with it."""
    if plan is not None:
        await world.server("boot").ask("PUT", f"/bootstrap/{name}", plan)
    made = await world.add_device(name, endpoint={}, device=None)
    pipe = "{}:{}".format(*made["modem"])
    body = {"endpoint": name, "bootstrap_uri": "coap://boot.example", "pipe": pipe, "lifetime": 300, **device}
    await world.devices.post("/devices", body)


async def session(world: World, name: str, state: str = "finished") -> list[tuple[str, str, str]]:
    """Wait for a bootstrap session that ended so; return operation, path and answer of each step."""

    async def look() -> Any:
        sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
        return next((one for one in sessions if one["endpoint"] == name and one["state"] == state), None)

    found = await until(look, why=f"no bootstrap session of {name} {state}")
    return [(step["operation"], step["path"], step["code"]) for step in found["steps"]]


@several(0, "Bootstrap by the client", "a device without a server asks, gets an account and registers there", 0, 1)
async def client_initiated(world: World) -> None:
    await add(world, "case-0", {"servers": [ACCOUNT]})
    assert (await session(world, "case-0"))[-1] == ("finish", "/", "2.04")
    assert (await world.registered("case-0"))["lifetime"] == 600
    assert (await world.ask("case-0", "read", "/3/0/1"))["code"] == "2.05"


@several(4, "Bootstrap-Delete", "accounts of before are deleted; the device has the new one only", 0, 1)
async def bootstrap_delete(world: World) -> None:
    await add(world, "case-4", {"servers": [{**ACCOUNT, "id": 7}]}, connect="coap://lab.example")
    await world.registered("case-4")
    await world.act("case-4", "bootstrap")
    steps = await session(world, "case-4")
    assert {("delete", "/0", "2.02"), ("delete", "/1", "2.02")} <= set(steps)

    async def only_the_new_one() -> bool:
        return [one["id"] for one in (await world.devices.get("/devices/case-4"))["servers"]] == [7]

    await until(only_the_new_one, why="the account of before is left")
    await world.registered("case-4")


@several(5, "Bootstrap by the server", "executing the trigger of a registered device causes a bootstrap", 1)
async def server_initiated(world: World) -> None:
    await add(world, "case-5", {"servers": [{**ACCOUNT, "id": 9}]}, connect="coap://lab.example")
    await world.registered("case-5")
    assert (await world.ask("case-5", "execute", "/1/0/9"))["code"] == "2.04"
    await session(world, "case-5")

    async def registered_again() -> bool:
        return len(await world.seen("registered", "case-5")) == 2

    await until(registered_again, why="no registration after the bootstrap")


@several(6, "Order of bootstrap", "a device that has an account registers, and does not ask to be bootstrapped", 0, 1)
async def bootstrap_sequence(world: World) -> None:
    await add(world, "case-6", {"servers": [ACCOUNT]}, connect="coap://lab.example")
    await world.registered("case-6")
    sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
    assert not [one for one in sessions if one["endpoint"] == "case-6"]


@several(7, "Fall-back to bootstrap", "a server does not answer: the bootstrap server names another", 0, 1)
async def fall_back(world: World) -> None:
    await world.server("gone").post("/stop", {})
    gone = ["id=3,uri=coap://gone.example,retries=1,retry-timer=1,bootstrap=true"]
    await add(world, "case-7", {"servers": [ACCOUNT]}, servers=gone)

    async def asked_for_bootstrap() -> bool:
        await world.lab.step(world.stride)  # the device retransmits its Register for its MAX_TRANSMIT_WAIT
        sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
        return any(one["endpoint"] == "case-7" for one in sessions)

    await until(asked_for_bootstrap, why="the device does not fall back", every=0.1)
    await session(world, "case-7")
    await world.registered("case-7")


@several(8, "Bootstrap-Read", "the bootstrap server reads object 1, and no other than 1 and 2", 1, 2)
async def bootstrap_read(world: World) -> None:
    reads = [{"operation": "read", "path": "/1"}, {"operation": "read", "path": "/3/0", "optional": True}]
    await add(world, "case-8", {"steps": [*reads, {"operation": "finish"}]}, connect="coap://lab.example")
    await world.registered("case-8")
    await world.act("case-8", "bootstrap")
    assert await session(world, "case-8") == [("read", "/1", "2.05"), ("read", "/3/0", "4.05"), ("finish", "/", "2.04")]


@several(9, "Consistency of bootstrap", "accounts that fit nothing are refused at the end, and undone", 0, 1)
async def consistency(world: World) -> None:
    values = {"/1/0/0": 55, "/1/0/1": 60, "/1/0/6": True, "/1/0/7": "U"}
    steps = [{"operation": "write", "path": "/1/0", "values": values}, {"operation": "finish"}]
    await add(world, "case-9", {"steps": steps}, connect="coap://lab.example")
    await world.registered("case-9")
    await world.act("case-9", "bootstrap")
    assert (await session(world, "case-9", "failed"))[-1] == ("finish", "/", "4.06")

    async def registered_again() -> bool:
        return len(await world.seen("registered", "case-9")) == 2

    await until(registered_again, why="no registration after the bootstrap that failed")
    assert (await world.ask("case-9", "read", "/1/0/0"))["values"] != {"/1/0/0": 55}


async def sleeper(world: World, name: str) -> None:
    """Add a device in queue mode, registered at a server that keeps requests while it sleeps."""
    made = await world.add_device(name, endpoint={"servers": ["patient"]}, device=None)
    body = {"endpoint": name, "connect": "coap://{}:{}".format(*made["modem"]), "queue_mode": True}
    await world.devices.post("/devices", body)
    await world.registered(name, "patient")


@several(108, "Queue mode turned on", "the Register says Q, the bridge keeps it (`queue_mode`), the server sees it", 1)
async def queue_mode_on(world: World) -> None:
    await sleeper(world, "case-108")
    assert (await world.registered("case-108", "patient"))["queue_mode"] is True


@several(109, "Behaviour in queue mode", "120 s without a word: the server sends nothing before the next Update", 1, 3)
async def queue_mode(world: World) -> None:
    await sleeper(world, "case-109")
    await world.asleep("case-109", "patient")
    asked = asyncio.create_task(world.kept("case-109", "read", "/3/0/1", "patient"))
    await asyncio.sleep(0.3)
    assert await world.seen("request", "case-109", "patient") == []
    assert (await world.act("case-109", "update"))["code"] == "2.04"
    assert (await asyncio.wait_for(asked, 10))["values"] == {"/3/0/1": "Emulated device"}
    (request,) = await world.seen("request", "case-109", "patient")
    (updated,) = await world.seen("updated", "case-109", "patient")
    assert updated["number"] < request["number"]
