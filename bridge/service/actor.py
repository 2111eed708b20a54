"""Carries out effects: datagrams to servers, calls to networks, counters and log lines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from bindings.contract import (
    Accepted,
    Ambiguous,
    Binding,
    Cancellation,
    Lookup,
    Presence,
    Refusal,
    Refused,
    Submission,
    SubmitResult,
)
from bindings.guarded_calls import ends_its_task
from bridge.north.contract import NorthTransport, Sending
from bridge.relay import events as ev
from bridge.relay.effects import (
    Cancel,
    Count,
    DirectAnswer,
    Effect,
    LookUp,
    SendToServer,
    ServerSilent,
    Settled,
    Submit,
)
from bridge.service.crash_points import reached
from bridge.service.direct import DirectResults
from bridge.service.placed import NO_SOURCE, Placed
from bridge.service.shard_sending import AddressesHere
from bridge.trace.entry import NOT_SENT
from bridge.trace.traces import Tap

log = logging.getLogger(__name__)

CountFunction = Callable[..., None]
"""`count(name, **labels)`"""

ObserveFunction = Callable[..., None]
"""`observe(name, seconds, **labels)`"""

Result = Callable[[Placed, ev.Event], None]
"""Takes the result of an endpoint's network call."""

_SESSION_IS_OURS = (
    "DTLS of a device is relayed to servers with coap:// and secure_port only; this server has sessions with us"
)
_NOT_HERE = f"{NOT_SENT}the endpoint's own address is not on this node; it is sent from the node that has it"
_UNSURE = Ambiguous("the binding failed; see the log")


class NetworkActor:
    """Carries out the effects of all endpoints of the process."""

    def __init__(
        self,
        north: NorthTransport,
        networks: Mapping[str, Binding],
        count: CountFunction,
        observe: ObserveFunction = lambda *_, **__: None,
        watch: DirectResults | None = None,
        addresses: AddressesHere | None = None,
    ) -> None:
        """`addresses`: which ones are on this node; None: there is no cluster, and all are."""
        self._north = north
        self._observe = observe
        self._networks = networks
        self._count = count
        self._watch = watch or DirectResults()
        self._addresses = addresses
        self._calls: dict[int, tuple[int, int]] = {}  # endpoint → downlink and attempt whose network call is in flight
        self._tasks: set[asyncio.Task[None] | None] = set()  # of calls in flight
        self._stopping = False
        self.tap: Tap | None = None  # is called with every effect while a trace runs

    def act(self, placed: Placed, effect: Effect, result: Result) -> None:
        """Carry out one effect; never raises. The result of a network call is passed to `result` later."""
        if isinstance(effect, SendToServer):
            note = self._send(placed, effect, result)
            if self.tap is not None:
                self.tap.effect(placed.endpoint, effect, note)
            return
        if self.tap is not None:
            self.tap.effect(placed.endpoint, effect)
        if isinstance(effect, Submit):
            self._begin(placed, _key(effect.attempt), self._submit(placed, effect.attempt), result)
        elif isinstance(effect, Settled):
            self._settled(placed, effect)
        elif isinstance(effect, Count):
            self._count(effect.name, kind=effect.label)
            if effect.text:
                sample = f"{effect.name} {effect.label}"  # sampled apart, so that one side does not hide the other
                log.warning("%s", effect.text, extra={"endpoint": placed.endpoint.name, "sample": sample})
        elif isinstance(effect, LookUp):
            self._begin(placed, _key(effect.attempt), self._look_up(placed, effect.attempt), result)
        elif isinstance(effect, Cancel):
            self._begin(placed, (effect.downlink, effect.number), self._cancel(placed, effect), result)
        elif isinstance(effect, DirectAnswer):
            self._watch.answered(effect)
        elif isinstance(effect, ServerSilent):
            self._count("silent_servers", server=effect.server)
            if placed.source is not None:
                self._north.unanswered(placed.source, effect.server)

    def call_in_flight(self, endpoint: int) -> tuple[int, int] | None:
        """Return the downlink and attempt whose network call is in flight for an endpoint, or None."""
        return self._calls.get(endpoint)

    def stop(self) -> None:
        """Begin no more submissions and lookups: messages that wait behind calls in flight stay for the next start."""
        self._stopping = True

    async def finish(self) -> None:
        """Wait until the network calls in flight have returned, and their results are passed on."""
        while self._tasks:
            await asyncio.wait([task for task in self._tasks if task is not None])

    @property
    def busy(self) -> bool:
        """Return whether a network call is in flight."""
        return bool(self._tasks)

    def _settled(self, placed: Placed, effect: Settled) -> None:
        self._watch.settled(placed.endpoint.id)
        self._count("outcomes", direction=effect.direction, state=effect.state)
        self._observe("message_duration_seconds", effect.after, direction=effect.direction)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "settled",
                extra={
                    "endpoint": placed.endpoint.name,
                    "row": effect.row,
                    "operation": effect.operation,
                    "state": effect.state,
                    "why": effect.reason,
                },
            )

    def carries(self, placed: Placed, server: str, message: bytes, secure: bool) -> bool:  # as a step calls it
        """Return whether this message of an endpoint to a server, or to its DTLS port, would leave now."""
        if placed.source is None or (self._addresses is not None and not self._addresses.has(placed.endpoint.shard)):
            return False
        return self._north.carries(placed.source, server, message, opaque=secure)

    def _send(self, placed: Placed, effect: SendToServer, result: Result) -> str:
        """Send a message to a server; return why it was not sent or waits, "" if it was sent."""
        if placed.source is None:
            return self._dropped(placed, effect.server, NO_SOURCE)
        if self._addresses is not None and not self._addresses.lets(placed.endpoint.shard, placed.endpoint.id):
            return _NOT_HERE
        reached("before server datagram")
        if effect.row is not None:
            return self._send_unconfirmed(placed, effect, effect.row, result)
        sending = self._north.send(placed.source, effect.server, effect.data, opaque=effect.secure, first=effect.first)
        reached("after server datagram")
        if sending is Sending.DROPPED:
            link = self._north.link(placed.source, effect.server)
            otherwise = _SESSION_IS_OURS if effect.secure else "too many messages wait for the link already"
            return self._dropped(placed, effect.server, link.reason or otherwise)
        return "" if sending is Sending.LEFT else "waits for the link"

    def _send_unconfirmed(self, placed: Placed, effect: SendToServer, row: int, result: Result) -> str:
        """Send a message that no server acknowledges, or leave it to its next turn; pass on that it left."""
        source = placed.source or 0
        sending = self._north.send(source, effect.server, effect.data, may_wait=False)
        reached("after server datagram")
        if sending is Sending.LEFT:
            asyncio.get_running_loop().call_soon(result, placed, ev.LeftForServer(row))
            return ""
        reason = (
            self._north.link(source, effect.server).reason
            or "the link is not open yet, or the server has not shown its address"
        )
        return f"{NOT_SENT}{reason}; it is tried again"

    def _dropped(self, placed: Placed, server: str, why: str) -> str:
        self._count("north_dropped", server=server)
        extra = {"endpoint": placed.endpoint.name, "server": server, "why": why, "sample": f"dropped {server}"}
        log.warning("a message to a server is dropped", extra=extra)
        return f"{NOT_SENT}{why}"

    def _begin(self, placed: Placed, key: tuple[int, int], call: Awaitable[ev.Event], result: Result) -> None:
        self._calls[placed.endpoint.id] = key
        self._tasks.add(asyncio.create_task(self._finish(placed, key, call, result)))

    async def _finish(self, placed: Placed, key: tuple[int, int], call: Awaitable[ev.Event], result: Result) -> None:
        try:
            event = await call
        finally:
            self._tasks.discard(asyncio.current_task())
        if self._calls.get(placed.endpoint.id) == key:  # another call may have begun if the endpoint was loaded anew
            del self._calls[placed.endpoint.id]
        result(placed, event)

    async def _submit(self, placed: Placed, attempt: Submission) -> ev.Event:
        binding = self._networks.get(placed.endpoint.network)
        result: SubmitResult
        if binding is None:
            result = Refused(Refusal.NETWORK_UNAVAILABLE, f"network {placed.endpoint.network!r} is not configured")
        elif self._stopping:
            result = Refused(Refusal.NETWORK_UNAVAILABLE, "the service is stopping")
        else:
            reached("before submit")
            now = asyncio.get_running_loop().time
            begun = now()
            result = await _safely(partial(binding.submit, attempt), SubmitResult, _UNSURE)
            self._observe("submit_duration_seconds", now() - begun, network=placed.endpoint.network)
            reached("after submit")
        if isinstance(result, Accepted):
            self._count("submits", network=placed.endpoint.network, result=result.state.value)
        else:
            what = result.why.value if isinstance(result, Refused) else "ambiguous"
            self._count("submits", network=placed.endpoint.network, result=what)
            log.info(
                "not submitted: %s",
                result.detail,
                extra={"endpoint": placed.endpoint.name, "why": what, "downlink": attempt.downlink, "sample": what},
            )
        return ev.Submitted(attempt.downlink, attempt.number, result)

    async def _look_up(self, placed: Placed, attempt: Submission) -> ev.Event:
        binding = self._networks.get(placed.endpoint.network)
        failed = Lookup(Presence.FAILED)
        if binding is None or self._stopping:
            result = failed
        else:
            result = await _safely(partial(binding.lookup, attempt), Lookup, failed)
        self._count("lookups", network=placed.endpoint.network, result=result.presence.value)
        return ev.LookedUp(attempt.downlink, attempt.number, result)

    async def _cancel(self, placed: Placed, effect: Cancel) -> ev.Event:
        binding = self._networks.get(placed.endpoint.network)
        result = Cancellation.UNKNOWN
        if binding is not None:
            call = partial(binding.cancel, placed.endpoint.device, effect.handle)
            result = await _safely(call, Cancellation, Cancellation.UNKNOWN)
        self._count("cancels", network=placed.endpoint.network, result=result.value)
        return ev.CancelDone(effect.downlink, effect.number, result)


def _key(attempt: Submission) -> tuple[int, int]:
    return attempt.downlink, attempt.number


async def _safely(call: Callable[[], Awaitable[Any]], kind: Any, otherwise: Any) -> Any:
    """Await a call of a binding, which must not raise; if it does, log that and return an unsure result.

    Without a result the device's one network call would be in flight forever (R7).
    """
    try:
        result = await call()
    except (Exception, asyncio.CancelledError) as error:  # a binding may have cancelled what its call waited for
        if ends_its_task(error):
            raise
        log.exception("a binding raised an exception in a network call", extra={"sample": "binding raised"})
        return otherwise
    if not isinstance(result, kind):
        log.error(
            "a binding returned an unexpected result of a network call: %r", result, extra={"sample": "binding raised"}
        )
        return otherwise
    return result
