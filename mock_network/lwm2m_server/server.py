"""A small LwM2M 1.1 server: registrations, Send, and operations toward registered clients, NoSec over UDP."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from mock_network.clock import current_clock
from mock_network.lwm2m.definitions import type_of as known_type_of
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, parse_format
from mock_network.lwm2m.messages import (
    DELETE,
    GET,
    POST,
    Closed,
    NoAnswer,
    NotAcknowledged,
    Request,
    Reset,
    Response,
    Tuning,
)
from mock_network.lwm2m.paths import Path, parse_path
from mock_network.lwm2m.transport import Address
from mock_network.lwm2m.values import FormatError, Record, TypeOf
from mock_network.lwm2m_server.operations import Operations
from mock_network.lwm2m_server.registry import BAD_REQUEST, CHANGED, Client, Registry
from mock_network.lwm2m_server.results import Observed, Result
from mock_network.lwm2m_server.seen import SeenLog, digest

TTL_OPTION = 65052
"""Time to live of a request in seconds: experimental, elective, uint. The bridge takes it off."""
RESPONSE_TIMEOUT = 120.0  # seconds; what Leshan's API waits by default
METHOD_NOT_ALLOWED, NOT_FOUND = "4.05", "4.04"


class NotRegistered(Exception):
    """No client is registered under this endpoint name."""


class LwM2mServer(Operations):
    """Make it, `start` it, `stop` it. `seen` tells what it saw; `sends` what devices sent."""

    def __init__(
        self,
        *,
        tuning: Tuning | None = None,
        nstart_unlimited: bool = True,
        type_of: TypeOf = known_type_of,
        seed: int | None = None,
    ) -> None:
        """`nstart_unlimited` sends without waiting for earlier ACKs, as Californium does."""
        self.registry = Registry(random.Random(seed))
        self.seen = SeenLog(self._now, self._name_of)
        self.sends: list[tuple[str, list[Record]]] = []
        """Endpoint and records of each Send that was taken."""
        self.observations: dict[tuple[str, Path], Observed] = {}
        self.answer_delay = 0.0
        """Seconds before Register, Update, De-register and Send are answered."""
        self._tuning = tuning or Tuning()
        self._nstart_unlimited = nstart_unlimited
        self._type_of = type_of
        self._rng = random.Random(seed)
        self._endpoint: CoapEndpoint | None = None
        self._address: Address = ("127.0.0.1", 0)
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    # Life.

    async def start(self, address: Address | None = None) -> Address:
        """Listen, by default where it listened before, and return where. OSError if the address cannot be had."""
        self._endpoint = await CoapEndpoint.create(
            self._handle,
            address or self._address,
            tuning=self._tuning,
            tap=self.seen.tap,
            nstart_unlimited=self._nstart_unlimited,
            rng=self._rng,
        )
        self._address = self._endpoint.address
        self._endpoint.on_given_up = self._given_up
        self._endpoint.on_late_notification = self._late
        for client in self.registry.by_endpoint.values():
            self._watch_expiry(client)
        return self._address

    async def stop(self, *, forget: bool = True) -> None:
        """Stop at once. Registrations are forgotten, as Leshan's are, unless told otherwise; observations always."""
        for handle in self._expiries.values():
            handle.cancel()
        self._expiries.clear()
        for observed in self.observations.values():
            observed.stop()
            observed.add(None)
        self.observations.clear()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.shutdown()
        if forget:
            for client in list(self.registry.by_endpoint.values()):
                self.registry.remove(client)

    @property
    def address(self) -> Address:
        """Where it listens, or listened last."""
        return self._address

    @property
    def endpoint(self) -> CoapEndpoint:
        """The CoAP endpoint; Closed while stopped."""
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
            case _, ("rd",) | ("rd", _) | ("dp",):
                return Response(METHOD_NOT_ALLOWED)
        return Response(NOT_FOUND)

    def _register(self, request: Request) -> Response:
        response, client, replaced = self.registry.register(request, asyncio.get_running_loop().time())
        if client is not None:
            if replaced is not None:
                self._left(replaced)
            self._watch_expiry(client)
        self._note_request("refused" if client is None else "registered", request, response)
        return response

    def _update(self, request: Request, location: str) -> Response:
        response, client = self.registry.update(location, request, asyncio.get_running_loop().time())
        if client is not None:
            self._watch_expiry(client)
        self._note_request("refused" if client is None else "updated", request, response)
        return response

    def _deregister(self, request: Request, location: str) -> Response:
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

    def _take_send(self, request: Request) -> Response:
        client = self.registry.by_address.get(request.peer)
        response = Response(CHANGED)
        if client is None:
            response = Response(BAD_REQUEST, b"no registration found")
        elif request.content_format not in {ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR}:
            response = Response(BAD_REQUEST, b"Send is SenML")
        else:
            try:
                records = decode(parse_format(request.content_format), (), request.payload, self._type_of)
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
        for key in [key for key in self.observations if key[0] == client.endpoint]:
            observed = self.observations.pop(key)
            observed.stop()
            observed.add(None)

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
        """All registrations, by endpoint name."""
        return sorted(self.registry.by_endpoint.values(), key=lambda client: client.endpoint)

    def client(self, endpoint: str) -> Client:
        """The registration of an endpoint; NotRegistered."""
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
        wait: float | None = RESPONSE_TIMEOUT,
        ttl: int | None = None,
        on_notification: Callable[[Response | None], None] | None = None,
        token: bytes | None = None,
    ) -> tuple[Result, Callable[[], None], bytes]:
        """Any request: its result, how to forget it, and its token. `ttl` in seconds goes out as TTL_OPTION.

        NotRegistered, NoAnswer, NotAcknowledged, Reset, Closed.
        """
        client = self.client(endpoint)
        options = request.options if ttl is None else (*request.options, (TTL_OPTION, uint(ttl)))
        loop = asyncio.get_running_loop()
        started = loop.time()
        full = Request(
            request.code,
            request.path or tuple(str(identifier) for identifier in path),
            request.query,
            request.payload,
            request.content_format,
            request.accept,
            request.observe,
            request.confirmable,
            options,
        )
        name = f"{request.code} /{'/'.join(full.path)}"
        address = client.address
        try:
            exchange = await self.endpoint.request(
                address, full, wait=wait, on_notification=on_notification, token=token
            )
        except NotAcknowledged:
            raise
        except NoAnswer:
            self.seen.note("timeout", address, endpoint=endpoint, detail=name)
            raise
        self._note_response("response", exchange.response, endpoint)
        result = Result(endpoint, path, exchange.response, loop.time() - started, self._type_of)
        return result, exchange.stop, exchange.token

    async def observe(self, endpoint: str, path: str, *, accept: int | None = None, **call: Any) -> Observed:
        """Observe a path. If the device refuses, `first` has its answer and `ended` is set."""
        target = parse_path(path)
        early: list[Response | None] = []
        deliver: Callable[[Response | None], None] = early.append

        def on_notification(notification: Response | None) -> None:
            if notification is not None:
                self._note_response("notification", notification, endpoint)
            deliver(notification)

        request = Request(GET, accept=accept, observe=0)
        result, stop, token = await self.request(endpoint, target, request, on_notification=on_notification, **call)
        observed = Observed(endpoint, target, token, result, stop=stop)
        if result.response.observe is None or not result.ok:
            observed.ended = True
            return observed
        deliver = observed.add
        for notification in early:
            observed.add(notification)
        previous = self.observations.pop((endpoint, target), None)
        if previous is not None:
            previous.stop()
            previous.add(None)
        self.observations[endpoint, target] = observed
        return observed

    def forget(self, observed: Observed) -> None:
        """Forget an observation: its next notification is answered RST, which cancels it (§6.4.4)."""
        observed.stop()
        observed.add(None)
        if self.observations.get((observed.endpoint, observed.path)) is observed:
            del self.observations[observed.endpoint, observed.path]

    async def cancel(self, observed: Observed, **call: Any) -> Result:
        """Cancel an observation by GET with Observe 1 and its token (RFC 7641 §3.6)."""
        self.forget(observed)
        request = Request(GET, observe=1)
        return (await self.request(observed.endpoint, observed.path, request, token=observed.token, **call))[0]


def uint(value: int) -> bytes:
    """A CoAP uint: the fewest bytes, none for 0 (RFC 7252 §3.2)."""
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
