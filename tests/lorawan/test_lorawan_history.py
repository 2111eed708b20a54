"""What was missed comes out of the history, once, whatever began anew; a history that did not end is a failure.

The emulated network server itself, in virtual time.
"""

import random

import pytest
from mock_chirpstack_kit import DEV_EUI, Settings, World
from virtual_network import Virtual

from bindings.contract import Joined, Reachable, UplinkMessage
from bindings.lorawan import catch_up
from bridge.errors import CallFailed, CallTrouble, StoreUnavailable
from mock_network.faults import Fault


async def network(history=1000, **options):
    """Return a device that has joined; its frame counter may begin anew, as far as the server is concerned."""
    settings = Settings(mac_commands_disabled=True, reorder_within=0.0, history_per_device=history)
    one = Virtual(World({"rx1_delay": 1} | options.pop("profile", {}), settings), **options)
    one.world.device.message.skip_fcnt_check = True
    await one.join()
    return one


async def sends(one, *payloads, **more):
    for payload in payloads:
        await one.up(payload=payload, f_port=10, seconds=2.0, **more)


def taken(one):
    return [event.payload for event in one.side.of(UplinkMessage)]


def joined(one):
    return [event.queue_kept for event in one.side.of(Joined)]


async def while_away(one):
    """From now on no event arrives."""
    one.lose_events = 1.0


async def caught_up(one, *, restarted=True):
    one.lose_events = 0.0
    if restarted:
        await one.restart(kept=True)
    await one.catch_up.device(DEV_EUI)


def counter_begins_anew(one):
    one.world.node.f_cnt_up = 0


async def test_an_uplink_whose_commit_failed_comes_out_of_the_history():
    one = await network()
    await sends(one, b"0")
    one.side.store_fails = True
    with pytest.raises(StoreUnavailable):
        await sends(one, b"1")
    one.side.store_fails = False
    assert not one.records.held(DEV_EUI).has_seen(1)
    await one.catch_up.device(DEV_EUI)
    assert taken(one) == [b"0", b"1"]


@pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0])
async def test_an_uplink_of_the_history_was_received_when_the_server_had_it_by_our_clock(skew):
    one = await network(skew=skew)
    await while_away(one)
    await sends(one, b"1")
    missed_at = one.side.now()
    await one.passes(900.0)
    one.lose_events = 0.0
    await sends(one, b"2")
    one.clock.observe(one.world.now, one.side.now())  # as every transmission shows it
    await one.catch_up.device(DEV_EUI)
    received = {event.payload: event.received_at for event in one.side.of(UplinkMessage)}
    assert received[b"1"] == pytest.approx(missed_at, abs=10.0)
    assert received[b"2"] == pytest.approx(one.side.now(), abs=10.0)


# Counters that begin anew


async def test_what_a_device_sent_after_its_counter_began_anew_is_not_taken_for_what_it_sent_before():
    one = await network()
    await sends(one, *(b"old%d" % n for n in range(9)))
    await while_away(one)
    counter_begins_anew(one)
    await sends(one, *(b"new%d" % n for n in range(4)))
    await caught_up(one)
    assert taken(one)[9:] == [b"new0", b"new1", b"new2", b"new3"]
    assert joined(one)[1:] == [True]
    await caught_up(one)
    assert len(taken(one)) == 13


@pytest.mark.parametrize("after", [4, 12], ids=["below the old counter", "beyond it"])
async def test_the_same_where_the_history_has_lost_what_came_before(after):
    one = await network(history=after)
    await sends(one, *(b"old%d" % n for n in range(9)))
    await while_away(one)
    counter_begins_anew(one)
    await sends(one, *(b"new%d" % n for n in range(after)))
    await caught_up(one)
    assert taken(one)[9:] == [b"new%d" % n for n in range(after)]
    await caught_up(one)
    assert len(taken(one)) == 9 + after


async def test_a_counter_that_begins_anew_live_ends_exchanges_however_low_it_was():
    one = await network()
    await sends(one, b"a", b"b", b"c")
    before = joined(one)
    counter_begins_anew(one)
    await sends(one, b"d", b"e")
    assert taken(one) == [b"a", b"b", b"c", b"d", b"e"]
    assert joined(one) == [*before, True]
    assert one.side.counts["lorawan_counter_resets"] == 1


async def test_a_counter_that_begins_anew_while_the_store_fails_ends_exchanges_afterwards():
    """Else the device's first messages afterwards, whose IDs begin anew, would be taken for repeats of earlier ones."""
    one = await network()
    await sends(one, b"a", b"b", b"c")
    before = joined(one)
    counter_begins_anew(one)
    one.world.up(payload=b"d", f_port=10, seconds=2.0)
    brought = list(one.world.events)
    one.side.store_fails = True
    with pytest.raises(StoreUnavailable):
        await one.deliver()
    one.side.store_fails = False
    for kind, body in brought:
        await one.commit(kind, body)  # as a broker brings it again, which has no acknowledgement
    await sends(one, b"e")
    assert taken(one) == [b"a", b"b", b"c", b"d", b"e"]
    assert joined(one) == [*before, True]


async def test_a_frame_that_is_repeated_and_accepted_twice_is_no_reset():
    one = await network()
    await sends(one, b"a", b"b")
    before = joined(one)
    one.world.node.f_cnt_up -= 1
    await sends(one, b"b")
    assert joined(one) == before


@pytest.mark.parametrize("empty", [b"", b"\x40\x00\x12\x34"], ids=["a frame without content", "an Empty CoAP message"])
async def test_a_message_without_a_row_that_comes_live_meanwhile_is_no_reset(empty):
    """A broker brings at the start what it kept, while the history brings the same. The ledger has no row of a poll."""
    one = await network()
    await sends(one, b"a")
    await one.records.write()
    for payload in (b"missed", empty):
        one.world.up(payload=payload, f_port=10, seconds=2.0)
    kept, one.world.events[:] = list(one.world.events), []
    before, has_taken = joined(one), one.side.has_taken

    async def while_live_events_come(uplink, within):
        while kept:
            await one.commit(*kept.pop(0))
        return await has_taken(uplink, within)

    one.side.has_taken = while_live_events_come
    await one.catch_up.device(DEV_EUI)
    assert kept == []
    assert taken(one).count(b"missed") == 1
    assert joined(one) == before
    assert "lorawan_counter_resets" not in one.side.counts


async def test_an_old_uplink_that_a_broker_brings_again_is_no_reset():
    """A broker repeats what was not acknowledged; of a device that sends much, that may be far behind."""
    one = await network()
    one.world.up(payload=b"first", f_port=10, seconds=2.0)
    brought = list(one.world.events)
    await one.deliver()
    await sends(one, *(b"%d" % n for n in range(70)))
    before = joined(one)
    for kind, body in brought:
        await one.commit(kind, body)
    assert joined(one) == before


async def test_an_old_join_that_a_broker_brings_again_ends_no_session():
    one = await network()
    world = one.world
    world.hear(world.node.join_request())
    world.run(1)
    brought = [event for event in world.events if event[0] == "join"]
    accepts = [frame for frame in world.frames if frame.items[0].phy_payload[0] == 0x20]
    world.node.joined(accepts[-1].items[0].phy_payload)
    await sends(one, b"a")
    await one.join()
    await sends(one, b"b")
    await one.passes(120.0)
    before, dev_addr = joined(one), one.records.held(DEV_EUI).dev_addr
    for kind, body in brought:
        await one.commit(kind, body)
    assert len(brought) == 1
    assert joined(one) == before
    assert one.records.held(DEV_EUI).dev_addr == dev_addr


async def test_a_personalised_device_that_is_activated_anew_is_heard_from_its_first_uplink_on():
    """No event tells of an activation; the session's address stays, the counter does not."""
    one = await network()
    await sends(one, *(b"old%d" % n for n in range(9)))
    await while_away(one)
    one.world.device.f_cnt_up = 0
    one.world.device.session.skip_f_cnt_check = False
    counter_begins_anew(one)
    await sends(one, b"new0", b"new1")
    await caught_up(one)
    assert taken(one)[9:] == [b"new0", b"new1"]


async def test_a_recorded_frame_that_anybody_sends_again_ends_no_exchange():
    one = await network()
    one.world.device.session.skip_f_cnt_check = False
    frame = one.world.node.up(b"a", 10)
    one.world.hear(frame)
    await one.passes(2)
    await sends(one, b"b", b"c")
    before = joined(one)
    one.world.hear(frame)
    await one.passes(2)
    assert one.side.counts["lorawan_counter_resets"] == 0
    assert joined(one) == before
    await caught_up(one)
    assert taken(one) == [b"a", b"b", b"c"]


async def test_after_the_server_told_of_a_reset_a_low_counter_is_new():
    one = await network()
    one.world.device.session.skip_f_cnt_check = False
    await sends(one, b"a", b"b", b"c")
    one.records.held(DEV_EUI).seen &= ~0b100  # the first was lost on the air
    before = joined(one)
    counter_begins_anew(one)
    await sends(one, b"refused")
    assert joined(one) == before
    one.world.device.session.skip_f_cnt_check = True
    counter_begins_anew(one)
    await sends(one, b"d")
    assert taken(one)[-1] == b"d"
    assert joined(one) == [*before, True]


# Sessions


async def test_several_sessions_that_were_missed_come_in_their_order():
    one = await network()
    await sends(one, b"first")
    await while_away(one)
    await sends(one, b"still the first")
    for name in (b"second", b"third"):
        one.world.hear(one.world.node.join_request())
        await one.passes(1)
        one.world.node.joined(
            [f for f in one.world.frames if f.items[0].phy_payload[0] == 0x20][-1].items[0].phy_payload
        )
        await sends(one, name)
    before = len(joined(one))
    await caught_up(one)
    assert taken(one) == [b"first", b"still the first", b"second", b"third"]
    assert len(joined(one)) == before + 2
    assert one.records.held(DEV_EUI).dev_addr == f"{one.world.node.dev_addr:08x}"
    await caught_up(one)
    assert len(taken(one)) == 4
    assert len(joined(one)) == before + 2


async def test_an_event_of_the_former_session_that_was_overtaken_ends_nothing():
    one = await network()
    await sends(one, b"a")
    one.world.hear(one.world.node.up(b"late", 10))
    one.world.run(1)
    late, one.world.events[:] = list(one.world.events), []
    await one.join()
    await sends(one, b"b")
    before, dev_addr = joined(one), one.records.held(DEV_EUI).dev_addr
    for kind, body in late:
        await one.commit(kind, body)
    assert taken(one) == [b"a", b"b", b"late"]
    assert joined(one) == before
    assert one.records.held(DEV_EUI).dev_addr == dev_addr


async def test_a_history_that_is_cut_off_within_a_former_session_does_not_bring_that_back():
    one = await network()
    await while_away(one)
    await sends(one, b"missed")
    one.lose_events = 0.0
    await one.join()
    await sends(one, b"live")
    before, dev_addr = joined(one), one.records.held(DEV_EUI).dev_addr
    one.records.held(DEV_EUI).seen = 0  # as if the last uplink had not come live
    held_back(one, 2)
    with pytest.raises(CallFailed):
        await caught_up(one)
    assert sorted(taken(one)) == [b"live", b"missed"]
    assert joined(one) == before
    assert one.records.held(DEV_EUI).dev_addr == dev_addr


async def test_a_session_that_begins_while_the_history_is_read_is_not_ended_by_it():
    one = await network()
    await sends(one, b"a")
    whole = one.provider.history

    async def overtaken(device, *, expected):
        async for event in whole(device, expected=expected):
            yield event
        await one.join()
        await sends(one, b"b")

    one.provider.history = overtaken
    before = len(joined(one))
    await one.catch_up.device(DEV_EUI)
    assert taken(one) == [b"a", b"b"]
    assert len(joined(one)) == before + 1
    assert one.records.held(DEV_EUI).dev_addr == f"{one.world.node.dev_addr:08x}"


# Times that are far off


async def dated_ahead(one, seconds=86400.0, **more):
    """Let the device be heard by a gateway whose clock is ahead."""
    one.world.hear(one.world.node.up(b"ahead", 10, **more), dr=more.get("dr", 5))
    one.world.run(1)
    for kind, body in one.world.events:
        hour = int(body["time"][11:13])
        body["time"] = f"{int(body['time'][:4]) + 1}{body['time'][4:11]}{hour:02}{body['time'][13:]}"
        await one.commit(kind, body)
    one.world.events.clear()


async def test_an_event_that_is_dated_ahead_stops_nothing_from_being_learned():
    one = await network()
    await sends(one, b"a", dr=5)
    await dated_ahead(one)
    await sends(one, b"b", dr=0)
    record = one.records.held(DEV_EUI)
    assert record.dr == 0
    one.world.device.enabled_class = 2
    await sends(one, b"c", dr=0)
    assert record.device_class == "C"
    before = len(joined(one))
    await one.join()
    assert len(joined(one)) == before + 1
    await one.restart(kept=True)
    await sends(one, b"d", dr=3)
    assert one.records.held(DEV_EUI).dr == 3


async def test_what_would_have_fitted_is_learned_whatever_the_time_of_the_last_uplink():
    one = await network()
    await sends(one, b"a", dr=5)
    await dated_ahead(one)
    await one.submit(b"x" * 100, ttl=None)
    one.world.hear(one.world.node.up(dr=0), dr=0)
    one.world.run(1)
    overtaking = [(kind, body) for kind, body in one.world.events if kind == "log"]
    for kind, body in overtaking:
        await one.commit(kind, body)
    assert one.records.held(DEV_EUI).fits == 51


async def test_what_was_missed_after_an_event_dated_ahead_comes_all_the_same():
    one = await network()
    await sends(one, b"a")
    await dated_ahead(one)
    await while_away(one)
    await sends(one, b"missed")
    await caught_up(one)
    assert taken(one) == [b"a", b"ahead", b"missed"]


async def test_a_counter_that_began_anew_is_noticed_though_the_last_uplink_was_dated_ahead():
    """The history has lost what came before, and no time tells; but the server expects a counter that we have seen."""
    one = await network(history=2)
    await sends(one, b"a", b"b", b"c")
    await dated_ahead(one)
    await while_away(one)
    counter_begins_anew(one)
    await sends(one, b"d", b"e")
    await caught_up(one)
    assert taken(one)[-2:] == [b"d", b"e"]


# A history that does not end


def held_back(one, after):
    """Let a proxy hold back all but the first events, and close in silence."""
    whole = one.provider.history

    async def cut(device, *, expected):
        left = after
        async for event in whole(device, expected=expected):
            if left == 0:
                return
            left -= 1
            yield event

    one.provider.history = cut
    return whole


@pytest.mark.parametrize("after", [0, 4])
async def test_a_history_that_a_proxy_holds_back_is_a_failure_and_what_came_of_it_is_kept(after):
    one = await network()
    await sends(one, b"0")
    await while_away(one)
    await sends(one, b"1", b"2", b"3", b"4")
    whole = held_back(one, after)
    with pytest.raises(CallFailed, match=r"ends before the last uplink.*cut off"):
        await caught_up(one)
    assert taken(one)[1:] == [b"1", b"2", b"3", b"4"][: max(after - 2, 0)]  # the history begins with a join
    one.provider.history = whole
    await caught_up(one, restarted=False)
    assert sorted(taken(one)) == [b"0", b"1", b"2", b"3", b"4"]


async def test_it_is_counted_named_in_the_status_and_read_again(monkeypatch):
    one = await network()
    await sends(one, b"0")
    await while_away(one)
    await sends(one, b"1")
    whole = held_back(one, 0)
    await one.restart(kept=True)
    monkeypatch.setattr(catch_up, "FIRST_RETRY", 0.01)
    original = one.catch_up._quietly

    async def healed_after_two(device):
        await original(device)
        if one.side.counts["lorawan_catch_up_failures"] == 2:
            assert one.catch_up.status()["failed"] == 1
            assert "FCnt 1" in one.catch_up.status()["last_error"]
            one.provider.history = whole

    monkeypatch.setattr(one.catch_up, "_quietly", healed_after_two)
    one.catch_up.all_devices()
    await one.catch_up._run
    assert one.side.counts["lorawan_catch_up_failures"] == 2
    assert taken(one) == [b"0", b"1"]
    assert "failed" not in one.catch_up.status()


async def test_a_device_that_the_server_does_not_have_is_not_asked_for_again(monkeypatch):
    one = await network()

    async def unknown(_device):
        raise CallFailed(CallTrouble.NOT_FOUND, "no such device", unsure=False)

    one.provider.snapshot = unknown
    one.catch_up.all_devices()
    await one.catch_up._run
    assert one.side.counts["lorawan_catch_up_failures"] == 0


@pytest.mark.parametrize("heard", [False, True])
async def test_a_device_without_uplinks_has_a_whole_history(heard):
    one = Virtual(World({}, Settings(mac_commands_disabled=True, reorder_within=0.0)))
    if heard:
        await one.join()
    await one.catch_up.device(DEV_EUI)


async def test_a_history_whose_last_uplink_came_live_is_whole_without_it():
    one = await network(history=0)
    await sends(one, b"0")
    await one.catch_up.device(DEV_EUI)


async def test_the_history_of_a_busy_device_ends_where_its_events_came_live():
    """The history goes on forever with what happens now, and is never silent as long as a next event is waited for."""
    one = await network()
    await sends(one, b"0")
    await while_away(one)
    await sends(one, b"missed")
    one.lose_events = 0.0
    whole, read = one.provider.history, 0

    async def endless(device, *, expected):
        nonlocal read
        for place in range(50):
            retained = [event async for event in whole(device, expected=expected)]
            read += 1
            yield retained[place]
            await sends(one, b"live %d" % place)

    one.provider.history = endless
    await one.catch_up.device(DEV_EUI)
    assert read == 4  # a join, what was taken and what was missed; then what came live
    assert taken(one).count(b"missed") == 1
    assert len(taken(one)) == len(set(taken(one)))


# Whatever happens


async def test_whatever_is_missed_and_begins_anew_every_uplink_comes_once():
    for seed in range(150):
        draw = random.Random(seed)
        one = await network(seed=seed)
        sent = []
        for _ in range(draw.randrange(3, 12)):
            match draw.choice(["send", "send", "send", "poll", "away", "back", "anew", "join", "killed"]):
                case "send":
                    sent.append(b"%d" % len(sent))
                    await sends(one, sent[-1])
                case "poll":
                    await sends(one, draw.choice([b"", b"\x40\x00\x12%c" % len(sent)]))
                case "away":
                    one.lose_events = draw.choice([0.5, 1.0])
                case "back":
                    await caught_up(one)
                case "anew":
                    counter_begins_anew(one)
                case "join":
                    world = one.world
                    world.hear(world.node.join_request())
                    await one.passes(1)
                    accepts = [f for f in world.frames if f.items[0].phy_payload[0] == 0x20]
                    world.node.joined(accepts[-1].items[0].phy_payload)
                case "killed":
                    await one.restart(kept=False)
        await caught_up(one)
        await caught_up(one)
        messages = [payload for payload in taken(one) if payload.isdigit()]
        assert sorted(messages, key=int) == sent, f"seed {seed}"


async def test_an_uplink_without_content_of_ours_only_says_that_the_device_was_heard():
    one = await network()
    await while_away(one)
    await one.up()
    one.world.server.context.faults.add(Fault("event_lost"))
    await caught_up(one)
    assert one.side.of(Reachable)
    assert taken(one) == []


async def test_a_device_whose_history_meets_a_bug_is_read_again_and_so_are_the_others(monkeypatch):
    one = await network()
    await sends(one, b"0")
    await while_away(one)
    await sends(one, b"1")
    await one.restart(kept=True)
    monkeypatch.setattr(catch_up, "FIRST_RETRY", 0.01)
    read, bugs = one.provider.snapshot, 2

    async def mistaken(device):
        nonlocal bugs
        if bugs:
            bugs -= 1
            raise RuntimeError("a bug")
        return await read(device)

    one.provider.snapshot = mistaken
    one.catch_up.all_devices()
    await one.catch_up._run
    assert taken(one) == [b"0", b"1"]
    assert one.side.counts["lorawan_internal_errors"] == 2
    assert "failed" not in one.catch_up.status()


async def test_a_bug_while_the_devices_are_listed_ends_no_catching_up(monkeypatch):
    one = await network()
    await sends(one, b"0")
    await while_away(one)
    await sends(one, b"1")
    await one.restart(kept=True)
    monkeypatch.setattr(catch_up, "FIRST_RETRY", 0.01)
    listed, bugs = one.catch_up._records.devices, [1, 2]

    def mistaken():
        if bugs:
            raise RuntimeError(f"bug {bugs.pop()}")
        return listed()

    monkeypatch.setattr(one.catch_up._records, "devices", mistaken)
    one.catch_up.all_devices()
    await one.catch_up._run
    assert taken(one) == [b"0", b"1"]
    assert one.side.counts["lorawan_internal_errors"] == 2
