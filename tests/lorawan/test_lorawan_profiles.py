"""A device whose profile could not be read or stored is read again; one that ChirpStack does not have is not."""

from types import SimpleNamespace
from typing import Any

import pytest

from bindings.lorawan.notes import DeviceNote
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.provider import ServerRecord
from bridge.errors import CallFailed, CallTrouble, NotServedHere, StoreUnavailable
from tests.bindings.bridge_side import BridgeSide
from tests.waiting import until

DEVICE = "70b3d57ed0000001"


class World:
    """One device in a network server and in a store that fail as they are told."""

    def __init__(self) -> None:
        self.note = DeviceNote()
        self.stored: list[str] = []
        self.asked = 0
        self.fault: Exception | None = None
        self.store_fault: Exception | None = None
        self.side: Any = BridgeSide()
        self.profiles = Profiles(self, self, self.side)  # type: ignore[arg-type]  # as far as they are used

    async def server_record(self, _device: str) -> ServerRecord:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return ServerRecord("profile", "C", None, skip_f_cnt_check=False)

    async def get(self, _device: str) -> DeviceNote:
        if isinstance(self.store_fault, NotServedHere):
            raise self.store_fault
        return self.note

    async def put(self, _device: str, note: DeviceNote) -> None:
        if self.store_fault is not None:
            raise self.store_fault
        self.stored.append(note.profile)

    async def radio(self, *_: str) -> Any:
        return SimpleNamespace()

    async def put_profile(self, *_: Any) -> None:
        pass

    async def learn(self) -> None:
        self.profiles.learn(DEVICE)
        await until(lambda: not self.profiles._tasks)

    async def refresh(self) -> None:
        self.fault = self.store_fault = None
        self.profiles.refresh()
        await until(lambda: not self.profiles._tasks)


@pytest.mark.parametrize(
    "trouble", [CallTrouble.LIMITED, CallTrouble.FAILED, CallTrouble.DENIED, CallTrouble.OUT_OF_REACH]
)
async def test_what_may_pass_is_tried_again_and_says_nothing_of_the_device(trouble: CallTrouble) -> None:
    world = World()
    world.fault = CallFailed(trouble, "not now", unsure=False)
    await world.learn()
    assert world.side.counts["lorawan_devices_not_in_chirpstack"] == 0
    await world.refresh()
    assert world.stored == ["profile"]


async def test_a_profile_that_could_not_be_stored_is_read_again() -> None:
    world = World()
    world.store_fault = StoreUnavailable("disk full")
    await world.learn()
    await world.refresh()
    assert world.stored == ["profile"]


@pytest.mark.parametrize("trouble", [CallTrouble.NOT_FOUND, CallTrouble.INVALID, CallTrouble.UNSUPPORTED])
async def test_a_device_that_is_not_there_is_not_asked_for_again(trouble: CallTrouble) -> None:
    world = World()
    world.fault = CallFailed(trouble, "no", unsure=False)
    await world.learn()
    await world.refresh()
    assert world.asked == 1
    assert world.side.counts["lorawan_devices_not_in_chirpstack"] == (trouble is CallTrouble.NOT_FOUND)


async def test_nor_is_the_device_of_another_node() -> None:
    world = World()
    world.store_fault = NotServedHere("another node serves it")
    await world.learn()
    await world.refresh()
    assert world.asked == 1


async def test_what_fails_again_and_again_keeps_nothing_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindings.lorawan.profiles._REFRESHED", 1)
    world = World()
    world.fault = CallFailed(CallTrouble.FAILED, "no", unsure=False)
    devices = [f"{number:016x}" for number in range(3)]
    for device in devices:
        world.profiles.learn(device)
    await until(lambda: not world.profiles._tasks)
    for _ in range(3):
        world.profiles.refresh()
        await until(lambda: not world.profiles._tasks)
    assert list(world.profiles._waiting) == devices  # each had its turn
