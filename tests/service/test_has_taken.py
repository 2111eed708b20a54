"""What a network's history gives again is known by its key, or by its bytes from a time either side of it (R13)."""

from types import SimpleNamespace

import pytest

from bindings.contract import UplinkMessage
from bridge.relay.from_device import digest_of
from bridge.service.networks import NetworkEvents

SPAN = 1500.0  # seconds


class Ledger:
    """Holds one uplink of endpoint 7."""

    def __init__(self, payload: bytes, received_at: float) -> None:
        self.digest, self.received_at = digest_of(payload), received_at

    async def has_uplink(self, endpoint, duplicate_key, digest, after, before):
        same = digest == self.digest and after <= self.received_at <= before
        return endpoint == 7 and (duplicate_key == "k" or same)


@pytest.mark.parametrize(
    ("brought_at", "taken"), [(1000.0, True), (1000.0 + SPAN, True), (1000.0 - SPAN, True), (1001.0 - 2 * SPAN, False)]
)
async def test_r13_an_original_that_comes_after_its_repeat_was_taken_is_known(brought_at, taken):
    async def by_device(_network, _device):
        return SimpleNamespace(id=7, options={})

    directory, store = (
        SimpleNamespace(by_device=by_device, options=lambda record: record.options),
        SimpleNamespace(reads=Ledger(b"send", 1000.0)),
    )
    events = NetworkEvents("n", directory, None, store, None, None, lambda *_: None)
    assert await events.has_taken(UplinkMessage("d", b"send", "other", brought_at), SPAN) is taken
    assert not await events.has_taken(UplinkMessage("d", b"else", "other", brought_at), SPAN)
