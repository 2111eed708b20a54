"""A new session begins once, whichever events report it at the same time: else what it had counted is forgotten.

An uplink that was counted before the second beginning would be taken for a new one when it is brought again, and those
after it for late ones of the session before.
"""

import asyncio
from types import SimpleNamespace

import pytest

from bindings.contract import Joined
from bindings.lorawan import network_events as net
from bindings.lorawan.notes import DeviceNote, Profile
from bindings.lorawan.uplinks import Uplinks
from bridge.errors import StoreUnavailable
from tests.waiting import until

DEVICE, ADDRESS = "70b3d57ed0000001", "01020304"


class Side:
    """Keeps what is delivered; each commit waits until the test ends it."""

    def __init__(self):
        self.commits = []

    def deliver(self, event):
        assert isinstance(event, Joined)
        self.commits.append(asyncio.get_running_loop().create_future())
        return self.commits[-1]

    def now(self):
        return 1000.0


class Notes:
    def profile(self, _identifier):
        return Profile()

    async def put(self, _device, _record):
        await asyncio.sleep(0)


@pytest.fixture
async def side():
    return Side()


@pytest.fixture
async def uplinks(side):
    outstanding = SimpleNamespace(drop_all=lambda _device: ())
    return Uplinks(None, Notes(), outstanding, None, None, None, side)


def up():
    return net.DataUplink(
        DEVICE, 990.0, "A", "profile", "one", ADDRESS, f_cnt=0, f_port=10, dr=5, data=b"", sealed=False,
        region_config="eu868",
    )  # fmt: skip


def join():
    return net.Join(DEVICE, 980.0, "A", "profile", ADDRESS)


async def test_an_uplink_that_comes_while_its_join_is_stored_begins_no_session_of_its_own(side, uplinks):
    record = DeviceNote()
    joins = asyncio.create_task(uplinks.begin_session(join(), record))
    await until(lambda: side.commits)
    sends = asyncio.create_task(uplinks.begin_session(up(), record))
    await asyncio.sleep(0)
    side.commits[0].set_result(None)
    await asyncio.gather(joins, sends)
    assert (record.dev_addr, record.former) == (ADDRESS, "")
    assert len(side.commits) == 1


async def test_of_events_that_wait_while_the_store_fails_one_begins_the_session(side, uplinks):
    record = DeviceNote(dev_addr="0a0b0c0d")
    first, second = (asyncio.create_task(uplinks.begin_session(up(), record)) for _ in range(2))
    await until(lambda: side.commits)
    side.commits[0].set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await first
    await until(lambda: len(side.commits) == 2)
    third = asyncio.create_task(uplinks.begin_session(up(), record))
    for _ in range(5):
        await asyncio.sleep(0)
    for commit in side.commits[1:]:
        commit.set_result(None)
    await asyncio.gather(second, third)
    assert len(side.commits) == 2
    assert (record.dev_addr, record.former) == (ADDRESS, "0a0b0c0d")


async def test_nothing_is_kept_of_sessions_that_have_begun(side, uplinks):
    begins = asyncio.create_task(uplinks.begin_session(up(), DeviceNote(dev_addr="0a0b0c0d")))
    await until(lambda: side.commits)
    side.commits[0].set_result(None)
    await begins
    assert not uplinks._beginning
