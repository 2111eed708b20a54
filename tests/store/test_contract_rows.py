"""What is committed is what is loaded, for every kind of row."""

from typing import Any

from bindings.contract import Refusal
from bridge.delivery.attempts import Attempt
from bridge.delivery.downlinks import Answer, OpaqueDownlink, ServerRequest, Trigger
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.rows import FOREVER, Delete, Insert, Update
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceRequest, OpaqueUplink, Response, Verdict
from bridge.relay.model import Observation, ObservationState, RelayState
from bridge.relay.registrations import Registration
from bridge.store.sql.prune import LOOK
from tests.store.asking import rows

ATTEMPTS = [
    Attempt(1, Knowledge.REFUSED, 100.0, None, Refusal.RATE_LIMITED),
    Attempt(2, Knowledge.LEFT, 101.0, "h", left_at=101.0),
    Attempt(3, Knowledge.IN_DOUBT, 102.0, look_up_at=132.0, cancel_failed_at=103.5, released=True),
]


def same(left, right):
    return type(left) is type(right) and all(
        getattr(left, name) == getattr(right, name) and type(getattr(left, name)) is type(getattr(right, name))
        for name in type(left).__struct_fields__
    )


async def test_every_row_comes_back_as_it_was(store, downlink, uplink, report):
    given = [
        downlink(store.next_id(), observe=0, late=True, attempts=ATTEMPTS),
        Answer.new(store.next_id(), 1, 0, 100.0, "Acknowledgement", 500.0, b"", 2, 0, 9, b"", 5),
        OpaqueDownlink.accepted(store.next_id(), 1, 0, 100.0, 500.0, b"\x17\xfe\xfd", "leshan"),
        Trigger.new(store.next_id(), 1, 0, 100.0, "Registration Update Trigger", 500.0, b"\xb11", 2, 9),
        uplink(store.next_id(), reply_type=2, reply_mid=3, reply_downlink=2, expires_at=900.0),
        DeviceRequest.received(
            store.next_id(),
            1,
            0,
            100.0,
            "leshan",
            "Send",
            900.0,
            2,
            b"\xb2dp",
            b"n",
            True,
            4,
            b"s",
            b"d2",
            None,
            26,
            5,
            True,
        ),
        Response.received(
            store.next_id(), 1, 0, 100.0, "leshan", "Read", 900.0, 69, b"\xff1", b"n", False, 4, b"s", b"d3", "k3", 1
        ),
        Verdict.new(store.next_id(), 1, 0, 100.0, "leshan", "Read", 900.0, b"n", 1),
        OpaqueUplink.received(store.next_id(), 1, 0, 100.0, "leshan", b"\x16\xfe\xfd", b"d4", None),
        report(store.next_id()),
        Observation(1, b"\x05", 0, "leshan", b"\x01\x02", 100.0, ObservationState.ACTIVE),
        RelayState(1, 0, [Registration("leshan", (b"rd", b"1"), (b"rd", b"1"), 50.0, 60.0, 300)], refuse_update=True),
    ]
    await store.committed([Insert.of(row) for row in given], endpoint=1)

    kept = await rows(store, 1, 100.0)

    loaded = [*kept.downlinks, *kept.uplinks, *kept.reports, *kept.observations, kept.relay]
    assert all(same(a, b) for a, b in zip(given, loaded, strict=True))
    assert isinstance(kept.downlinks[0].state, DownlinkState)
    assert isinstance(kept.uplinks[0].state, UplinkState)
    assert kept.downlinks[0].keep_until == FOREVER


def test_an_update_carries_what_may_change_and_the_key():
    request = ServerRequest.accepted(
        7, 1, 0, 100.0, "Read", True, 300.0, b"", 0, 1, 9, b"\x05", "leshan", 7, b"\x01", None, 0, 200.0
    )
    request.reason = "why"
    values = dict(zip((*ServerRequest.mutable(), "id"), Update.of(request).values, strict=True))
    assert values["reason"] == "why"
    assert values["id"] == 7
    assert not {"endpoint", "kind", "server", "north_mid", "south_token"} & values.keys()


async def test_an_uplink_is_known_by_its_networks_key_and_by_its_bytes_within_a_time(store, uplink):
    row = uplink(store.next_id(), duplicate_key="k", digest=b"d", received_at=1000.0)
    await store.committed([Insert.of(row)])

    def known(*values):
        return store.reads.has_uplink(*values)

    assert await known(row.endpoint, "k", b"other", 0.0, 1.0)
    assert await known(row.endpoint, None, b"d", 900.0, 1100.0)
    assert not await known(row.endpoint, None, b"d", 1001.0, 1100.0)
    assert not await known(row.endpoint, "other", b"other", 0.0, 2000.0)
    assert not await known(row.endpoint + 1, "k", b"d", 0.0, 2000.0)


async def test_updates_and_deletes_reach_the_row_of_their_key(store, downlink):
    first, second = downlink(store.next_id()), downlink(store.next_id())
    one = Observation(1, b"\x01", 0, "leshan", b"a", 1.0)
    two = Observation(1, b"\x02", 0, "leshan", b"b", 1.0)
    await store.committed([Insert.of(row) for row in (first, second, one, two)])
    second.state = DownlinkState.SUBMITTING
    second.attempts.append(Attempt(1, Knowledge.PENDING, 101.0))
    two.state = ObservationState.CANCELLED

    await store.committed([Update.of(second), Update.of(two), Delete.of(one)])

    kept = await rows(store, 1, 0.0)
    assert [(row.state, len(row.attempts)) for row in kept.downlinks] == [("QUEUED", 0), ("SUBMITTING", 1)]
    assert [(row.south_token, row.state) for row in kept.observations] == [(b"\x02", ObservationState.CANCELLED)]


async def test_changes_of_one_commit_keep_their_order(store, downlink):
    row = downlink(store.next_id())
    changes = [Insert.of(row)]
    for reason in ("first", "second", "last"):
        row.reason = reason
        changes.append(Update.of(row))
    changes += [Delete.of(row), Insert.of(row)]

    await store.committed(changes)

    assert [kept.reason for kept in (await rows(store, 1, 0.0)).downlinks] == ["last"]


async def test_r4_a_row_is_loaded_as_long_as_a_retransmission_may_come_and_no_longer(store, downlink, uplink):
    over = downlink(store.next_id(), state=DownlinkState.RESPONDED, over=True, keep_until=347.0)
    done = uplink(store.next_id(), state=UplinkState.FORWARDED, keep_until=347.0)
    await store.committed([Insert.of(over), Insert.of(done)])

    assert [row.id for row in (await rows(store, 1, 346.9)).downlinks] == [over.id]
    assert [row.id for row in (await rows(store, 1, 346.9)).uplinks] == [done.id]
    after = await rows(store, 1, 347.0)
    assert after.downlinks == after.uplinks == []


async def test_the_same_mid_and_token_may_come_again_after_the_span(store, downlink):
    await store.committed([Insert.of(downlink(store.next_id(), keep_until=347.0))])
    await store.committed([Insert.of(downlink(store.next_id(), accepted_at=400.0))])
    assert len((await rows(store, 1, 400.0)).downlinks) == 1


async def test_only_rows_of_the_endpoint_are_loaded(store, downlink, uplink, report):
    await store.committed(
        [
            Insert.of(downlink(store.next_id(), 2)),
            Insert.of(uplink(store.next_id(), 2)),
            Insert.of(report(store.next_id(), 2)),
            Insert.of(RelayState(2, 0)),
        ]
    )
    kept = await rows(store, 1, 0.0)
    assert (kept.downlinks, kept.uplinks, kept.reports, kept.observations, kept.relay) == ([], [], [], [], None)


async def test_r32_endpoints_with_unfinished_messages_are_listed_the_uncertain_ones_first(store, downlink, uplink):
    await store.committed(
        [
            Insert.of(downlink(store.next_id(), 1, due=50.0)),
            Insert.of(downlink(store.next_id(), 1, due=20.0)),
            Insert.of(uplink(store.next_id(), 1, due=30.0)),
            Insert.of(uplink(store.next_id(), 2, due=40.0)),
            Insert.of(downlink(store.next_id(), 3, state=DownlinkState.SUBMITTING)),
            Insert.of(downlink(store.next_id(), 4, state=DownlinkState.UNKNOWN)),
            Insert.of(downlink(store.next_id(), 5, state=DownlinkState.UNKNOWN, over=True)),
            Insert.of(uplink(store.next_id(), 6, state=UplinkState.FORWARDED)),
            Insert.of(uplink(store.next_id(), 7, state=UplinkState.FORWARDED, due=60.0)),
        ]
    )
    assert [list(part) async for part in store.unfinished()] == [[3, 4], [1, 2, 3, 4, 7]]


async def test_ids_rise_and_are_never_given_again_even_if_their_rows_are_gone(stores, report):
    given = []
    for _life in range(3):
        store = await stores.open()
        last = report(store.next_id())
        await store.committed([Insert.of(last)])
        await store.committed([Delete.of(last)])
        given += [last.id, store.next_id()]
        await store.close()
    assert given == sorted(set(given))
    assert given == [1, 2, 3, 4, 5, 6], "a clean stop skips no ids"


async def test_many_ids_of_one_life_are_all_different(store):
    given = [store.next_id() for _ in range(5000)]
    assert given == sorted(set(given))


async def test_prune_removes_what_is_over_and_old_and_nothing_else(store, downlink, uplink):
    over = {"state": DownlinkState.RESPONDED, "over": True}
    rows = [downlink(store.next_id(), **over, finished_at=100.0, keep_until=200.0) for _ in range(1200)]
    kept = [
        downlink(store.next_id()),
        downlink(store.next_id(), **over, finished_at=100.0, keep_until=1000.0),
        downlink(store.next_id(), **over, finished_at=1000.0, keep_until=200.0),
        uplink(store.next_id()),
        uplink(store.next_id(), state=UplinkState.FORWARDED, finished_at=100.0, keep_until=200.0, due=300.0),
    ]
    gone = uplink(store.next_id(), state=UplinkState.FORWARDED, finished_at=100.0, keep_until=200.0)
    await store.committed([Insert.of(row) for row in (*rows, *kept, gone)])

    assert await store.prune(before=500.0) == len(rows) + 1

    left = [*await store.reads.downlinks(limit=9999), *await store.reads.uplinks(limit=9999)]
    assert sorted(row.id for row in left) == [row.id for row in kept]


async def test_messages_that_a_clock_ahead_of_its_time_has_written_keep_no_later_ones(store, downlink, uplink):
    over = {"finished_at": 100.0, "keep_until": 200.0}
    ahead = {"finished_at": 9e8, "keep_until": 9e8}
    kept: list[Any] = []
    for made, ended, began in (
        (downlink, {"state": DownlinkState.RESPONDED, "over": True}, "accepted_at"),
        (uplink, {"state": UplinkState.FORWARDED}, "received_at"),
    ):
        old = [made(store.next_id(), **ended, **over) for _ in range(3)]
        future = [made(store.next_id(), **ended, **{**ahead, began: 9e8}) for _ in range(LOOK + 1)]
        later = [made(store.next_id(), **ended, **over) for _ in range(3)]
        kept += future
        await store.committed([Insert.of(row) for row in (*old, *future, *later)])

    assert await store.prune(before=500.0) == 2 * (3 + 3)
    left = [*await store.reads.downlinks(limit=99999), *await store.reads.uplinks(limit=99999)]
    assert sorted(row.id for row in left) == [row.id for row in kept]


async def test_people_list_show_and_count(store, downlink, uplink):
    rows = [downlink(store.next_id(), endpoint) for endpoint in (1, 1, 1, 2)]
    rows[0].state, rows[0].over = DownlinkState.EXPIRED, True
    up = uplink(store.next_id(), state=UplinkState.FORWARDED)
    await store.committed([Insert.of(row) for row in (*rows, up)])

    assert [row.id for row in await store.reads.downlinks(endpoint=1, limit=2)] == [rows[2].id, rows[1].id]
    assert [row.id for row in await store.reads.downlinks(endpoint=1, limit=2, before=rows[1].id)] == [rows[0].id]
    assert [row.id for row in await store.reads.downlinks(state=DownlinkState.EXPIRED)] == [rows[0].id]
    assert [row.id for row in await store.reads.downlinks(over=True)] == [rows[0].id]
    assert [row.id for row in await store.reads.uplinks()] == [up.id]
    assert (await store.reads.downlink(rows[3].id)).endpoint == 2
    assert await store.reads.downlink(up.id) is None
    assert (await store.reads.uplink(up.id)).state is UplinkState.FORWARDED
    assert await store.reads.downlink_counts() == {
        (DownlinkState.QUEUED, False): 3,
        (DownlinkState.EXPIRED, True): 1,
    }
    assert await store.reads.uplink_counts(endpoint=1) == {UplinkState.FORWARDED: 1}


async def test_answers_to_requests_are_found(store, downlink):
    asked = [downlink(store.next_id(), endpoint=endpoint) for endpoint in (1, 2, 1)]
    late = Response.received(
        store.next_id(),
        1,
        0,
        100.0,
        "leshan",
        "Read",
        500.0,
        69,
        b"",
        b"\x01",
        True,
        3,
        b"\x05",
        b"d",
        None,
        asked[0].id,
    )
    verdict = Verdict.new(store.next_id(), 1, 0, 90.0, "leshan", "Read", 500.0, b"\x01", asked[0].id)
    other = Verdict.new(store.next_id(), 2, 0, 90.0, "leshan", "Read", 500.0, b"\x01", asked[1].id)
    await store.committed([Insert.of(row) for row in (*asked, late, verdict, other)])
    assert [row.id for row in await store.reads.answers([asked[0], asked[2]])] == [late.id, verdict.id]
    assert {row.id for row in await store.reads.answers(asked)} == {late.id, verdict.id, other.id}
    assert await store.reads.answers([]) == []
