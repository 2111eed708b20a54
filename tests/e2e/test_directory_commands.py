"""The directory and the ledger by command line, with the service running and with the service down."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = "endpoint,network,address,servers,profile,default_ttl,object_list\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("directory"),
        servers={"lab": "127.0.0.1", "second": "127.0.0.1"},
        service='default_servers = ["lab"]',
    ) as found:
        yield found


async def _names(world: SetUp) -> set[str]:
    listed = await world.command("endpoint", "list", "--json")
    assert listed.code == 0, listed.err
    return {one["name"] for one in json.loads(listed.out)["items"]}


async def _asleep(world: SetUp, name: str) -> None:
    while (await world.ue(name))["state"] != "power saving mode":
        await world.lab.step(6.0)
        await asyncio.sleep(0.05)


async def _sleeper(world: SetUp, name: str, **ask: Any) -> "asyncio.Task[Any]":
    """Return a device in PSM, and a request that waits for it."""
    await world.add_device(name, endpoint={}, device={}, t3324=2.0, t3412=36000.0, inactivity=5.0)
    await _asleep(world, name)
    asked = asyncio.create_task(world.ask(name, "write", "/3/0/14", value="+01:00", timeout=125))

    async def held() -> bool:
        return len((await world.ue(name))["queue"]) == 1

    await until(held)
    return asked


async def test_an_endpoint_that_is_added_while_the_service_runs_is_managed_at_once(world: SetUp):
    await world.add_ue("added")  # a UE that is unknown to the network would be asked for again 5 s later
    added = await world.command("endpoint", "add", "added", "--network", "nidd", "--address", "added@iot")
    assert added.code == 0, added.err
    await world.add_device("added", device={})
    assert (await world.ask("added", "read", "/3/0/1"))["code"] == "2.05"
    again = await world.command("endpoint", "add", "added", "--network", "nidd", "--address", "added@iot")
    assert again.code != 0
    assert "added" in again.err
    unknown = await world.command("endpoint", "add", "lost", "--network", "nowhere", "--address", "lost@iot")
    assert unknown.code != 0
    assert "nowhere" in unknown.err


async def test_what_waits_is_shown_with_its_reason_and_can_be_cancelled(world: SetUp):
    asked = await _sleeper(world, "cancelled")
    before = await world.air("cancelled", "downlink")
    shown = await world.command("endpoint", "show", "cancelled", "--json")
    (waiting,) = json.loads(shown.out)["waiting"]
    assert (waiting["operation"], waiting["state"]) == ("Write", "BUFFERED")
    assert waiting["why"]
    listed = await world.command("downlink", "list", "--endpoint", "cancelled", "--state", "BUFFERED", "--json")
    (row,) = json.loads(listed.out)["items"]
    cancelled = await world.command("downlink", "cancel", str(row["id"]))
    assert cancelled.code == 0, cancelled.err
    assert (await asyncio.wait_for(asked, 8))["code"] == "5.03"
    await world.scef().post("/ues/cancelled/wake")
    assert (await world.act("cancelled", "update"))["code"] == "2.04"
    assert len(await world.air("cancelled", "downlink")) == len(before) + 1  # the answer to the Update alone
    assert await world.devices.get("/devices/cancelled/operations") == []


async def test_an_endpoint_that_gets_another_server_registers_there(world: SetUp):
    await world.add_device("moved", endpoint={}, device={})
    done = await world.command("endpoint", "set", "moved", "servers=second")
    assert done.code == 0, done.err
    await world.act("moved", "update")  # answered 4.04 (R24)
    if not any(client["endpoint"] == "moved" for client in await world.server("second").get("/clients")):
        await world.act("moved", "register")
    await world.registered("moved", "second")
    assert (await world.ask("moved", "read", "/3/0/1", server="second"))["code"] == "2.05"
    wrong = await world.command("endpoint", "set", "moved", "servers=third")
    assert wrong.code != 0
    assert "third" in wrong.err


async def test_an_endpoint_that_is_removed_leaves_an_outcome_for_what_waits_and_no_configuration(world: SetUp):
    asked = await _sleeper(world, "removed")
    (row,) = json.loads((await world.command("downlink", "list", "--state", "BUFFERED", "--json")).out)["items"]
    removed = await world.command("endpoint", "remove", "removed")
    assert removed.code == 0, removed.err
    asked.cancel()  # the server is left to its own patience: nobody can say what became of the request
    listed = json.loads((await world.command("downlink", "list", "--json")).out)["items"]
    (after,) = [one for one in listed if one["id"] == row["id"]]
    assert after["over"]
    assert "removed" in after["reason"]

    async def gone() -> bool:
        return all(one["ue"] != "removed" for one in await world.scef().get("/configurations"))

    await until(gone, why="the SCEF still has the configuration")
    assert "removed" not in await _names(world)
    heard = await world.air("removed", "downlink")
    await world.scef().post("/ues/removed/wake")
    await world.lab.step(20.0)
    assert await world.air("removed", "downlink") == heard


async def test_a_csv_with_wrong_and_duplicate_lines_names_each_and_takes_none_or_the_good_ones(world: SetUp):
    file = world.lab.directory / "endpoints.csv"
    file.write_text(
        HEADER
        + "csv-1,nidd,csv-1@iot,lab,,,\n"
        + "csv-2,nowhere,csv-2@iot,lab,,,\n"
        + "csv-1,nidd,other@iot,lab,,,\n"
        + "csv-3,nidd,csv-1@iot,lab,,,\n"
        + "csv-4,nidd,csv-4@iot,third,,,\n"
        + "csv-5,nidd,csv-5@iot,lab,,soon,\n"
        + "csv-6,nidd,no identifier,lab,,,\n"
        + "csv-7,nidd,csv-7@iot,lab;second,,600,\n"
    )
    refused = await world.command("endpoint", "import", str(file))
    assert refused.code == 1
    lines = {int(line.split(":")[1]) for line in refused.err.splitlines() if line.startswith(str(file))}
    assert lines == {3, 4, 5, 6, 7, 8}
    assert not {name for name in await _names(world) if name.startswith("csv-")}
    partial = await world.command("endpoint", "import", "--partial", str(file))
    assert "2 added" in partial.out
    assert {name for name in await _names(world) if name.startswith("csv-")} == {"csv-1", "csv-7"}
    again = await world.command("endpoint", "import", "--partial", str(file))
    assert "0 added, 0 changed, 2 unchanged" in again.out
    exported = await world.command("endpoint", "export")
    assert any(line.startswith('"csv-7","nidd","csv-7@iot",') and "600" in line for line in exported.out.splitlines())


async def test_with_the_service_down_the_directory_can_be_changed_and_is_taken_up_at_the_start(world: SetUp):
    await world.add_ue("offline")
    await world.bridge.close()
    world.bridge.api = None
    try:
        status = await world.command("status")
        assert "down" in status.out
        added = await world.command("endpoint", "add", "offline", "--network", "nidd", "--address", "offline@iot")
        assert added.code == 0, added.err
        file = world.lab.directory / "offline.csv"
        file.write_text(HEADER + "offline-csv,nidd,offline-csv@iot,lab,,,\n")
        assert (await world.command("endpoint", "import", str(file))).code == 0
        assert {"offline", "offline-csv"} <= await _names(world)
        assert (await world.command("endpoint", "set", "offline-csv", "default_ttl=90")).code == 0
        shown = await world.command("endpoint", "show", "offline")
        assert "nothing is sent" in shown.out
        removed = await world.command("endpoint", "remove", "offline")
        assert removed.code != 0
        assert "only be removed while the service runs" in removed.err
        cancelled = await world.command("downlink", "cancel", "1")
        assert cancelled.code != 0
        listed = await world.command("downlink", "list", "--json")
        assert listed.code == 0
    finally:
        await world.bridge.start()
    await world.add_device("offline", device={})
    assert (await world.ask("offline", "read", "/3/0/1"))["code"] == "2.05"
