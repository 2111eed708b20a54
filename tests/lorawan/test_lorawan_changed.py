"""An instance of a LoRaWAN network takes the place of another one whose settings have changed, while events come."""

import msgspec
import pytest
from emulated_chirpstack import DEVICE

from bindings.contract import Accepted, Kind, Submission, UplinkMessage
from bindings.lorawan import LorawanBinding
from mock_network.lab import free_port
from tests.waiting import until


def payloads(side):
    return [one.payload for one in side.of(UplinkMessage)]


def changed(binding, **parts):
    settings = binding._settings
    merged = {
        name: msgspec.structs.replace(getattr(settings, name), **values) if isinstance(values, dict) else values
        for name, values in parts.items()
    }
    return LorawanBinding("net", msgspec.structs.replace(settings, **merged))


@pytest.mark.parametrize(
    "parts",
    [
        {"downlinks": {"max_attempts": 3}},
        {"api": {"timeout": 3.0}},
        {"http": {"path": "another"}},
        {"http": {"port": -1}},
    ],
    ids=["numbers", "client", "path", "port"],
)
async def test_no_event_is_lost_and_downlinks_go_on(binding, chirpstack, side, parts):
    if parts.get("http", {}).get("port"):
        parts = {"http": {"port": free_port()}}
    chirpstack.up(b"before", f_cnt=1)
    await until(lambda: payloads(side) == [b"before"])
    queued = await binding.submit(Submission(1, 1, DEVICE, b"\x40\x01\x00\x01", Kind.REQUEST))
    assert isinstance(queued, Accepted)
    after = changed(binding, **parts)
    old_url = binding.provider.http.url
    chirpstack.up(b"meanwhile", f_cnt=2)
    await after.succeed(binding, side, chirpstack.memory)
    try:
        await binding.stop()  # as the bridge does
        chirpstack.up(b"after", f_cnt=3)  # ChirpStack knows the former URL still
        await until(lambda: payloads(side) == [b"before", b"meanwhile", b"after"])
        assert await after.set_integration() is (after.provider.http.url != old_url)
        chirpstack.up(b"at the new URL", f_cnt=4)
        await until(lambda: b"at the new URL" in payloads(side))  # and at the former one, which it still posts to
        assert isinstance(await after.submit(Submission(2, 1, DEVICE, b"\x40\x01\x00\x02", Kind.REQUEST)), Accepted)
        assert after.runs
        assert not binding.runs
        # What the earlier instance queued is known to the later one.
        assert after._records.held(DEVICE).queued
    finally:
        await after.stop()
