"""A link toward a server opened: unacknowledged messages are sent at once, and the registration is bound to the link.

A server reaches a client over the connection on which the client's latest message came. So after a new connection the
bridge sends an Update without parameters (LwM2M Core TS §6.2.2) for the device, which also renews the registration. The
Update is a NON, since a connection loses nothing. The Update is the first message of the connection: a server that
knows clients by their connections alone would refuse another one. If the connection ends before the answer, the next
connection begins with another Update.
"""

from bridge.coap.message import CON, NON, Message
from bridge.coap.numbers import Code
from bridge.delivery.uplinks import DeviceRequest
from bridge.relay import awake, server_answers, toward_server
from bridge.relay.awake import TOKEN
from bridge.relay.effects import Count
from bridge.relay.events import LinkOpened
from bridge.relay.state import Step


def process_open_link(step: Step, event: LinkOpened) -> None:
    """Process an open link."""
    state = step.state
    toward_server.repeat_now(step, event.server)
    if not event.new_address or state.relay is None or state.relay.refuse_update:
        return
    registration = next((one for one in state.registrations if one.server == event.server), None)
    if registration is not None:
        awake.send_update(step, registration, NON, first=True)


def process_update_answer(step: Step, server: str, message: Message) -> bool:
    """Process a response to an Update of the bridge; return False if a request of the device has its token."""
    if any(type(row) is DeviceRequest and row.north_token == TOKEN for row in step.state.uplinks.values()):
        return False
    if message.type is CON:
        toward_server.acknowledge(step, server, message.mid)
    if message.code == Code.NOT_FOUND:
        server_answers.is_forgotten(step, server)  # the device registers anew with its next Update
    elif message.code == Code.CHANGED:
        awake.record_accepted_update(step, server)
    else:
        code = f"{message.code >> 5}.{message.code & 31:02}"
        text = f"server {server} answered {code} to the Update that the bridge sent for the device"
        step.effect(Count("registrations_not_bound", server, text))
    return True
