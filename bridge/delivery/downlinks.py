"""Messages to a device, as rows: a server's request, an answer to the device's own message, opaque bytes, a trigger.

A row of a CoAP message has type, code, message ID, token and body, all as the device will receive them. `Carrier`
adds the frame when the message is submitted.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol, Self

from bindings.contract import Kind
from bridge.delivery.attempts import Attempt, decode, encode
from bridge.delivery.rows import FOREVER, Codec, Fixed, Row
from bridge.delivery.states import DownlinkState

CON, NON = 0, 1  # message types, RFC 7252 §3; this package may not import `bridge.coap`
DIRECT = "(API)"  # instead of a server's key: the request came by the API
CONTINUES = 2  # the priority of a later message of an exchange: above that of any other request


class Downlink(Row):
    """Base of all messages to devices; not instantiated. Times are wall-clock seconds.

    `over` says whether `state` is the outcome. `keep_until` is how long the core still needs a finished row: to
    recognise a server's retransmission (R4) or a late answer (R12), or because its south token is in use (R1).
    """

    TABLE: ClassVar[str] = "downlink"
    KIND: ClassVar[Kind]
    CODECS: ClassVar[Mapping[str, Codec]] = {"attempts": Codec(encode, decode)}

    id: int
    endpoint: Fixed[int]
    shard: Fixed[int]
    accepted_at: float  # moves back with the deadlines, if the wall clock was set back (R10)
    operation: Fixed[str]  # Read, Write, Execute…: shown to people, and decides whether it may be repeated (R9)
    repeatable: Fixed[bool]  # may be submitted once more after an ambiguity (R9)
    deliver_by: float  # the device must not get it later
    body: bytes  # options, marker and payload of a CoAP message; opaque bytes as they are
    attempts: list[Attempt]  # what is known of each
    # From here on a new row has the values of `_NEW`.
    state: DownlinkState  # derived from its attempts, or its outcome
    over: bool
    not_before: float | None  # no attempt before that
    no_further_copy: bool  # no further copy is submitted, whatever happens
    cancel_asked: (
        bool  # a person asked to cancel it: no further copy is sent, and the network is asked to remove it (R11)
    )
    reason: str
    finished_at: float | None
    keep_until: float
    due: float | None  # wall time at which it is due without an event

    @property
    def own_mid(self) -> int | None:
        """Return the message ID if the bridge chose it: the bridge must not use it again soon (R1)."""
        return None


class CoapDownlink(Downlink):
    """A CoAP message to a device; not instantiated."""

    coap_type: Fixed[int]
    code: Fixed[int]
    south_mid: Fixed[int]
    south_token: Fixed[bytes]

    @property
    def own_mid(self) -> int | None:
        return (
            self.south_mid if self.coap_type <= NON else None
        )  # acknowledgements and Resets have the device's message ID (R14)


_NEW = (DownlinkState.QUEUED, False, None, False, False, "", None, FOREVER, None)


class ServerRequest(CoapDownlink):
    """A request of a server, or one that came by the API: its `server` is DIRECT, and nobody is sent an answer."""

    KIND: ClassVar[Kind] = Kind.REQUEST

    server: Fixed[str]
    north_mid: Fixed[int]
    north_token: Fixed[bytes]
    observe: Fixed[int | None]  # the request's Observe value
    priority: Fixed[int]
    answer_by: float  # FOREVER: nobody's patience ends
    answered: bool  # the server has its answer or the bridge's verdict, or gets none on purpose
    late: bool
    split_from: bytes | None  # body of the block, or of the API's request, of which this message is a part (R25)
    confirmed: Fixed[bool]  # the network is asked to confirm the delivery, whatever the endpoint's settings say

    @property
    def is_direct(self) -> bool:
        """Return whether the request came by the API: whoever asked finds the answer in the ledger."""
        return self.server == DIRECT

    @property
    def confirmable(self) -> bool:
        """Return whether the server sent it as CON; it is sent to the device in the same way (R1)."""
        return self.coap_type == CON

    @classmethod
    def accepted(  # called by position: with names it would take four times as long
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        operation: str,
        repeatable: bool,
        deliver_by: float,
        body: bytes,
        coap_type: int,
        code: int,
        south_mid: int,
        south_token: bytes,
        server: str,
        north_mid: int,
        north_token: bytes,
        observe: int | None,
        priority: int,
        answer_by: float,
        confirmed: bool = False,
    ) -> Self:
        """Return a new row, QUEUED."""
        return cls(
            id_, endpoint, shard, now, operation, repeatable, deliver_by, body, [], *_NEW, coap_type, code, south_mid,
            south_token, server, north_mid, north_token, observe, priority, answer_by, False, False, None,
            confirmed,
        )  # fmt: skip


class Answer(CoapDownlink):
    """An answer to a message of the device itself: an acknowledgement, a Reset, a response."""

    KIND: ClassVar[Kind] = Kind.ANSWER

    answers: Fixed[int | None]  # the uplink that it answers
    port: Fixed[str | None] = None  # the application port of that uplink; None: the network's usual

    @classmethod
    def new(
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        operation: str,
        deliver_by: float,
        body: bytes,
        coap_type: int,
        code: int,
        south_mid: int,
        south_token: bytes,
        answers: int | None,
        port: str | None = None,
    ) -> Self:
        """Return a new row, QUEUED. The answer is repeatable: a device recognises a repeated answer."""
        return cls(
            id_, endpoint, shard, now, operation, True, deliver_by, body, [], *_NEW, coap_type, code, south_mid,
            south_token, answers, port,
        )  # fmt: skip


class OpaqueDownlink(Downlink):
    """Bytes that the bridge does not read: DTLS records (R26)."""

    KIND: ClassVar[Kind] = Kind.OPAQUE

    server: Fixed[str]

    @classmethod
    def accepted(
        cls, id_: int, endpoint: int, shard: int, now: float, deliver_by: float, data: bytes, server: str
    ) -> Self:
        """Return a new row, QUEUED. The message is not repeatable."""
        return cls(id_, endpoint, shard, now, "DTLS", False, deliver_by, data, [], *_NEW, server)


class Trigger(CoapDownlink):
    """A trigger of the bridge itself: it wakes up a device, which does not answer it (Core TS 1.1 §6.6)."""

    KIND: ClassVar[Kind] = Kind.TRIGGER

    @classmethod
    def new(
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        operation: str,
        deliver_by: float,
        body: bytes,
        code: int,
        south_mid: int,
    ) -> Self:
        """Return a new row, QUEUED: a NON without a token. The message is not repeatable."""
        return cls(
            id_, endpoint, shard, now, operation, False, deliver_by, body, [], *_NEW, NON, code, south_mid, b"",
        )  # fmt: skip


class Carrier(Protocol):
    """Encodes the messages of one endpoint for its network: `delivery` knows no CoAP and no compression."""

    def encode(self, row: Downlink) -> bytes:
        """Return the bytes that are submitted to the network; the same bytes each time."""

    def size(self, row: Downlink) -> int:
        """Return the number of bytes that `encode` returns."""
