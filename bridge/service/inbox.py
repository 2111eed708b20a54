"""Whoever serves a device takes the posts about it that wait in the inbox, each once.

A post is interpreted by its network instance, as one that just came. The event that it leads to carries the row's id
into the endpoint's step, and the row is removed with the changes of the step: a bridge that ends before that commit
leaves the row to the next one, and a bridge that ends after it has nothing left to repeat.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from bindings.contract import Binding, Post, PostListener, ReceivesPosts
from bridge.delivery.rows import Delete, Update
from bridge.errors import BridgeError, NotificationError, NotServedHere, StoreUnavailable, UnknownDevice
from bridge.relay import events as ev
from bridge.service.actor import CountFunction
from bridge.service.receiving import Receiving
from bridge.store.contract import Ledger
from bridge.store.inbox import NO_SHARD, Inbox, InboxRow
from bridge.store.sealing import NO_SEAL, Seal, network_of, opened_post

PAGE = 500  # rows that are read at a time, and about as many that are under way
POLL = 1.0  # seconds after which the inbox is read although nobody told of a row
HELD = 2.0  # seconds for which new posts may wait while the last rows are taken
AGAIN = 0.5  # seconds after which a post that could not be taken is tried again
PAUSE = 0.05  # seconds between two looks while only such posts wait

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _InHand:
    """The row whose post is being interpreted. Events that come after that are no part of the post."""

    row: int
    shard: int
    came: float  # when the post was received, in seconds of the event loop
    task: asyncio.Task[None] | None = None
    is_carried: bool = False  # whether an event carries the row: its step removes it
    is_over: bool = False  # whether the post has been interpreted
    handed_over: asyncio.Event = field(default_factory=asyncio.Event)  # an event carries it, or there will be none


_in_hand: ContextVar[_InHand | None] = ContextVar("_in_hand", default=None)


def in_inbox(event: ev.Event) -> ev.Event:
    """Return the event so that its step removes the row that is being interpreted, if there is one."""
    hand = _in_hand.get()
    if hand is None or hand.is_over or hand.is_carried:
        return event
    hand.is_carried = True
    hand.handed_over.set()
    return msgspec.structs.replace(event, inbox=hand.row)


def giving_back() -> Callable[[ev.Event], None] | None:
    """Return what is called with an event that no endpoint took: its row is then carried by the next event of the post.

    Return None if what runs now interprets no post of the inbox.
    """
    hand = _in_hand.get()
    if hand is None:
        return None

    def give_back(event: ev.Event) -> None:
        if event.inbox:
            hand.is_carried = False

    return give_back


def waited() -> float:
    """Return for how many seconds the post that is being interpreted has waited in the inbox; 0 without such a post."""
    hand = _in_hand.get()
    if hand is None or hand.is_over:
        return 0.0
    return max(asyncio.get_running_loop().time() - hand.came, 0.0)


def is_of_inbox() -> bool:
    """Return whether what runs now interprets a post of the inbox."""
    return _in_hand.get() is not None


class CommitsKept(Protocol):
    """What takes posts out of the inbox."""

    def commit_kept(self, post: Post) -> Awaitable[object]:
        """Take a post; see `bindings.contract.PostListener`."""


class InboxWork:
    """Takes posts out of the inbox. `networks` are the instances that run."""

    def __init__(
        self,
        inbox: Inbox,
        ledger: Ledger,
        networks: Mapping[str, Binding],
        receiving: Receiving | None,
        count: CountFunction,
        again: float = AGAIN,
        others: Mapping[str, CommitsKept] | None = None,
        seal: Seal = NO_SEAL,
    ) -> None:
        """`receiving`: of a bridge that stood by; None: this one keeps no posts. `again`: seconds, see `AGAIN`.

        `seal` opens posts that are sealed.

        `others` take the rows that name them in place of a network.
        """
        self._others = others or {}
        self._inbox = inbox
        self._ledger = ledger
        self._networks = networks
        self._receiving = receiving
        self._seal = seal
        self._count = count
        self._under_way: dict[int, _InHand] = {}
        self._ended: dict[int, int] = {}  # rows that are not taken again, until it is seen that they are gone → shard
        self._removing: dict[int, int] = {}  # rows that led to no commit, while they are removed → shard
        self._left: dict[int, int] = {}  # rows that hit a bug → shard: for the next start, or the next holder
        self._again = again
        self._not_before: dict[int, float] = {}  # rows that could not be taken → when they are tried again
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Take posts until cancelled. First those that wait already; then the network instances take posts directly."""
        try:
            while True:
                await self._turn()
                self._idle.clear()
                waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._inbox.told(POLL))]
                if self._under_way:
                    waits.append(asyncio.ensure_future(self._idle.wait()))
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
        finally:
            self.stop()

    def stop(self) -> None:
        """Take nothing more."""
        for hand in self._under_way.values():
            if hand.task is not None:
                hand.task.cancel()

    def patience(self, seconds: float) -> float:
        """Return after how many of these seconds the inbox should be read at the latest."""
        return min(seconds, self._again) if self._not_before else seconds

    async def _turn(self) -> None:
        try:
            found = await self.take_all()
            if self._receiving is not None and self._receiving.keeps and not found and not self._under_way:
                await self._serve_directly(self._receiving)
        except StoreUnavailable as error:
            log.warning("the inbox cannot be read: %s", error, extra={"sample": "inbox"})
        except Exception as bug:  # noqa: BLE001  # posts that come later must not wait for the next start
            self.note_bug(bug)

    def note_bug(self, bug: Exception) -> None:
        """Log and count a look into the inbox that failed because of a bug; another one follows."""
        self._count("failed_tasks")
        text = "a look into the inbox failed because of a bug; the next one follows"
        log.error(text, exc_info=bug, extra={"sample": "inbox bug"})

    async def take_what_waits(self, shards: Collection[int] | None = None) -> None:
        """Take the rows of some shards, or all, and return when none is left that can be taken.

        Raises StoreUnavailable.
        """
        while await self.begin_posts(shards):
            await self._tried(shards)

    async def begin_posts(self, shards: Collection[int] | None = None) -> set[int]:
        """Begin to take every row of some shards, or all, that can be taken.

        Return the shards of which a row is being tried now, or will soon be. Raises StoreUnavailable.
        """
        found = await self.take_all(shards)
        hands = [hand for hand in self._under_way.values() if hand.task is not None]
        return found | {hand.shard for hand in hands if shards is None or hand.shard in shards}

    async def handed_over(self, within: float) -> None:
        """Return when each row that is under way is carried by an event of its endpoint, or leads to none.

        Return after `within` seconds in any case.
        """
        try:
            async with asyncio.timeout(within):
                for hand in [*self._under_way.values()]:
                    await hand.handed_over.wait()
        except TimeoutError:
            log.info("posts of the inbox take long: later ones may go before them", extra={"sample": "inbox order"})

    async def leave(self, shards: Collection[int]) -> None:
        """Stop taking rows of some shards, and return when none is under way: others may take them then."""
        tasks = self._tasks(shards)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for rows in (self._ended, self._removing, self._left):
            for row in [row for row, shard in rows.items() if shard in shards]:
                del rows[row]

    def _tasks(self, shards: Collection[int] | None) -> list[asyncio.Task[None]]:
        hands = [hand for hand in self._under_way.values() if shards is None or hand.shard in shards]
        return [hand.task for hand in hands if hand.task is not None]

    async def _tried(self, shards: Collection[int] | None = None) -> None:
        """Return when all rows that are under way have been tried, or after a pause if none is."""
        tasks = self._tasks(shards)
        if tasks:
            await asyncio.wait(tasks)
        else:
            await asyncio.sleep(PAUSE)

    async def take_all(self, shards: Collection[int] | None = None) -> set[int]:
        """Begin to take every row of some shards, or of all, that can be taken.

        Return the shards of those that are, or soon will be, tried. Raises StoreUnavailable.
        """
        before, seen = self._ended | self._removing, set()
        after, found = 0, set[int]()
        while rows := await self._inbox.rows(PAGE, after, shards):
            after = rows[-1].id
            for row in rows:
                seen.add(row.id)
                if row.id in self._ended:
                    if row.id in before:  # nothing was committed for it
                        self._remove(row)
                elif row.id in self._removing or row.id in self._left or row.id in self._under_way:
                    continue
                elif self._not_before.get(row.id, 0.0) > asyncio.get_running_loop().time() or self._begin(row):
                    found.add(row.shard)
            while len(self._under_way) >= PAGE:
                await asyncio.wait(self._tasks(None), return_when=asyncio.FIRST_COMPLETED)
        self._forget_pauses(seen)
        for id_, shard in before.items():
            if id_ not in seen and (shards is None or shard in shards):
                self._ended.pop(id_, None)
                self._removing.pop(id_, None)
        return found

    async def _serve_directly(self, receiving: Receiving) -> None:
        """Let the network instances take posts themselves, once the inbox is empty: so earlier posts go first."""
        receiving.pause()
        directly = False
        try:
            async with asyncio.timeout(HELD):
                await receiving.settled()
                while await self.take_all() or self._under_way:
                    await self._tried()
                directly = True
        except TimeoutError:
            log.info("posts still wait in the inbox: further ones go there, too")
        finally:
            receiving.proceed(directly=directly)

    def _begin(self, row: InboxRow) -> bool:
        listener = self._others.get(network_of(row)) or _listener(self._networks.get(network_of(row)))
        if listener is None:
            text = "a post for network %s waits in the inbox: that network receives no posts, or is not configured"
            log.warning(text, network_of(row), extra={"sample": f"inbox {network_of(row)}"})
            return False
        came = asyncio.get_running_loop().time() - self._inbox.age(row)
        hand = self._under_way[row.id] = _InHand(row.id, row.shard, came)
        hand.task = asyncio.create_task(self._take(row, hand, listener))
        hand.task.add_done_callback(lambda _task: self._over(row.id, hand))
        return True

    def _over(self, row: int, hand: _InHand) -> None:
        hand.handed_over.set()
        del self._under_way[row]
        if not self._under_way:
            self._idle.set()

    async def _take(self, row: InboxRow, hand: _InHand, listener: CommitsKept) -> None:
        self._not_before.pop(row.id, None)
        _in_hand.set(hand)  # of this task, and of what it begins
        extra = {"sample": f"inbox {network_of(row)}"}
        try:
            await listener.commit_kept(opened_post(row, self._seal))
        except (NotificationError, UnknownDevice) as error:
            result = "dropped"
            log.warning(
                "a post for network %s is dropped, another bridge took it: %s", network_of(row), error, extra=extra
            )
        except NotServedHere as error:
            result = "passed on"
            self._pass_on(row, error.shard)
        except BridgeError as error:
            result = "failed"
            self._try_later(row.id)
            log.warning("a post for network %s stays in the inbox: %s", network_of(row), error, extra=extra)
        except Exception:
            result = "failed"
            self._left[row.id] = row.shard
            log.exception("a post for network %s stays in the inbox until the next start", network_of(row), extra=extra)
        else:
            result = "taken"
        finally:
            hand.is_over = True  # what it has begun may deliver events of its own later
        if result in ("taken", "dropped"):
            self._ended[row.id] = row.shard
        self._count("posts_from_others", network=network_of(row), result=result)

    def _try_later(self, row: int) -> None:
        self._not_before[row] = asyncio.get_running_loop().time() + self._again

    def _forget_pauses(self, seen: Collection[int]) -> None:
        """Forget the pauses of rows that are not here any more: another node has them, or has taken them."""
        now = asyncio.get_running_loop().time()
        for row in [row for row, at in self._not_before.items() if at <= now and row not in seen]:
            del self._not_before[row]

    def _remove(self, row: InboxRow) -> None:
        """Remove a row that led to no commit."""
        shard = self._removing[row.id] = self._ended.pop(row.id)

        def done(error: BaseException | None) -> None:
            if error is not None and self._removing.pop(row.id, None) is not None:
                self._ended[row.id] = shard  # the next reading says whether it is there

        self._ledger.commit([Delete(InboxRow, (row.id,))], done, shard=_fence(row))

    def _pass_on(self, row: InboxRow, shard: int) -> None:
        """Leave a row to the node that holds the device's shard now: its endpoint was removed and added anew."""
        self._try_later(row.id)  # if the shard is being released here, or this commit fails
        if shard != row.shard:
            moved = msgspec.structs.replace(row, shard=shard)
            self._ledger.commit([Update.of(moved)], lambda _error: None, shard=_fence(row))


def _fence(row: InboxRow) -> int | None:
    """Return the shard that this node must hold to change a row; None: there is no cluster, or the row has none."""
    return None if row.shard == NO_SHARD else row.shard


def _listener(binding: object) -> PostListener | None:
    return binding.posts if isinstance(binding, ReceivesPosts) else None
