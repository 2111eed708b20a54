"""Which server a device's own message is for (R23): by port, Uri-Host, kid, Location, or operation."""

from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.coap.oscore import kid_of
from bridge.relay.effects import Count
from bridge.relay.model import Server
from bridge.relay.registrations import segments
from bridge.relay.state import Step

BOOTSTRAP = "Bootstrap-Request"
OSCORE = "OSCORE"


def server_of(step: Step, message: Message, operation: str, by_port: Server | None = None) -> Server:
    """Return the server of the endpoint that a device's request is for. The endpoint has at least one.

    `by_port` is the server whose application port the request came on, if any. Else a device names a server by
    Uri-Host, or in an OSCORE message by the kid; an Update names it by the path of its registration. Other messages
    are for the first server that can handle them, a Send for the first at which the device is registered.
    """
    if by_port is not None:
        return by_port
    state = step.state
    servers = state.endpoint.servers
    if len(servers) == 1:
        return servers[0]
    named = _named(servers, message)
    if named is not None:
        return named
    if operation == OSCORE:
        meant = _with_kid(step, servers, message)
        if meant is not None:
            return meant
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


def _with_kid(step: Step, servers: tuple[Server, ...], message: Message) -> Server | None:
    """Return the server that the kid of an OSCORE message names; None, and count that, if it names none.

    An endpoint without kids has nothing to count. The kid is not authentic; the server verifies the message.
    """
    if not any(server.oscore_kids for server in servers):
        return None
    kid = kid_of(message.option(OptionNumber.OSCORE) or b"")
    for server in servers:
        if kid is not None and kid in server.oscore_kids:
            return server
    what = "an OSCORE message without a kid that can be read" if kid is None else f"kid {kid[:16].hex()!r} of no server"
    step.effect(
        Count(
            "oscore_kids_unknown",
            "unreadable" if kid is None else "unknown",
            f"endpoint {step.state.endpoint.name}: {what} came, and goes to the default server; "
            "compare the device's Sender IDs with the endpoint's option oscore_kids",
        )
    )
    return None


def _with_key(servers: tuple[Server, ...], key: str) -> Server:
    return next((server for server in servers if server.key == key), servers[0])
