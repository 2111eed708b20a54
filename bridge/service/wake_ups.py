"""A sleeping device is woken up by another endpoint of the device, which this node or another one serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from bindings.contract import PassOn, Post
from bridge.directory.keys import ByName
from bridge.errors import BridgeError, NotificationError, NotServedHere
from bridge.relay import events as ev
from bridge.relay.effects import WakeUp
from bridge.service.actor import CountFunction
from bridge.service.inbox import in_inbox
from bridge.store.contract import Done
from bridge.store.done import future_and_done

Arrive = Callable[[ByName, ev.Event, Done], None]

log = logging.getLogger(__name__)


class WakeUpRequest(msgspec.Struct, frozen=True):
    """What the node that serves an endpoint needs to queue a trigger; the body of a post."""

    endpoint: str
    instance: int
    resource: int
    deliver_by: float


class WakeUps:
    """Passes wake-ups on to the endpoints that send the triggers; `arrive` is the runner's.

    `pass_on` commits a wake-up to the inbox for the node that holds the endpoint's shard; None: there is no cluster.
    """

    def __init__(self, arrive: Arrive, count: CountFunction) -> None:
        self.pass_on: PassOn | None = None
        self._arrive = arrive
        self._count = count

    def ask(self, sleeper: str, effect: WakeUp) -> None:
        """Have the endpoint that `effect` names send a trigger to the device of the endpoint `sleeper`."""

        def done(error: BaseException | None) -> None:
            if isinstance(error, NotServedHere) and self.pass_on is not None:
                kept = asyncio.ensure_future(self.pass_on(_post(effect), error.shard))
                kept.add_done_callback(lambda ended: self._ended(sleeper, effect.endpoint, _error(ended)))
            else:
                self._ended(sleeper, effect.endpoint, error)

        event = ev.TriggerAsked(effect.instance, effect.resource, effect.deliver_by)
        self._arrive(ByName(effect.endpoint), event, done)

    def commit_kept(self, post: Post) -> Awaitable[None]:
        """Queue the trigger of a wake-up that another node passed on.

        The returned future completes when the trigger is committed, and the row of the inbox with it is removed.
        Raises NotificationError for a post that no node made; the future raises UnknownDevice without such an endpoint,
        or StoreUnavailable.
        """
        try:
            asked = msgspec.json.decode(post.body, type=WakeUpRequest)
        except msgspec.DecodeError as error:
            raise NotificationError(f"no wake-up of another node: {error}") from error
        committed, done = future_and_done()

        event = in_inbox(ev.TriggerAsked(asked.instance, asked.resource, asked.deliver_by))
        self._arrive(ByName(asked.endpoint), event, done)
        return committed

    def _ended(self, sleeper: str, by: str, error: BaseException | None) -> None:
        if error is not None:
            self._count("wake_ups_impossible", kind="endpoint")
            extra = {"endpoint": sleeper, "by": by, "sample": "not woken up"}
            log.warning("a device cannot be woken: %s", error, extra=extra)


def _post(effect: WakeUp) -> Post:
    asked = WakeUpRequest(effect.endpoint, effect.instance, effect.resource, effect.deliver_by)
    return Post("", "", msgspec.json.encode(asked))


def _error(ended: "asyncio.Future[object]") -> BaseException | None:
    return BridgeError("the bridge is stopping") if ended.cancelled() else ended.exception()
