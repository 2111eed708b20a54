"""Until when a server in queue mode takes the device for awake, and how that stays true (R21, Transport TS §6.5).

A server that was told Q sends only for a while after certain messages of the device, and holds everything else. What
counts, and for how long, differs: `ServerProfile.awake_time`. The bridge keeps the time of the latest message that
counts, and with `announce_awake` renews it when the device can be reached although the server does not know.
"""

from bridge.coap import udp
from bridge.coap.message import CON, Option, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.uplinks import CoapUplink, Notification, Response, Verdict
from bridge.relay.effects import Count, SendToServer
from bridge.relay.model import ServerProfile
from bridge.relay.registrations import Registration
from bridge.relay.state import Step

TOKEN = b"\0update\0"  # token of the bridge's own Update; a device's request has it only if the device chooses it


def awake_until(registration: Registration, profile: ServerProfile) -> float | None:
    """Return until when a server takes the device for awake: a wall time, in the past if it takes it for asleep.

    None: the server was not told that the device sleeps, and sends at any time.
    """
    return registration.awake_since + profile.awake_time if registration.queue_mode else None


def forwarded(step: Step, row: CoapUplink) -> None:
    """Record that a server has a message, if that makes it take the device for awake."""
    for one in step.state.registrations:
        if one.queue_mode and one.server == row.server:
            counts = type(row) in (Notification, Response, Verdict) or _profile(step, one).awake_by_any
            if counts and step.wall - one.awake_since >= 1:  # to within a second: each is a change of a row
                one.awake_since = step.wall
                step.relay_row()


def record_accepted_update(step: Step, server: str) -> None:
    """Record that a server accepted an Update of the bridge, or was answered by the bridge at once."""
    for one in step.state.registrations:
        if one.queue_mode and one.server == server:
            one.awake_since = step.wall
            step.relay_row()


def timed_out(step: Step, server: str) -> None:
    """Record that a server got no answer within its patience: one that gives the device up takes it for asleep."""
    for one in step.state.registrations:
        if one.queue_mode and one.server == server and one.awake_since and _profile(step, one).asleep_after_timeout:
            one.awake_since = 0.0
            step.relay_row()


def reachable(step: Step, heard_at: float) -> None:
    """Announce a device that can be reached to the servers that do not know, if their settings ask for that.

    An Update without parameters is sent in the device's place, once: the next sign of the device brings another one.
    A sign from `heard_at` that waited in the inbox until the device sleeps again, as the server reckons, announces
    nothing.
    """
    state = step.state
    if state.relay is None or state.relay.refuse_update:
        return
    for one in state.registrations:
        profile = _profile(step, one)
        until = awake_until(one, profile)
        if heard_at + profile.awake_time <= step.wall:
            continue
        if until is not None and until <= step.wall and profile.announce_awake and one.server not in state.active:
            send_update(step, one, CON)
            step.effect(Count("devices_announced", one.server))


def send_update(step: Step, registration: Registration, kind: int, *, first: bool = False) -> None:
    """Send an Update without parameters with TOKEN; `new_link.answered` processes the answer.

    `first`: before what waits for the link.
    """
    path: list[Option] = [(OptionNumber.URI_PATH, segment) for segment in registration.location]
    mid = step.state.north_mids.allocate(step.state.by_north_mid)
    step.relay_row().north_mid = mid
    message = udp.frame(kind, Code.POST, mid, TOKEN, encode_body(path, b""))
    step.effect(SendToServer(registration.server, message, first=first))


def _profile(step: Step, registration: Registration) -> ServerProfile:
    known = step.state.server(registration.server)
    return known.profile if known is not None else ServerProfile()
