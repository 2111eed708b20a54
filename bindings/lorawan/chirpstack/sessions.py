"""The sessions of nodes at a broker: what waits in the session of a node that is gone is taken by another node.

A broker gives events of a shared subscription also to a subscriber that is away, and keeps them in its session. Another
node goes on with that session: it connects under the same name, ends the subscription, and takes what is there. If the
node comes back meanwhile, the broker lets it go on with its session itself.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

import msgspec

from bindings.contract import Memory
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bridge.errors import StoreUnavailable

LOOK = 2.0  # seconds between two looks at who is gone
AGAIN = 5.0  # seconds until a session is tried again
QUIET = 60.0  # seconds without an event after which a session counts as empty; it stays with the broker nevertheless
_TICK = 0.2
_SESSION = "session/"

log = logging.getLogger(__name__)


class _Session(msgspec.Struct, array_like=True, frozen=True):
    client_id: str
    topic: str


async def note_session(memory: Memory, client_id: str, topic: str) -> None:
    """Record this node's session, before it begins. Raises StoreUnavailable."""
    await memory.put(_SESSION + memory.node, msgspec.msgpack.encode(_Session(client_id, topic)))


class SessionsOfOthers:
    """Takes over the sessions of nodes that are gone. One node does it for all of them."""

    def __init__(self, memory: Memory, make: Callable[[], MqttEvents], count: Callable[[str], None]) -> None:
        """`make` returns what takes the events of one session."""
        self._memory = memory
        self._make = make
        self._count = count
        self._heirs: dict[str, asyncio.Task[None]] = {}

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
            async for key, raw in self._memory.items(_SESSION):
                node = key[len(_SESSION) :]
                if node not in alive() and node not in self._heirs:
                    session = msgspec.msgpack.decode(raw, type=_Session)
                    self._heirs[node] = heir = asyncio.create_task(self._inherit(node, session, alive))
                    heir.add_done_callback(lambda _heir, node=node: self._heirs.pop(node))  # type: ignore[misc]
        except (StoreUnavailable, msgspec.DecodeError) as error:
            log.warning("sessions of nodes at the broker cannot be read: %s", error, extra={"sample": "sessions"})

    async def _inherit(self, node: str, session: _Session, alive: Callable[[], Collection[str]]) -> None:
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
            await self._memory.put(_SESSION + node, None)
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
