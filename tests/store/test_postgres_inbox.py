"""The inbox in PostgreSQL: who is told, and what becomes of posts while the database is away."""

import asyncio

import pytest

from bindings.contract import Post
from bridge.errors import StoreUnavailable
from tests.store.stores import postgres_server

pytest.importorskip("psycopg")

from bridge.store.postgres import PostgresStore
from bridge.store.postgres.ingress import PostgresIngress

POST = Post("", "", b"{}")
NEVER = 60.0  # seconds: who waits so long was not told


async def test_the_bridge_that_serves_is_told_of_each_group():
    where = postgres_server().schema()
    other = postgres_server().schema()
    store, ingress, elsewhere = PostgresStore.open(where), PostgresIngress(where), PostgresStore.open(other)
    await store.inbox.told(NEVER)  # it begins to listen, and asks once itself
    await elsewhere.inbox.told(NEVER)
    for _ in range(2):
        await ingress.keep("net", POST)
        await asyncio.wait_for(store.inbox.told(NEVER), 20)
    with pytest.raises(TimeoutError):  # another schema's inbox is another inbox
        await asyncio.wait_for(elsewhere.inbox.told(NEVER), 0.2)
    for one in (ingress, store, elsewhere):
        await one.close()


async def test_a_bridge_whose_connection_was_ended_listens_again_and_asks_itself_meanwhile():
    where = postgres_server().schema()
    store, ingress = PostgresStore.open(where), PostgresIngress(where)
    await store.inbox.told(NEVER)
    waits = asyncio.ensure_future(store.inbox.told(NEVER))
    backend = store.inbox._listening.backend
    await asyncio.to_thread(postgres_server().sql, f"SELECT pg_terminate_backend({backend}, 5000)")
    await asyncio.wait_for(waits, 20)
    await asyncio.wait_for(store.inbox.told(NEVER), 20)  # listens anew
    await ingress.keep("net", POST)
    await asyncio.wait_for(store.inbox.told(NEVER), 20)
    assert store.inbox._listening.backend != backend
    await ingress.close()
    await store.close()


async def test_what_the_database_does_not_take_is_not_acknowledged_and_later_posts_are_taken_again():
    where = postgres_server().schema()
    store = PostgresStore.open(where)
    ingress = PostgresIngress(where)
    await ingress.keep("net", POST)
    schema = where.rpartition("search_path=")[2]
    await asyncio.to_thread(postgres_server().sql, f"ALTER TABLE {schema}.inbox RENAME TO away")
    with pytest.raises(StoreUnavailable, match="the inbox cannot be written"):
        await ingress.keep("net", POST)
    await asyncio.to_thread(postgres_server().sql, f"ALTER TABLE {schema}.away RENAME TO inbox")
    await ingress.keep("net", POST)
    assert len(await store.inbox.rows(10)) == 2
    await ingress.close()
    await store.close()


async def test_a_database_without_tables_keeps_nothing():
    ingress = PostgresIngress(postgres_server().schema())
    with pytest.raises(StoreUnavailable):
        await ingress.keep("net", POST)
    with pytest.raises(StoreUnavailable):
        await ingress.note("net", "path")
    await ingress.close()


async def test_posts_are_kept_for_a_bridge_of_the_release_before():
    """One of two bridges with [standby] is upgraded: it stands by while the other one serves on the older tables."""
    where = postgres_server().schema()
    store, ingress = PostgresStore.open(where), PostgresIngress(where)
    schema = where.rpartition("search_path=")[2]
    await asyncio.to_thread(postgres_server().sql, f"ALTER TABLE {schema}.inbox DROP COLUMN shard")
    await ingress.keep("net", POST)
    added = f"ALTER TABLE {schema}.inbox ADD COLUMN shard INTEGER NOT NULL DEFAULT -1"  # when the upgraded one serves
    await asyncio.to_thread(postgres_server().sql, added)
    assert [row.post for row in await store.inbox.rows(10)] == [POST]
    await ingress.close()
    await store.close()
