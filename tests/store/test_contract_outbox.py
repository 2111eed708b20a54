"""The contract of a store: keys, the audit log, events for others and webhooks."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bindings.provisioning import ProvisioningState
from bridge.delivery.rows import Insert
from bridge.errors import StoreUnavailable
from bridge.store.access import ApiKey, AuditEntry, Role
from bridge.store.contract import Store
from bridge.store.fleet import Provisioning, ProvisioningNote
from bridge.store.outbox import DeadLetter, EventRow, Webhook
from bridge.store.sql import outbox

KEY = ApiKey(0, "a person", Role.OPERATE, b"d" * 32, 100.0, 900.0)
HOOK = Webhook(0, "https://one.example/", b"secret", ("message.outcome",), "end", 100.0, 0)


def event(kind: str = "message.outcome", name: str = "endpoint-1", at: float = 100.0) -> Insert:
    return Insert.of(EventRow(None, 1, at, kind, name, "{}"))


async def test_keys_are_stored_without_reuse_of_ids(store: Store) -> None:
    first, second = await store.access.add_key(KEY), await store.access.add_key(replace(KEY, role=Role.READ))
    assert (first.id, second.id) == (1, 2)
    assert await store.access.keys() == [first, second]
    assert await store.access.key(2) == second
    assert await store.access.key(3) is None


async def test_the_first_revocation_of_a_key_counts(store: Store) -> None:
    key = await store.access.add_key(KEY)
    assert await store.access.revoke(key.id, 200.0) == replace(key, revoked_at=200.0)
    assert await store.access.revoke(key.id, 300.0) == replace(key, revoked_at=200.0)
    assert await store.access.revoke(7, 300.0) is None


async def test_keys_and_webhooks_outlive_a_restart(stores: Any) -> None:
    first = await stores.open()
    key, hook = await first.access.add_key(KEY), await first.outbox.add_webhook(HOOK)
    await first.committed([event()])
    await first.close()
    second = await stores.open()
    assert await second.access.keys() == [key]
    assert await second.outbox.webhooks() == [hook]
    assert [one.id for one in await second.outbox.events(after=0, limit=9)] == [1]
    await second.close()


async def test_the_audit_log_is_read_backwards_and_forgets(store: Store) -> None:
    for at in (100.0, 200.0, 300.0):
        await store.access.note(AuditEntry(0, at, "a person (key 1)", "endpoint.remove", "e1", "done"))
    newest, older = await store.access.entries(limit=2)
    assert (newest.id, newest.at, older.id) == (3, 300.0, 2)
    assert [one.id for one in await store.access.entries(before=older.id, limit=9)] == [1]
    assert await store.access.forget_entries(250.0) == 2
    assert [one.id for one in await store.access.entries(limit=9)] == [3]


async def test_events_have_ids_in_the_order_of_commits_and_are_never_renumbered(store: Store) -> None:
    assert await store.outbox.bounds() == (1, 0)
    await store.committed([event(at=100.0)])
    await store.committed([event("registration.begun", "other", 200.0), event(at=300.0)])
    found = await store.outbox.events(after=0, limit=9)
    assert [(one.id, one.at, one.type) for one in found] == [
        (1, 100.0, "message.outcome"),
        (2, 200.0, "registration.begun"),
        (3, 300.0, "message.outcome"),
    ]
    assert [one.id for one in await store.outbox.events(after=1, limit=1)] == [2]
    assert [one.id for one in await store.outbox.events(after=0, limit=9, types=("registration.begun",))] == [2]
    assert [one.id for one in await store.outbox.events(after=0, limit=9, prefix="endpoint")] == [1, 3]
    assert await store.outbox.bounds() == (1, 3)
    assert await store.outbox.forget_events(400.0) == 3
    assert await store.outbox.bounds() == (4, 3)
    await store.committed([event()])
    assert await store.outbox.bounds() == (4, 4)


async def test_old_events_are_forgotten_in_parts_and_others_are_committed_between_these(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PART", 2)
    for number in range(1, 6):
        await store.committed([Insert.of(EventRow(None, 1, float(number), "a", "endpoint-1", "{}"))])
    forgetting = asyncio.ensure_future(store.outbox.forget_events(100.0))
    young = asyncio.ensure_future(store.committed([Insert.of(EventRow(None, 1, 100.0, "a", "endpoint-1", "{}"))]))
    await young
    assert await forgetting == 5
    assert await store.outbox.bounds() == (6, 6)
    assert await store.outbox.forget_events(100.0) == 0


async def test_old_events_are_forgotten_behind_those_of_a_clock_that_was_ahead(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PART", 2)
    for at in (9000.0, 9001.0, 9002.0, 1.0, 2.0, 9003.0, 3.0):
        await store.committed([Insert.of(EventRow(None, 1, at, "a", "endpoint-1", "{}"))])
    assert await store.outbox.forget_events(100.0) == 3
    assert [event.at for event in await store.outbox.events(after=0, limit=10)] == [9000.0, 9001.0, 9002.0, 9003.0]


async def test_events_of_an_endpoint_but_for_outcomes_are_read_backwards(store: Store) -> None:
    for number, (endpoint, kind) in enumerate([(1, "a"), (2, "a"), (1, "b"), (1, "a"), (1, "message.outcome")], 1):
        await store.committed([Insert.of(EventRow(None, endpoint, 100.0 + number, kind, f"endpoint-{endpoint}", "{}"))])
    assert [one.id for one in await store.outbox.events_of(1, limit=9)] == [4, 3, 1]
    assert [one.id for one in await store.outbox.events_of(1, limit=2)] == [4, 3]
    assert [one.id for one in await store.outbox.events_of(1, before=4, limit=9, types=("a",))] == [1]
    assert await store.outbox.events_of(3, limit=9) == []


async def test_an_event_is_not_there_without_what_it_tells_of(store: Store, downlink: Callable[..., Any]) -> None:
    id_ = store.next_id()
    await store.committed([Insert.of(downlink(id_))])
    with pytest.raises(StoreUnavailable):
        await store.committed([Insert.of(downlink(id_)), event()])  # there is one of this id
    assert await store.outbox.events(after=0, limit=9) == []


async def test_events_of_provisioning_are_committed_with_it(store: Store) -> None:
    refused = ProvisioningNote("net", "device-1", Provisioning(ProvisioningState.FAILED, "no quota", 50.0))
    await store.fleet.note([refused, refused], lambda told: [event("endpoint.provisioning", one.name) for one in told])
    (found,) = await store.outbox.events(after=0, limit=9)
    assert (found.type, found.name) == ("endpoint.provisioning", "endpoint-1")


async def test_a_webhook_is_told_of_what_comes_after_it(store: Store) -> None:
    await store.committed([event()])
    hook = await store.outbox.add_webhook(HOOK)
    assert (hook.id, hook.told) == (1, 1)
    later = replace(hook, told=5, failures=2, retry_at=400.0, trouble="answered 500")
    await store.outbox.keep_webhook(later)
    assert await store.outbox.webhooks() == [later]
    dead = DeadLetter(hook.id, 6, 500.0, "answered 500")
    await store.outbox.keep_webhook(replace(later, told=6, disabled=True), dead)
    assert await store.outbox.dead_letters(webhook=hook.id, limit=9) == [dead]
    assert await store.outbox.dead_letters(webhook=2, limit=9) == []


async def test_an_event_that_is_given_up_again_is_one_dead_letter(store: Store) -> None:
    """A delivery that was committed, and whose commit could not be told, is done again."""
    first, second = await store.outbox.add_webhook(HOOK), await store.outbox.add_webhook(HOOK)
    given_up = DeadLetter(first.id, 6, 500.0, "answered 500")
    again = replace(given_up, at=510.0, trouble="no answer within 15 s")
    await store.outbox.keep_webhook(second, replace(given_up, webhook=second.id))
    for letter in (given_up, DeadLetter(first.id, 7, 500.0, "answered 500"), again):
        await store.outbox.keep_webhook(first, letter)
    of_first = await store.outbox.dead_letters(webhook=first.id, limit=9)
    assert [(one.event, one.at, one.trouble) for one in of_first] == [
        (7, 500.0, "answered 500"),
        (6, 510.0, "no answer within 15 s"),
    ]
    of_both = await store.outbox.dead_letters(webhook=None, limit=9)
    assert [(one.event, one.webhook) for one in of_both] == [(7, 1), (6, 1), (6, 2)]
    assert await store.outbox.forget_events(505.0) == 0
    assert await store.outbox.dead_letters(webhook=None, limit=9) == [again]


async def test_the_state_of_a_webhook_changes_nothing_that_its_maker_chose(store: Store) -> None:
    hook = await store.outbox.add_webhook(HOOK)
    other = replace(hook, url="https://two.example/", secret=b"other", types=(), prefix="", created_at=1.0, told=7)
    await store.outbox.keep_webhook(other)
    assert await store.outbox.webhooks() == [replace(hook, told=7)]


async def test_a_removed_webhook_leaves_nothing_and_does_not_come_back(store: Store) -> None:
    hook = await store.outbox.add_webhook(HOOK)
    await store.outbox.keep_webhook(hook, DeadLetter(hook.id, 1, 500.0, "answered 500"))
    assert await store.outbox.remove_webhook(hook.id)
    assert not await store.outbox.remove_webhook(hook.id)
    await store.outbox.keep_webhook(replace(hook, told=9), DeadLetter(hook.id, 2, 500.0, "answered 500"))
    assert await store.outbox.webhooks() == []
    assert await store.outbox.dead_letters(webhook=None, limit=9) == []
