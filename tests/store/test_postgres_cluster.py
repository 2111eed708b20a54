"""Several nodes on one ledger in PostgreSQL: leases, epochs, fenced commits, ids that rise in each shard."""

import asyncio
import contextlib
import threading
import time
from dataclasses import replace

import pytest

from bindings.contract import Post
from bridge.cluster.agreement import NOTHING_SAID, Agreement
from bridge.cluster.requests import OwnerRequest
from bridge.delivery.rows import Insert
from bridge.directory import Draft
from bridge.directory.keys import ById
from bridge.errors import ConfigurationError, LedgerInUse, NotFound, StoreUnavailable
from bridge.quota.allotment import Claim, key_of
from bridge.quota.limits import Per, Quota
from bridge.quota.pairs import NONE
from bridge.quota.periods import Period
from bridge.store.access import ApiKey, Role
from bridge.store.outbox import EventRow
from bridge.store.sql import directory_rows as rows, loads
from bridge.store.sql.connection import value_of
from bridge.store.sql.migrations import Migration
from tests.store.postgres_server import PostgresServer
from tests.store.stores import postgres_server
from tests.waiting import until

pytest.importorskip("psycopg")

import psycopg

from bridge.store.postgres import PostgresStore, membership, quota_rows, schema
from bridge.store.postgres.cluster import NodeStore
from bridge.store.postgres.ingress import PostgresIngress

SPAN = 60.0  # seconds: longer than any pause of a busy machine; a test that needs the end of a lease brings it about
RENEW = 0.6
LOCK_TIMEOUT = 10.0  # seconds, of any other session


@pytest.fixture
def where():
    return postgres_server().schema()


@pytest.fixture
async def join(where):
    """Return a function that makes a node join; what it has lost is in `join.lost`."""
    nodes, lost = [], []

    def made(name, span=SPAN, wait=0.0, agreement=NOTHING_SAID):
        node = NodeStore.join(where, name, span, RENEW, lambda: lost.append(name), wait, agreement)
        nodes.append(node)
        return node

    schema = where.rpartition("search_path=")[2]
    made.sql = lambda statement: postgres_server().sql(f"SET search_path = {schema}; {statement}")
    made.lost = lost
    yield made
    for node in nodes:
        await node.close()


async def test_a_key_that_is_made_or_revoked_at_one_node_counts_at_all_of_them(join):
    a, b = join("a"), join("b")
    key = await a.access.add_key(ApiKey(0, "night shift", Role.OPERATE, b"digest", 100.0))
    assert await b.access.key(key.id) == key
    assert await b.access.keys() == [key]
    await a.access.revoke(key.id, 200.0)
    assert await b.access.key(key.id) == replace(key, revoked_at=200.0)
    another = await a.access.add_key(replace(key, id=0))
    assert await b.access.key(another.id) == another
    assert await b.access.key(another.id + 1) is None


def end_session(node):
    postgres_server().sql(f"SELECT pg_terminate_backend({node._writing.backend}, 5000)")


def silence(node):
    """Let a node renew its lease no more, as if its process hung."""
    node._ended.set()


async def lease_ends(join, node, after):
    """Silence a node, and let its lease end after so many seconds."""
    silence(node)
    await node.committed(())  # what it renewed before has been committed
    join.sql(f"UPDATE node SET until = clock_timestamp() + interval '{after} s' WHERE name = '{node._membership.node}'")


def hangs_in_transaction(node):
    """Let a node hang when its next transaction has made its changes.

    Return an event that is set then, and one that ends it.
    """
    hung, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    change = node._transactions.change

    def hang(changes):
        change(changes)
        loop.call_soon_threadsafe(hung.set)
        assert go_on.wait(60)

    node._transactions.change = hang
    return hung, go_on


async def kept(node, row):
    """Return whether a commit of a row is kept."""
    try:
        await node.committed([Insert.of(row)], endpoint=row.endpoint, shard=row.shard)
    except StoreUnavailable:
        return False
    return True


async def test_from_its_join_on_a_node_says_below_which_ids_it_gives_none(join):
    """Else readers take larger ids of other nodes for settled before its first commit."""
    a = join("a")
    first = value_of(a._asking, "SELECT first_id FROM node")
    assert 0 < first <= a.next_id()


async def test_nodes_hold_different_shards_and_commit_to_their_own_alone(join, downlink):
    a, b = join("a"), join("b")
    assert await a.take([0, 1]) == {0: 1, 1: 1}
    assert await b.take([1, 2]) == {2: 1}, "1 is another node's"
    assert await kept(a, downlink(a.next_id(), shard=1))
    assert not await kept(b, downlink(b.next_id(), shard=1))
    assert await kept(b, downlink(b.next_id(), shard=2))
    assert not await kept(a, downlink(a.next_id(), shard=3)), "nobody's"
    view = await a.view()
    assert [view.holder(shard) for shard in range(4)] == ["a", "a", "b", ""]
    assert [*view.nodes] == ["a", "b"]
    assert all(0 < node.left <= SPAN for node in view.nodes.values())


async def test_a_node_that_stops_is_seen_to_leave_whatever_else_it_is_asked(join):
    a, b = join("a"), join("b")
    await b.drain("b", on=True)
    assert (await a.view()).staying == ["a", "b"]
    await a.leaving()
    await b.drain("a", on=False)
    view = await b.view()
    assert view.staying == ["b"]
    assert [(node.draining, node.leaving) for node in view.nodes.values()] == [(True, True), (True, False)]
    await a.unfit(on=True)
    assert not (await b.view()).nodes["a"].unfit, "it leaves"


async def test_a_node_that_can_serve_no_shard_is_seen_as_such_until_it_can(join):
    a, b = join("a"), join("b")
    await a.unfit(on=True)
    assert [node.unfit for node in (await b.view()).nodes.values()] == [True, False]
    await a.unfit(on=False)
    await b.drain("a", on=True)
    await a.unfit(on=True)
    assert [(node.draining, node.unfit) for node in (await b.view()).nodes.values()] == [(True, False), (False, False)]


async def test_the_shards_that_a_node_cannot_serve_are_seen_until_it_starts_anew(join):
    a, b = join("a"), join("b")
    await a.failing(2, "shard 7: it ended with 1")
    node = (await b.view()).nodes["a"]
    assert (node.failing, node.failing_why, node.unfit) == (2, "shard 7: it ended with 1", False)
    await lease_ends(join, a, 0.0)
    join("a")
    node = (await b.view()).nodes["a"]
    assert (node.failing, node.failing_why) == (0, "")


async def test_the_endpoints_of_a_shard_are_found_by_an_index(join):
    a = join("a")
    question = f"EXPLAIN {rows.SELECT} WHERE e.shard = ? AND e.id > ? ORDER BY e.id LIMIT ?"

    def explained(connection):
        connection.execute("SET LOCAL enable_seqscan = off")
        return [line for (line,) in connection.execute(question, (7, 0, 500)).fetchall()]

    plan = await a.run(explained)
    assert any("Index Scan using endpoint_by_shard" in line for line in plan), plan


async def test_a_lost_shard_fails_its_own_commits_and_no_others(join, downlink):
    """Also in one group, and in any order."""
    a = join("a")
    await a.take([0, 1])
    rows = [downlink(a.next_id(), endpoint=10 + number, shard=number % 2) for number in range(6)]
    join.sql("UPDATE shard SET epoch = epoch + 1 WHERE id = 1")
    results = await asyncio.gather(*(kept(a, row) for row in rows))
    assert results == [True, False] * 3
    assert {row.id for row in await a.reads.downlinks()} == {row.id for row in rows[::2]}


async def test_what_follows_a_refused_commit_of_an_endpoint_is_not_kept_either(join, downlink):
    a = join("a")
    await a.take([0])
    first = a.committed([Insert.of(downlink(a.next_id(), endpoint=5, shard=9))], endpoint=5, shard=9)
    second = a.committed([Insert.of(downlink(a.next_id(), endpoint=5, shard=0))], endpoint=5, shard=0)
    assert [type(one) for one in await asyncio.gather(first, second, return_exceptions=True)] == [StoreUnavailable] * 2


async def test_a_shard_that_is_released_is_taken_with_a_new_epoch_and_larger_ids(join, downlink):
    a, b = join("a"), join("b")
    await a.take([7])
    given = [a.next_id() for _ in range(5)]
    assert await kept(a, downlink(given[-1], shard=7))
    await a.release(7, 1)
    assert not await kept(a, downlink(a.next_id(), shard=7))
    assert await b.take([7]) == {7: 2}
    later = b.next_id()
    assert later > max(given)
    assert await kept(b, downlink(later, shard=7))
    await b.release(7, 2)
    assert await a.take([7]) == {7: 3}
    assert a.next_id() > later, "a goes on above the ids that b has given, not with the rest of its own"


async def test_a_shard_can_be_released_again_after_its_release_failed(join):
    """Else it is this node's in the ledger for ever, and nobody's in truth."""
    a, b = join("a"), join("b")
    await a.take([7])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.store.postgres.shard_rows.release", _no_answer)
        with pytest.raises(StoreUnavailable):
            await a.release(7, 1)
    assert await b.take([7]) == {}
    await a.release(7, 1)
    assert await b.take([7]) == {7: 2}


async def test_a_shard_can_be_taken_again_after_a_take_found_the_nodes_row_locked(join, where):
    a = join("a")
    await a._ask(lambda: a._asking.execute("SET lock_timeout = '50ms'"))
    with psycopg.connect(where) as other:
        other.execute("SELECT 1 FROM node WHERE name = 'a' FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await a.take([7])
    assert await a.take([7]) == {7: 1}


async def test_a_read_that_began_before_a_shard_was_taken_is_repeated(join, downlink, monkeypatch):
    """The former holder may have committed since: its last changes belong to the state that the next one loads."""
    a, b = join("a"), join("b")
    (record,) = await a.directory.add([Draft("net", "d", "e", ("s",))], None, time.time)
    await a.take([record.shard])
    read_once, go_on = threading.Event(), threading.Event()
    read = loads.read

    def slow(*given):
        answer = read(*given)
        read_once.set()
        assert go_on.wait(60)
        return answer

    monkeypatch.setattr(loads, "read", slow)
    found = asyncio.get_running_loop().create_future()
    b.load(ById(record.id), time.time(), lambda there, _error: found.set_result(there))
    await asyncio.to_thread(read_once.wait)
    row = downlink(a.next_id(), endpoint=record.id, shard=record.shard)
    assert await kept(a, row)
    await a.release(record.shard, 1)
    assert await b.take([record.shard]) == {record.shard: 2}
    go_on.set()
    assert [one.id for one in (await found).kept.downlinks] == [row.id]


@pytest.fixture
def next_release(monkeypatch):
    """Return a function that makes nodes, from then on, of a release that adds a column."""

    def begin():
        known = schema.migrations()
        step = Migration(len(known) + 1, "next", "ALTER TABLE downlink ADD COLUMN next INTEGER NOT NULL DEFAULT 0")
        monkeypatch.setattr(schema, "migrations", lambda: (*known, step))

    return begin


async def test_nodes_of_the_release_before_go_on_after_an_upgrade_of_the_schema(
    join, downlink, next_release, monkeypatch
):
    """Each is then replaced by one of the new release; another one of the old release cannot start any more."""
    a = join("a")
    await a.take([7, 8])
    old = schema.migrations
    assert await kept(a, downlink(a.next_id(), shard=7))
    next_release()
    b = join("b")
    assert await kept(a, downlink(a.next_id(), shard=7))
    await a.release(8, 1)
    await b.take([8])
    assert await kept(b, downlink(b.next_id(), shard=8))
    assert len(await a.reads.downlinks()) == len(await b.reads.downlinks()) == 3
    monkeypatch.setattr(schema, "migrations", old)
    with pytest.raises(ConfigurationError, match="run the newer release"):
        join("c")
    assert await kept(a, downlink(a.next_id(), shard=7))


@pytest.fixture
def releases(monkeypatch):
    """Return a function that makes nodes, from then on, of the release with so many of two more steps.

    The first one expands the schema, the second one contracts it: nodes before the first one cannot write then.
    """
    known = schema.migrations()
    expand = Migration(len(known) + 1, "expand", "ALTER TABLE downlink ADD COLUMN next INTEGER NOT NULL DEFAULT 0")
    contract = Migration(
        len(known) + 2,
        "contract",
        f"-- needs: {len(known) + 1}\nALTER TABLE downlink ALTER COLUMN next DROP DEFAULT",
    )

    def begin(more):
        steps = (*known, expand, contract)[: len(known) + more]
        for module in (schema, membership):
            monkeypatch.setattr(module, "migrations", lambda: steps)

    return begin


def version(where):
    with psycopg.connect(where) as connection:
        return connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]


async def test_a_release_is_not_skipped_while_nodes_run_that_need_what_it_takes_away(join, downlink, releases, where):
    """Nothing is changed then; release after release, the same step is made while the nodes before go on."""
    a = join("a")
    await a.take([7])
    before = version(where)
    releases(2)
    with pytest.raises(ConfigurationError, match=r"node 'a' uses \(release .*one after the other, or stop all nodes"):
        join("c")
    assert version(where) == before
    assert await kept(a, downlink(a.next_id(), shard=7))

    releases(1)
    join("b")
    assert await kept(a, downlink(a.next_id(), shard=7))
    releases(2)
    with pytest.raises(ConfigurationError, match="node 'a' uses"):
        join("c")
    await a.close()
    join("c")
    assert version(where) == before + 2


async def test_a_release_may_be_skipped_when_no_node_runs(join, releases):
    a = join("a")
    await a.close()
    releases(2)
    join("b")


async def test_a_node_that_does_not_say_what_it_knows_is_taken_for_one_that_needs_all(join, releases):
    """Such as one of a release before nodes said so; also one whose lease is not over yet."""
    a = join("a")
    join.sql("UPDATE node SET agreement = ''")
    releases(2)
    with pytest.raises(ConfigurationError, match="node 'a' uses"):
        join("b")
    await lease_ends(join, a, 0.0)
    join("b")


async def test_an_upgrade_that_waits_for_a_lock_does_not_cost_the_other_nodes_their_leases(
    join, downlink, next_release, where
):
    a = join("a")
    await a.take([7])
    next_release()
    with psycopg.connect(where) as other:
        other.execute("SELECT count(*) FROM downlink")  # a long report, say: its transaction is not over
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            join("b")
        assert time.monotonic() - began < LOCK_TIMEOUT, "commits of other nodes wait behind it"
        assert await kept(a, downlink(a.next_id(), shard=7))
    b = join("b")
    assert [*(await b.view()).nodes] == ["a", "b"]


async def test_a_commit_under_way_is_waited_for_or_refused(join, downlink):
    """Whoever takes a shard never overtakes a transaction that has locked its row."""
    a, b = join("a"), join("b")
    await a.take([7])
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    change = a._transactions.change

    def slow(changes):
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(60)
        change(changes)

    a._transactions.change = slow
    committing = asyncio.create_task(kept(a, downlink(a.next_id(), shard=7)))
    await begun.wait()
    join.sql("UPDATE node SET until = clock_timestamp() - interval '1 s', backend = 0 WHERE name = 'a'")
    taking = asyncio.create_task(b.take([7]))
    done, _ = await asyncio.wait({taking}, timeout=0.3)
    assert not done, "the transaction of a is under way"
    go_on.set()
    assert not await committing
    assert await taking == {7: 2}


async def test_a_node_that_is_silent_loses_its_shards_when_its_lease_is_over(join, downlink):
    a, b = join("a"), join("b")
    await a.take([7])
    await lease_ends(join, a, 1.0)
    asked_at = time.monotonic()
    left = (await b.view()).nodes["a"].left
    taken = {}
    while not taken:
        taken = await b.take([7])
        await asyncio.sleep(0.1)
    assert taken == {7: 2}
    assert time.monotonic() - asked_at >= left - 0.1, "two clocks"
    assert not await kept(a, downlink(a.next_id(), shard=7)), "perhaps since its session is over"
    assert not await kept(a, downlink(a.next_id(), shard=7))
    assert set(join.lost) == {"a"}, "it must end"
    with pytest.raises(StoreUnavailable):
        await a.take([8])


async def test_a_hung_transaction_of_a_node_that_is_over_is_ended(join, downlink):
    a, b = join("a"), join("b")
    await a.take([7])
    hung, go_on = hangs_in_transaction(a)
    row = downlink(a.next_id(), shard=7)
    committing = asyncio.create_task(kept(a, row))
    await hung.wait()
    join.sql("UPDATE node SET until = clock_timestamp() - interval '1 s' WHERE name = 'a'")
    assert await b.take([7]) == {7: 2}
    go_on.set()
    assert not await committing
    assert await b.reads.downlink(row.id) is None


async def test_a_node_that_hangs_while_it_takes_shards_is_replaced_as_any_other(join):
    """The node has locked the shards, and its own row, in a session that no other node knows of."""
    a, b = join("a"), join("b")
    await a.take([7])

    def hang():
        a._asking.execute("BEGIN")
        a._asking.execute("SELECT 1 FROM node WHERE name = 'a' FOR SHARE")
        a._asking.execute("SELECT 1 FROM shard WHERE id = 7 FOR UPDATE")

    await lease_ends(join, a, 0)
    await a._ask(hang)
    assert await b.take([7]) == {7: 2}
    with pytest.raises(StoreUnavailable):
        await a.take([8])


async def test_a_node_that_hangs_in_a_transaction_costs_no_other_node_its_lease(join):
    """Nodes share the row that numbers events: who writes one waits for the transaction that did so before."""
    a, b = join("a", span=10.0), join("b", span=10.0)
    hung, go_on = hangs_in_transaction(a)
    event = Insert.of(EventRow(None, 1, 100.0, "message.outcome", "e1", "{}"))
    committing = a.committed([event])
    await hung.wait()
    try:
        with contextlib.suppress(StoreUnavailable):  # not where the server ends the hung transaction
            await b.committed([event])
        assert join.lost == []
        await b.committed(())
    finally:
        go_on.set()
    with contextlib.suppress(StoreUnavailable):
        await committing
    await b.committed([event])
    assert join.lost == []


async def test_a_node_whose_settings_must_be_alike_and_are_not_is_refused_with_both_values_and_the_cure(join, caplog):
    """What may differ while nodes are changed one after the other is only told."""
    prefix = "[north] prefixes"
    a = join("a", agreement=Agreement({prefix: "10.64.0.0/16"}, {"[north] port": "1"}))
    with pytest.raises(ConfigurationError, match=r"beside node 'a'.*10\.65\.0\.0/16 here and 10\.64.*stop all nodes"):
        join("b", agreement=Agreement({prefix: "10.65.0.0/16"}))
    assert [*(await a.view()).nodes] == ["a"]
    assert a._transactions._ownership.holds
    join("b", agreement=Agreement({prefix: "10.64.0.0/16"}, {"[north] port": "2"}))
    assert "[north] port is 2 here and 1 there; make both alike" in caplog.text
    caplog.clear()
    for _ in range(2):  # it waits for the name
        with pytest.raises(LedgerInUse):
            join("b", agreement=Agreement({prefix: "10.64.0.0/16"}, {"[north] port": "3"}))
    assert "make both alike" not in caplog.text, "said once, by the node that has joined"
    join("of the release before")  # it says nothing of itself

    await a.agree(Agreement({prefix: "10.66.0.0/16"}))  # as after a reload
    with pytest.raises(ConfigurationError, match=r"node 'a'.*10\.64\.0\.0/16 here and 10\.66"):
        join("c", agreement=Agreement({prefix: "10.64.0.0/16"}))
    await a.close()  # a node that is not there any more has no say
    join("c", agreement=Agreement({prefix: "10.64.0.0/16"}))


async def test_two_nodes_cannot_have_one_name(join, downlink):
    a = join("a")
    await a.take([7])
    with pytest.raises(LedgerInUse, match="a node called 'a' is in the cluster: give each one its own name"):
        join("a")
    await lease_ends(join, a, 0.0)
    second = join("a")
    assert (await second.view()).holder(7) == "", "its predecessor's shards are free"
    assert not await kept(a, downlink(a.next_id(), shard=7)), "perhaps since its session is over"
    assert not await kept(a, downlink(a.next_id(), shard=7))
    assert set(join.lost) == {"a"}
    assert await second.take([7]) == {7: 2}
    assert await kept(second, downlink(second.next_id(), shard=7))


def _no_answer(*_):
    raise psycopg.OperationalError("the connection is lost")


async def test_a_session_that_was_ended_is_replaced_and_the_shards_stay(join, downlink):
    a = join("a")
    await a.take([7])
    end_session(a)
    await until(lambda: a._transactions._ownership.holds, 60, why="there is no new session")
    assert await kept(a, downlink(a.next_id(), shard=7))
    assert join.lost == []
    assert (await a.view()).holder(7) == "a"


async def loaded(node, endpoint):
    """Load an endpoint that is not there. Raises StoreUnavailable."""
    found = asyncio.get_running_loop().create_future()
    node.load(ById(endpoint), time.time(), lambda _there, error: found.set_result(error))
    error = await found
    if error is not None:
        raise error


async def test_after_a_restart_of_the_server_the_first_of_each_kind_of_operation_succeeds(downlink):
    """The sessions of a node are over and it does not know: nothing was sent into them since."""
    postgres_server()
    server = PostgresServer()
    where = server.schema()
    a, ingress = NodeStore.join(where, "a", SPAN, RENEW, lambda: None), PostgresIngress(where)
    await a.take([7])
    row = downlink(a.next_id(), shard=7)
    operations = (
        lambda: a.committed([Insert.of(row)], endpoint=row.endpoint, shard=7),
        lambda: a.reads.downlink(row.id),
        lambda: loaded(a, row.endpoint),
        a.view,
        lambda: a.drain("a", on=False),
        lambda: a.owner_requests.ask(OwnerRequest(7, "x", b"{}", "somebody"), 1.0),
        lambda: ingress.keep("net", Post("", "", b"{}"), 7),
        lambda: ingress.note("net", "path"),
    )
    for operation in operations:
        await operation()
    silence(a)
    await a.committed(())  # what it renewed before has been committed
    await asyncio.to_thread(server.stop_server)
    await asyncio.to_thread(server.start)
    row = downlink(a.next_id(), shard=7)
    for operation in operations:
        await operation()
    assert await a.reads.downlink(row.id) is not None
    for one in (ingress, a):
        await one.close()
    await asyncio.to_thread(server.stop)


async def test_a_transaction_whose_session_ends_before_commit_is_repeated_once(join, downlink):
    """Nothing of it can have been kept; a COMMIT without an answer is another matter (test_postgres.py)."""
    a = join("a")
    await a.take([7])
    change, ended = a._transactions.change, []

    def end(changes):
        change(changes)
        if not ended:
            ended.append(a._writing.backend)
            postgres_server().sql(f"SELECT pg_terminate_backend({ended[0]}, 5000)")

    silence(a)
    await a.committed(())
    a._transactions.change = end
    row = downlink(a.next_id(), shard=7)
    assert await kept(a, row)
    assert ended
    assert [one.id for one in await a.reads.downlinks()] == [row.id], "once"
    assert a._transactions.resolved == 0, "no COMMIT was in doubt"


async def test_a_bridge_without_a_cluster_and_nodes_keep_each_other_out(where, join):
    alone = PostgresStore.open(where, wait=0.0)
    with pytest.raises(LedgerInUse, match=r"a bridge without \[cluster\] uses the database"):
        join("a")
    await alone.close()
    a = join("a")
    await a.take([7])
    with pytest.raises(LedgerInUse, match="in use by another bridge"):
        PostgresStore.open(where, wait=0.0)
    await a.close()
    again = PostgresStore.open(where, wait=0.0)
    await again.close()


async def test_a_bridge_without_a_cluster_that_takes_the_ledger_ends_what_nodes_had(where, join, downlink):
    """Their sessions can be over without their knowledge."""
    a = join("a")
    await a.take([7])
    silence(a)
    end_session(a)
    alone = PostgresStore.open(where, wait=60.0)
    assert not await kept(a, downlink(a.next_id(), shard=7))
    assert not await kept(a, downlink(a.next_id(), shard=7))
    assert join.lost
    await alone.close()


async def test_a_node_that_leaves_is_gone_at_once(join):
    a, b = join("a"), join("b")
    await a.take([7])
    await a.close()
    view = await b.view()
    assert [*view.nodes] == ["b"]
    assert view.holder(7) == ""
    assert await b.take([7]) == {7: 2}


async def test_a_node_is_asked_to_drain(join):
    a, b = join("a"), join("b")
    await a.drain("b", on=True)
    assert (await b.view()).nodes["b"].draining
    await b.drain("b", on=False)
    assert not (await a.view()).nodes["b"].draining
    with pytest.raises(NotFound, match="no node 'c'"):
        await a.drain("c", on=True)


async def test_a_note_of_a_device_is_written_by_the_node_that_has_its_shard(join, where):
    a, b = join("a"), join("b")
    (record,) = await a.directory.add([Draft("net", "d", "e", ("s",))], None, time.time)
    await a.take([record.shard])
    await a.memories.of("net").put("k", b"1", "d")
    with pytest.raises(StoreUnavailable):
        await b.memories.of("net").put("k", b"2", "d")
    await b.memories.of("net").put("of all", b"3")
    assert [item async for item in a.memories.of("net").items()] == [("k", b"1"), ("of all", b"3")]
    assert [item async for item in b.memories.of("net").items()] == [("of all", b"3")], "of its own devices"


async def test_a_note_of_a_removed_endpoints_device_stays_in_the_endpoints_shard(join):
    """What is left to do at the network is done by the next holder: its note is written until then."""
    a = join("a")
    drafts = [Draft("net", "other", "other", ("s",)), Draft("net", "d", "e", ("s",))]
    _, record = await a.directory.add(drafts, None, time.time)
    assert record.shard, "the test shows nothing"
    await a.take([record.shard])
    memory = a.memories.of("net")
    await memory.put("k", b"1", "d")
    await a.directory.remove(record.id, time.time)
    await memory.put("k", b"2", "d")
    assert [item async for item in memory.items()] == [("k", b"2")]
    await a.release(record.shard, 1)
    assert [item async for item in memory.items()] == []
    b = join("b")
    await b.take([record.shard])
    assert [item async for item in b.memories.of("net").items()] == [("k", b"2")]


async def test_an_endpoint_is_changed_and_removed_by_the_holder_of_its_shard_alone(join, downlink):
    """A node that began with that when it held the shard would end messages that the next holder goes on with."""
    a, b = join("a"), join("b")
    drafts = [Draft("net", "d", "e", ("s",)), Draft("net", "d2", "e2", ("s",))]
    first, second = await a.directory.add(drafts, None, time.time)
    await a.take([first.shard, second.shard])
    await a.release(first.shard, 1)
    await b.take([first.shard])
    row = downlink(b.next_id(), endpoint=first.id, shard=first.shard)
    assert await kept(b, row)
    changed = [(one, replace(one.draft(), enabled=False)) for one in (first, second)]
    with pytest.raises(StoreUnavailable, match="another node serves the shard"):
        await a.directory.remove(first.id, time.time, first.shard)
    with pytest.raises(StoreUnavailable, match="another node serves the shard"):
        await a.directory.change(changed, time.time)
    page = await a.directory.page(network=None, server=None, enabled=None, prefix="", after="", limit=9)
    assert page == [first, second]
    assert not (await b.reads.downlink(row.id)).over
    (after,) = await a.directory.change(changed[1:], time.time)
    assert not after.enabled
    await b.directory.remove(first.id, time.time, first.shard)
    assert (await a.reads.downlink(row.id)).over


async def test_endpoints_that_two_nodes_add_at_once_get_ids_of_their_own(join):
    nodes = [join("a"), join("b")]
    drafts = [[Draft("net", f"{n} {k}", f"{n} {k}", ("s",)) for k in range(20)]
              for n in range(2)]  # fmt: skip
    made = await asyncio.gather(
        *(node.directory.add([draft], None, time.time) for node, some in zip(nodes, drafts, strict=True)
          for draft in some)
    )  # fmt: skip
    assert sorted(record.id for (record,) in made) == [*range(1, 41)]


async def test_the_unfinished_of_some_shards_are_found(join, downlink):
    a = join("a")
    await a.take(range(4))
    for shard in range(4):
        assert await kept(a, downlink(a.next_id(), endpoint=100 + shard, shard=shard))
    found = {endpoint async for part in a.unfinished([1, 3]) for endpoint in part}
    assert found == {101, 103}
    assert {endpoint async for part in a.unfinished() for endpoint in part} == {100, 101, 102, 103}


QUOTA = Quota("plan", "net", Per.NETWORK, Period.WEEK, messages=20, bytes=1000, reserve=0.0)
KEY = key_of(QUOTA, "")


def asks(starts, used=0, waiting=0, further=0, kept=0, **more):
    """Return a request of a node whose messages have 10 bytes."""
    kept = kept, 10 * kept
    return Claim(
        KEY, QUOTA, starts, (used, 10 * used), NONE, kept, kept, (waiting, 10 * waiting), 10 if waiting else None,
        further=(further, 10 * further), **more,
    )  # fmt: skip


async def test_all_nodes_together_are_given_no_more_of_a_quota_than_there_is(join):
    a, b = join("a"), join("b")
    (first,) = await a.allot([asks(0, waiting=8, further=100)])
    assert first.all[0] == 14, "half of what is left can be had in advance"
    assert 0 < first.left <= 7 * 86400
    (second,) = await b.allot([asks(0, waiting=10)])
    assert second.all[0] == 6
    (third,) = await a.allot([asks(first.starts, used=9, kept=9)])
    assert third.all == (9, 90)
    assert third.elsewhere == (0, 0), "b has said nothing of what it used"
    (fourth,) = await b.allot([asks(first.starts, used=6, kept=6, waiting=9)])
    assert (fourth.all[0], fourth.elsewhere) == (11, (9, 90))


async def test_many_requests_at_one_time_are_answered_one_after_the_other(join):
    nodes = [join(name) for name in "abc"]
    given = await asyncio.gather(*(node.allot([asks(0, waiting=9)]) for node in nodes))
    assert sorted(answer.all[0] for (answer,) in given) == [2, 9, 9]


async def test_a_request_that_comes_late_over_a_broken_connection_changes_nothing(join):
    """What a later request was given stays the node's, and nobody else's."""
    a, b = join("a"), join("b")
    (given,) = await a.allot([asks(0, waiting=15)])
    quota_rows.allot(b._asking, a._membership.incarnation, [asks(given.starts)], 0)
    (other,) = await b.allot([asks(0, waiting=20)])
    assert other.all[0] == 5


async def test_a_node_that_has_died_is_thought_to_have_used_all_that_it_had(join):
    a, b = join("a"), join("b")
    (given,) = await a.allot([asks(0, waiting=15)])
    (before,) = await b.allot([asks(0, waiting=20)])
    assert before.elsewhere == (0, 0)
    await lease_ends(join, a, after=-1)
    await b.take([0])
    (after,) = await b.allot([asks(given.starts, waiting=20, kept=5)])
    assert (after.all[0], after.elsewhere) == (5, (15, 150))


async def test_a_new_period_begins_by_the_databases_clock_and_a_former_one_does_not_come_back(join):
    a, b = join("a"), join("b")
    (given,) = await a.allot([asks(0, waiting=20)])
    join.sql(f"UPDATE quota_budget SET starts = starts - 7 * 86400 WHERE starts = {given.starts}")
    (new,) = await b.allot([asks(0, waiting=20)])
    assert (new.starts, new.all) == (given.starts, (20, 200)), "what was given in the week before is over"
    join.sql("UPDATE quota_budget SET starts = starts + 7 * 86400")
    (ahead,) = await a.allot([asks(0, waiting=1)])
    assert ahead.all == (0, 0), "the clock was far ahead: nobody knows what was used in this week before"


async def test_what_was_used_before_a_quota_was_in_force_is_taken_off_once(join):
    a, b = join("a"), join("b")
    (given,) = await a.allot([asks(0, waiting=1)])
    before = given.starts, (12, 120)
    for node in (a, b):
        (answer,) = await node.allot([asks(given.starts, kept=1, waiting=20, before=before)])
    assert answer.elsewhere == (12, 120)
    accounted, now = await b.accounted()
    assert accounted[KEY] == (given.starts, (0, 0))
    assert abs(now - time.time()) < 60
