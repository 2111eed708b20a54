"""The contract of a store: what people ask of all endpoints, and words about their provisioning."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bindings.provisioning import ProvisioningState as State
from bridge.delivery.rows import Insert, Update
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Verdict
from bridge.directory import Draft
from bridge.relay.model import RelayState
from bridge.relay.registrations import Registration
from bridge.store import searching
from bridge.store.contract import Store
from bridge.store.fleet import EndpointConditions, LatestMessage, Provisioning, ProvisioningNote, page_end_of
from bridge.store.order import Order
from bridge.store.sql import fleet

Make = Callable[..., Any]

REFUSED = Provisioning(State.FAILED, "the SCEF does not know it", 50.0, 80.0)
READY = Provisioning(State.READY, since=60.0)
REGISTRATIONS = [Registration("leshan", (b"rd", b"1"), (b"rd", b"1"), 900.0, 1000.0, 300)]


def note(number: int, provisioning: Provisioning, **more: Any) -> ProvisioningNote:
    return ProvisioningNote("net", f"device-{number}", provisioning, **more)


async def commit(store: Store, *rows: Any) -> None:
    await store.committed([Insert.of(row) for row in rows])


async def names(store: Store, wanted: EndpointConditions = EndpointConditions(), **more: Any) -> list[str]:  # noqa: B008  # it is frozen
    """Return the numbers of the endpoints on all pages of three."""
    found: list[str] = []
    after = None
    while page := await store.fleet.page(wanted, after=after, limit=3, **more):
        found += [one.record.name.removeprefix("endpoint-") for one in page]
        after = page_end_of(page[-1], more.get("order", Order.NAME))
    assert await store.fleet.count(wanted) == len(found)
    return found


async def standing(store: Store, number: int) -> Any:
    (found,) = await store.fleet.page(EndpointConditions(names=frozenset({f"endpoint-{number}"})), limit=10)
    return found


async def test_of_an_endpoint_that_nothing_happened_to_nothing_is_claimed(store: Store) -> None:
    found = await standing(store, 1)
    assert found.record.name == "endpoint-1"
    assert found.provisioning == Provisioning(State.WANTED)
    assert (found.registrations, found.uplink, found.downlink, found.waiting) == ((), None, None, 0)


async def test_the_latest_messages_and_what_waits_are_told(store: Store, downlink: Make, uplink: Make) -> None:
    ids = [store.next_id() for _ in range(7)]
    over = {"over": True, "state": DownlinkState.RESPONDED, "finished_at": 130.0, "keep_until": 400.0}
    await commit(
        store,
        uplink(ids[0], received_at=110.0),
        uplink(ids[1], received_at=120.0, state=UplinkState.FORWARDED, finished_at=121.0, keep_until=400.0),
        Verdict.new(ids[2], 1, 0, 130.0, "leshan", "Read", None, b"", 1),
        downlink(ids[3], accepted_at=140.0),
        downlink(ids[4], accepted_at=150.0, **over),
        downlink(ids[5], endpoint=2, accepted_at=160.0),
        downlink(ids[6], endpoint=2, accepted_at=170.0),
    )
    first, second = await standing(store, 1), await standing(store, 2)
    assert first.uplink == LatestMessage(ids[1], 120.0), "a verdict of the bridge is no message of the device"
    assert (first.downlink, first.waiting) == (LatestMessage(ids[4], 150.0), 1)
    assert (second.uplink, second.downlink, second.waiting) == (None, LatestMessage(ids[6], 170.0), 2)


async def test_the_latest_message_is_known_when_its_row_is_gone(store: Store, uplink: Make) -> None:
    id_ = store.next_id()
    await commit(store, uplink(id_, state=UplinkState.FORWARDED, finished_at=101.0, keep_until=110.0))
    assert await store.prune(200.0) == 1
    assert (await standing(store, 1)).uplink == LatestMessage(id_, 100.0)


async def test_messages_are_found_however_many_came_since_the_last_question(
    store: Store, uplink: Make, downlink: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "PART", 7)
    monkeypatch.setattr(fleet, "MANY", 5)
    latest = {}
    for number in range(60):
        endpoint = number % 9 + 1
        up, down = store.next_id(), store.next_id()
        latest[endpoint] = LatestMessage(up, float(number)), LatestMessage(down, number + 0.5)
        await commit(
            store,
            uplink(up, endpoint=endpoint, received_at=float(number)),
            downlink(down, endpoint=endpoint, accepted_at=number + 0.5),
        )
        if number % 13 == 0:
            await store.fleet.page(EndpointConditions(), limit=1)
    found = await store.fleet.page(EndpointConditions(), limit=100)
    assert {one.record.id: (one.uplink, one.downlink) for one in found} == latest


KELVIN = "20 \N{KELVIN SIGN}"
NAMED = [
    "GERÄT-1",
    "gerät-2",
    "Zähler *?[x]^$.\\(",
    "ΟΔΌΣ",
    "οδός",
    "straße",
    "STRAẞE",
    "20 \N{KELVIN SIGN}",
    "20 k",
    "İ",
]
SEARCHED = {
    "GERÄT": ["GERÄT-1", "gerät-2"],
    "erä": ["GERÄT-1", "gerät-2"],
    "geraet": [],
    "ÄHLER *?[X]^$.\\(": ["Zähler *?[x]^$.\\("],
    "*?[x]^": ["Zähler *?[x]^$.\\("],
    "?[X": ["Zähler *?[x]^$.\\("],
    "r*x": [],
    "Ä.L": [],
    "[a-z]hler": [],
    "ΌΣ": ["ΟΔΌΣ", "οδός"],  # the sigma at the end of a word is the same letter
    "δός": ["ΟΔΌΣ", "οδός"],
    "ẞE": ["STRAẞE", "straße"],
    "strasse": [],
    "20 K": [KELVIN, "20 k"],
    "i": ["GERÄT-1"],  # its address
    "İ": ["İ"],
    "ID-1": ["GERÄT-1"],
    "\0": [],
    "T-1\0": [],
    "ä" * 1000: [],
    "ä" * 1001: [],
    "*" * 100_000: [],
}


@pytest.mark.parametrize("text", SEARCHED)
async def test_a_text_is_found_whatever_the_case_of_its_letters(store: Store, text: str) -> None:
    """In all databases alike: each has its own idea of letters that are not English."""
    drafts = [Draft("other", "id-1" if name == "GERÄT-1" else f"{n}", name, ("x",)) for n, name in enumerate(NAMED)]
    await store.directory.add(drafts, None, lambda: 200.0)
    wanted = EndpointConditions(text=text, network="other")
    found = await store.fleet.page(wanted, limit=99)
    assert sorted(one.record.name for one in found) == sorted(SEARCHED[text])
    assert await store.fleet.count(wanted) == len(found)


def test_no_character_beyond_those_that_are_listed_has_a_case() -> None:
    beyond = map(chr, range(searching.CASED, sys.maxunicode + 1))
    assert all(one.casefold() == one == one.upper() for one in beyond)


def test_characters_that_are_the_same_are_the_same_for_each_of_them() -> None:
    listed = searching._alike()
    assert all(searching.folded(one) == common for common, alike in listed.items() for one in alike)


async def test_endpoints_are_filtered(store: Store, downlink: Make, uplink: Make) -> None:
    await store.directory.add(
        [Draft("other", "0102ABCDEF", "lora", ("thingsboard", "leshan"), enabled=False)], None, lambda: 200.0
    )
    await commit(store, downlink(store.next_id(), endpoint=4), uplink(store.next_id(), endpoint=5, received_at=500.0))
    await commit(store, RelayState(6, 0, registrations=REGISTRATIONS))
    await store.fleet.note([note(7, REFUSED), note(8, READY)])
    assert await names(store, EndpointConditions(network="other")) == ["lora"]
    assert await names(store, EndpointConditions(server="thingsboard")) == ["lora"]
    assert await names(store, EndpointConditions(enabled=False)) == ["lora"]
    assert await names(store, EndpointConditions(prefix="endpoint-3")) == ["3"]
    assert await names(store, EndpointConditions(text="2abc")) == ["lora"]
    assert await names(store, EndpointConditions(text="POINT-9")) == ["9"]
    assert await names(store, EndpointConditions(text="%")) == []
    assert await names(store, EndpointConditions(waiting=True)) == ["4"]
    assert await names(store, EndpointConditions(waiting=False, prefix="endpoint")) == list("12356789")
    assert await names(store, EndpointConditions(silent_since=499.0, prefix="endpoint-5")) == []
    assert await names(store, EndpointConditions(silent_since=500.0, prefix="endpoint-5")) == ["5"]
    assert await names(store, EndpointConditions(registered=True, now=1299.0)) == ["6"]
    assert await names(store, EndpointConditions(registered=True, now=1301.0)) == [], "its lifetime is over"
    assert len(await names(store, EndpointConditions(registered=False, now=1299.0))) == 9
    assert await names(store, EndpointConditions(provisioning=frozenset({State.FAILED, State.READY}))) == ["7", "8"]
    assert len(await names(store, EndpointConditions(provisioning=frozenset({State.WANTED})))) == 8
    assert await names(store, EndpointConditions(names=frozenset({"lora", "endpoint-2", "nobody"}))) == ["2", "lora"]
    assert await names(store, EndpointConditions(names=frozenset({"lora", "endpoint-2"}), network="net")) == ["2"]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NAME, "123456789"),
        (Order.ADDRESS, "123456789"),
        (Order.CREATED, "123456789"),
        (Order.UPLINK, "124567893"),
        (Order.DOWNLINK, "123467895"),
        (Order.WAITING, "123467895"),
    ],
)
async def test_endpoints_are_sorted_and_paged(
    store: Store, downlink: Make, uplink: Make, order: Order, expected: str, descending: bool
) -> None:
    await commit(store, downlink(store.next_id(), endpoint=5), uplink(store.next_id(), endpoint=3))
    expected = expected[::-1] if descending else expected
    assert await names(store, order=order, descending=descending) == [*expected]


async def test_a_word_about_provisioning_is_kept_with_the_time_since_when_it_holds(store: Store) -> None:
    (changed,) = await store.fleet.note([note(1, REFUSED)])
    assert (changed.name, changed.before, changed.after) == ("endpoint-1", State.WANTED, REFUSED)
    assert (await standing(store, 1)).provisioning == REFUSED
    assert await store.fleet.note([note(1, replace(REFUSED, since=70.0))]) == [], "it says the same"
    (changed,) = await store.fleet.note([note(1, Provisioning(State.FAILED, "no quota", 90.0, 120.0))])
    assert changed.after == Provisioning(State.FAILED, "no quota", 50.0, 120.0), (
        "it fails since then, for another reason"
    )
    (changed,) = await store.fleet.note([note(1, READY)])
    assert (changed.before, changed.after) == (State.FAILED, READY)
    assert (await standing(store, 1)).provisioning == READY


async def test_a_presumption_does_not_stand_against_a_word(store: Store) -> None:
    pending = Provisioning(State.PENDING, since=10.0)
    await store.fleet.note([note(1, READY), note(1, pending, unless_known=True), note(2, pending, unless_known=True)])
    assert (await standing(store, 1)).provisioning == READY
    assert (await standing(store, 2)).provisioning == pending


async def test_a_word_about_nobodys_device_is_not_kept(store: Store) -> None:
    assert await store.fleet.note([note(77, READY), ProvisioningNote("other", "device-1", READY)]) == []


async def test_an_endpoint_with_another_device_is_not_provisioned_yet(store: Store) -> None:
    await store.fleet.note([note(1, READY), note(2, READY)])
    first, second = (await standing(store, 1)).record, (await standing(store, 2)).record
    await store.directory.change(
        [(first, replace(first.draft(), device="new")), (second, replace(second.draft(), name="endpoint-20"))],
        lambda: 300.0,
    )
    assert (await standing(store, 1)).provisioning.state is State.WANTED
    assert (await standing(store, 20)).provisioning == READY


async def test_a_removed_endpoint_leaves_nothing_to_the_next_one(store: Store, uplink: Make) -> None:
    await store.fleet.note([note(1, READY)])
    await commit(store, uplink(store.next_id()))
    await store.directory.remove(1, lambda: 300.0)
    await store.directory.add([Draft("net", "device-1", "endpoint-1", ("leshan",))], None, lambda: 400.0)
    found = await standing(store, 1)
    assert (found.provisioning.state, found.uplink) == (State.WANTED, None)


async def test_endpoints_and_messages_under_way_are_counted(store: Store, downlink: Make, uplink: Make) -> None:
    await store.fleet.note([note(1, READY), note(2, REFUSED)])
    first, second = downlink(store.next_id()), downlink(store.next_id())
    await commit(store, first, second, uplink(store.next_id()), RelayState(6, 0, registrations=REGISTRATIONS))
    second.state, second.over, second.keep_until = DownlinkState.EXPIRED, True, 300.0
    await store.committed([Update.of(second)])
    counts = await store.fleet.counts(1100.0)
    assert counts.endpoints == {
        ("net", True, State.READY): 1,
        ("net", True, State.FAILED): 1,
        ("net", True, State.WANTED): 7,
    }
    assert (dict(counts.downlinks), counts.uplinks, counts.registered) == ({DownlinkState.QUEUED: 1}, 1, 1)
    assert (await store.fleet.counts(1500.0)).registered == 0
