"""A small LwM2M 1.1 server: registrations, Send, and operations toward registered clients, NoSec over UDP."""

import asyncio
import dataclasses
import random
from collections.abc import Callable

from mock_network.clock import current_clock
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, parse_format
from mock_network.lwm2m.messages import (
    DELETE,
    POST,
    Closed,
    NoAnswer,
    NotAcknowledged,
    Request,
    Reset,
    Response,
    Tuning,
)
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.standard import type_of as known_type_of
from mock_network.lwm2m.transport import Address
from mock_network.lwm2m.values import FormatError, Record, TypeOf
from mock_network.lwm2m_server.bootstrap import Bootstrap
from mock_network.lwm2m_server.identities import Identities
from mock_network.lwm2m_server.observing import Observing
from mock_network.lwm2m_server.profiles import PROFILES, Asleep, Profile
from mock_network.lwm2m_server.registry import BAD_REQUEST, CHANGED, FORBIDDEN, Client, Registry
from mock_network.lwm2m_server.results import Observed, Result
from mock_network.lwm2m_server.seen import SeenLog, digest
from mock_network.lwm2m_server.sleeping import Sleeping

TTL_OPTION = 65052
"""Time to live of a request in seconds: experimental, elective, uint. The bridge takes it off."""
PATIENCE = -1.0
"""Stands for the patience of the server's profile where seconds to wait are meant."""
METHOD_NOT_ALLOWED, NOT_FOUND = "4.05", "4.04"


class NotRegistered(Exception):
    """No client is registered under this endpoint name."""


class LwM2mServer(Observing):
    """Make it, `start` it, `stop` it. `seen` has what it received; `sends` what devices sent.

    With plans in `bootstrap` it is a bootstrap server, too.
    """

    def __init__(
        self,
        *,
        tuning: Tuning | None = None,
        nstart_unlimited: bool | None = None,
        type_of: TypeOf = known_type_of,
        seed: int | None = None,
        profile: Profile = PROFILES["plain"],
    ) -> None:
        """`nstart_unlimited` overrides the profile's."""
        super().__init__()
        self.profile = profile
        self.registry = Registry(random.Random(seed), profile)
        self.sleeping = Sleeping(profile)
        self.bootstrap = Bootstrap(self._ask, type_of)
        self.identities = Identities(lambda: current_clock().wall())
        self.seen = SeenLog(self._now, self._name_of)
        self.sends: list[tuple[str, list[Record]]] = []
        """Endpoint and records of each Send that was taken."""
        self.answer_delay = profile.separate_answers or 0.0
        """Seconds before Register, Update, De-register and Send are answered."""
        self._tuning = dataclasses.replace(tuning or Tuning(), piggybacked_blocks=profile.piggybacked_blocks)
        self._nstart_unlimited = profile.nstart_unlimited if nstart_unlimited is None else nstart_unlimited
        self._type_of = type_of
        self._rng = random.Random(seed)
        self._endpoint: CoapEndpoint | None = None
        self._address: Address = ("127.0.0.1", 0)
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    # Life.

    async def start(self, address: Address | None = None) -> Address:
        """Listen, by default at the former address, and return the address. OSError if it cannot be used."""
        self._endpoint = await CoapEndpoint.create(
            self._handle,
            address or self._address,
            tuning=self._tuning,
            tap=self.seen.tap,
            token_length=self.profile.token_length,
            nstart_unlimited=self._nstart_unlimited,
            rng=self._rng,
        )
        self._address = self._endpoint.address
        self._endpoint.on_given_up = self._given_up
        self._endpoint.on_late_notification = self._late
        self._endpoint.use_contexts(self.identities.find_context)
        self.identities.open(self._endpoint)
        for client in self.registry.by_endpoint.values():
            self._watch_expiry(client)
        return self._address

    async def stop(self, *, forget: bool = True) -> None:
        """Stop. Registrations are forgotten, as Leshan's are, unless `forget` is false; observations always."""
        for handle in self._expiries.values():
            handle.cancel()
        self._expiries.clear()
        self.end_observations()
        self.bootstrap.stop()
        endpoint, self._endpoint = self._endpoint, None
        self.identities.open(None)
        if endpoint is not None:
            await endpoint.shutdown()
        if forget:
            for client in list(self.registry.by_endpoint.values()):
                self.registry.remove(client)

    def _endpoint_of(self, request: Request) -> str | None:
        """Return the endpoint whose context or session verified a request, None for an unprotected one."""
        proven = None if self._endpoint is None else self._endpoint.identity_of(request.peer)
        return self.identities.endpoint_of(request.security, proven)

    def _poses(self, request: Request) -> bool:
        """Return whether a request names another endpoint than the one that verified it."""
        wanted = dict(item.partition("=")[::2] for item in request.query).get("ep", "")
        bound = self._endpoint_of(request)
        return (bound is not None or self.identities.is_bound(wanted)) and bound != wanted

    def _sender(self, request: Request) -> Client | None:
        """Return the registered client that sent a request: by its context, else by its address."""
        name = self._endpoint_of(request)
        if name is not None:
            return self.registry.by_endpoint.get(name)
        client = self.registry.by_address.get(request.peer)
        return None if client is None or self.identities.is_bound(client.endpoint) else client

    @property
    def address(self) -> Address:
        """Return the address on which the server listens, or listened last."""
        return self._address

    @property
    def type_of(self) -> TypeOf:
        """Return the function that returns the data type of the resource at a path."""
        return self._type_of

    @property
    def endpoint(self) -> CoapEndpoint:
        """Return the CoAP endpoint. Raises Closed while stopped."""
        if self._endpoint is None:
            raise Closed("the server is stopped")
        return self._endpoint

    @staticmethod
    def _now() -> tuple[float, float]:
        return asyncio.get_running_loop().time(), current_clock().wall()

    def _name_of(self, peer: Address) -> str:
        client = self.registry.by_address.get(peer)
        return "" if client is None else client.endpoint

    def _given_up(self, peer: Address, mid: int, token: bytes) -> None:
        self.seen.note("not acknowledged", peer, mid=mid, token=token.hex())

    def _late(self, response: Response) -> None:
        self._note_response("notification", response, self._name_of(response.peer))

    def _note_response(self, kind: str, response: Response, endpoint: str) -> None:
        self.seen.note(
            kind,
            response.peer,
            endpoint=endpoint,
            mid=response.mid,
            token=response.token.hex(),
            code=response.code,
            observe=response.observe,
            digest=digest(response.payload),
            size=len(response.payload),
            detail=response.type,
        )

    # What devices ask.

    async def _handle(self, request: Request) -> Response:
        if self.answer_delay:
            await asyncio.sleep(self.answer_delay)
        match request.code, request.path:
            case code, ("rd",) if code == POST:
                return self._register(request)
            case code, ("rd", location) if code == POST:
                return self._update(request, location)
            case code, ("rd", location) if code == DELETE:
                return self._deregister(request, location)
            case code, ("dp",) if code == POST:
                return self._take_send(request)
            case code, ("bs",) if code == POST:
                return self._begin_bootstrap(request)
            case _, ("rd",) | ("rd", _) | ("dp",) | ("bs",):
                return Response(METHOD_NOT_ALLOWED)
        return Response(NOT_FOUND)

    def _register(self, request: Request) -> Response:
        if self._poses(request):
            response = Response(FORBIDDEN, b"the endpoint name belongs to another security context")
            self._note_request("refused", request, response)
            return response
        response, client, replaced = self.registry.register(request, asyncio.get_running_loop().time())
        if client is not None:
            if replaced is not None:
                self._left(replaced)
            self._watch_expiry(client)
            self.sleeping.heard(client.endpoint)
        self._note_request("refused" if client is None else "registered", request, response)
        return response

    def _is_foreign(self, request: Request, location: str) -> bool:
        """Return whether a registration belongs to another security context than the one that verified the request."""
        client = self.registry.by_location.get(location)
        known = client is not None and (self.identities.is_bound(client.endpoint) or request.security is not None)
        return known and client is not None and self._endpoint_of(request) != client.endpoint

    def _update(self, request: Request, location: str) -> Response:
        if self._is_foreign(request, location):
            return Response(FORBIDDEN)
        response, client = self.registry.update(location, request, asyncio.get_running_loop().time())
        if client is not None:
            self._watch_expiry(client)
            self.sleeping.heard(client.endpoint)
        self._note_request("refused" if client is None else "updated", request, response)
        return response

    def _deregister(self, request: Request, location: str) -> Response:
        if self._is_foreign(request, location):
            return Response(FORBIDDEN)
        response, client = self.registry.deregister(location)
        if client is not None:
            self._left(client)
        name = None if client is None else client.endpoint
        self._note_request("refused" if client is None else "deregistered", request, response, name)
        return response

    def _note_request(self, kind: str, request: Request, response: Response, endpoint: str | None = None) -> None:
        self.seen.note(
            kind,
            request.peer,
            endpoint=endpoint,
            mid=request.mid,
            token=request.token.hex(),
            code=response.code,
            digest=digest(request.payload),
            size=len(request.payload),
            detail=response.payload.decode(errors="replace"),
        )
        self._changed.set()

    def _begin_bootstrap(self, request: Request) -> Response:
        if self._poses(request):
            response, endpoint = Response(FORBIDDEN, b"the endpoint name belongs to another security context"), ""
        else:
            response, endpoint = self.bootstrap.request(request)
        self._note_request("bootstrap" if response.ok else "refused", request, response, endpoint)
        return response

    async def _ask(self, peer: Address, request: Request) -> Response:
        """Send a request of the bootstrap interface and return its response; NoAnswer, Reset, Closed."""
        return (await self.endpoint.request(peer, request, wait=self.profile.patience)).response

    def on_notification(self, endpoint: str, notification: Response) -> None:
        self._note_response("notification", notification, endpoint)
        self.sleeping.heard(endpoint)

    def root_of(self, endpoint: str) -> str:
        return "".join(f"/{segment}" for segment in self.client(endpoint).root)

    def _take_send(self, request: Request) -> Response:
        client = self._sender(request)
        response = Response(CHANGED)
        if client is None:
            response = Response(BAD_REQUEST, b"no registration found")
        elif request.content_format not in {ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR}:
            response = Response(BAD_REQUEST, b"Send is SenML")
        else:
            try:
                records = decode(
                    parse_format(request.content_format),
                    (),
                    request.payload,
                    self._type_of,
                    root=self.root_of(client.endpoint),
                )
            except (FormatError, UnsupportedFormat) as error:
                response = Response(BAD_REQUEST, str(error).encode())
            else:
                self.sends.append((client.endpoint, records))
        self._note_request("send" if response.ok else "refused", request, response)
        return response

    def _left(self, client: Client) -> None:
        handle = self._expiries.pop(client.location, None)
        if handle is not None:
            handle.cancel()
        self.end_observations(client.endpoint)

    def _watch_expiry(self, client: Client) -> None:
        handle = self._expiries.pop(client.location, None)
        if handle is not None:
            handle.cancel()
        expires = client.expires()
        if expires is not None:
            loop = asyncio.get_running_loop()
            self._expiries[client.location] = loop.call_at(expires, self._expire, client)

    def _expire(self, client: Client) -> None:
        self.seen.note("expired", client.address)
        self.registry.remove(client)
        self._left(client)
        self._changed.set()

    # Registrations.

    @property
    def clients(self) -> list[Client]:
        """Return all registrations, by endpoint name."""
        return sorted(self.registry.by_endpoint.values(), key=lambda client: client.endpoint)

    def client(self, endpoint: str) -> Client:
        """Return the registration of an endpoint. Raises NotRegistered."""
        client = self.registry.by_endpoint.get(endpoint)
        if client is None:
            raise NotRegistered(endpoint)
        return client

    async def wait_until(self, condition: Callable[[], bool], wait: float) -> None:
        """Wait for something that registrations or Sends bring about; TimeoutError after `wait` seconds."""
        async with asyncio.timeout(wait):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_registered(self, endpoint: str, wait: float) -> Client:
        """Wait until an endpoint is registered; TimeoutError."""
        await self.wait_until(lambda: endpoint in self.registry.by_endpoint, wait)
        return self.client(endpoint)

    # Requests and observations (§6.4).

    async def request(
        self,
        endpoint: str,
        path: Path,
        request: Request,
        *,
        wait: float | None = PATIENCE,
        ttl: int | None = None,
        on_notification: Callable[[Response | None], None] | None = None,
        token: bytes | None = None,
    ) -> tuple[Result, Callable[[], None], bytes]:
        """Send any request; return result, a function to forget it, and token. `ttl` (seconds) is sent as TTL_OPTION.

        `wait` in seconds, None without limit, PATIENCE for the profile's. A sleeping client in queue
        mode is handled by the profile. NotRegistered, NoAnswer, NotAcknowledged, Reset, Closed, ClientAsleep, Dropped.
        """
        client = self.client(endpoint)
        patience = self.profile.patience if wait == PATIENCE else wait
        if client.queue_mode and self.profile.asleep is not Asleep.SEND:
            loop = asyncio.get_running_loop()
            deadline = None if patience is None else loop.time() + patience
            try:
                async with asyncio.timeout_at(deadline) as asleep, self.sleeping.turn(endpoint):
                    asleep.reschedule(None)
                    left = None if deadline is None else deadline - loop.time()
                    return await self._request(client, path, request, left, ttl, on_notification, token)
            except TimeoutError:
                raise NoAnswer(f"the client was asleep for {patience} s") from None
        return await self._request(client, path, request, patience, ttl, on_notification, token)

    async def _request(
        self,
        client: Client,
        path: Path,
        request: Request,
        wait: float | None,
        ttl: int | None,
        on_notification: Callable[[Response | None], None] | None,
        token: bytes | None,
    ) -> tuple[Result, Callable[[], None], bytes]:
        endpoint, address = client.endpoint, client.address
        loop = asyncio.get_running_loop()
        started = loop.time()
        full = dataclasses.replace(
            request,
            path=(*client.root, *(request.path or tuple(str(identifier) for identifier in path))),
            options=request.options if ttl is None else (*request.options, (TTL_OPTION, uint(ttl))),
            security=self.identities.contexts.get(endpoint),
        )
        try:
            exchange = await self.endpoint.request(
                address, full, wait=wait, on_notification=on_notification, token=token
            )
        except NotAcknowledged:
            self.sleeping.silent(endpoint)
            raise
        except NoAnswer:
            self.sleeping.silent(endpoint)
            self.seen.note("timeout", address, endpoint=endpoint, detail=f"{request.code} /{'/'.join(full.path)}")
            raise
        self.sleeping.heard(endpoint)
        self._note_response("response", exchange.response, endpoint)
        root = "".join(f"/{segment}" for segment in client.root)
        result = Result(endpoint, path, exchange.response, loop.time() - started, self._type_of, root)
        return result, exchange.stop, exchange.token


def uint(value: int) -> bytes:
    """Return a CoAP uint: the fewest bytes, none for 0 (RFC 7252 §3.2)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


__all__ = [
    "Closed",
    "LwM2mServer",
    "NoAnswer",
    "NotAcknowledged",
    "NotRegistered",
    "Observed",
    "Reset",
    "Result",
]
