"""A link toward a server opened: unacknowledged messages are sent at once, and the registration is bound to the link.

A server reaches a client over the connection on which the client's latest message came. So after a new connection the
bridge sends an Update without parameters (LwM2M Core TS §6.2.2) for the device, which also renews the registration. The
Update is a NON, since a connection loses nothing. If the connection ends before the answer, the next connection begins
with another Update.
"""

from bridge.coap import udp
from bridge.coap.message import CON, NON, Message, Option, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.uplinks import DeviceRequest
from bridge.relay import server_answers, toward_server
from bridge.relay.effects import Count, SendToServer
from bridge.relay.events import LinkOpened
from bridge.relay.state import Step

TOKEN = b"\0update\0"  # token of the Update; a device's request has it only if the device chooses it on purpose


def opened(step: Step, event: LinkOpened) -> None:
    """Process an open link."""
    state = step.state
    toward_server.repeat_now(step, event.server)
    if not event.new_address or state.relay is None or state.relay.refuse_update:
        return
    registration = next((one for one in state.registrations if one.server == event.server), None)
    if registration is not None:
        path: list[Option] = [(OptionNumber.URI_PATH, segment) for segment in registration.location]
        mid = state.north_mids.allocate(state.by_north_mid)
        relay = step.relay_row()
        relay.north_mid = mid
        step.effect(SendToServer(event.server, udp.frame(NON, Code.POST, mid, TOKEN, encode_body(path, b""))))


def answered(step: Step, server: str, message: Message) -> bool:
    """Process a response with TOKEN; return False if a request of the device has that token."""
    if any(type(row) is DeviceRequest and row.north_token == TOKEN for row in step.state.uplinks.values()):
        return False
    if message.type is CON:
        toward_server.acknowledge(step, server, message.mid)
    if message.code == Code.NOT_FOUND:
        server_answers.is_forgotten(step, server)  # the device registers anew with its next Update
    elif message.code != Code.CHANGED:
        code = f"{message.code >> 5}.{message.code & 31:02}"
        text = f"server {server} answered {code} to the Update that should bind the registration to the new connection"
        step.effect(Count("registrations_not_bound", server, text))
    return True
