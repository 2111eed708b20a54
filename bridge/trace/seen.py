"""Entries of a trace for events and effects."""

from collections.abc import Callable
from typing import Any

from bindings.contract import Accepted, Refused, SubmitResult
from bridge.coap.words import code_name
from bridge.relay import events as ev
from bridge.relay.effects import Cancel, Count, Effect, LookUp, SendToServer, ServerSilent, Settled, Submit, WakeUp
from bridge.relay.model import Endpoint
from bridge.trace.entry import Entry, EntryKind


def of_event(endpoint: Endpoint, event: ev.Event, at: float) -> Entry | None:
    """Return the entry for an event; None: it is not shown."""
    if isinstance(event, ev.ServerDatagram):
        return Entry(at, EntryKind.FROM_SERVER, event.server, event.data)
    if isinstance(event, ev.DeviceMessage):
        return Entry(at, EntryKind.FROM_DEVICE, endpoint.network, event.data, _heard(event))
    described = _NETWORK.get(type(event))
    if described is not None:
        return Entry(at, EntryKind.NETWORK, endpoint.network, note=described(event))
    described = _NOTES.get(type(event))
    return None if described is None else Entry(at, EntryKind.NOTE, "", note=described(event))


def of_effect(endpoint: Endpoint, effect: Effect, at: float, note: str) -> Entry | None:
    """Return the entry for an effect; None: it is not shown. `note`: a remark on a message to a server."""
    if isinstance(effect, SendToServer):
        return Entry(at, EntryKind.TO_SERVER, effect.server, effect.data, note)
    if isinstance(effect, Submit):
        one = effect.attempt
        return Entry(at, EntryKind.TO_DEVICE, endpoint.network, one.payload, _attempt(one.downlink, one.number))
    if isinstance(effect, Settled):
        why = f": {effect.reason}" if effect.reason else ""
        text = f"{effect.direction}link {effect.row} {effect.operation}: {effect.state} after {effect.after:.1f} s{why}"
        return Entry(at, EntryKind.OUTCOME, "", note=text)
    described = _EFFECTS.get(type(effect))
    text = "" if described is None else described(effect)
    return Entry(at, EntryKind.NOTE, "", note=text) if text else None


def _heard(event: ev.DeviceMessage) -> str:
    return "" if event.duplicate_key is None else f"the network's id {event.duplicate_key}"


def _attempt(downlink: int, number: int) -> str:
    return f"downlink {downlink}, attempt {number}"


def _submitted(event: ev.Submitted) -> str:
    return f"{_attempt(event.downlink, event.attempt)}: {_result(event.result)}"


def _result(result: SubmitResult) -> str:
    if isinstance(result, Accepted):
        return f"accepted, {result.state.value}{_handle(result.handle)}"
    if isinstance(result, Refused):
        return f"refused, {result.why.value}: {result.detail}"
    return f"it is unknown whether the network accepted it: {result.detail}"


def _reported(event: ev.Reported) -> str:
    outcome = "no outcome" if event.outcome is None else str(event.outcome.value)
    nack = ", not acknowledged by the device's modem or MAC" if event.nack else ""
    return f"report: {outcome}{nack}{_handle(event.handle)}{_detail(event.detail)}"


def _looked_up(event: ev.LookedUp) -> str:
    result = event.result
    return f"{_attempt(event.downlink, event.attempt)}: looked up, {result.presence.value}{_handle(result.handle)}"


def _cancelled(event: ev.CancelDone) -> str:
    return f"{_attempt(event.downlink, event.attempt)}: cancel, {event.result.value}"


def _handle(handle: str | None) -> str:
    return "" if handle is None else f", handle {handle}"


def _detail(text: str) -> str:
    return f": {text}" if text else ""


_NETWORK: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.Submitted: _submitted,
    ev.Reported: _reported,
    ev.LookedUp: _looked_up,
    ev.CancelDone: _cancelled,
    ev.DeviceReachable: lambda _event: "the device can be reached now",
    ev.DeviceJoined: lambda _event: "the device joined",
    ev.NetworkFlushed: lambda event: f"the network's queue was emptied{_handle(event.handle)}{_detail(event.detail)}",
}
_NOTES: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.AddressCame: lambda _event: "the endpoint's own address is on this node now",
    ev.LinkOpened: lambda event: f"the link to server {event.server} is open",
    ev.NorthChanged: lambda _event: "the endpoint's address or its servers changed",
    ev.DirectRequest: lambda event: (
        f"{event.note.who} asks by the API for {code_name(event.code)}, downlink {event.id}"
    ),
    ev.CancelAsked: lambda event: f"a person asks to cancel downlink {event.downlink}",
    ev.ServersChanged: lambda _event: "its servers are configured in another way now",
    ev.NetworkRemoved: lambda _event: "its network is not configured any more",
    ev.EndpointRemoved: lambda event: event.why,
    ev.TriggerAsked: lambda event: f"another endpoint asks for a trigger: Execute /1/{event.instance}/{event.resource}",
}
_EFFECTS: dict[type[Effect], Callable[[Any], str]] = {
    LookUp: lambda effect: f"{_attempt(effect.attempt.downlink, effect.attempt.number)}: looked up in the network",
    Cancel: lambda effect: f"{_attempt(effect.downlink, effect.number)}: the network is asked to cancel it",
    ServerSilent: lambda effect: f"server {effect.server} acknowledges nothing",
    WakeUp: lambda effect: f"endpoint {effect.endpoint} is asked to wake the device up",
    Count: lambda effect: effect.text,
}
