"""Waking a sleeping device up by a trigger over another of its networks, such as SMS (Core TS 1.1 §6.6).

A trigger is an Execute of /1/x/8 (the device updates its registration) or /1/x/9 (it asks to be bootstrapped), sent NON
and never answered. Messages that wait for the device are sent when the device is heard.
"""

import re

from bridge.coap.message import encode_body, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.deliveries import is_out_of_reach
from bridge.delivery.downlinks import Downlink, ServerRequest, Trigger
from bridge.delivery.states import DownlinkState
from bridge.enums import members
from bridge.relay.effects import Count, WakeUp
from bridge.relay.events import TriggerAsked
from bridge.relay.state import Step

_S = members(DownlinkState)
_SERVER_OBJECT = "1"
_TRIGGERS = {"8": "Registration Update Trigger", "9": "Bootstrap-Request Trigger"}
_DEPTH = 3  # object, instance, resource
_LINK = re.compile(rb"</1/(\d{1,5})>")


def wake_if_needed(step: Step) -> float | None:
    """Wake the device up if a request waits for it; return the wall time at which to check again, None: never."""
    state = step.state
    wake = state.endpoint.wake
    if wake is None:
        return None
    waiting = [row for row in state.deliveries.live.values() if type(row) is ServerRequest and _sleeps(row, step.wall)]
    if not waiting or any(_is_trigger(row) for row in state.deliveries.live.values()):
        return None
    woken_at = 0.0 if state.relay is None else state.relay.woken_at
    due = min(row.accepted_at for row in waiting) + state.policy.wake_after
    if woken_at <= step.wall:  # clocks are set back, too
        due = max(due, woken_at + state.policy.wake_interval if woken_at else 0.0)
    if due > step.wall:
        return due
    known = None if state.relay is None else state.relay.server_instance
    instance = known if wake.instance is None else wake.instance
    relay = step.relay_row()
    relay.woken_at = step.wall
    if instance is None:
        text = f"{state.endpoint.name} cannot be woken up: it has registered no instance of object 1, or several; "
        step.effect(Count("wake_ups_impossible", "instance", f"{text}set its option wake_instance"))
        return step.wall + state.policy.wake_interval
    step.effect(WakeUp(wake.endpoint, instance, wake.resource, max(row.deliver_by for row in waiting)))
    step.effect(Count("wake_ups"))
    return step.wall + state.policy.wake_interval


def _sleeps(row: ServerRequest, now: float) -> bool:
    """Return whether a request waits because its device sleeps: the network holds it, or the network said so."""
    if row.deliver_by <= now or row.cancel_asked:
        return False
    if row.state is _S.BUFFERED:
        return True
    return row.state is _S.QUEUED and row.not_before is not None and row.not_before > now and is_out_of_reach(row)


def _is_trigger(row: Downlink) -> bool:
    """Return whether a server asks for a trigger itself: then the bridge sends none."""
    if type(row) is not ServerRequest or row.operation != "Execute":
        return False
    path = parse(row.code, row.body).strings(OptionNumber.URI_PATH)
    return len(path) == _DEPTH and path[0] == _SERVER_OBJECT and path[2] in _TRIGGERS


def note_register(step: Step, body: bytes) -> None:
    """Record which instance of object 1 a device registered; None if one message does not say it."""
    message = parse(Code.POST, body)
    found = set() if message.option(OptionNumber.BLOCK1) is not None else set(_LINK.findall(message.payload))
    step.relay_row().server_instance = int(found.pop()) if len(found) == 1 else None


def queue_trigger(step: Step, event: TriggerAsked) -> None:
    """Queue a trigger for this endpoint's device, unless one is on its way."""
    state = step.state
    if any(type(row) is Trigger for row in state.deliveries.live.values()):
        step.effect(Count("wake_ups_under_way"))
        return
    path = (_SERVER_OBJECT, str(event.instance), str(event.resource))
    row = Trigger.new(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.wall,
        _TRIGGERS[path[2]],
        event.deliver_by,
        encode_body([(OptionNumber.URI_PATH, part.encode()) for part in path], b""),
        Code.POST,
        state.south_mids.allocate(state.by_south_mid),
    )
    state.deliveries.add(row, step.work)
    state.by_south_mid[row.south_mid] = row
