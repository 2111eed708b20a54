"""What is said to have been kept off the air was never on it: whatever gateways, events, restarts and clocks do.

The emulated network server itself, in virtual time; the verdict is its log of what gateways were given.
"""

import random
from contextlib import suppress

import pytest
from mock_chirpstack_kit import DEV_EUI, Settings, World
from virtual_network import Virtual

from bindings.contract import Cancellation, Kind, NetworkState, Refusal
from bridge.errors import CallFailed
from mock_network.chirpstack import device_queue
from mock_network.faults import Fault

QUIET = 60.0  # seconds, longer than any receive window


async def network(**options):
    """Return a device that has joined, was heard, and got a downlink: as after any registration."""
    settings = options.pop("settings", {})
    profile = {"rx1_delay": 1} | options.pop("profile", {})
    one = Virtual(
        World(profile, Settings(**{"mac_commands_disabled": True, "reorder_within": 0.0} | settings)), **options
    )
    await one.join()
    await one.up()
    await one.submit(b"2.01", kind=Kind.ANSWER, ttl=None)
    await one.up()
    await one.passes(QUIET)
    return one


def silent_gateway(one):
    """From now on no gateway reports what it transmits."""
    one.world.server.context.faults.add(Fault("tx_ack_lost"))


# Cancel


async def test_what_no_window_let_out_is_removed():
    one = await network()
    handle = await one.submit()
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.REMOVED
    assert one.world.queue == []


async def test_what_a_silent_gateway_may_have_sent_is_gone():
    one = await network()
    silent_gateway(one)
    handle = await one.submit()
    await one.up()
    assert handle in one.on_the_air()
    await one.passes(60)
    assert len(one.world.queue) == 1  # nothing but its frame counter tells
    assert await one.cancel(handle) is Cancellation.GONE
    assert one.world.queue == []  # no further copy


async def test_the_first_downlink_of_a_session_has_a_counter_that_tells_nothing():
    one = Virtual(World({"rx1_delay": 1}, Settings(mac_commands_disabled=True, reorder_within=0.0)))
    await one.join()
    await one.up()
    await one.passes(QUIET)
    silent_gateway(one)
    handle = await one.submit()
    await one.up()
    await one.passes(60)
    assert one.world.queue[0].f_cnt_down == 0
    assert await one.cancel(handle) is Cancellation.UNKNOWN
    assert handle in one.on_the_air()


async def test_an_uplink_that_did_not_let_it_out_leaves_it_certain():
    """MAC commands took the frame: the item waits on, and its counter shows that it never left."""
    one = await network(settings={"mac_commands_disabled": False})
    for _ in range(3):
        await one.up()
    await one.passes(QUIET)
    handle = await one.submit(ttl=None)
    one.world.server.context.faults.add(Fault("stall", params={"seconds": 3600}))
    await one.up()
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.REMOVED
    assert handle not in one.on_the_air()


async def test_an_uplink_that_was_lost_to_us_has_opened_a_window_too():
    one = await network()
    silent_gateway(one)
    handle = await one.submit()
    one.lose_events = 1.0
    await one.up()
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.GONE


async def test_right_after_an_uplink_a_frame_may_still_be_made():
    one = await network()
    silent_gateway(one)
    handle = await one.submit(ttl=None)
    one.world.server.context.faults.add(Fault("stall", params={"seconds": 0.5}))
    await one.up(seconds=0.3)  # heard; the frame is made a moment later
    one.provider.when_flushed = lambda: one.world.run(1.0)
    assert await one.cancel(handle) is Cancellation.UNKNOWN
    assert handle in one.on_the_air()


@pytest.mark.parametrize("restarted", [False, True])
async def test_right_after_an_uplink_that_only_the_history_tells_a_frame_may_still_be_made(restarted):
    one = await network(settings={"history_per_device": 100}, skew=3600.0)
    silent_gateway(one)
    handle = await one.submit(ttl=None)
    one.world.server.context.faults.add(Fault("stall", params={"seconds": 0.5}))
    one.lose_events = 1.0
    await one.up(seconds=0.3)
    await one.catch_up.device(DEV_EUI)
    if restarted:
        await one.restart(kept=True)
    one.provider.when_flushed = lambda: one.world.run(1.0)
    assert await one.cancel(handle) is Cancellation.UNKNOWN
    assert handle in one.on_the_air()


async def test_an_uplink_during_the_cancel_is_noticed():
    one = await network()
    silent_gateway(one)
    handle = await one.submit(ttl=None)
    one.provider.when_flushed = lambda: one.world.up(seconds=1.0)
    assert await one.cancel(handle) is Cancellation.UNKNOWN
    assert handle in one.on_the_air()


async def test_class_c_is_transmitted_to_at_any_time():
    one = await network(profile={"supports_class_c": True})
    silent_gateway(one)
    handle = await one.submit()
    await one.passes(10)
    assert handle in one.on_the_air()
    assert await one.cancel(handle) is Cancellation.GONE
    other = await one.submit()
    assert await one.cancel(other) is Cancellation.UNKNOWN


@pytest.mark.parametrize("kept", [True, False], ids=["stopped", "killed"])
async def test_over_a_restart_what_no_window_let_out_is_certain_where_the_counter_shows_it(kept):
    one = await network()
    await one.records.write()
    handle = await one.submit()
    await one.restart(kept=kept)
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.REMOVED


async def test_over_a_restart_an_uplink_that_nobody_heard_is_counted():
    one = await network()
    silent_gateway(one)
    handle = await one.submit()
    await one.records.write()
    one.lose_events = 1.0
    await one.up()
    await one.restart(kept=False)
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.GONE


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
async def test_clocks_that_are_apart_change_nothing(skew):
    one = await network(skew=skew)
    handle = await one.submit(ttl=7200)
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.REMOVED
    silent_gateway(one)
    other = await one.submit(ttl=7200)
    await one.up()
    assert await one.cancel(other) is Cancellation.GONE


async def test_what_somebody_else_flushed_before_any_window_is_certain():
    one = await network()
    handle = await one.submit()
    device_queue.flush(one.world.server.context.tables, one.world.device.dev_eui)
    assert await one.cancel(handle) is Cancellation.REMOVED
    other = await one.submit()
    await one.up()
    assert await one.cancel(other) is Cancellation.UNKNOWN


async def test_a_counter_that_may_begin_anew_proves_nothing():
    one = await network()
    one.world.device.message.skip_fcnt_check = True
    handle = await one.submit()
    await one.passes(60)
    assert await one.cancel(handle) is Cancellation.UNKNOWN


async def test_a_device_that_was_never_heard_was_sent_nothing():
    one = Virtual(World())
    handle = await one.submit()
    assert await one.cancel(handle) is Cancellation.REMOVED


async def test_behind_others_what_is_past_its_expiry_is_never_transmitted():
    one = await network()
    handle = await one.submit(ttl=60)
    one.world.enqueue(b"theirs")
    await one.passes(59)
    assert await one.cancel(handle) is Cancellation.UNKNOWN
    await one.passes(4)
    assert await one.cancel(handle) is Cancellation.REMOVED
    assert len(one.world.queue) == 2


async def test_expiry_is_a_matter_of_the_servers_clock_which_must_be_known():
    one = await network()
    handle = await one.submit(ttl=60)
    one.world.enqueue(b"theirs")
    await one.restart(kept=True)
    await one.passes(64)
    assert await one.cancel(handle) is Cancellation.UNKNOWN


async def test_behind_others_what_was_transmitted_is_gone_all_the_same():
    one = await network()
    silent_gateway(one)
    handle = await one.submit(ttl=60)
    await one.up()
    one.world.enqueue(b"theirs")
    await one.passes(64)
    assert await one.cancel(handle) is Cancellation.GONE


# Clocks that are apart


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
async def test_a_time_to_live_is_as_long_on_any_clock(skew):
    one = await network(skew=skew)
    handle = await one.submit(ttl=60)
    await one.passes(50)
    await one.up()
    assert one.reports(handle) == [NetworkState.SENT]
    await one.passes(QUIET)
    other = await one.submit(ttl=60)
    await one.passes(QUIET + 5)
    await one.up()
    assert one.reports(other) == [Refusal.EXPIRED]
    assert other not in one.on_the_air()


async def test_what_expires_before_its_time_since_the_clocks_are_apart_goes_again():
    one = await network(skew=-3600.0)
    await one.restart(kept=True)  # the clock of the network server is not known any more
    handle = await one.submit(ttl=60)
    await one.up()
    assert one.reports(handle) == [Refusal.FAILED]
    assert handle not in one.on_the_air()
    assert one.side.counts["lorawan_expired_early"] == 1
    again = await one.submit(ttl=60)
    await one.up()
    assert one.reports(again) == [NetworkState.SENT]


# What the network server discards


async def test_what_expired_before_the_first_window_has_expired():
    one = await network()
    handle = await one.submit(ttl=60)
    await one.passes(61)
    await one.up()
    assert one.reports(handle) == [Refusal.EXPIRED]


async def test_the_servers_own_word_of_expiry_is_no_proof():
    """ChirpStack says it of a frame that was transmitted, too: it leaves the queue on the gateway's report alone."""
    one = await network()
    silent_gateway(one)
    handle = await one.submit(ttl=60)
    await one.up()
    await one.passes(61)
    await one.up()
    assert handle in one.on_the_air()
    assert one.reports(handle) == [None]


async def test_of_class_c_expiry_is_never_certain():
    one = await network(profile={"supports_class_c": True})
    silent_gateway(one)
    handle = await one.submit(ttl=20)
    await one.passes(30)
    assert handle in one.on_the_air()
    assert one.reports(handle) == [None]


async def test_what_never_fitted_was_never_transmitted():
    one = await network()
    handle = await one.submit(b"x" * 100, ttl=None)
    await one.up(dr=0)
    assert one.reports(handle) == [Refusal.TOO_LARGE]
    other = await one.submit(b"x" * 100, ttl=None)
    silent_gateway(one)
    await one.up(dr=5)
    await one.up(dr=0)
    assert other in one.on_the_air()
    assert one.reports(other) == [None]


async def test_what_is_queued_within_a_window_becomes_certain_when_the_window_is_over():
    """Each block of a transfer is queued right after an uplink; the next uplink may come at a slower data rate."""
    one = await network()
    await one.up()
    handle = await one.submit(b"x" * 100, ttl=None)
    assert await one.evidence.settle(DEV_EUI) > 0  # not yet
    await one.passes(3)
    assert await one.evidence.settle(DEV_EUI) is None
    await one.up(dr=0)
    assert one.reports(handle) == [Refusal.TOO_LARGE]


async def test_what_is_queued_within_a_window_may_have_left_with_it():
    one = await network()
    silent_gateway(one)
    one.world.hear(one.world.node.up())
    one.world.run(0.25)
    await one.deliver()  # heard 50 ms before its downlink is made
    handle = await one.submit(b"x" * 100, ttl=None)
    await one.passes(3)
    await one.evidence.settle(DEV_EUI)
    await one.up(dr=0)
    assert handle in one.on_the_air()
    assert one.reports(handle) == [None]


# Whatever happens


ACTS = ("submit", "submit", "up", "up", "pass", "pass", "cancel", "settle", "restart", "join", "flush", "read")


async def played(seed):
    """Play a random story; return it when everything has been said."""
    draw = random.Random(seed)
    profile = {"flush_queue_on_activate": draw.random() < 0.5, "supports_class_c": draw.random() < 0.2, "rx1_delay": 1}
    one = await network(
        seed=seed,
        profile=profile,
        skew=draw.choice([0.0, 0.0, -3600.0, 3600.0]),
        settings={"mac_commands_disabled": draw.random() < 0.5, "history_per_device": draw.choice([5, 100])},
    )
    faults = one.world.server.context.faults
    one.lose_events = draw.choice([0.0, 0.3])
    if draw.random() < 0.7:
        faults.add(Fault("tx_ack_lost", probability=draw.choice([0.3, 1.0])))
    if draw.random() < 0.3:
        faults.add(Fault("crowding", probability=0.3))
    waiting = []
    for _ in range(draw.randrange(4, 14)):
        match draw.choice(ACTS):
            case "submit" if len(waiting) < 3:
                size, ttl = draw.choice([10, 100]), draw.choice([None, 5.0, 30.0])
                kind = draw.choice([Kind.REQUEST, Kind.ANSWER])
                confirmed = kind is Kind.REQUEST and draw.random() < 0.2
                waiting.append(await one.submit(draw.randbytes(size), ttl=ttl, kind=kind, confirmed=confirmed))
            case "up":
                await one.up(seconds=draw.choice([0.1, 0.25, 1.0, 5.0]), dr=draw.choice([0, 5]))
            case "pass":
                await one.passes(draw.choice([0.1, 1.0, 10.0, 60.0]))
            case "cancel" if waiting:
                if draw.random() < 0.3:
                    one.provider.when_flushed = lambda: one.world.run(draw.choice([0.1, 1.0]))
                await one.cancel(waiting.pop(draw.randrange(len(waiting))))
                one.provider.when_flushed = lambda: None
            case "settle":
                await one.evidence.settle(DEV_EUI)
            case "restart":
                await one.restart(kept=draw.random() < 0.5)
            case "join":
                await one.join()
                await one.up()
            case "read":
                with suppress(CallFailed):
                    await one.catch_up.device(DEV_EUI)
            case "flush":
                device_queue.flush(one.world.server.context.tables, one.world.device.dev_eui)
    return one


async def test_nothing_that_is_said_to_have_been_kept_back_was_on_the_air():
    claims = {}
    for seed in range(600):
        one = await played(seed)
        said, sent = one.refused(), one.on_the_air()
        assert set(said) & sent == set(), f"seed {seed}: {[said[handle] for handle in said if handle in sent]}"
        for what in said.values():
            claims[what] = claims.get(what, 0) + 1
    assert min(claims.get(what, 0) for what in ("removed", "expired", "too large")) >= 5, claims


async def test_a_transmission_that_is_reported_is_reported_as_sent():
    one = await network()
    handle = await one.submit()
    await one.up()
    assert one.reports(handle) == [NetworkState.SENT]
