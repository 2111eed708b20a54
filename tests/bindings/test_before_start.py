"""What a network instance answers before its start: servers may be heard before every network is started."""

import pytest

from bindings.contract import Cancellation, Kind, Presence, Refusal, SouthProfile, Submission
from bindings.lorawan import LorawanBinding, LorawanSettings
from bindings.lorawan.settings import Api
from bindings.nidd import NiddBinding, NiddSettings
from bindings.sms import SmsBinding, SmsSettings

ROOT = {"api_root": "http://127.0.0.1:9", "scs_as_id": "as1"}
INSTANCES = {
    "nidd": (lambda: NiddBinding("n", NiddSettings(**ROOT)), "dev1@iot.example"),
    "sms": (lambda: SmsBinding("n", SmsSettings(**ROOT)), "dev1@iot.example"),
    "lorawan": (
        lambda: LorawanBinding("n", LorawanSettings(api=Api(server="127.0.0.1:9", key="k"))),
        "70b3d57ed0000001",
    ),
}


@pytest.mark.parametrize("kind", INSTANCES)
async def test_nothing_is_known_and_nothing_raises(kind: str) -> None:
    make, device = INSTANCES[kind]
    binding = make()
    assert isinstance(binding.south_profile(device), SouthProfile)
    attempt = Submission(1, 1, device, b"x", Kind.REQUEST)
    refused = await binding.submit(attempt)
    assert refused.why is Refusal.NETWORK_UNAVAILABLE  # type: ignore[union-attr]  # else the test fails
    assert (await binding.lookup(attempt)).presence is Presence.FAILED
    assert await binding.cancel(device, "h") is Cancellation.UNKNOWN
    assert not binding.runs
    await binding.stop()
