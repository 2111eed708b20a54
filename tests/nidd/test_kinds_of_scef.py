"""Each kind of SCEF that is known from the field, emulated: with its profile the binding works the first time."""

import asyncio

import pytest

from bindings.contract import (
    Accepted,
    Cancellation,
    Kind,
    NetworkState,
    Refusal,
    Refused,
    Report,
    Submission,
    UplinkMessage,
)
from bindings.nidd import NiddBinding, NiddSettings
from bindings.t8.quirks import PROFILES, Quirks, quirks
from bindings.t8.settings import Callbacks, Credentials, Departures
from mock_network.scef.profiles import PROFILES as EMULATED
from mock_network.scef.testing import EmulatedScef
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.waiting import until


class Link:
    """A binding at an emulated SCEF of one kind, and a UE of its own there.

    Calls of the emulator's control API do not block the loop.
    """

    def __init__(self, name, scef, identity):
        self.name, self.scef, self.identity, self.side = name, scef, identity, BridgeSide()
        self.ue = scef.ue(identity)
        self.attempts = 0

    async def start(self, memory=None):
        settings = NiddSettings(
            api_root=self.scef.url,
            scs_as_id="as1",
            credentials=Credentials(kind="bearer", token=self.scef.token),
            callbacks=Callbacks(port=0),
            quirks=Departures(profile=self.name),
        )
        self.binding = NiddBinding("n", settings)
        await self.binding.start(self.side, memory or DictMemory())
        await self.binding.provision(self.identity, {})
        await until(lambda: self.binding.status()["configurations"]["active"] == 1, 20)

    async def submit(self, data, **members):
        """Submit until the SCEF has said what becomes of it: at a lossy one that may take several attempts."""
        for _ in range(20):
            self.attempts += 1
            result = await self.binding.submit(
                Submission(1, self.attempts, self.identity, data, Kind.REQUEST, **members)
            )
            if isinstance(result, Accepted) or (isinstance(result, Refused) and self.name != "lossy"):
                return result
            await asyncio.sleep(0.05)
        return result

    async def control(self, call, *arguments, **named):
        return await asyncio.to_thread(call, *arguments, **named)


@pytest.fixture(scope="module", params=PROFILES)
def scef(request):
    """Return the name of a kind, and a running SCEF of that kind, which the tests of this file share."""
    with EmulatedScef(profile=request.param) as scef:
        yield request.param, scef


@pytest.fixture
async def link(request, scef):
    name, emulated = scef
    identity = f"{request.node.originalname.replace('_', '-')}@iot.example"
    await asyncio.to_thread(
        emulated.add_ue,
        external_id=identity,
        radio_latency=0.01,
        paging_latency=0.0,
        t3324=3600.0,
        t3412=86400.0,
    )
    one = Link(name, emulated, identity)
    await one.start()
    yield one
    await one.binding.stop()


def test_the_emulated_scef_knows_the_same_kinds():
    assert set(PROFILES) <= set(EMULATED)


def test_what_the_operator_says_comes_before_the_profile():
    assert quirks("no-buffer") == Quirks(keeps_downlinks=False)
    assert quirks("no-buffer", keeps_downlinks=True, bare_answers=None) == Quirks()
    assert Departures(profile="strict-r15", bare_answers=True).resolved == Quirks(
        bare_answers=True, patches_destination=False
    )


async def test_a_downlink_to_a_device_that_is_awake_arrives(link):
    result = await link.submit(b"hello")
    assert isinstance(result, Accepted)
    assert await link.control(link.ue.received, wait=5) == [b"hello"] * (1 if link.name != "lossy" else link.attempts)
    if result.state is NetworkState.BUFFERED and link.name != "lossy":  # a lossy one may keep its last word
        await until(lambda: [one.outcome for one in link.side.of(Report)] == [NetworkState.SENT])


async def test_an_uplink_arrives_with_its_device(link):
    await link.control(link.ue.send, b"\x01\x02")
    await until(lambda: link.side.of(UplinkMessage), 20)
    assert {(one.device, one.payload) for one in link.side.of(UplinkMessage)} == {(link.identity, b"\x01\x02")}


async def test_a_downlink_to_a_device_that_sleeps_is_kept_or_comes_back(link):
    await link.control(link.ue.sleep)
    result = await link.submit(b"later", deadline=link.side.now() + 600)
    if link.name == "no-buffer":
        assert result.why is Refusal.UNREACHABLE
        assert result.retry_at > link.side.now()
        assert link.binding.south_profile(link.identity).can_expire
        return
    assert result.state is NetworkState.BUFFERED
    cancelled = await link.binding.cancel(link.identity, result.handle)
    if link.name != "lossy":
        assert cancelled is Cancellation.REMOVED
        assert await link.control(link.ue.received) == []


async def test_what_is_too_large_is_said_and_learned(link):
    most = link.binding.south_profile(link.identity).max_downlink
    assert most == (100 if link.name == "small-apn" else 1358)
    assert not link.binding._provisioning.life.size_warnings
    result = await link.submit(bytes(most + 100))
    assert (type(result), result.why) == (Refused, Refusal.TOO_LARGE)


async def test_a_bridge_that_has_lost_its_notes_leaves_no_second_configuration(link):
    await link.binding.stop()
    await link.start()
    listed = await link.control(link.scef.ask, "GET", "/configurations")
    assert len([one for one in listed if one["ue"] == link.ue.name]) == 1
    await link.control(link.ue.send, b"\x03")
    await until(lambda: link.side.of(UplinkMessage), 20)
