"""The service and a network that takes few calls at once, or none: what is committed, who waits, what is shown."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw
import pytest

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.delivery.breaker import FAILURES
from bridge.delivery.states import DownlinkState
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding
from tests.waiting import until

MANY = 40


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedBinding, "capacity", 2)


@contextmanager
def ledger(kit: Kit) -> Iterator[apsw.Connection]:
    """Open the ledger beside the service, by the same SQLite: another one would drop the locks of the first."""
    connection = apsw.Connection(str(kit.config.database))
    try:
        connection.set_busy_timeout(5000)
        yield connection
    finally:
        connection.close()


def in_the_ledger(kit: Kit) -> dict[str, int]:
    """Count the downlinks on the disk by state, as they would be found after a kill."""
    with ledger(kit) as found:
        return dict(found.execute("SELECT state, count(*) FROM downlink GROUP BY state").fetchall())


@pytest.mark.usefixtures("two_at_once")
async def test_r07_what_cannot_be_handed_over_yet_is_still_queued(kit: Kit) -> None:
    kit.have_endpoints(MANY)
    async with kit.running() as service:
        kit.network.go.clear()
        await kit.ask_each(MANY)
        await until(lambda: in_the_ledger(kit) == {"SUBMITTING": 2, "QUEUED": MANY - 2})
        assert len(kit.network.attempts) == 2
        calls = service.parts.calls["net"]
        assert (calls.under_way, calls.waiting) == (2, MANY - 2)
        kit.network.go.set()
        await until(lambda: in_the_ledger(kit) == {"BUFFERED": MANY})
        assert (calls.under_way, calls.waiting) == (0, 0)
        asked = [attempt.device for attempt in kit.network.attempts]
        assert asked == [f"d{n}" for n in range(1, MANY + 1)]  # in the order in which they came


@pytest.mark.usefixtures("two_at_once")
async def test_r07_a_start_with_much_that_is_due_begins_no_more_calls_than_the_network_takes(kit: Kit) -> None:
    kit.have_endpoints(MANY)
    async with kit.running():
        kit.network.answer = lambda _attempt: Refused(Refusal.FAILED, "500")
        await kit.ask_each(MANY)
        await until(lambda: len(kit.network.attempts) == MANY)
    with ledger(kit) as changed:
        changed.execute("UPDATE downlink SET not_before = NULL, due = 1")
    async with kit.running() as service:
        kit.network.go.clear()
        await until(lambda: service.parts.calls["net"].waiting == MANY - 2)
        await until(lambda: in_the_ledger(kit) == {"SUBMITTING": 2, "QUEUED": MANY - 2})
        kit.network.go.set()
        await until(lambda: in_the_ledger(kit) == {"BUFFERED": MANY})


@pytest.mark.usefixtures("two_at_once")
async def test_a_call_whose_commit_fails_leaves_room_for_others(kit: Kit) -> None:
    kit.have_endpoints(3)
    async with kit.running() as service:
        await until(lambda: len(kit.network.provisioned) == 3)
        with ledger(kit) as changed:
            changed.execute(
                "CREATE TRIGGER no BEFORE UPDATE ON downlink WHEN NEW.state = 'SUBMITTING' OR NEW.state = 'QUEUED' "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            changed.execute("CREATE TRIGGER never BEFORE INSERT ON downlink BEGIN SELECT RAISE(ABORT, 'no'); END")
        await kit.ask_each(2)
        await until(lambda: service.metrics.value("failed_commits") >= 2)
        with ledger(kit) as changed:
            changed.execute("DROP TRIGGER no")
            changed.execute("DROP TRIGGER never")
        assert service.parts.calls["net"].under_way == 0
        await kit.ask_each(3)
        await until(lambda: in_the_ledger(kit) == {"BUFFERED": 3})


async def test_r08_an_outage_pauses_the_network_and_costs_no_message_its_outcome(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.delivery.breaker.FIRST_PAUSE", 0.3)
    monkeypatch.setattr("bridge.delivery.words.BACKOFF", 0.1)
    kit.have_endpoints(MANY)
    async with kit.running() as service:
        kit.network.answer = lambda _attempt: Refused(Refusal.NETWORK_UNAVAILABLE, "connection refused")
        kit.network.go.clear()
        await kit.ask_each(MANY)
        await until(lambda: service.parts.calls["net"].under_way + service.parts.calls["net"].waiting == MANY)
        kit.network.go.set()
        await until(lambda: service.metrics.value("network_pauses", network="net"))
        assert len(kit.network.attempts) < 32 + FAILURES  # those that were under way, and few more
        (waits, *_) = await service.explain(MANY)
        assert waits.why == "the network is down, and is called again later"
        assert waits.next_at is not None
        assert (await service.status()).networks["net"]["calls"]["waiting"] > 0
        kit.network.answer = lambda a: Accepted(f"h{a.downlink}", NetworkState.BUFFERED)
        await until(lambda: in_the_ledger(kit) == {"BUFFERED": MANY})
        assert {row.state for row in await kit.rows()} == {DownlinkState.BUFFERED}
