"""The story of one message: its CoAP head, each attempt, each answer, each state with its time; and its payload."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.messages import DownlinkView, UplinkView
from bridge.operations.types.request import Access, Id, Request, Result


class AttemptView(Result, frozen=True, kw_only=True):
    """One submission of a message to its network, and what is known of it."""

    number: int
    known: Annotated[
        str, Meta(description="pending, in_doubt, held, gone, refused, taken_back, left, nacked or delivered")
    ]
    at: float  # since when that is known
    handle: str | None  # under which the network knows it
    refusal: str | None  # kind of the network's refusal
    detail: str  # text of the network
    left_at: float | None  # when it was transmitted, as far as the network says


class Moment(Result, frozen=True, kw_only=True):
    """Something that happened to a message."""

    at: float
    what: str


class DownlinkStory(DownlinkView, frozen=True, kw_only=True):
    """A message to a device, and everything that is known of it."""

    code: str | None  # method or response code; null if the bridge cannot read it
    made: tuple[AttemptView, ...]  # attempts, oldest first
    answers: tuple[UplinkView, ...]  # the device's responses, and the bridge's own answers to the server
    moments: tuple[Moment, ...]  # in the order of their times


class ShowDownlink(Request[DownlinkStory], frozen=True):
    """Show one message to a device: path, code, sizes, each attempt with what the network said, each answer."""

    NAME: ClassVar[str] = "downlink.show"
    ACCESS: ClassVar[Access] = Access.READ

    id: Id


class UplinkStory(UplinkView, frozen=True, kw_only=True):
    """A message from a device, and everything that is known of it."""

    reply: str | None  # code of the answer that the device gets; null: none with a code yet
    reply_downlink: int | None  # the downlink that carried the answer last
    moments: tuple[Moment, ...]


class ShowUplink(Request[UplinkStory], frozen=True):
    """Show one message from a device: path, code, outcome, and the answer to it."""

    NAME: ClassVar[str] = "uplink.show"
    ACCESS: ClassVar[Access] = Access.READ

    id: Id


class OptionView(Result, frozen=True, kw_only=True):
    """A CoAP option. `value` is text, a number, NUM/M/SIZE of a block, or hexadecimal digits."""

    number: int
    name: str
    value: str


class PayloadView(Result, frozen=True, kw_only=True):
    """The content of a message as stored. Opaque messages (DTLS) have no code and no options."""

    code: str | None
    options: tuple[OptionView, ...]
    payload: Annotated[bytes, Meta(description="in base64")]
    text: str | None  # the payload as text; null if it is not printable UTF-8
    withheld: Annotated[
        bool, Meta(description="the payload is not shown, since it may hold keys (objects 0, 21, 23, 24)")
    ] = False


class GetDownlinkPayload(Request[PayloadView], frozen=True):
    """Show the content of a message to a device. The content may hold personal data and secrets of the device."""

    NAME: ClassVar[str] = "downlink.payload"
    ACCESS: ClassVar[Access] = Access.OPERATE

    id: Id


class GetUplinkPayload(Request[PayloadView], frozen=True):
    """Show the content of a message from a device. The content may hold personal data and secrets of the device."""

    NAME: ClassVar[str] = "uplink.payload"
    ACCESS: ClassVar[Access] = Access.OPERATE

    id: Id
