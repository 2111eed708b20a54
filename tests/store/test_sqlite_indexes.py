"""No question of a running service walks a table of messages: it grows with the ledger."""

import pytest

from bridge.delivery.states import DownlinkState
from bridge.directory.keys import ByDevice, ById, ByName, BySource
from bridge.store.sql.directory_rows import records_of, remove
from bridge.store.sql.endpoint_rows import rows_of
from bridge.store.sql.unfinished import live, uncertain
from bridge.store.sqlite import Reader


def plan(connection, question):
    """Return the steps by which SQLite answers each statement of `question` on `connection`."""
    statements = []
    connection.set_exec_trace(lambda _cursor, sql, values: statements.append((sql, values)) or True)
    question(connection)
    connection.set_exec_trace(None)
    asked = [(sql, values) for sql, values in statements if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert asked
    return [step for sql, values in asked for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


QUESTIONS = {
    "load": lambda connection: rows_of(connection, [1, 2], 100.0),
    "uncertain": lambda connection: uncertain(Reader(connection), -1),
    "live": lambda connection: live(Reader(connection), -1),
    "downlinks": lambda connection: Reader(connection).downlinks(endpoint=1, state=DownlinkState.SENT),
    "uplinks": lambda connection: Reader(connection).uplinks(endpoint=1),
    "has_uplink": lambda connection: Reader(connection).has_uplink(1, "k", b"d", 0.0, 1.0),
    "downlink_counts": lambda connection: Reader(connection).downlink_counts(1),
    "uplink_counts": lambda connection: Reader(connection).uplink_counts(1),
    "remove": lambda connection: remove(connection, 1, 100.0),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_questions_about_endpoints_are_answered_through_indexes(sqlite, name):
    steps = await sqlite.run(lambda connection: plan(connection, QUESTIONS[name]))

    assert any("uplink_live" in step or "downlink_live" in step for step in steps)
    assert not [step for step in steps if step in ("SCAN uplink", "SCAN downlink")]


async def test_the_events_of_an_endpoint_are_found_through_an_index(sqlite):
    steps = []
    ask = sqlite.reads.ask

    async def planned(work):
        steps.extend(await ask(lambda reader: plan(reader.connection, lambda _: work(reader))))
        return await ask(work)

    sqlite.reads.ask = planned
    await sqlite.outbox.events_of(1, before=9, limit=3, types=("registration.begun",))

    assert steps[0] == "SEARCH event USING INDEX event_of_endpoint (endpoint=? AND rowid<?)"
    assert not [step for step in steps if "SCAN event" in step or "TEMP B-TREE" in step]


KEYS = (ById(1), ByName("endpoint-1"), ByDevice("net", "device-1"), BySource("prefix", 1))


@pytest.mark.parametrize("key", KEYS)
async def test_an_endpoint_is_found_through_an_index(sqlite, key):
    steps = await sqlite.run(lambda connection: plan(connection, lambda c: records_of(c, [key])))

    assert not [
        step for step in steps if step.startswith("SCAN") and "json_each" not in step and "VIRTUAL TABLE" not in step
    ]
