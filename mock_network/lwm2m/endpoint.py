"""A CoAP endpoint in both roles on one UDP socket: the thin typed wrapper around aiocoap."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type
from aiocoap.protocol import Context

from mock_network.lwm2m.answers import Answers, request_of
from mock_network.lwm2m.credentials import Proven
from mock_network.lwm2m.dtls import ClientSessions, ServerSessions
from mock_network.lwm2m.dtls_contexts import Alerted, Clock
from mock_network.lwm2m.layers import Messages, Tokens
from mock_network.lwm2m.messages import Handler, Request, Response, Tuning
from mock_network.lwm2m.oscore import FindContext
from mock_network.lwm2m.requests import Exchange, Notified, Requests, response_of
from mock_network.lwm2m.transport import Address, Peer, Tap, UdpTransport, bind


class CoapEndpoint:
    """Sends requests and answers them on one socket. Make it with `create`, end it with `shutdown`."""

    def __init__(self, handler: Handler, tuning: Tuning) -> None:
        self.tuning = tuning
        self.on_given_up: Callable[[Address, int, bytes], None] = lambda _peer, _mid, _token: None
        """Called with peer, MID and token of each CON message that was never acknowledged."""
        self.on_late_notification: Callable[[Response], None] = lambda _response: None
        """Called with a notification that arrives while its observation is being cancelled."""
        self._answers = Answers(handler, tuning)
        self._context = Context(
            loop=asyncio.get_running_loop(), serversite=self._answers, loggername="mock_network.coap"
        )
        self._requests: Requests
        self._tokens: Tokens
        self._messages: Messages
        self._transport: UdpTransport

    @classmethod
    async def create(
        cls,
        handler: Handler,
        address: Address = ("127.0.0.1", 0),
        *,
        tuning: Tuning | None = None,
        tap: Tap = lambda _datagram: None,
        token_length: int = 8,
        nstart_unlimited: bool = False,
        rng: random.Random | None = None,
    ) -> "CoapEndpoint":
        """Bind and start. `tap` sees every message in both directions. OSError if the address cannot be used."""
        endpoint = cls(handler, tuning or Tuning())
        # aiocoap has no public way to attach a transport; this is what its private one does.
        tokens = Tokens(
            endpoint._context, token_length=token_length, rng=rng or random.Random(), late=endpoint._late_notification
        )
        messages = Messages(tokens, nstart_unlimited=nstart_unlimited, given_up=endpoint._gave_up)
        transport = UdpTransport(messages, bind(address), tap, endpoint.tuning.for_aiocoap())
        messages.message_interface = transport
        tokens.token_interface = messages
        endpoint._context.request_interfaces.append(tokens)
        endpoint._tokens, endpoint._messages, endpoint._transport = tokens, messages, transport
        endpoint._requests = Requests(tokens, endpoint.tuning, endpoint._context.log)
        return endpoint

    def use_contexts(self, find: FindContext) -> None:
        """Have `find` return the OSCORE context for the kid and kid context of each protected request that arrives."""
        self._answers.find_context = find

    def use_client_sessions(self, alerted: Alerted, now: Clock, *, strict: bool) -> ClientSessions:
        """Return the DTLS sessions that this end begins, see there; `alerted` is called with alerts that arrive."""
        transport = self._transport
        sessions = ClientSessions(transport.send_record, transport.received, alerted, now, strict=strict)
        transport.sessions = sessions
        return sessions

    def use_server_sessions(self, keys: Mapping[str, bytes], now: Clock) -> ServerSessions:
        """Return the DTLS sessions that clients begin with this end, see there."""
        transport = self._transport
        sessions = ServerSessions(transport.send_record, transport.received, keys, now)
        sessions.patience = self.tuning.ack_timeout  # patient in CoAP, patient in DTLS: the network is the same
        transport.sessions = sessions
        return sessions

    def identity_of(self, peer: Address) -> Proven | None:
        """Return who a peer has proven to be by its DTLS session, None without one."""
        sessions = self._transport.sessions
        return None if sessions is None else sessions.identity_of(peer)

    @property
    def address(self) -> Address:
        """Return the bound address and port."""
        return self._transport.address

    @property
    def muted(self) -> bool:
        """Return whether nothing is received and nothing sent."""
        return self._transport.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._transport.muted = muted

    @property
    def asleep(self) -> bool:
        """Return whether nothing is received; whatever is sent ends that."""
        return self._transport.asleep

    @asleep.setter
    def asleep(self, asleep: bool) -> None:
        self._transport.asleep = asleep

    def intercept(self, take: Callable[[Request], bool]) -> None:
        """Call `take` with each request, before anything else; if it returns True, the request is not answered."""
        self._transport.intercept = lambda message: (
            message.code.is_request() and take(request_of(message, message.payload))
        )

    @property
    def unparsable(self) -> int:
        """Return the number of datagrams that were no CoAP message."""
        return self._transport.unparsable

    async def shutdown(self) -> None:
        """Close the socket; running requests end with Closed. Nothing more is sent."""
        # Closed first: ending the observations must not be seen on the wire.
        self._transport.close()
        await self._context.shutdown()

    def _gave_up(self, message: Any) -> None:
        self.on_given_up(message.remote.address, message.mid, message.token)

    def _late_notification(self, message: Any) -> None:
        self.on_late_notification(response_of(message))

    def announce(self, peer: Address) -> None:
        """Register this endpoint's address at a modem's port, before anything is sent through it."""
        self._transport.announce(peer)

    def send_empty(self, peer: Address, *, confirmable: bool) -> None:
        """Send an Empty message: a ping if confirmable (RFC 7252 §4.3), an uplink poll on LoRaWAN otherwise."""
        message = Message(code=Code.EMPTY)
        message.mtype = Type.CON if confirmable else Type.NON
        message.mid = self._messages._next_message_id()  # noqa: SLF001 Empty messages have no public way in
        message.remote = Peer(peer)
        message.transport_tuning = self.tuning.for_aiocoap()
        self._messages._send_initially(message, lambda: None)  # noqa: SLF001

    async def request(
        self,
        peer: Address,
        request: Request,
        *,
        wait: float | None,
        on_notification: Notified | None = None,
        token: bytes | None = None,
    ) -> Exchange:
        """Send a request; see `Requests.request`."""
        return await self._requests.request(peer, request, wait=wait, on_notification=on_notification, token=token)

    def end_observation(self, peer: Address, token: bytes) -> None:
        """Forget an observation of `peer` without telling it; its subscription is closed."""
        found = self._tokens.incoming_requests.pop((token, Peer(peer)), None)
        if found is not None:
            found[1]()
