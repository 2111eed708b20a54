"""The ways out of a device: a CoAP endpoint for each, and which server is reached over which."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from mock_network.device.accounts import Account, BootstrapAccount
from mock_network.device.options import BearerOptions, DeviceOptions
from mock_network.lwm2m.credentials import ClientCredentials
from mock_network.lwm2m.dtls import ClientSessions
from mock_network.lwm2m.dtls_contexts import Clock
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.messages import Closed, Request, Response, resolve
from mock_network.lwm2m.transport import Address, Datagram

URI_HOST = 3  # option number (RFC 7252 §5.10)
SMS = "S"
_OWED = 2.0  # seconds: an answer to Bootstrap-Finish goes out, and again if it was lost once (RFC 7252 §4.8)


class Bearer:
    """A bearer of the device. `endpoint` exists while the device is up; its port never changes."""

    def __init__(self, options: BearerOptions) -> None:
        self.options = options
        self.address: Address = options.bind
        self.endpoint: CoapEndpoint | None = None
        self.sessions: ClientSessions | None = None

    async def secure(self, peer: Address, credentials: ClientCredentials | None) -> None:
        """Use these credentials for a peer. One by others ends when the answers that it owes are sent; ValueError."""
        if self.sessions is not None and self.sessions.changes(peer, credentials):
            await asyncio.sleep(_OWED)
        if self.sessions is not None:
            self.sessions.use(peer, credentials)

    @property
    def up(self) -> CoapEndpoint:
        """Return the CoAP endpoint. Raises Closed while the device is down."""
        if self.endpoint is None:
            raise Closed("the device is down")
        return self.endpoint


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached. `host` is sent as Uri-Host if the bearer is a pipe (OMA Transport, App. D)."""

    bearer: Bearer
    peer: Address
    host: str | None


Handler = Callable[[Bearer, Request], Awaitable[Response]]


class Bearers:
    """All ways out of one device, the first one first."""

    def __init__(self, options: DeviceOptions) -> None:
        first = BearerOptions(options.binding, options.bind, options.pipe, rds_pipes=options.rds_pipes)
        self.all = [Bearer(one) for one in (first, *options.more_bearers)]
        self._options = options
        self._resolved: dict[str, Address] = {}

    async def open(
        self,
        handler: Handler,
        tap: Callable[[Datagram], None],
        given_up: Callable[[Address, int, bytes], None],
        rng: random.Random,
        alerted: Callable[[int], None],
        now: Clock,
    ) -> None:
        """Open every socket; OSError if one cannot be used. `alerted` is called with alerts of DTLS that arrive.

        By `now` the device judges how long certificates are valid.
        """
        strict = self._options.psk is not None or self._options.certificate is not None
        for bearer in self.all:
            bearer.endpoint = await CoapEndpoint.create(
                functools.partial(handler, bearer),
                bearer.address,
                tuning=self._options.tuning,
                tap=tap,
                token_length=self._options.token_length,
                rng=rng,
            )
            # From now on the same port, also after a restart.
            bearer.address = bearer.endpoint.address
            bearer.endpoint.on_given_up = given_up
            bearer.sessions = bearer.endpoint.use_client_sessions(alerted, now, strict=strict)
            bearer.sessions.largest_record = self._options.largest_record
            if self._options.largest_record is not None:  # patient in CoAP, patient in DTLS: the network is the same
                bearer.sessions.patience = self._options.tuning.ack_timeout
            if bearer.options.binding == SMS and bearer.options.pipe is not None:
                bearer.endpoint.announce(bearer.options.pipe)  # a trigger may come before anything was sent

    async def close(self) -> None:
        """Close every socket at once."""
        for bearer in self.all:
            endpoint, bearer.endpoint = bearer.endpoint, None
            bearer.sessions = None
            if endpoint is not None:
                await endpoint.shutdown()

    def choose(self, account: Account | BootstrapAccount, apn: str) -> Bearer:
        """Return the bearer for a server: of its Preferred Transport, else of the APN it designates, else the first."""
        preferred = account.preferred_transport if isinstance(account, Account) else ""
        for bearer in self.all:
            if preferred and bearer.options.binding == preferred:
                return bearer
        for bearer in self.all:
            if apn and bearer.options.apn == apn:
                return bearer
        return self.all[0]

    async def route(self, account: Account | BootstrapAccount, apn: str) -> Route:
        """Return how a server is reached; ValueError for a URI that this device cannot use, OSError for its host."""
        bearer = self.choose(account, apn)
        if bearer.options.pipe is None:
            if account.uri not in self._resolved:
                self._resolved[account.uri] = await resolve(account.uri)
            return Route(bearer, self._resolved[account.uri], None)
        rds = dict(bearer.options.rds_pipes)
        peer = rds.get(account.rds_port, bearer.options.pipe) if account.rds_port is not None else bearer.options.pipe
        parts = urlsplit(account.uri)
        return Route(bearer, peer, parts.hostname if parts.scheme.startswith("coap") else None)
