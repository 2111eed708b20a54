"""R25 end to end: transfers in blocks over a radio whose data rate changes.

Server, bridge, ChirpStack and device are processes; the verdicts come from the server, the device and the air.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from lorawan_kit import DEV_EUI, NAME, WINDOWS, LorawanSetUp, device, lorawan_set_up, until

PATH = "/3303/0/5750"  # Application Type: a text of any length
SLOW = 51  # bytes of a frame at DR0 of EU868, both ways
PUT = 3


def text(length: int) -> str:
    return "".join(chr(97 + number % 26) for number in range(length))


class Radio:
    """What passes over the air of a running set-up."""

    def __init__(self, world: LorawanSetUp) -> None:
        self.world = world

    async def changes_to(self, data_rate: int) -> None:
        """Let the device use another data rate from now on."""
        await self.world.radio.post(f"/radio/devices/{DEV_EUI}/data-rate", {"data_rate": data_rate})

    async def down(self) -> list[bytes]:
        """Return what ChirpStack sent to the device, without the MAC's own."""
        return [bytes.fromhex(frame["payload"]) for frame in await self.world.air() if frame["payload"]]

    async def up(self, what: str = "sent") -> list[bytes]:
        """Return what the device sent of its own, or could not send (`dropped`)."""
        log = await self.world.radio.get("/radio/air", dev_eui=DEV_EUI)
        return [bytes.fromhex(one["payload"]) for one in log if one["what"] == what and one["payload"]]

    async def writes(self) -> list[bytes]:
        """Return the blocks of a Write that the device was sent."""
        return [data for data in await self.down() if data[1] == PUT]

    async def value(self) -> str:
        return str((await self.world.devices.get(f"/devices/{NAME}/resources{PATH}"))["value"])

    async def has(self, value: str) -> None:
        """Set a value of the device, as its sensor would."""
        await self.world.devices.ask("PUT", f"/devices/{NAME}/resources{PATH}", {"value": value})

    async def queue(self) -> list[bytes]:
        """Return what waits in ChirpStack for the device's next uplink."""
        items = (await self.world.radio.get("/state"))["devices"][0]["queue"]
        return [bytes.fromhex(item["data"]) for item in items if not item["isPending"]]

    async def block_waits(self) -> None:
        """Wait until ChirpStack holds a later block that is too large for DR0, and no window is open for it."""

        async def look() -> bool:
            waiting, written = await self.queue(), await self.writes()
            if written:
                return bool(waiting) and waiting[0] not in written
            if waiting:
                await self.world.act("poll")
            return False

        await self.world.fault("grpc_slow", where={"method": "Enqueue"}, params={"seconds": 1.5 * WINDOWS})
        await until(look, why="no later block waits in ChirpStack's queue")
        await self.world.radio.ask("DELETE", "/faults")
        (block,) = await self.queue()
        assert block[1] == PUT
        assert len(block) > SLOW


@contextlib.asynccontextmanager
async def radio(tmp_path) -> AsyncIterator[Radio]:  # type: ignore[no-untyped-def]
    """Start a set-up whose device is registered, at DR5."""
    endpoint = {"name": NAME, "network": "lorawan", "address": DEV_EUI, "object_list": "</1/0>,</3/0>,</3303/0>"}
    devices = [device(data_rate=5, adr=False)]
    async with lorawan_set_up(tmp_path, devices=devices, endpoints=[endpoint], rate=12.0) as world:
        await world.start_client(omit=["ep", "lt", "lwm2m", "b", "links"])
        await world.registered()
        yield Radio(world)


@pytest.mark.slow
async def test_a_write_is_split_when_the_data_rate_drops_in_mid_transfer(tmp_path):
    """A block waits in ChirpStack for an uplink, which comes at DR0: it is dropped there, and sent again in parts."""
    async with radio(tmp_path) as air:
        written = asyncio.create_task(air.world.ask("write", PATH, value=text(330)))
        await air.block_waits()
        before = len(await air.writes())
        await air.world.windows_over()
        await air.changes_to(0)
        answer = await air.world.polled(written)
        assert answer["code"] == "2.04"
        assert await air.value() == text(330)
        blocks = await air.writes()
        assert max(map(len, blocks[:before])) > SLOW
        assert max(map(len, blocks[before:])) <= SLOW
        rows = [row for row in await air.world.downlinks() if row["kind"] == "request"]
        assert {row["state"] for row in rows} == {"RESPONDED"}
        parts = [row["reason"] for row in rows].count("a part of a block; the next one follows")
        assert parts == 128 // 16 - 1


@pytest.mark.slow
async def test_a_read_that_waits_asks_for_smaller_blocks_when_the_data_rate_drops(tmp_path):
    """The first read waits in ChirpStack, the second behind it in the bridge: killed, and told of DR0, in between."""
    async with radio(tmp_path) as air:
        await air.has(text(120))
        first = asyncio.create_task(air.world.ask("read", "/3/0/1"))
        await air.world.queued()
        second = asyncio.create_task(air.world.ask("read", PATH))

        async def accepted() -> bool:
            return len([r for r in await air.world.downlinks() if r["kind"] == "request"]) == 2

        await until(accepted, why="the second read is not accepted")
        await air.changes_to(0)
        await air.world.lab.bridge.restart()
        await air.world.polled(first)
        answer = await air.world.polled(second)
        assert answer["values"] == {PATH: text(120)}
        assert max(map(len, await air.up())) <= SLOW
        assert await air.up("dropped") == []
