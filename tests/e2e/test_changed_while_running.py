"""The configuration is changed while messages are under way: nothing is lost, nothing comes twice, nothing is cut off.

Judged from outside: by what the server and the devices saw, and by what the SCEF was asked and answered.
"""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mock_network.lab import free_port
from mock_network.lab.api import ApiError
from tests.e2e.changing import File, reloaded, traffic
from tests.e2e.kit import SetUp, run_command, set_up
from tests.t8.proxy import T8Proxy
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN = "Bearer of-the-scef"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("reload"),
        servers={"lab": "127.0.0.1", "second": "127.0.0.1"},
        service='default_servers = ["lab"]',
    ) as found:
        yield found


async def test_a_new_secret_and_a_new_root_take_calls_at_once_and_those_under_way_end_where_they_began(
    world: SetUp, file: File
):
    await world.add_device("rooted", endpoint={}, device={})
    await world.add_device("waits", endpoint={}, device={})
    scef, proxy = world.lab.scefs["nidd"].ready, world.proxies["nidd"]
    url = proxy.url
    of_slow, of_other = await world.configured("waits"), await world.configured("rooted")
    assert (await world.ask("waits", "read", "/3/0/1"))["code"] == "2.05"
    async with traffic(world, "rooted"):
        await world.fault("slow_answer", where={"method": "POST", "ue": "waits"}, params={"seconds": 6.0}, count=1)
        slow = asyncio.create_task(world.ask("waits", "read", "/3/0/1"))
        await until(lambda: _armed_is_gone(world))
        before = len(submitted(proxy, of_slow))
        file.change(f'api_root = "{url}', f'api_root = "{scef["scef"].rstrip("/")}"  # was "{url}')
        (changed,) = (await world.bridge.ask("config.reload"))["items"]  # a command may take seconds to begin
        assert (changed["setting"], changed["applies"]) == ("[networks.nidd] api_root", "now")
        assert len(submitted(proxy, of_slow)) == before  # the one that is under way has no answer yet
        done = len(submitted(proxy, of_other))
    assert (await slow)["code"] == "2.05"
    under_way = await until(lambda: submitted(proxy, of_slow)[before:], 12)
    assert len(under_way) == 1
    assert under_way[0]["status"] in {200, 201}
    assert len(submitted(proxy, of_other)) == done


def submitted(proxy: T8Proxy, configuration: str) -> list[dict[str, Any]]:
    """Return the submissions for a device by way of a proxy that have been answered."""
    return [one for one in proxy.records if one["method"] == "POST" and f"{configuration}/downlink" in one["path"]]


async def _armed_is_gone(world: SetUp) -> bool:
    return not (await world.scef().get("/faults"))["armed"]


async def test_the_listener_takes_old_and_new_secrets_while_they_overlap(world: SetUp, file: File):
    await world.add_device("knocks", endpoint={}, device={})
    async with traffic(world, "knocks"):
        file.change('path = "told-to-nobody"', 'kind = "bearer", token = "of-the-scef", path = "told-to-few"')
        found = await reloaded(world)
        assert set(found) == {f"[networks.nidd.callbacks] {name}" for name in ("kind", "token", "path")}
        await until(lambda: any("told-to-few" in json.dumps(one) for one in world.proxies["nidd"].records))
        await world.scef().ask("PATCH", "/settings", {"callback_authorization": SHOWN})
    async with traffic(world, "knocks"):
        file.change("of-the-scef", "of-the-same-scef")
        await reloaded(world)
        await world.scef().ask("PATCH", "/settings", {"callback_authorization": "Bearer of-the-same-scef"})
    await world.scef().ask("PATCH", "/settings", {"callback_authorization": None})


async def test_a_listener_moves_and_the_former_address_still_leads_here(world: SetUp, file: File):
    await world.add_device("moved", endpoint={}, device={})
    port, other = world.callbacks["nidd"].rpartition(":")[2].partition("/")[0], free_port()
    async with traffic(world, "moved"):
        file.change(f"callbacks = {{ port = {port}", f"callbacks = {{ port = {other}")
        assert await reloaded(world) == {"[networks.nidd.callbacks] port": "now"}
        for one in (int(port), other):
            with socket.create_connection(("127.0.0.1", one), timeout=2):
                pass


async def test_a_port_that_is_taken_changes_nothing_and_says_so(world: SetUp, file: File):
    await world.add_device("stays", endpoint={}, device={})
    port = world.callbacks["nidd"].rpartition(":")[2].partition("/")[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with traffic(world, "stays"):
            file.change(f"callbacks = {{ port = {port}", f"callbacks = {{ port = {taken.getsockname()[1]}")
            ended = await world.command("config", "reload")
            assert ended.code != 0
            assert "[networks.nidd] callbacks: cannot listen" in ended.err
            assert "network nidd stays as it was" in ended.err


async def test_a_removed_network_ends_what_waits_and_comes_back(world: SetUp, file: File):
    await world.add_device("leaves", endpoint={"default_ttl": 600}, device={})
    await world.scef().post("/ues/leaves/detach")
    asked = asyncio.create_task(world.ask("leaves", "read", "/3/0/1", timeout=20))
    await until(lambda: _states(world, "leaves", {"QUEUED", "BUFFERED"}))
    section = file.first[file.first.index("[networks.nidd]") :]
    file.change(section, "")
    assert await reloaded(world) == {"[networks.nidd]": "now"}
    row = (await world.bridge.ask("downlink.list", endpoint="leaves"))["items"][0]
    assert row["state"] in {"CANCELLED", "UNKNOWN"}
    assert "network is not configured" in row["reason"]
    file.add(section)
    assert await reloaded(world) == {"[networks.nidd]": "now"}
    await world.scef().post("/ues/leaves/attach")
    await world.lab.step(20)  # the server has heard nothing of it, and waits no longer
    with contextlib.suppress(ApiError):
        await asked
    async with traffic(world, "leaves"):
        pass


async def _states(world: SetUp, endpoint: str, states: set[str]) -> bool:
    rows = (await world.bridge.ask("downlink.list", endpoint=endpoint))["items"]
    return bool(rows) and rows[0]["state"] in states


async def test_a_removed_server_is_asked_and_heard_no_more_and_the_others_go_on(world: SetUp, file: File):
    await world.add_device("two", endpoint={"servers": ["lab", "second"]}, device={})
    await world.add_device("other", endpoint={"servers": ["second"]}, device={}, registered="second")
    start = file.first.index("[servers.second]")
    section = file.first[start : file.first.index("[networks.nidd]")]
    async with traffic(world, "two"):
        file.change(section, "")
        assert await reloaded(world) == {"[servers.second]": "now"}
    acknowledged = len(await world.seen("acknowledged", "other", "second"))
    with contextlib.suppress(Exception):
        await asyncio.wait_for(world.ask("other", "read", "/3/0/1", "second", timeout=1), 3)
    assert len(await world.seen("acknowledged", "other", "second")) == acknowledged
    file.add(section)
    assert await reloaded(world) == {"[servers.second]": "now"}
    assert (await world.ask("other", "read", "/3/0/1", "second"))["code"] == "2.05"


async def test_a_broken_file_changes_nothing_and_two_reloads_follow_each_other(world: SetUp, file: File):
    await world.add_device("steady", endpoint={}, device={})
    async with traffic(world, "steady"):
        good = file.path.read_text()
        file.add("[policy]\nmax_requests = -1\n")
        ended = await world.command("config", "reload")
        assert ended.code != 0
        assert "[policy] max_requests" in ended.err
        file.path.write_text(good + "[policy]\nmax_requests = 16\n")
        both = await asyncio.gather(reloaded(world), reloaded(world))
        assert sorted(map(len, both)) == [0, 1]
        file.path.write_text(good + "[policy]\nmax_requests = 17\n")
        dry = await world.command("config", "reload", "--dry-run")
        assert "max_requests" in dry.out
        assert await reloaded(world) == {"[policy] max_requests": "now"}


async def test_what_needs_a_restart_is_named(world: SetUp, file: File):
    file.change("[service]\n", '[service]\ncache_mib = 64\ndatabase = "other.db"\n')
    assert await reloaded(world, "--dry-run") == {
        "[service] cache_mib": "restart",
        "[service] database": "restart",
    }
    assert not (world.lab.directory / "other.db").exists()


async def test_a_signal_reloads_too(world: SetUp, file: File):
    file.change("[service]\n", '[service]\nlog_level = "debug"\n')
    world.bridge.process.signal(signal.SIGHUP)
    await world.logged("setting changed", "log_level")


async def test_a_reload_during_the_start_follows_it(tmp_path: Path):
    async with set_up(tmp_path) as found:
        assert found.lab.bridge is not None
        found.bridge.process.stop()
        found.bridge.socket.unlink(missing_ok=True)
        found.bridge.process.start()
        await until(found.bridge.socket.exists)
        found.bridge.process.signal(signal.SIGHUP)
        await found.logged("configuration reloaded")
        assert (await run_command(tmp_path, "config", "diff")).code == 0
