"""Messages toward a server, as rows: what the device sent, and the bridge's answers to requests (verdicts).

A row of a CoAP message has type, code, message ID, token and body as the server will receive them.
"""

from enum import StrEnum
from typing import Any, ClassVar, Self

from bridge.delivery.downlinks import NON
from bridge.delivery.rows import FOREVER, Fixed, Row
from bridge.delivery.states import UPLINK_TABLE, UplinkState


class UplinkKind(StrEnum):
    """Kinds of uplink, as the ledger names them."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"
    VERDICT = "verdict"
    OPAQUE = "opaque"


class Uplink(Row):
    """Base of all messages toward a server; not instantiated. Times are wall-clock seconds."""

    TABLE: ClassVar[str] = "uplink"
    KIND: ClassVar[UplinkKind]

    id: int
    endpoint: Fixed[int]
    shard: Fixed[int]
    received_at: float  # moves back with `expires_at`, if the wall clock was set back (R10)
    server: Fixed[str]
    operation: Fixed[str]  # Register, Update, Send, Notify…
    expires_at: float | None
    body: bytes  # options, marker and payload of a CoAP message; opaque bytes as they are
    # From here on a new row has the values of `_NEW`.
    state: UplinkState
    reason: str
    finished_at: float | None
    keep_until: float
    due: float | None

    def move(self, state: UplinkState, now: float, reason: str = "") -> None:
        """Go to `state` at wall time `now`."""
        if state not in UPLINK_TABLE[self.state]:
            raise AssertionError(f"uplink {self.id}: {self.state} cannot become {state}")
        self.state = state
        if reason:
            self.reason = reason
        self.finished_at = now


_NEW = (UplinkState.RECEIVED, "", None, FOREVER, None)


class CoapUplink(Uplink):
    """A CoAP message toward a server; not instantiated."""

    code: int
    north_token: bytes
    coap_type: int | None  # None until it is decided how it is sent, and if it is never sent
    north_mid: int | None
    acknowledged: bool  # by the server

    @property
    def own_mid(self) -> int | None:
        """Return the message ID if the bridge chose it: a piggybacked answer and a Reset have the server's."""
        return None if self.coap_type is None or self.coap_type > NON else self.north_mid


_NOT_SENT = (None, None, False)


class Verdict(CoapUplink):
    """The bridge's own answer to a server's request."""

    KIND: ClassVar[UplinkKind] = UplinkKind.VERDICT

    downlink: Fixed[int]  # id of the request

    @classmethod
    def new(
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        server: str,
        operation: str,
        expires_at: float | None,
        north_token: bytes,
        downlink: int,
    ) -> Self:
        """Return a new row, RECEIVED; the code that sends it adds the message."""
        return cls(
            id_, endpoint, shard, now, server, operation, expires_at, b"", *_NEW, 0, north_token, *_NOT_SENT, downlink
        )


class DeviceUplink(CoapUplink):
    """A CoAP message of the device; not instantiated.

    The `reply_…` fields hold the stored answer to it (R13), as the device gets it when it repeats its message;
    `reply_type` is None if there is no answer yet. An answer with a code has the device's token.
    """

    confirmable: Fixed[bool]  # how the device sent it
    south_mid: Fixed[int]
    south_token: Fixed[bytes]
    digest: Fixed[bytes]  # of the bytes as they arrived (R13)
    duplicate_key: Fixed[str | None]
    reply_type: int | None
    reply_code: int
    reply_mid: int
    reply_body: bytes
    reply_downlink: int | None  # id of the row that carried the answer last

    @classmethod
    def received(
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        server: str,
        operation: str,
        expires_at: float | None,
        code: int,
        body: bytes,
        north_token: bytes,
        confirmable: bool,
        south_mid: int,
        south_token: bytes,
        digest: bytes,
        duplicate_key: str | None,
        *own: Any,
    ) -> Self:
        """Return a new row, RECEIVED; `own` are the fields of its kind alone, in order."""
        return cls(
            id_, endpoint, shard, now, server, operation, expires_at, body, *_NEW, code, north_token, *_NOT_SENT,
            confirmable, south_mid, south_token, digest, duplicate_key, None, 0, 0, b"", None, *own,
        )  # fmt: skip


class Originated(DeviceUplink):
    """A message by which the device begins an exchange, and which it may repeat (R13); not instantiated."""


class DeviceRequest(Originated):
    """The device's own request: Register, Update, Send…"""

    KIND: ClassVar[UplinkKind] = UplinkKind.REQUEST

    no_response: Fixed[int | None]  # its No-Response option (RFC 7967)
    server_mid: int | None  # message ID of the server's separate response, to acknowledge it again
    reply_delivered: bool  # the network says that the device has the answer: its exchange has ended (R13)


class Notification(Originated):
    """A notification of an observation."""

    KIND: ClassVar[UplinkKind] = UplinkKind.NOTIFICATION


class Response(DeviceUplink):
    """The device's response to a server's request."""

    KIND: ClassVar[UplinkKind] = UplinkKind.RESPONSE

    downlink: Fixed[int]  # id of the request


class OpaqueUplink(Uplink):
    """Bytes of the device that the bridge does not read: DTLS records (R26)."""

    KIND: ClassVar[UplinkKind] = UplinkKind.OPAQUE

    digest: Fixed[bytes]
    duplicate_key: Fixed[str | None]

    @classmethod
    def received(
        cls,
        id_: int,
        endpoint: int,
        shard: int,
        now: float,
        server: str,
        data: bytes,
        digest: bytes,
        duplicate_key: str | None,
    ) -> Self:
        """Return a new row, RECEIVED. The message has no deadline: it is sent once, immediately."""
        return cls(id_, endpoint, shard, now, server, "DTLS", None, data, *_NEW, digest, duplicate_key)


UPLINK_TYPES = (DeviceRequest, Notification, Response, Verdict, OpaqueUplink)
