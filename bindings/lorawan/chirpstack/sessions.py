"""The sessions of nodes at a broker: what waits in the session of a node that is gone is taken by another node.

A broker gives events of a shared subscription also to a subscriber that is away, and keeps them in its session. Another
node goes on with that session: it connects under the same name, ends the subscription, and takes what is there. If the
node comes back meanwhile, the broker continues the session with that node.

Each start of a node has a note of its own. So whoever removes the note of a session that is empty cannot remove that of
a node which has come back, however late the removal is committed.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection

import msgspec

from bindings.contract import Memory
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bridge.errors import StoreUnavailable

LOOK = 2.0  # seconds between two looks at who is gone
AGAIN = 5.0  # seconds until a session is tried again
QUIET = 60.0  # seconds without an event after which a session counts as empty; it stays with the broker nevertheless
_TICK = 0.2
_SESSION = "sessions/"  # then a word of the start, and the node
_FORMER = "session/"  # then the node: one note for all its starts
_WORD = 9  # random bytes

log = logging.getLogger(__name__)


class _Session(msgspec.Struct, array_like=True, frozen=True):
    client_id: str
    topic: str


async def note_session(memory: Memory, client_id: str, topic: str) -> None:
    """Record this node's session, before it begins. Raises StoreUnavailable.

    Notes of its earlier starts with the same name at the broker are removed: that is the same session.
    """
    earlier = [
        key async for key, node, session in _noted(memory) if (node, session.client_id) == (memory.node, client_id)
    ]
    start = secrets.token_urlsafe(_WORD)
    await memory.put(f"{_SESSION}{start}/{memory.node}", msgspec.msgpack.encode(_Session(client_id, topic)))
    for key in earlier:
        await memory.put(key, None)


async def _noted(memory: Memory) -> AsyncIterator[tuple[str, str, _Session]]:
    """Yield all notes of sessions: key, node, session. Raises StoreUnavailable."""
    for prefix in (_SESSION, _FORMER):
        async for key, raw in memory.items(prefix):
            rest = key[len(prefix) :]
            node = rest.partition("/")[2] if prefix == _SESSION else rest
            try:
                session = msgspec.msgpack.decode(raw, type=_Session)
            except msgspec.DecodeError as error:
                text = "the note of a session of node %s at the broker cannot be read: %s"
                log.warning(text, node, error, extra={"sample": "sessions"})
                continue
            yield key, node, session


class SessionsOfOthers:
    """Takes over the sessions of nodes that are gone. One node does it for all of them."""

    def __init__(self, memory: Memory, make: Callable[[], MqttEvents], count: Callable[[str], None]) -> None:
        """`make` returns what takes the events of one session."""
        self._memory = memory
        self._make = make
        self._count = count
        self._heirs: dict[str, asyncio.Task[None]] = {}  # by the key of the note

    async def run(self, alive: Callable[[], Collection[str]]) -> None:
        """Work until cancelled; `alive` returns the names of the living nodes, this one among them, or of none."""
        try:
            while True:
                if self._memory.node in alive():
                    await self._look(alive)
                await asyncio.sleep(LOOK)
        finally:
            heirs = [*self._heirs.values()]
            for heir in heirs:
                heir.cancel()
            await asyncio.gather(*heirs, return_exceptions=True)

    async def _look(self, alive: Callable[[], Collection[str]]) -> None:
        try:
            async for key, node, session in _noted(self._memory):
                if node not in alive() and key not in self._heirs:
                    self._heirs[key] = heir = asyncio.create_task(self._inherit(key, node, session, alive))
                    heir.add_done_callback(lambda _heir, key=key: self._heirs.pop(key))  # type: ignore[misc]
        except StoreUnavailable as error:
            log.warning("sessions of nodes at the broker cannot be read: %s", error, extra={"sample": "sessions"})

    async def _inherit(self, key: str, node: str, session: _Session, alive: Callable[[], Collection[str]]) -> None:
        events = self._make()
        await events.start(session.client_id, topic=session.topic)
        try:
            is_over = await self._is_emptied(events, node, alive)
        finally:
            await events.stop()
        if events.taken:
            log.info("events that waited for node %s at the broker are taken", node, extra={"events": events.taken})
            self._count("lorawan_mqtt_sessions_inherited")
        if not is_over:
            await asyncio.sleep(AGAIN)  # before anybody tries again
            return
        try:
            await self._memory.put(key, None)
        except StoreUnavailable as error:
            log.info("the session of node %s is not forgotten yet: %s", node, error)

    async def _is_emptied(self, events: MqttEvents, node: str, alive: Callable[[], Collection[str]]) -> bool:
        """Take what comes; return True when nothing is left, False if the node is back or the connection broke."""
        now = asyncio.get_running_loop().time
        taken, since = events.taken, now()
        while now() - since < QUIET:
            await asyncio.sleep(_TICK)
            if node in alive() or events.is_over:
                return False
            if events.connections and not events.session_present:
                return True
            if events.taken != taken or not events.connected or events.is_busy:
                taken, since = events.taken, now()
        return True
