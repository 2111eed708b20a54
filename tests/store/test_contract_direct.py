"""The contract of a store: notes of requests that came by the API, found by their keys, kept like their messages."""

from typing import Any

import pytest

from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import DIRECT
from bridge.delivery.rows import Insert
from bridge.delivery.states import DownlinkState
from bridge.errors import StoreUnavailable
from bridge.store.contract import Store
from tests.store.conftest import make_downlink


def note(id_: int, endpoint: int = 1, idempotency_key: str | None = None, supersede_key: str | None = None) -> Insert:
    return Insert.of(DirectNote(id_, endpoint, 100.0, "a person (key 1)", idempotency_key, b"digest", supersede_key))


def message(id_: int, endpoint: int = 1, root: int | None = None, **given: Any) -> Insert:
    token = (root or id_).to_bytes(8, "big")
    return Insert.of(make_downlink(id_, endpoint, server=DIRECT, north_token=token, **given))


async def test_a_request_is_found_by_its_id_and_by_its_endpoints_key(store: Store) -> None:
    await store.committed([message(5), note(5, idempotency_key="k")], endpoint=1)
    await store.committed([message(6, 2), note(6, 2, "k")], endpoint=2)
    found = await store.direct.note(5)
    assert found is not None
    assert (found.id, found.endpoint, found.who, found.digest) == (5, 1, "a person (key 1)", b"digest")
    first, second = await store.direct.known(1, "k"), await store.direct.known(2, "k")
    assert [one and one.id for one in (first, second)] == [5, 6]
    assert await store.direct.known(1, "other") is None
    assert await store.direct.note(7) is None


async def test_a_note_is_kept_with_its_message_or_not_at_all(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.committed([note(5, idempotency_key="k"), message(5), message(5)], endpoint=1)
    assert await store.direct.known(1, "k") is None


async def test_those_that_wait_under_a_key_are_those_without_an_outcome(store: Store) -> None:
    over = {"state": DownlinkState.RESPONDED, "over": True, "finished_at": 150.0, "keep_until": 400.0}
    await store.committed(
        [
            *(message(3), note(3, supersede_key="k")),
            *(message(4, **over), note(4, supersede_key="k")),
            *(message(5), note(5, supersede_key="other")),
            *(message(6), note(6, supersede_key="k")),
        ],
        endpoint=1,
    )
    await store.committed([message(7, 2), note(7, 2, supersede_key="k")], endpoint=2)
    assert await store.direct.waiting(1, "k") == [3, 6]


async def test_the_parts_of_an_exchange_are_found_in_order(store: Store) -> None:
    rows = [message(5), message(6), message(8, root=5), message(7, root=5), Insert.of(make_downlink(9))]
    await store.committed(rows, endpoint=1)
    assert [one.id for one in await store.direct.parts(1, (5).to_bytes(8, "big"))] == [5, 7, 8]


async def test_a_note_goes_no_sooner_than_its_message(store: Store) -> None:
    over = {"state": DownlinkState.RESPONDED, "over": True, "finished_at": 150.0, "keep_until": 200.0}
    await store.committed([message(5, **over), note(5, idempotency_key="k")], endpoint=1)
    assert await store.direct.forget(90.0) == 0
    assert await store.direct.forget(1000.0) == 0
    assert await store.prune(1000.0) == 1
    assert await store.direct.known(1, "k") is not None
    assert await store.direct.forget(90.0) == 0
    assert await store.direct.forget(1000.0) == 1
    assert await store.direct.known(1, "k") is None


async def test_a_note_stays_while_any_message_of_its_exchange_does(store: Store) -> None:
    over = {"state": DownlinkState.RESPONDED, "over": True, "finished_at": 150.0, "keep_until": 200.0}
    await store.committed([message(5, **over), note(5, idempotency_key="k"), message(7, root=5)], endpoint=1)
    await store.committed([message(6, 2, **over), note(6, 2, "k"), message(8, 2, root=9)], endpoint=2)
    assert await store.prune(1000.0) == 2
    assert await store.direct.forget(1000.0) == 1
    found = await store.direct.known(1, "k")
    assert found is not None
    assert found.id == 5
    assert await store.direct.known(2, "k") is None


async def test_keys_outlive_a_restart(stores: Any) -> None:
    first = await stores.open()
    await first.committed([message(5), note(5, idempotency_key="k")], endpoint=1)
    await first.close()
    second = await stores.open()
    found = await second.direct.known(1, "k")
    assert found is not None
    assert found.id == 5
    await second.close()
