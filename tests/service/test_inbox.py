"""Posts that wait in the inbox: each is taken once, with what it changes, and before posts that come later."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bindings.contract import Keep, Post, ReadNote
from bindings.generated_values import known_path, secret_path
from bridge.config import parse
from bridge.delivery.uplinks import Uplink
from bridge.errors import ConfigurationError, NotificationError, StoreUnavailable
from bridge.relay import events as ev
from bridge.service.inbox import InboxWork, in_inbox
from bridge.service.receiving import Receiving
from bridge.service.sealing import opened_notes, sealed
from bridge.store.in_memory import InMemoryStore
from bridge.store.in_memory.inbox import InMemoryIngress
from bridge.store.inbox import InboxRow
from bridge.store.sealing import NO_SEAL, Seal, SealedIngress
from tests.service.runner_bench import Bench


def message(post: Post) -> ev.DeviceMessage:
    """Return a device's Send with the post's number as message ID and payload."""
    return ev.DeviceMessage(b"\x51\x02\x00" + post.body + b"\x01\xb2dp\xff" + post.body)


class Listener:
    """Takes posts for the bench's endpoint. `take` may be replaced by what a test wants."""

    def __init__(self, bench: Bench) -> None:
        self.keep: Keep | None = None
        self.held = self.stopped = False
        self.taken: list[bytes] = []
        self._bench = bench
        self.take: Callable[[Post], Awaitable[object]] = self.deliver

    async def deliver(self, post: Post) -> None:
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            committed.set_result(None) if error is None else committed.set_exception(error)

        self.taken.append(post.body)
        self._bench.runner.event(1, in_inbox(message(post)), done)
        await committed

    def commit_kept(self, post: Post) -> Awaitable[object]:
        return self.take(post)

    def pause(self) -> None:
        self.held = True

    def proceed(self) -> None:
        self.held = False

    async def stop(self) -> None:
        self.stopped = True


class Network:
    """A network instance that is posted to."""

    def __init__(self, posts: Listener) -> None:
        self.posts = posts
        self.path_is_known = True

    async def receive(self, note: ReadNote) -> bool:
        return self.path_is_known


class Inboxes:
    """The inbox of the bench's store, the bridge that takes posts out of it, and one that puts posts in."""

    def __init__(self, bench: Bench, seal: Seal = NO_SEAL) -> None:
        self.bench = bench
        self.counted: Counter[str] = Counter()
        self.listener = Listener(bench)
        self.network = Network(self.listener)
        networks: dict[str, Any] = {"net": self.network}
        ingress = SealedIngress(InMemoryIngress(bench.store.disk), seal)
        self.receiving = Receiving(networks, ingress, ingress.note, self._count)
        self.work = InboxWork(
            bench.store.inbox, bench.store, networks, self.receiving, self._count, again=0.0, seal=seal
        )

    def _count(self, name: str, *, result: str, **_labels: str) -> None:
        self.counted[f"{name} {result}"] += 1

    async def put(self, *numbers: int, network: str = "net") -> None:
        for number in numbers:
            await InMemoryIngress(self.bench.store.disk).keep(network, Post("", "", bytes((number,))))

    async def turn(self) -> bool:
        """Take what is there, and let it end."""
        found = bool(await self.work.take_all())
        while self.work._under_way:
            await self.bench.go()
            await asyncio.sleep(0)
        await self.bench.go()
        return found

    async def stepped(self, posts: int) -> None:
        """Return when so many posts have been stepped; their commits may wait."""
        while len(self.listener.taken) < posts:
            await asyncio.sleep(0)
        await self.bench.loaded()

    def waiting(self) -> list[int]:
        rows: list[InboxRow] = list(self.bench.store.disk.tables.of(InboxRow))
        return sorted(row.body[0] for row in rows)

    def uplinks(self) -> list[bytes]:
        return [row.body[-1:] for row in self.bench.store.disk.tables.of(Uplink)]


@pytest.fixture
async def inbox(bench: Bench) -> AsyncIterator[Inboxes]:
    made = Inboxes(bench)
    yield made
    await made.receiving.close()


async def test_posts_are_taken_in_order_and_each_is_removed_with_what_it_changes(inbox: Inboxes) -> None:
    await inbox.put(1, 2, 3)
    inbox.bench.store.faults.commits_wait = True
    await inbox.work.take_all()
    await inbox.stepped(3)
    assert (inbox.waiting(), inbox.uplinks()) == ([1, 2, 3], [])
    assert not await inbox.work.take_all()
    await inbox.bench.go()
    assert (inbox.waiting(), inbox.uplinks()) == ([], [b"\x01", b"\x02", b"\x03"])
    assert inbox.listener.taken == [b"\x01", b"\x02", b"\x03"], "a row that is under way is not taken again"


async def test_a_post_whose_commit_failed_is_taken_again_and_counts_once(inbox: Inboxes) -> None:
    await inbox.put(1)
    inbox.bench.store.faults.commits_fail = True
    await inbox.work.take_all()
    while inbox.work._under_way:
        await asyncio.sleep(0)
    assert (inbox.waiting(), inbox.uplinks()) == ([1], [])
    inbox.bench.store.faults.commits_fail = False
    await inbox.turn()
    assert (inbox.waiting(), inbox.uplinks()) == ([], [b"\x01"])


async def test_a_bridge_that_ends_before_the_commit_leaves_the_post_to_the_next_one(inbox: Inboxes) -> None:
    await inbox.put(1)
    inbox.bench.store.faults.commits_wait = True
    await inbox.work.take_all()
    await inbox.stepped(1)
    inbox.bench.store._given.clear()  # it ends: nothing of this reaches the disk
    inbox.bench.store = InMemoryStore(inbox.bench.store.disk)
    inbox.bench.restart()
    following = Inboxes(inbox.bench)
    await following.turn()
    assert (following.waiting(), following.uplinks()) == ([], [b"\x01"])


async def test_a_post_that_changes_nothing_is_removed_too(inbox: Inboxes) -> None:
    async def nothing(_post: Post) -> None:
        pass

    inbox.listener.take = nothing
    await inbox.put(1)
    await inbox.turn()
    await inbox.turn()
    assert inbox.waiting() == []


async def test_a_post_for_a_disabled_endpoint_is_removed_too(inbox: Inboxes) -> None:
    assert inbox.bench.placed is not None
    inbox.bench.placed = replace(inbox.bench.placed, takes=False)
    await inbox.put(1)
    await inbox.turn()
    await inbox.turn()
    assert (inbox.waiting(), inbox.uplinks()) == ([], [])


async def test_what_nobody_can_use_is_counted_and_removed(inbox: Inboxes) -> None:
    def refuse(_post: Post) -> Awaitable[object]:
        raise NotificationError("no JSON")

    inbox.listener.take = refuse
    await inbox.put(1)
    await inbox.turn()
    await inbox.turn()
    assert inbox.waiting() == []
    assert inbox.counted["posts_from_others dropped"] == 1


async def test_a_post_that_hits_a_bug_stays_for_the_next_start_and_holds_up_no_other(inbox: Inboxes) -> None:
    async def sometimes(post: Post) -> None:
        if post.body == b"\x01":
            raise ZeroDivisionError
        await inbox.listener.deliver(post)

    inbox.listener.take = sometimes
    await inbox.put(1, 2)
    await inbox.turn()
    assert await inbox.turn() is False
    assert (inbox.waiting(), inbox.uplinks()) == ([1], [b"\x02"])
    assert inbox.counted["posts_from_others failed"] == 1


async def test_a_post_of_a_network_that_is_not_configured_waits(inbox: Inboxes) -> None:
    await inbox.put(1, network="former")
    assert await inbox.turn() is False
    assert inbox.waiting() == [1]


async def test_an_event_that_comes_of_it_later_does_not_remove_the_row(inbox: Inboxes) -> None:
    """What the binding began goes on: it must not carry away a row of which nothing is committed."""
    later: list[asyncio.Task[ev.Event]] = []
    go = asyncio.Event()

    async def deliver_later() -> ev.Event:
        await go.wait()
        return in_inbox(ev.DeviceReachable())

    async def fail(_post: Post) -> None:
        later.append(asyncio.create_task(deliver_later()))
        raise StoreUnavailable("full")

    inbox.listener.take = fail
    await inbox.put(1)
    await inbox.turn()
    go.set()
    assert (await later[0]).inbox == 0


async def test_later_posts_are_kept_until_those_that_wait_are_taken_and_then_taken_directly(inbox: Inboxes) -> None:
    await inbox.receiving.open()
    await inbox.put(1, 2)
    assert inbox.listener.keep is not None
    await inbox.listener.keep(Post("", "", b"\x03"))
    running = asyncio.create_task(inbox.work.run())
    while inbox.listener.keep is not None:
        await inbox.bench.go()
        await asyncio.sleep(0)
    assert (inbox.waiting(), inbox.uplinks()) == ([], [b"\x01", b"\x02", b"\x03"])
    assert not inbox.listener.held
    assert inbox.counted["posts_for_others kept"] == 1
    running.cancel()
    await asyncio.wait({running})


async def test_a_post_that_is_on_its_way_into_the_inbox_goes_before_those_that_are_taken_directly(
    inbox: Inboxes,
) -> None:
    await inbox.receiving.open()
    kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inbox.receiving._inbox.keep = lambda *_: kept  # type: ignore[method-assign]
    assert inbox.listener.keep is not None
    on_its_way = asyncio.ensure_future(inbox.listener.keep(Post("", "", b"\x01")))
    serving = asyncio.create_task(inbox.work._serve_directly(inbox.receiving))
    while not inbox.listener.held:
        await asyncio.sleep(0)
    await inbox.put(1)
    kept.set_result(None)
    while inbox.listener.held:
        await inbox.bench.go()
        await asyncio.sleep(0)
    await on_its_way
    await serving
    assert (inbox.waiting(), inbox.listener.keep) == ([], None)
    assert inbox.uplinks() == [b"\x01"]


async def test_posts_are_taken_directly_after_one_that_ended_while_the_inbox_was_read(inbox: Inboxes) -> None:
    """The last page is read while the posts of the page before are taken."""
    await inbox.receiving.open()
    read = inbox.work._inbox.rows

    async def slow(limit: int, after: int = 0, shards: Collection[int] | None = None) -> list[InboxRow]:
        rows = await read(limit, after, shards)
        for _ in range(10):
            await asyncio.sleep(0)
        return rows

    async def refuse(_post: Post) -> None:
        raise NotificationError("no JSON")

    inbox.work._inbox.rows = slow  # type: ignore[method-assign]
    inbox.listener.take = refuse
    await inbox.put(1)
    await inbox.work._serve_directly(inbox.receiving)
    assert (inbox.listener.held, inbox.listener.keep) == (False, None)


async def test_a_post_that_cannot_be_taken_now_is_tried_after_a_pause_and_goes_before_later_ones(
    inbox: Inboxes,
) -> None:
    await inbox.receiving.open()
    inbox.work._again = 1000.0
    tried: list[bytes] = []
    ended = asyncio.Event()

    async def fail(post: Post) -> None:
        tried.append(post.body)
        ended.set()
        raise StoreUnavailable("the disk is full")

    inbox.listener.take = fail
    await inbox.put(1)
    running = asyncio.create_task(inbox.work.run())
    await ended.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert await inbox.work.take_all()
    assert tried == [b"\x01"]
    assert inbox.listener.keep is not None, "what comes now waits behind it"
    running.cancel()
    await asyncio.wait({running})


async def test_a_bridge_that_does_not_stand_by_takes_what_an_earlier_run_has_left(inbox: Inboxes) -> None:
    inbox.work._receiving = None
    await inbox.put(1, 2)
    taking = asyncio.create_task(inbox.work.take_what_waits())
    while not taking.done():
        await inbox.bench.go()
        await asyncio.sleep(0)
    assert (inbox.waiting(), inbox.uplinks()) == ([], [b"\x01", b"\x02"])


async def test_a_listener_is_opened_as_soon_as_its_path_is_known(inbox: Inboxes) -> None:
    inbox.network.path_is_known = False
    await inbox.receiving.open()
    assert (inbox.listener.keep, inbox.receiving.keeps) == (None, False)
    inbox.network.path_is_known = True
    await inbox.receiving.open()
    assert inbox.listener.keep is not None


async def test_the_path_is_known_although_it_is_encrypted_in_the_ledger(bench: Bench, tmp_path: Path) -> None:
    config = parse(f'[service]\nstore_key = "{"ab" * 32}"\n', "bridge.toml", tmp_path)
    await sealed(bench.store, config)
    path = await secret_path(bench.store.memories.of("lab"), "")
    ingress = InMemoryIngress(bench.store.disk)
    assert await ingress.note("lab", "path") != path.encode()
    assert await known_path(partial(opened_notes(ingress, config), "lab"), "") == path
    other = parse(f'[service]\nstore_key = "{"cd" * 32}"\n', "bridge.toml", tmp_path)
    with pytest.raises(ConfigurationError, match="is encrypted under the key"):
        await opened_notes(ingress, other)("lab", "path")


class TestSealed:
    """Posts are encrypted while they wait, if there is a store_key."""

    key, other = bytes(32), bytes(range(32))

    async def kept(self, bench: Bench, seal: Seal, body: bytes = b"\x01") -> Inboxes:
        """Let a bridge with this seal keep a post, and return it."""
        inbox = Inboxes(bench, seal)
        await inbox.receiving.open()
        assert inbox.listener.keep is not None
        await inbox.listener.keep(Post("trigger", "event=up", body))
        return inbox

    def rows(self, bench: Bench) -> list[InboxRow]:
        return [*bench.store.disk.tables.of(InboxRow)]

    async def test_who_takes_them_gets_them_as_they_came(self, bench: Bench) -> None:
        inbox = await self.kept(bench, Seal(self.key))
        (row,) = self.rows(bench)
        assert len(row.body) > 40
        assert row.body[-1:] != b"\x01" or b"sealed" in row.body
        posts: list[Post] = []

        async def take(post: Post) -> None:
            posts.append(post)
            await inbox.listener.deliver(post)

        inbox.listener.take = take
        await inbox.turn()
        assert posts == [Post("trigger", "event=up", b"\x01")]
        assert (self.rows(bench), inbox.uplinks()) == ([], [b"\x01"])

    async def test_under_a_key_that_is_not_there_they_wait_for_it(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.kept(bench, Seal(self.key))
        without = Inboxes(bench, Seal(self.other))
        await without.turn()
        assert (len(self.rows(bench)), without.uplinks()) == (1, [])
        assert "is encrypted under the key with id" in caplog.text
        both = Inboxes(bench, Seal(self.other, self.key))
        await both.turn()
        assert (self.rows(bench), both.uplinks()) == ([], [b"\x01"])

    @pytest.mark.parametrize("keys", [[], [bytes(32)]])
    async def test_one_in_the_clear_is_never_taken_for_sealed(self, bench: Bench, keys: list[bytes]) -> None:
        body = b"\x00sealed1" + bytes(60) + b"\x05"
        await self.kept(bench, NO_SEAL, body)
        inbox = Inboxes(bench, Seal(*keys))
        await inbox.turn()
        assert inbox.listener.taken == [body]

    async def test_one_that_was_moved_to_another_door_is_not_taken(self, bench: Bench) -> None:
        inbox = await self.kept(bench, Seal(self.key))
        (row,) = self.rows(bench)
        bench.store.disk.tables.put(msgspec.structs.replace(row, query="event=join"))
        await inbox.turn()
        assert inbox.listener.taken == []


async def test_a_bridge_that_stops_keeps_what_is_posted_until_the_end(inbox: Inboxes) -> None:
    await inbox.receiving.open()
    inbox.receiving.proceed(directly=True)
    assert inbox.listener.keep is None
    inbox.receiving.keep_again()
    assert inbox.listener.keep is not None
    await inbox.listener.keep(Post("", "", b"\x01"))
    assert inbox.waiting() == [1]


def test_events_that_came_directly_stay_as_they_are() -> None:
    event = ev.DeviceMessage(b"x")
    assert in_inbox(event) is event
    assert msgspec.structs.replace(event, inbox=3).inbox == 3
