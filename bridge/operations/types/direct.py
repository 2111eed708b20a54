"""Direct requests: an operation or a CoAP message for a device, without a server."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from bridge.lwm2m.requests import Format, Operation
from bridge.lwm2m.values import Json
from bridge.operations.types.messages import DownlinkView
from bridge.operations.types.request import Access, Id, Name, Request, Result

LARGEST_PAYLOAD = 32 * 1024  # bytes, as it is given and as it is encoded for the device
LARGEST_OPTIONS = 4 * 1024  # bytes of all options: each part of a request has them
LONGEST_WAIT = 120.0  # seconds

Wait = Annotated[
    float, Meta(ge=0, le=LONGEST_WAIT, description="seconds that the answer may wait for the outcome; 0: it does not")
]
Payload = Annotated[bytes, Meta(max_length=LARGEST_PAYLOAD, description="in base64")]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class Priority(StrEnum):
    """Which request goes first of those that wait for one device."""

    LOW = "low"
    NORMAL = "normal"  # as those of servers
    HIGH = "high"


class Method(StrEnum):
    """Methods of CoAP."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"
    FETCH = "FETCH"
    PATCH = "PATCH"
    IPATCH = "iPATCH"


class CoapOption(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An option of a CoAP message: as bytes, as text, or as a number."""

    number: Annotated[int, Meta(ge=1, le=65535)]
    value: Annotated[bytes | None, Meta(description="in base64")] = None
    text: str | None = None
    uint: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class CoapRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CoAP request as it is. The bridge adds message ID and token; one that names blocks is not cut into others."""

    method: Method
    path: Annotated[str, Meta(description="Uri-Path: /3/0/0")] = ""
    queries: tuple[str, ...] = ()
    options: Annotated[tuple[CoapOption, ...], Meta(max_length=64)] = ()
    payload: Payload = b""


class ValueView(Result, frozen=True, kw_only=True):
    """The value of a resource. Bytes are in base64, an object link is OBJECT:INSTANCE."""

    path: str
    value: Json | None  # null: a number that JSON does not have
    type: str | None  # null: the bridge does not know this resource
    name: str | None


class DeviceResponse(Result, frozen=True, kw_only=True):
    """What the device answered."""

    code: str  # 2.05
    content_format: int | None
    values: tuple[ValueView, ...] | None  # null: the bridge cannot read this format
    payload: Annotated[bytes, Meta(description="all blocks of it, in base64")]
    text: str | None  # the payload as text; null if it is not printable UTF-8
    complete: bool  # false: blocks are missing, it changed while it was fetched, or parts of the request did not go
    received_at: float
    late: bool  # it came when the outcome was said already
    withheld: Annotated[
        bool,
        Meta(description="values, payload and text are not shown, since they may hold keys (objects 0, 21, 23, 24)"),
    ] = False


class DirectView(Result, frozen=True, kw_only=True):
    """A direct request, and what became of it."""

    id: int  # of the downlink that it began with: see /v1/downlinks/ID for its story
    downlink: DownlinkView  # the message that it is at, or that it ended with: one of several where it goes in blocks
    messages: int  # so far
    over: bool  # whether `downlink.state` is the outcome
    response: DeviceResponse | None  # null: none yet, or the request was in several parts and did not come to an end
    superseded: tuple[int, ...]  # older requests that made way for this one, or are to be taken back by the network
    who: str


class SendDownlink(Request[DirectView], frozen=True, kw_only=True):
    """Send an LwM2M operation or a CoAP request to a device, without a server.

    The request is accepted once this is answered, and from then on is treated as a server's: same queue, quotas and
    outcomes. Name an `operation`, or `coap` for a request as it is. Only a running service can.
    """

    NAME: ClassVar[str] = "downlink.send"
    ACCESS: ClassVar[Access] = Access.OPERATE

    endpoint: Name
    operation: Operation | None = None
    path: Annotated[str, Meta(description="object, instance, resource: /3/0/0")] = ""
    paths: Annotated[tuple[str, ...], Meta(max_length=256, description="what a read-composite reads")] = ()
    value: Annotated[
        Json | None,
        Meta(
            description="of a resource; bytes in base64, object links as 3:0; a text is read by the resource's type, "
            "where the bridge knows it"
        ),
    ] = None
    values: Annotated[
        dict[str, Json] | None,
        Meta(description="of several resources, by their path below `path`: {'7': 'U'}; a composite has whole paths"),
    ] = None
    format: Annotated[
        Format | None,
        Meta(
            description="of what is written; null: text for one value, else tlv; of a composite write senml-cbor where "
            "the device named it (ct) when it registered, else senml-json. senml-cbor is refused where the device "
            "named other formats"
        ),
    ] = None
    accept: Annotated[Format | None, Meta(description="format of the answer; null: the device chooses")] = None
    payload: Annotated[Payload | None, Meta(description="what is written, as it is, in base64")] = None
    content_format: Annotated[int, Meta(ge=0, le=65535)] | None = None
    instance: Annotated[
        Annotated[int, Meta(ge=0, le=65534)] | None, Meta(description="that a create makes; null: the device chooses")
    ] = None
    arguments: Annotated[str, Meta(max_length=1024, description="of an execute: 0='now'")] = ""
    attributes: Annotated[
        dict[str, Json | None] | None, Meta(description="of a write-attributes: {'pmin': 60}; null takes one away")
    ] = None
    coap: CoapRequest | None = None
    ttl: Annotated[
        Annotated[float, Meta(gt=0, le=2**31)] | None,
        Meta(description="seconds in which it may be delivered; null: default_ttl of the endpoint, else a day"),
    ] = None
    deliver_by: Annotated[float | None, Meta(description="time after which it must not be delivered")] = None
    priority: Priority = Priority.NORMAL
    confirmed: Annotated[bool, Meta(description="ask the network to confirm the delivery")] = False
    supersede_key: Annotated[
        Key | None, Meta(description="an older request to this endpoint with the same key makes way, if it is not out")
    ] = None
    idempotency_key: Annotated[
        Key | None, Meta(description="the same request to this endpoint with the same key is sent once only")
    ] = None
    wait: Wait = 0.0


class GetOutcome(Request[DirectView], frozen=True, kw_only=True):
    """Show a direct request with the device's response.

    The response may hold personal data and secrets of the device.
    """

    NAME: ClassVar[str] = "downlink.outcome"
    ACCESS: ClassVar[Access] = Access.OPERATE
    AUDITED: ClassVar[bool] = False  # it changes nothing, and is asked again and again; the request itself is recorded

    id: Id
    wait: Wait = 0.0
