"""A trace: both hops of one endpoint while they happen."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.request import Access, Name, Request, Result
from bridge.operations.types.stories import OptionView

LONGEST_WAIT = 5.0  # seconds
LINES = 500  # on a page, at most

TraceId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a trace, returned when it was begun")]


class TraceBegun(Result, frozen=True, kw_only=True):
    """A trace that has begun. A trace ends on request, or when it was not read for 30 seconds."""

    id: str
    endpoint: str


class BeginTrace(Request[TraceBegun], frozen=True):
    """Begin to trace an endpoint: all messages on both of its hops from now on. Read it with the returned id.

    With `payload` the lines have payloads and whole messages; they may hold personal data and secrets of the device.
    Payloads about objects of keys (0, 21, 23, 24) are withheld: such messages have zeros in their place.
    """

    NAME: ClassVar[str] = "trace.begin"
    ACCESS: ClassVar[Access] = Access.OPERATE

    endpoint: Name
    payload: bool = False


class CoapView(Result, frozen=True, kw_only=True):
    """A CoAP message, decoded."""

    type: Annotated[str, Meta(description="CON, NON, ACK or RST")]
    code: Annotated[str, Meta(description="a method's name, or a response code like 2.05; 0.00: an Empty message")]
    mid: int
    token: Annotated[str, Meta(description="hexadecimal digits")]
    options: tuple[OptionView, ...]
    operation: Annotated[str, Meta(description="LwM2M operation; of a response: the one that it answers, if known")]
    path: Annotated[str, Meta(description="path and queries of the request; of a response as with `operation`")]
    content_format: int | None
    payload_size: int  # bytes


class ValueView(Result, frozen=True, kw_only=True):
    """A value in a message. `name` and `unit` are those of the registry; "" where a resource is not known, or has none.

    All but the path may be what a device or server wrote: show it as text, never as markup.
    """

    path: str
    name: str
    value: str
    unit: str


class TraceLine(Result, frozen=True, kw_only=True):
    """A message on one of the two hops, or a note."""

    number: int
    at: float
    kind: Annotated[
        str, Meta(description="from server, to server, from device, to device, network, call, outcome or note")
    ]
    peer: str  # the server or the network; "" where there is none
    size: int  # bytes of the message; 0 without one
    coap: CoapView | None  # null where there is no message, or none that is CoAP (DTLS)
    note: str
    payload: Annotated[bytes | None, Meta(description="in base64; null unless the trace has payloads")]
    values: Annotated[
        tuple[ValueView, ...], Meta(description="the payload's values, where they can be read; none as `payload`")
    ] = ()
    data: Annotated[bytes | None, Meta(description="the whole message, in base64; null as `payload`")]


class TracePage(Result, frozen=True, kw_only=True):
    """The next lines of a trace."""

    items: tuple[TraceLine, ...]
    next: int  # `after` of the next page
    lost: int  # lines after `after` that are lost: they were read too slowly


class ReadTrace(Request[TracePage], frozen=True):
    """Return the lines of a trace after a number, oldest first. Waits if there are none yet."""

    NAME: ClassVar[str] = "trace.read"
    ACCESS: ClassVar[Access] = Access.OPERATE
    AUDITED: ClassVar[bool] = False  # the beginning and the end of a trace are recorded, not each read

    id: TraceId
    after: Annotated[int, Meta(ge=0, le=2**63 - 1, description="`next` of the page before; 0: from the beginning")] = 0
    wait: Annotated[float, Meta(ge=0, le=LONGEST_WAIT, description="seconds to wait for a line, at most")] = 0.0


class TraceEnded(Result, frozen=True, kw_only=True):
    """A trace that has ended."""

    lines: int  # how many there were


class EndTrace(Request[TraceEnded], frozen=True):
    """End a trace. Lines that were not read are lost."""

    NAME: ClassVar[str] = "trace.end"
    ACCESS: ClassVar[Access] = Access.OPERATE

    id: TraceId
