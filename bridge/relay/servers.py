"""Which server a device's own message is for (R23): by port, Uri-Host, the Location of a registration, or operation."""

from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.relay.model import Server
from bridge.relay.registrations import segments
from bridge.relay.state import EndpointState

BOOTSTRAP = "Bootstrap-Request"


def server_of(state: EndpointState, message: Message, operation: str, by_port: Server | None = None) -> Server:
    """Return the server of the endpoint that a device's request is for. The endpoint has at least one.

    `by_port` is the server whose application port the request came on, if any. Else a device names a server by
    Uri-Host; an Update names it by the path of its registration. Other messages are for the first server that can
    handle them, a Send for the first at which the device is registered.
    """
    if by_port is not None:
        return by_port
    servers = state.endpoint.servers
    if len(servers) == 1:
        return servers[0]
    named = _named(servers, message)
    if named is not None:
        return named
    path = segments(message)
    for registration in state.registrations:
        if registration.told == path:
            return _with_key(servers, registration.server)
    if operation == BOOTSTRAP:
        return next((server for server in servers if server.bootstrap), servers[0])
    if operation != "Register":
        for registration in state.registrations:
            return _with_key(servers, registration.server)
    return next((server for server in servers if not server.bootstrap), servers[0])


def _named(servers: tuple[Server, ...], message: Message) -> Server | None:
    """Return the server that Uri-Host names, and Uri-Port if several have one host; None: it names none."""
    value = message.option(OptionNumber.URI_HOST)
    if value is None:
        return None
    host = value.decode("utf-8", "backslashreplace").casefold().strip("[]")
    port = message.uint(OptionNumber.URI_PORT)
    there = [server for server in servers if host in server.hosts]
    for server in there:
        if port is not None and server.port == port:
            return server
    return there[0] if there else None


def _with_key(servers: tuple[Server, ...], key: str) -> Server:
    return next((server for server in servers if server.key == key), servers[0])
