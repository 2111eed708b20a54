"""After the clock was set back while no bridge ran: no work waits for a time that the wrong clock has set."""

import msgspec
import pytest

from bindings.nidd.notes import DeviceNote, State, moved_back
from bindings.provisioning import ProvisioningState
from bindings.t8.times import format_time
from tests.waiting import until

DEVICE = "dev1@iot.example"
DAYS = 10 * 86400.0


async def restarted(make, side, first, **configurations):
    """Start again with a clock that is right."""
    port = first.listener.address[1]
    await first.stop()
    side.offset -= DAYS
    return await make(callbacks={"port": port}, configurations=configurations)


async def test_what_failed_is_tried_again(make, scef, side, caplog):
    scef.script["create"].append((403, {"cause": "NOT_AUTHORISED"}))
    side.offset += DAYS
    first = await make(configurations={"retry_min": 100.0})
    await first.provision(DEVICE, {})
    await until(lambda: getattr(first.records.held(DEVICE), "failures", 0))
    binding = await restarted(make, side, first, retry_min=100.0)
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    failed, ready = side.provisioning[DEVICE][-2:]
    assert (failed.state, ready.state) == (ProvisioningState.FAILED, ProvisioningState.READY)
    assert "the clock was set back" in failed.reason
    assert failed.retry_at < side.now() + 1
    assert "the clock was set back" in caplog.text


async def test_what_was_made_is_renewed_before_it_ends(make, scef, side):
    side.offset += DAYS
    configurations = {"duration": 7200, "renewal_margin": 600.0}
    first = await make(configurations=configurations)
    await first.provision(DEVICE, {})
    await until(lambda: first.status()["configurations"]["active"] == 1)
    binding = await restarted(make, side, first, **configurations)
    await until(lambda: scef.made("patch"))
    assert scef.made("patch")[0][2]["duration"] < format_time(side.now() + 7300)
    await until(lambda: side.now() + 6000 < binding.records.held(DEVICE).due < side.now() + 7200)
    assert len(scef.made("patch")) == 1


ACTIVE = DeviceNote(State.ACTIVE, due=9000, made=1000, watch_due=5000)
FAILED = DeviceNote(State.LOST, due=9000, failures=3, made=1000)


@pytest.mark.parametrize("record", [ACTIVE, FAILED, DeviceNote(State.ACTIVE, due=2000, made=1000, failures=1)])
def test_with_a_clock_that_is_right_nothing_is_moved(record):
    assert moved_back(record, 1000.5, 8000.0) is None


@pytest.mark.parametrize(
    ("record", "now", "changes"),
    [
        (ACTIVE, 900.5, {"due": 900, "made": 900, "watch_due": 900}),
        (msgspec.structs.replace(ACTIVE, due=0, watch_due=0), 900.5, {"made": 900}),
        (FAILED, 900.5, {"due": 900}),
        (msgspec.structs.replace(FAILED, due=800, not_before=9000), 900.5, {"not_before": 900}),
        (msgspec.structs.replace(FAILED, state=State.ACTIVE), 900.5, {"due": 900}),
    ],
)
def test_what_a_wrong_clock_has_put_off_is_due_now(record, now, changes):
    assert moved_back(record, now, 8000.0) == msgspec.structs.replace(record, **changes)
