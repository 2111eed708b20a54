"""Upgrades of a NIDD device's firmware: settings are kept, and come back with the old firmware, or alone."""

import base64
from typing import Any

import pytest

from tests.e2e.kit import SetUp
from tests.ets.packages import firmware
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

BANK = "/26251"
"""The Firmware Bank, a vendor object that is documented with the emulated device."""
PLACE, PERIOD = "/3303/0/5750", "/1/0/2"
UPDATE_TIME = 6  # seconds


async def device(world: SetUp, name: str) -> None:
    """Add a device, and have its server write settings."""
    await world.add_device(name, endpoint={}, device={"objects": [26251]})
    for path, value in ((PLACE, "cellar"), (PERIOD, 7)):
        assert (await world.ask(name, "write", path, value=value))["code"] == "2.04"


async def upgrade(world: SetUp, name: str, **says: Any) -> int:
    """Push a firmware and install it; return the Update Result."""
    package = base64.b64encode(firmware("2.0", 600, restart=False, **says)).decode()
    assert (await world.ask(name, "write", "/5/0/0", payload=package))["code"] == "2.04"
    assert (await world.ask(name, "execute", "/5/0/2"))["code"] == "2.04"
    await world.lab.step(UPDATE_TIME)

    async def over() -> bool:
        return bool((await read(world, name, "/5/0/3")) == 0)

    await until(over, why="the update does not end")
    return int(await read(world, name, "/5/0/5"))


async def read(world: SetUp, name: str, path: str) -> Any:
    return (await world.ask(name, "read", path))["values"][path]


async def settings(world: SetUp, name: str) -> list[Any]:
    """Return the version of the firmware, and the settings."""
    return [await read(world, name, path) for path in ("/3/0/3", PLACE, PERIOD)]


@pytest.mark.requirement("LightweightM2 M-MaU-1")
async def test_an_upgrade_keeps_the_settings(world: SetUp):
    await device(world, "keeps")
    assert await upgrade(world, "keeps") == 1
    assert await settings(world, "keeps") == ["2.0", "cellar", 7]


@pytest.mark.requirement("LightweightM2 M-MaU-2")
async def test_a_device_returns_to_the_firmware_that_ran_before(world: SetUp):
    """By itself where the new one does not boot, and on its server's word."""
    await device(world, "returns")
    failed = 8
    assert await upgrade(world, "returns", boots=False) == failed
    assert await read(world, "returns", "/3/0/3") == "1.0"
    assert await upgrade(world, "returns") == 1
    assert await read(world, "returns", "/3/0/3") == "2.0"
    assert (await world.ask("returns", "execute", f"{BANK}/0/2"))["code"] == "2.04"
    assert await read(world, "returns", "/3/0/3") == "1.0"


@pytest.mark.requirement("LightweightM2 M-MaU-3")
async def test_the_settings_of_before_an_upgrade_are_brought_back(world: SetUp):
    """A firmware that comes with settings of its own stays; those of before are there again on the server's word."""
    await device(world, "brings-back")
    assert await upgrade(world, "brings-back", settings="own") == 1
    assert (await settings(world, "brings-back"))[:2] == ["2.0", "room"]
    assert (await world.ask("brings-back", "execute", f"{BANK}/0/3"))["code"] == "2.04"
    assert await settings(world, "brings-back") == ["2.0", "cellar", 7]
