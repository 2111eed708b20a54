"""No question of a running service walks a table of messages: it grows with the ledger."""

import pytest

from bridge.delivery.ledger import DownlinkState
from bridge.store.sqlite import Reader
from bridge.store.sqlite.directory import remove


async def plans(store, connection, question):
    """Give the steps by which SQLite answers each statement of `question` on `connection`."""
    statements = []
    connection.set_exec_trace(lambda _cursor, sql, values: statements.append((sql, values)) or True)
    await question()
    connection.set_exec_trace(None)
    asked = [(sql, values) for sql, values in statements if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert asked
    return [step for sql, values in asked for *_, step in store.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


QUESTIONS = {
    "load": lambda store: store.load(1, 100.0),
    "due_endpoints": lambda store: list(store.due_endpoints()),
    "live_endpoints": lambda store: list(store.live_endpoints()),
    "uncertain_endpoints": lambda store: list(store.uncertain_endpoints()),
    "downlinks": lambda store: Reader(store.connection).downlinks(endpoint=1, state=DownlinkState.SENT),
    "uplinks": lambda store: Reader(store.connection).uplinks(endpoint=1),
    "has_uplink": lambda store: Reader(store.connection).has_uplink(1, "k", b"d", 0.0, 1.0),
    "downlink_counts": lambda store: Reader(store.connection).downlink_counts(1),
    "uplink_counts": lambda store: Reader(store.connection).uplink_counts(1),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_questions_about_endpoints_are_answered_through_indexes(store, name):
    async def question():
        QUESTIONS[name](store)

    steps = await plans(store, store.connection, question)

    assert any("uplink_live" in step or "downlink_live" in step for step in steps)
    assert not [step for step in steps if step in ("SCAN uplink", "SCAN downlink")]


async def test_an_endpoint_is_removed_through_indexes(store):
    steps = await plans(store, store._writing, lambda: store.run(lambda c: remove(c, 1, 100.0)))

    assert [step for step in steps if "link_live" in step]
    assert not [step for step in steps if step in ("SCAN uplink", "SCAN downlink")]
