"""R25: Leshan pushes 2 KiB of firmware to devices whose network carries little or much, at once or seldom."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import Lab
from tests.e2e.kit import set_up
from tests.ets.packages import firmware
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.interop.raw_device import BLOCK1, PUT, unblock
from tests.interop.test_leshan_devices_through_bridge import Stage
from tests.lorawan.lorawan_kit import RATE, LorawanSetUp, device, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SIZE = 2048


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(leshan_process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    server = f"coap://{leshan_process.host}:{leshan_process.coap_port}"
    directory = tmp_path_factory.mktemp("firmware")
    async with set_up(directory, servers={"leshan": server}) as world, Leshan(leshan_process) as leshan:
        yield Stage(world, leshan)


@pytest.mark.parametrize(("carried", "block"), [(1358, 512), (512, 256), (128, 64)])
async def test_leshan_pushes_firmware_within_its_two_minutes(stage: Stage, carried: int, block: int):
    """Leshan cuts it into blocks of 512 bytes unless the network carries less."""
    name = f"firmware-{carried}"
    await stage.add(name, maximum_packet_size=8 * carried, uplink_packet_size=8 * 1358)
    package = firmware("2.0", SIZE)
    written = await stage.leshan.write(name, "/5/0/0", package.hex(), format="OPAQUE")
    assert written["code"] == "2.04"

    requests = [message for message in await stage.received(name) if message.code == PUT]
    blocks = [unblock(message.option(BLOCK1) or b"") for message in requests]
    count = -(-len(package) // block)
    assert blocks == [(number, number < count - 1, block) for number in range(count)]
    assert max(len(bytes.fromhex(one["data"])) for one in await stage.world.air(name, "downlink")) <= carried

    rows = (await stage.world.bridge.ask("downlink.list", endpoint=name))["items"]
    shown = [row["block"] for row in reversed(rows) if row["block"]]
    assert [one["offset"] + one["bytes"] for one in shown][-1] == len(package)
    listed = (await stage.world.command("downlink", "list", "--endpoint", name)).out
    assert f"of {len(package)} bytes)" in listed

    assert (await stage.leshan.read(name, "/5/0/3"))["values"] == {"/5/0/3": 2}
    assert (await stage.leshan.execute(name, "/5/0/2"))["code"] == "2.04"
    await stage.world.lab.step(10)
    await stage.leshan.event("registered", name, wait=30)
    assert (await stage.leshan.read(name, "/3/0/3"))["values"] == {"/3/0/3": "2.0"}
    assert (await stage.leshan.read(name, "/5/0"))["values"]["/5/0/5"] == 1


LISTENER, SLEEPER = "firmware-class-c", "firmware-class-a"
EUIS = {LISTENER: "70b3d57ed10000c0", SLEEPER: "70b3d57ed10000a0"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lorawan(
    leshan_process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LorawanSetUp]:
    """A device of class C, whose server has two hours for a transfer, and one of class A, with two minutes."""
    uri = f"coap://{leshan_process.host}:{leshan_process.coap_port}"

    async def leshans(_lab: Lab) -> str:
        usual = f'uri = "{uri}"\nprofile = "leshan"\n'
        return f"[servers.usual]\n{usual}[servers.patient]\n{usual}patience = 7200.0\ntransfer = 7200.0\n"

    async with lorawan_set_up(
        tmp_path_factory.mktemp("firmware"),
        devices=[device(EUIS[LISTENER], device_class="C"), device(EUIS[SLEEPER])],
        endpoints=[
            {"name": LISTENER, "network": "lorawan", "address": EUIS[LISTENER], "servers": ["patient"]},
            {"name": SLEEPER, "network": "lorawan", "address": EUIS[SLEEPER], "servers": ["usual"]},
        ],
        also=leshans,
    ) as world:
        await world.joined()
        yield world


async def test_leshan_pushes_firmware_over_lorawan_class_c_in_the_time_that_it_was_given(
    lorawan: LorawanSetUp, leshan_process: LeshanProcess
):
    package = firmware("2.0", SIZE)
    async with Leshan(leshan_process) as leshan:
        await lorawan.start_client(LISTENER)
        await leshan.event("registered", LISTENER, wait=30)
        await lorawan.settled()
        for _ in range(3):  # with its first uplinks room is kept for MAC commands
            await leshan.read(LISTENER, "/3/0/1", timeout=600)
        await lorawan.faster(40)
        written = await leshan.write(LISTENER, "/5/0/0", package.hex(), format="OPAQUE", timeout=7200, wait=100)
        assert written["code"] == "2.04", written
        assert max(len(frame["payload"]) // 2 for frame in await lorawan.air(LISTENER)) <= 51
        assert (await leshan.read(LISTENER, "/5/0/3", timeout=600))["values"] == {"/5/0/3": 2}


async def test_leshans_firmware_is_refused_at_its_first_block_where_a_class_a_device_is_too_slow_for_it(
    lorawan: LorawanSetUp, leshan_process: LeshanProcess
):
    package = firmware("2.0", 4 * SIZE)  # 256 blocks, which take more than a second each on any machine
    async with Leshan(leshan_process) as leshan:
        await lorawan.faster(RATE)
        await lorawan.start_client(SLEEPER)
        await leshan.event("registered", SLEEPER, wait=30)
        await lorawan.settled()
        await lorawan.polled(asyncio.create_task(leshan.read(SLEEPER, "/3/0/1", timeout=600)), SLEEPER)
        before = len(await lorawan.air(SLEEPER))
        written = await leshan.write(SLEEPER, "/5/0/0", package.hex(), format="OPAQUE")
        assert written["code"] == "5.03"
        assert all(said in written["message"] for said in ("too slow", f"{len(package)} bytes", "120 s"))
        await lorawan.settled()
        assert len(await lorawan.air(SLEEPER)) == before
