"""The bridge that serves the ledger takes the posts that wait in the inbox, each once.

A post is interpreted by its network instance, as one that just came. The event that it leads to carries the row's id
into the endpoint's step, and the row is removed with the changes of the step: a bridge that ends before that commit
leaves the row to the next one, and a bridge that ends after it has nothing left to repeat.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec

from bindings.contract import Binding, PostListener, ReceivesPosts
from bridge.delivery.rows import Delete
from bridge.errors import BridgeError, NotificationError, StoreUnavailable, UnknownDevice
from bridge.relay import events as ev
from bridge.service.actor import CountFunction
from bridge.service.receiving import Receiving
from bridge.store.contract import Ledger
from bridge.store.inbox import Inbox, InboxRow

PAGE = 500  # rows that are read at a time, and about as many that are under way
POLL = 1.0  # seconds after which the inbox is read although nobody told of a row
HELD = 2.0  # seconds for which new posts may wait while the last rows are taken
AGAIN = 0.5  # seconds after which a post that could not be taken is tried again
PAUSE = 0.05  # seconds between two looks while only such posts wait

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _InHand:
    """The row whose post is being interpreted; 0 once an event carries it, or when that is over."""

    row: int


_in_hand: ContextVar[_InHand | None] = ContextVar("_in_hand", default=None)


def in_inbox(event: ev.Event) -> ev.Event:
    """Return the event so that its step removes the row that is being interpreted, if there is one."""
    hand = _in_hand.get()
    if hand is None or not hand.row:
        return event
    row, hand.row = hand.row, 0
    return msgspec.structs.replace(event, inbox=row)


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
    ) -> None:
        """`receiving`: of a bridge that stood by; None: this one keeps no posts. `again`: seconds, see `AGAIN`."""
        self._inbox = inbox
        self._ledger = ledger
        self._networks = networks
        self._receiving = receiving
        self._count = count
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ended: set[int] = set()  # rows that are not taken again, until it is seen that they are removed
        self._left: set[int] = set()  # rows that hit a bug: for the next start
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
            for task in self._under_way.values():
                task.cancel()

    async def _turn(self) -> None:
        try:
            found = await self.take_all()
            if self._receiving is not None and self._receiving.keeps and not found and not self._under_way:
                await self._serve_directly(self._receiving)
        except StoreUnavailable as error:
            log.warning("the inbox cannot be read: %s", error, extra={"sample": "inbox"})

    async def take_what_waits(self) -> None:
        """Take the rows that are there, and return when none is left that can be taken. Raises StoreUnavailable."""
        while await self.take_all() or self._under_way:
            await self._tried()

    async def _tried(self) -> None:
        """Return when all rows that are under way have been tried, or after a pause if none is."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        else:
            await asyncio.sleep(PAUSE)

    async def take_all(self) -> bool:
        """Begin to take every row that can be taken; return whether there is one that is, or soon will be, tried.

        Raises StoreUnavailable.
        """
        before, seen = set(self._ended), set()
        after, found = 0, False
        while rows := await self._inbox.rows(PAGE, after):
            after = rows[-1].id
            for row in rows:
                if row.id in self._ended:  # nothing was committed for it
                    seen.add(row.id)
                    self._ledger.commit([Delete(InboxRow, (row.id,))], lambda _error: None)
                elif row.id in self._left or row.id in self._under_way:
                    continue
                elif self._not_before.get(row.id, 0.0) > asyncio.get_running_loop().time():
                    found = True
                else:
                    found |= self._begin(row)
            while len(self._under_way) >= PAGE:
                await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
        self._ended -= before - seen
        return found

    async def _serve_directly(self, receiving: Receiving) -> None:
        """Let the network instances take posts themselves, once the inbox is empty: so earlier posts go first."""
        receiving.hold()
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
            receiving.release(directly=directly)

    def _begin(self, row: InboxRow) -> bool:
        listener = _listener(self._networks.get(row.network))
        if listener is None:
            text = "a post for network %s waits in the inbox: that network receives no posts, or is not configured"
            log.warning(text, row.network, extra={"sample": f"inbox {row.network}"})
            return False
        task = asyncio.create_task(self._take(row, listener))
        self._under_way[row.id] = task
        task.add_done_callback(lambda _task: self._over(row.id))
        return True

    def _over(self, row: int) -> None:
        del self._under_way[row]
        if not self._under_way:
            self._idle.set()

    async def _take(self, row: InboxRow, listener: PostListener) -> None:
        self._not_before.pop(row.id, None)
        hand = _InHand(row.id)
        _in_hand.set(hand)  # of this task, and of what it begins
        extra = {"sample": f"inbox {row.network}"}
        try:
            await listener.take_kept(row.post)
        except (NotificationError, UnknownDevice) as error:
            result = "dropped"
            log.warning("a post for network %s is dropped, another bridge took it: %s", row.network, error, extra=extra)
        except BridgeError as error:
            result = "failed"
            self._not_before[row.id] = asyncio.get_running_loop().time() + self._again
            log.warning("a post for network %s stays in the inbox: %s", row.network, error, extra=extra)
        except Exception:
            result = "failed"
            self._left.add(row.id)
            log.exception("a post for network %s stays in the inbox until the next start", row.network, extra=extra)
        else:
            result = "taken"
        finally:
            hand.row = 0  # whatever it has begun may deliver events of its own later
        if result != "failed":
            self._ended.add(row.id)
        self._count("posts_from_others", network=row.network, result=result)


def _listener(binding: object) -> PostListener | None:
    return binding.posts if isinstance(binding, ReceivesPosts) else None
