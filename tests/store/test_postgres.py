"""What only PostgreSQL has: a server that can be away, an answer that can be lost, another process that takes over."""

import asyncio
import logging
import threading

import pytest
from hypothesis import given, settings, strategies as st

from bridge.delivery.rows import Insert
from bridge.directory import Draft
from bridge.errors import ConfigurationError, LedgerInUse, StoreUnavailable
from bridge.relay.registrations import Registration, encode
from bridge.store.fleet import lapses_at
from bridge.store.sql.connection import value_of
from tests.store.asking import rows
from tests.store.postgres_proxy import ANSWER, QUESTION, Proxy
from tests.store.postgres_server import PostgresServer
from tests.store.stores import postgres_server
from tests.waiting import until

psycopg = pytest.importorskip("psycopg")

from bridge.store.postgres import PostgresStore  # noqa: E402  # needs psycopg
from bridge.store.postgres.connection import PostgresConnection  # noqa: E402  # likewise
from bridge.store.postgres.dialect import translated  # noqa: E402  # likewise
from bridge.store.postgres.ownership import Ownership  # noqa: E402  # likewise
from bridge.store.postgres.transactions import MEASURED_EVERY  # noqa: E402  # likewise


@pytest.fixture
def server():
    """The server that all tests of this process share."""
    return postgres_server()


@pytest.fixture
def own_server():
    """A server of one's own, that keeps what it has committed."""
    postgres_server()
    own = PostgresServer(durable=True)
    yield own
    own.stop()


@pytest.fixture
async def proxied(server):
    """A store that reaches its server through a proxy, and the proxy."""
    where = server.schema()
    proxy = Proxy(server.folder)
    store = PostgresStore.open(where.replace(str(server.folder), str(proxy.folder)))
    yield store, proxy
    await store.close()
    proxy.close()


async def stored(where):
    """Return the ids of all downlinks, as another process sees them."""
    async with await psycopg.AsyncConnection.connect(where) as connection:
        found = await connection.execute("SELECT id FROM downlink ORDER BY id")
        return [id_ for (id_,) in await found.fetchall()]


@pytest.mark.parametrize("lose", [QUESTION, ANSWER])
async def test_a_commit_without_an_answer_is_told_when_it_is_known_what_became_of_it(proxied, downlink, lose):
    store, proxy = proxied
    await store.committed([Insert.of(downlink(store.next_id()))])
    proxy.lose = lose
    row = downlink(store.next_id())
    result = await asyncio.gather(store.committed([Insert.of(row)]), return_exceptions=True)
    assert proxy.lost == 1
    if lose == ANSWER:
        assert result == [None]
    else:
        assert [type(error) for error in result] == [StoreUnavailable]
    assert (await store.reads.downlink(row.id) is not None) == (lose == ANSWER)
    assert store._transactions.resolved == 1
    await store.committed([Insert.of(downlink(store.next_id()))])


async def test_until_then_nothing_is_told(proxied, downlink):
    store, proxy = proxied
    proxy.lose = ANSWER
    proxy.refuse = True
    first = store.committed([Insert.of(downlink(store.next_id(), 1))], endpoint=1)
    second = store.committed([Insert.of(downlink(store.next_id(), 2))], endpoint=2)
    while not proxy.lost:
        await asyncio.sleep(0.01)
    done, _ = await asyncio.wait((first, second), timeout=1.0)
    assert not done
    assert store.backlog >= 2
    proxy.refuse = False
    assert await asyncio.gather(first, second) == [None, None]


async def test_a_store_that_is_closed_before_that_is_not_held_up_and_acknowledges_nothing(proxied, downlink):
    store, proxy = proxied
    await store.committed([Insert.of(downlink(store.next_id()))])
    proxy.lose = ANSWER
    proxy.refuse = True
    given = store.committed([Insert.of(downlink(store.next_id()))])
    while not proxy.lost:
        await asyncio.sleep(0.01)
    await asyncio.wait_for(store.close(), 10)
    with pytest.raises(StoreUnavailable, match="closed before it could find out"):
        await given


class Producers:
    """Commit all the time, twenty at once, and note what is told."""

    def __init__(self, store, downlink):
        self.told, self.refused = set(), set()
        self._store = store
        self._downlink = downlink
        self._stop = False
        self._tasks = [asyncio.create_task(self._produce(endpoint)) for endpoint in range(20)]

    async def _produce(self, endpoint):
        while not self._stop:
            row = self._downlink(self._store.next_id(), endpoint)
            try:
                await self._store.committed([Insert.of(row)], endpoint=endpoint)
                self.told.add(row.id)
            except StoreUnavailable:
                self.refused.add(row.id)
                await asyncio.sleep(0.01)

    async def more(self):
        """Return when further ones were told."""
        before = len(self.told)
        while len(self.told) < before + 100:
            await asyncio.sleep(0.01)

    async def stop(self):
        self._stop = True
        await asyncio.gather(*self._tasks)


async def test_a_server_that_is_killed_loses_nothing_that_was_told(own_server, downlink):
    where = own_server.schema()
    store = PostgresStore.open(where)
    producers = Producers(store, downlink)
    for kills in range(20):
        if kills >= 3 and producers.refused:  # a kill may come when every commit is found to be kept
            break
        await producers.more()
        await asyncio.to_thread(own_server.stop_server, "immediate")  # as after a crash: nothing is flushed
        await asyncio.to_thread(own_server.start)
    await producers.more()
    await producers.stop()
    await store.close()
    assert producers.refused
    assert set(await stored(where)) == producers.told, "what is told is there, what is refused is not"


async def test_a_fail_over_to_a_synchronous_standby_loses_nothing_that_was_told(own_server, downlink, caplog):
    schema = own_server.schema()
    standby = PostgresServer(durable=True, standby_of=own_server)
    own_server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    own_server.sql("SELECT pg_reload_conf()")
    where = schema.replace(f"host={own_server.folder}", f"host={own_server.folder},{standby.folder}")
    caplog.clear()
    store = PostgresStore.open(where)
    assert "no synchronous standby" not in caplog.text
    producers = Producers(store, downlink)
    await producers.more()

    await asyncio.to_thread(own_server.stop_server, "immediate")
    standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
    await asyncio.to_thread(standby.promote)

    await producers.more()
    await producers.stop()
    await store.close()
    assert set(await stored(where + " target_session_attrs=read-write")) == producers.told
    standby.stop()


async def test_a_second_bridge_is_kept_out_with_the_cure(server):
    where = server.schema()
    store = PostgresStore.open(where)
    with pytest.raises(ConfigurationError, match="in use by another bridge: stop that one"):
        PostgresStore.open(where)
    other = PostgresStore.open(server.schema())  # another schema is another ledger
    await other.close()
    await store.close()
    again = PostgresStore.open(where)
    await again.close()


async def test_a_start_waits_a_moment_for_the_session_of_a_process_that_was_killed(server):
    where = server.schema()
    killed = PostgresConnection(where)
    Ownership(killed).lock()
    ending = threading.Timer(0.5, killed.close)
    ending.start()
    store = PostgresStore.open(where)
    await store.close()
    ending.join()


async def test_a_bridge_that_lost_its_place_commits_nothing_more(server, downlink):
    where = server.schema()
    former = PostgresStore.open(where)
    await former.directory.add([Draft("net", "device", "name", ("leshan",))], None, lambda: 1.0)
    # Its lock goes and its session stays, as when a server has given up a session that its client still believes in.
    await former.run(lambda connection: connection.execute("SELECT pg_advisory_unlock_all()").fetchall())
    present = PostgresStore.open(where)
    kept = downlink(present.next_id())
    await present.committed([Insert.of(kept)])

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="another bridge uses the database"):
            await former.committed([Insert.of(downlink(former.next_id()))])
    former._writing.close()
    with pytest.raises(StoreUnavailable, match="another bridge uses the database"):
        await former.committed([Insert.of(downlink(former.next_id()))])
    await former.close()

    assert await stored(where) == [kept.id]
    await present.committed([Insert.of(downlink(present.next_id()))])
    await present.close()


def end_session(server, store):
    """Let the server end the session that writes."""
    server.sql(f"SELECT pg_terminate_backend({store._writing.backend}, 5000)")


async def test_a_session_that_was_ended_is_followed_by_one_with_the_lock(server, downlink):
    """Also when it is time to measure the database while there is no session."""
    where = server.schema()
    store = PostgresStore.open(where)

    def end(connection):
        store._transactions._measured_at = -MEASURED_EVERY
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StoreUnavailable, match="cannot write"):
        await store.run(end)
    await store.committed([Insert.of(downlink(store.next_id()))])
    with pytest.raises(LedgerInUse):
        PostgresStore.open(where, wait=0.0)
    await store.close()


async def test_a_new_session_commits_nothing_until_it_has_the_lock(server, downlink):
    where = server.schema()
    store = PostgresStore.open(where)
    end_session(server, store)
    other = PostgresConnection(where)
    Ownership(other).lock()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="cannot write"):
            await store.committed([Insert.of(downlink(store.next_id()))])
    other.close()
    await until(lambda: committed(store, downlink), 10, why="it commits nothing with the lock free")
    with pytest.raises(LedgerInUse):
        PostgresStore.open(where, wait=0.0)
    await store.close()


async def committed(store, downlink):
    try:
        await store.committed([Insert.of(downlink(store.next_id()))])
    except StoreUnavailable:
        return False
    return True


async def test_the_writing_connection_never_connects_by_itself(server):
    store = PostgresStore.open(server.schema())
    store._writing.close()
    with pytest.raises(psycopg.OperationalError, match="connection is lost"):
        store._writing.execute("SELECT 1")
    await store.close()


async def test_every_session_that_commits_waits_for_the_disk(server):
    where = server.schema()
    store = PostgresStore.open(f"{where}\\ -csynchronous_commit=off".replace("-csearch", "'-csearch") + "'")
    shown = await store.run(lambda connection: connection.execute("SHOW synchronous_commit").fetchall())
    assert shown == [("on",)]
    await store.close()


async def test_a_start_says_what_a_fail_over_would_lose(server, caplog):
    with caplog.at_level(logging.WARNING):
        store = PostgresStore.open(server.schema())
    await store.close()
    assert "no synchronous standby" in caplog.text


def test_a_database_that_cannot_be_used_is_a_clear_error(server, tmp_path):
    with pytest.raises(StoreUnavailable, match=r"cannot be used: .*make sure that it runs"):
        PostgresStore.open(f"host={tmp_path} user=bridge dbname=postgres")
    with pytest.raises(ConfigurationError, match="database"):
        PostgresStore.open("no connection string")
    with pytest.raises(ConfigurationError, match="no schema"):
        PostgresStore.open(server.where("absent"))


async def test_a_newer_schema_or_one_of_another_build_is_refused(server):
    where = server.schema()
    store = PostgresStore.open(where)
    await store.run(lambda connection: connection.execute("UPDATE schema_version SET digest = 'other'"))
    await store.close()
    with pytest.raises(ConfigurationError, match="another build"):
        PostgresStore.open(where)
    store = PostgresStore.open(another := server.schema())
    await store.run(lambda connection: connection.execute("INSERT INTO schema_version VALUES (99, 'future', '', 0)"))
    await store.close()
    with pytest.raises(ConfigurationError, match="version 99, this release knows"):
        PostgresStore.open(another)


async def test_text_of_a_peer_with_a_nul_is_kept_without_it(server, downlink):
    store = PostgresStore.open(server.schema())
    row = downlink(store.next_id(), reason="a\0b")
    await store.committed([Insert.of(row)])
    assert (await store.reads.downlink(row.id)).reason == "a�b"
    await store.close()


_bytes = st.binary(max_size=300)
_times = st.floats(0, 4e9) | st.integers(0, 2**33)
_registrations = st.lists(
    st.builds(
        Registration,
        st.text(max_size=40),
        st.lists(_bytes, max_size=20).map(tuple),
        st.lists(_bytes, max_size=3).map(tuple),
        _times,
        _times,
        st.none() | st.integers(0, 2**32 - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


async def test_the_server_reads_when_registrations_lapse_as_the_bridge_does(server):
    """The trigger of `relay.registered_until` reads their MessagePack by itself."""
    store = PostgresStore.open(server.schema())
    connection = PostgresConnection(store._loading._where)
    connection.execute("INSERT INTO relay (endpoint, shard, refuse_update, joined_at) VALUES (1, 0, 0, 0)")

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(_registrations)
    def compare(registrations):
        connection.execute("UPDATE relay SET registrations = ?", (encode(registrations),))
        found = value_of(connection, "SELECT registered_until FROM relay")
        assert found == pytest.approx(max(map(lapses_at, registrations)), rel=1e-15)

    compare()
    connection.execute("UPDATE relay SET registrations = NULL")
    assert value_of(connection, "SELECT registered_until FROM relay") is None
    connection.close()
    await store.close()


@pytest.mark.parametrize("number", [2**31, 2**40])
async def test_large_numbers_fit(server, downlink, number):
    store = PostgresStore.open(server.schema())
    await store.directory.add([Draft("net", "device", "name", ("leshan",))], None, lambda: 1.0)
    await store.committed([Insert.of(downlink(number, observe=2**32 - 1))])
    assert [row.id for row in (await rows(store, 1)).downlinks] == [number]
    await store.close()


def test_a_transaction_never_goes_on_over_another_connection(server):
    connection = PostgresConnection(server.schema())
    connection.execute("BEGIN")
    connection.raw().close()
    for statement in ("SELECT 1", "SELECT 2", "COMMIT"):
        with pytest.raises(psycopg.OperationalError, match="transaction"):
            connection.execute(statement)
    assert connection.execute("SELECT 3").fetchall() == [(3,)]
    connection.close()


def test_statements_are_said_in_the_words_of_postgresql():
    assert translated("SELECT 1 FROM json_each(?) j CROSS JOIN a INDEXED BY b ON a.x = j.value") == (
        b"SELECT 1 FROM json_array_elements(CAST(%s AS json)) AS j(value) JOIN a ON a.x = j.value"
    )
