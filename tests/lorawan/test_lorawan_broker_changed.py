"""The broker's address and the bridge's user there are changed while devices send and are read.

Judged from outside: each Send reaches the server once, each Read is answered, and the broker knows only the new user.
"""

import asyncio
import contextlib
import json

import pytest
import pytest_asyncio
from lorawan_kit import lorawan_set_up, until

from mock_network.lab import Broker
from tests.conftest import need_program
from tests.e2e.fronts import Pipe

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

OLD, NEW = ("bridge", "a-first-password"), ("bridge-2", "a-second-password")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def over_mqtt(tmp_path_factory):
    """Return a set-up with a registered device, its broker, and another address of that broker."""
    need_program("mosquitto")
    directory = tmp_path_factory.mktemp("broker")
    broker = Broker(directory, persistent=True)
    broker.users(dict([OLD, NEW]))
    broker.start()
    try:
        async with (
            lorawan_set_up(directory / "lab", mqtt=broker.address) as world,
            Pipe(("127.0.0.1", broker.port)) as front,
        ):
            await world.client()
            yield world, broker, front
    finally:
        broker.stop()


@contextlib.asynccontextmanager
async def traffic(world):
    """Have the device send and the server read all the time; at the end, each once and each answered."""
    going, rounds, sent = True, 0, len(await world.server.get("/seen", kind="send"))
    begun = rounds

    async def goes():
        nonlocal rounds
        while going:
            sending = world.devices.post("/devices/meter/send", {"paths": ["/3303/0/5750"], "timestamp": 1e9 + rounds})
            assert (await world.polled(asyncio.create_task(sending)))["code"] == "2.04"
            assert (await world.asked("read", "/3/0/0"))["ok"]
            rounds += 1

    running = asyncio.create_task(goes())

    def further(number):
        return lambda: running.done() or rounds >= number

    await until(further(begun + 2))
    yield
    await until(further(rounds + 2))
    going = False
    await running
    digests = [one["digest"] for one in (await world.server.get("/seen", kind="send"))[sent:]]
    assert len(digests) == len(set(digests)) == rounds


async def reloaded(world):
    ended = await world.command("config", "reload", "--json")
    assert ended.code == 0, ended.err
    return {one["setting"]: one["applies"] for one in json.loads(ended.out)["items"]}


async def test_another_user_and_another_address_of_the_broker(over_mqtt):
    world, broker, front = over_mqtt
    file = world.lab.directory / "bridge.toml"
    plain = f"port = {broker.port} }}"
    as_user = plain.replace(" }", ', username = "{}", password = "{}" }}')
    file.write_text(file.read_text().replace(plain, as_user.format(*OLD)))
    names = {f"[networks.lorawan.mqtt] {name}": "now" for name in ("username", "password")}
    assert await reloaded(world) == names
    async with traffic(world):
        file.write_text(file.read_text().replace(as_user.format(*OLD), as_user.format(*NEW)))
        assert await reloaded(world) == names
    async with traffic(world):
        assert front.connections == 0
        file.write_text(file.read_text().replace(f"port = {broker.port},", f"port = {front.port},"))
        assert await reloaded(world) == {"[networks.lorawan.mqtt] port": "now"}
        await until(lambda: front.connections == 1)
    connections = (await world.events())["connections"]
    broker.stop()
    broker.users(dict([NEW]))  # the former user is nobody now
    broker.start()

    async def connected():
        return (await world.events())["connections"] > connections

    await until(connected, why="the bridge does not come back to the broker")
    async with traffic(world):
        pass
