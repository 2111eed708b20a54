"""Registrations of the emulated server, checked as Leshan checks them. No I/O, no clock: `now` is passed in."""

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_network.lwm2m.links import Link, parse_links
from mock_network.lwm2m.messages import Request, Response
from mock_network.lwm2m.transport import Address
from mock_network.lwm2m.values import FormatError
from mock_network.lwm2m_server.profiles import PROFILES, Profile

DEFAULT_LIFETIME = 86400  # seconds, where Register has no lt (Core TS 1.1 §6.2.1.1)
LOCATION_LENGTH = 10
KNOWN_BINDINGS = frozenset("UTSN")
CREATED, DELETED, CHANGED = "2.01", "2.02", "2.04"
BAD_REQUEST, FORBIDDEN, NOT_FOUND, SERVER_ERROR = "4.00", "4.03", "4.04", "5.00"


@dataclass(slots=True)
class Client:
    """One registration. Times in seconds of the clock that `now` came from."""

    endpoint: str
    location: str
    address: Address
    """Where requests go; the identity of a client without security."""
    lifetime: int
    version: str
    binding: str
    queue_mode: bool
    links: list[Link]
    registered_at: float
    updated_at: float
    parameters: Mapping[str, str]
    """All query parameters of Register, as they came."""

    @property
    def root(self) -> tuple[str, ...]:
        """Return the alternate path, as the link with `rt="oma.lwm2m"` names it (§6.2.1); empty for none."""
        for link in self.links:
            if "oma.lwm2m" in (link.attributes.get("rt") or "").split():
                return tuple(segment for segment in link.target.split("/") if segment)
        return ()

    def expires(self) -> float | None:
        """Return when the registration ends without an Update; None: never."""
        return None if self.lifetime == 0 else self.updated_at + self.lifetime

    def to_json(self) -> dict[str, Any]:
        """Return the values that the control API shows."""
        return {
            "endpoint": self.endpoint,
            "location": f"/rd/{self.location}",
            "address": f"{self.address[0]}:{self.address[1]}",
            "lifetime": self.lifetime,
            "version": self.version,
            "binding": self.binding,
            "queue_mode": self.queue_mode,
            "links": [link.target for link in self.links],
            "parameters": dict(self.parameters),
            "registered_at": self.registered_at,
            "updated_at": self.updated_at,
        }


class _Refused(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.response = Response(code, reason.encode())


@dataclass(slots=True)
class Registry:
    """All registrations, by endpoint name, location and address."""

    rng: random.Random
    profile: Profile = field(default_factory=lambda: PROFILES["plain"])
    by_endpoint: dict[str, Client] = field(default_factory=dict)
    by_location: dict[str, Client] = field(default_factory=dict)
    by_address: dict[Address, Client] = field(default_factory=dict)

    def register(self, request: Request, now: float) -> tuple[Response, Client | None, Client | None]:
        """Answer a Register: the response, the new registration if 2.01, and the one it replaced."""
        try:
            client = self._parse(request, now)
        except _Refused as refused:
            return refused.response, None, None
        replaced = self.by_endpoint.get(client.endpoint)
        if replaced is not None:
            self.remove(replaced)
        self.by_endpoint[client.endpoint] = client
        self.by_location[client.location] = client
        self.by_address[client.address] = client
        return Response(CREATED, location=("rd", client.location)), client, replaced

    def _parse(self, request: Request, now: float) -> Client:
        if not request.confirmable:
            raise _Refused(BAD_REQUEST, "CON CoAP type expected")
        parameters = dict(_split(item) for item in request.query)
        version = parameters.get("lwm2m", "")
        if not version:
            raise _Refused(BAD_REQUEST, "LwM2M version is mandatory")
        if version not in self.profile.versions:
            raise _Refused(self.profile.wrong_version, f"LwM2M version {version[:10]} is not supported")
        endpoint = parameters.get("ep", "")
        if not endpoint:
            raise _Refused(FORBIDDEN, "endpoint name missing")
        binding = parameters.get("b", "U")
        if not set(binding) <= KNOWN_BINDINGS | {"Q"}:
            raise _Refused(SERVER_ERROR, "unknown binding")  # a Leshan exception that becomes 5.00
        if not set(binding) <= self.profile.bindings | {"Q"}:
            raise _Refused(BAD_REQUEST, f"binding {binding[:10]} is not supported")
        if self.profile.needs_lifetime and "lt" not in parameters:
            raise _Refused(BAD_REQUEST, "lifetime is mandatory")
        if version == "1.0" and "N" in binding:
            raise _Refused(BAD_REQUEST, "binding N needs LwM2M 1.1")
        if version != "1.0" and "Q" in binding:
            raise _Refused(BAD_REQUEST, "Q is a parameter of its own since LwM2M 1.1")
        links = _links(request)
        if not links:
            raise _Refused(self.profile.missing_links, "supported object list is mandatory")
        return Client(
            endpoint=endpoint,
            location=endpoint if self.profile.location_is_name else self._new_location(),
            address=request.peer,
            lifetime=_lifetime(parameters, DEFAULT_LIFETIME),
            version=version,
            binding=binding,
            queue_mode="Q" in parameters or "Q" in binding,
            links=links,
            registered_at=now,
            updated_at=now,
            parameters=parameters,
        )

    def _new_location(self) -> str:
        while True:
            location = "".join(self.rng.choices(string.ascii_letters + string.digits, k=LOCATION_LENGTH))
            if location not in self.by_location:
                return location

    def update(self, location: str, request: Request, now: float) -> tuple[Response, Client | None]:
        """Answer an Update; the registration moves to the address it came from."""
        client = self.by_location.get(location)
        if client is None:
            return Response(NOT_FOUND), None
        parameters = dict(_split(item) for item in request.query)
        try:
            if not request.confirmable:
                raise _Refused(BAD_REQUEST, "CON CoAP type expected")  # noqa: TRY301 as the other refusals
            lifetime = _lifetime(parameters, client.lifetime)
            links = _links(request)
        except _Refused as refused:
            return refused.response, None
        client.lifetime = lifetime
        client.binding = parameters.get("b", client.binding)
        client.links = links or client.links
        client.updated_at = now
        if self.by_address.get(client.address) is client:
            del self.by_address[client.address]
        client.address = request.peer
        self.by_address[client.address] = client
        return Response(CHANGED), client

    def deregister(self, location: str) -> tuple[Response, Client | None]:
        """Answer a De-register."""
        client = self.by_location.get(location)
        if client is None:
            return Response(NOT_FOUND), None
        self.remove(client)
        return Response(DELETED), client

    def remove(self, client: Client) -> None:
        """Forget a registration."""
        if self.by_endpoint.get(client.endpoint) is client:
            del self.by_endpoint[client.endpoint]
        self.by_location.pop(client.location, None)
        if self.by_address.get(client.address) is client:
            del self.by_address[client.address]


def _split(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def _lifetime(parameters: Mapping[str, str], default: int) -> int:
    text = parameters.get("lt")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise _Refused(BAD_REQUEST, "lt is not a number")
    return int(text)


def _links(request: Request) -> list[Link]:
    try:
        return parse_links(request.payload)
    except FormatError as error:
        raise _Refused(BAD_REQUEST, str(error)) from None
