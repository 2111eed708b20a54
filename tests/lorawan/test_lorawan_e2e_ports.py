"""Two servers of one LoRaWAN device, told apart by FPort alone, both ways: by one line for the whole network.

No message has a Uri-Host and no path says which server is meant: both servers call a registration `/rd/1`.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mock_network.lab import Lab
from mock_network.lab.api import Api
from tests.interop.raw_device import decode
from tests.lorawan.lorawan_kit import NAME, PATIENCE, LorawanSetUp, device, lorawan_set_up, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

URI_HOST = 3
F_PORTS = {"lab": 10, "two": 11}  # 10: of what comes by the device's first modem
LIFETIMES = {"lab": 2592000, "two": 172800}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanSetUp]:
    async def second(lab: Lab) -> str:
        uri = (await lab.start_server(name="two")).ready["coap"]
        return f'[servers.two]\nuri = "{uri}"\npatience = {PATIENCE}\n'

    async with lorawan_set_up(
        tmp_path_factory.mktemp("f-ports"),
        devices=[device(more_f_ports=[F_PORTS["two"]])],
        endpoints=[{"name": NAME, "network": "lorawan", "address": device()["dev_eui"], "servers": list(F_PORTS)}],
        lines='server_ports = { lab = "10", "*" = "11" }\n',
        also=second,
    ) as found:
        yield found


def server(world: LorawanSetUp, name: str) -> Api:
    return world.server if name == "lab" else world.lab.servers[name].api


async def test_two_servers_manage_one_device_each_over_its_own_f_port(world: LorawanSetUp):
    second = (await world.device())["modems"]["11"]
    await world.joined()
    await world.start_client(
        connect="coap+nidd://",
        pipe="{}:{}".format(*(await world.device())["modem"]),
        rds_pipes=["5={}:{}".format(*second)],
        servers=[f"id=2,uri=coap+nidd://,rds=5,lifetime={LIFETIMES['two']}"],
    )

    async def knows_both() -> bool:
        await world.act("poll")
        known = (await world.devices.get(f"/devices/{NAME}"))["servers"]
        return len(known) == len(F_PORTS) and all(one["location"] for one in known)

    await until(knows_both, why="the device does not know that it is registered")
    await world.settled()
    for name, lifetime in LIFETIMES.items():
        (client,) = await server(world, name).get("/clients")
        assert (client["endpoint"], client["lifetime"]) == (NAME, lifetime)
    # The device takes a request for that of the server whose port it came from: each may read its own account only.
    for name, own, others in ("lab", "/1/0/0", "/1/1/0"), ("two", "/1/1/0", "/1/0/0"):
        assert await _read(world, name, own) == "2.05"
        assert await _read(world, name, others) == "4.01"
    heard = [one for one in await world.heard() if one["what"] == "sent" and one["f_port"] and one["payload"]]
    assert {one["f_port"] for one in heard} == {*F_PORTS.values()}
    assert all(decode(bytes.fromhex(one["payload"])).option(URI_HOST) is None for one in heard)


async def test_each_registration_goes_on_at_its_server_after_a_restart_of_the_bridge(world: LorawanSetUp):
    await world.bridge.restart()
    for number, name in enumerate(F_PORTS):
        assert await _read(world, name, f"/1/{number}/0") == "2.05"


async def test_config_check_refuses_f_ports_that_are_none(world: LorawanSetUp):
    file = world.lab.directory / "bridge.toml"
    text = file.read_text()
    try:
        for port, cure in ("226", "reserved for the relay protocol"), ("10", "give each one of its own"):
            file.write_text(text.replace('"*" = "11"', f'two = "{port}"'))
            ended = await world.command("config", "check")
            assert ended.code
            assert cure in ended.out + ended.err
    finally:
        file.write_text(text)


async def _read(world: LorawanSetUp, name: str, path: str) -> str:
    answer: dict[str, Any] = await world.asked_by(server(world, name), "read", path)
    return str(answer["code"])
