"""Settings of one SMS network instance: what is written in its section of the configuration."""

from typing import Annotated, Literal

from msgspec import Meta

from bindings.ranges import Attempts, Port, PortOrAny, Span
from bindings.secret import Masked
from bindings.t8.settings import T8Settings
from bindings.transmission import exchange_lifetime

ACK_TIMEOUT = 2.0  # seconds (RFC 7252 §4.8)

Octets = Annotated[int, Meta(ge=16, le=65535)]


class Downlinks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How downlinks are submitted as device triggers, and the numbers of the south profile."""

    application_port: Annotated[
        Port, Meta(description="port of the device's LwM2M client (TS 23.040 application port addressing)")
    ] = 5683
    source_port: Annotated[PortOrAny, Meta(description="originating port (appSrcPortId); 0: none is sent")] = 0
    max_payload: Annotated[
        Octets,
        Meta(
            description="largest CoAP message, bytes: 140 octets of one SMS, less a port header of 7; larger messages "
            "are sent block-wise"
        ),
    ] = 133
    default_validity: Annotated[
        Span, Meta(description="seconds that the SMS centre keeps a downlink that has no deadline")
    ] = 86_400.0
    priority_for_answers: Annotated[
        bool, Meta(description="ask for PRIORITY where a device waits for an answer; some operators bill it")
    ] = True
    results_are_proof: Annotated[
        bool,
        Meta(
            description="whether EXPIRED, FAILURE and a recall prove that no SMS was transmitted. false: the "
            "acknowledgement of an SMS can be lost on its way back, so that the outcome is UNKNOWN; true: the operator "
            "guarantees this for its SMS centre"
        ),
    ] = False
    exchange_span: Annotated[
        Span,
        Meta(
            description="seconds in which a device's repeat is recognised: RFC 7252's EXCHANGE_LIFETIME for the "
            "devices' ACK_TIMEOUT: 247 for 2 s, 552.5 for 15 s, 905 for 30 s"
        ),
    ] = exchange_lifetime(ACK_TIMEOUT)
    response_timeout: Annotated[
        Span, Meta(description="seconds after delivery after which the next request may go to the device")
    ] = 247.0
    repeat_interval: Annotated[
        Span,
        Meta(
            description="seconds until a request that may be repeated is sent again, if it is unknown what became "
            "of it. "
            "There are no CoAP retransmissions over SMS"
        ),
    ] = 300.0
    max_attempts: Annotated[
        Attempts,
        Meta(
            description="submissions of one downlink at most that the network accepts and then reports as failed; "
            "what it refuses is tried again until the deadline"
        ),
    ] = 3


class Uplinks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How SMS of devices are received. The SCEF is configured to post them to the callback URL."""

    application_ports: Annotated[
        tuple[Port, ...], Meta(description="ports of the bridge; SMS to other ports are answered 404; empty: all ports")
    ] = ()
    max_payload: Annotated[Octets, Meta(description="largest CoAP message that a device can send, bytes")] = 133


class SmsSettings(T8Settings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """SMS by one SCEF or NEF, reached over T8 (3gpp-device-triggering/v1 and 3gpp-msisdn-less-mo-sms/v1).

    Set callbacks.path if devices send SMS: the operator needs the whole callback URL.
    """

    provider: Annotated[Literal["t8"], Meta(description="network API: t8 is device triggering and MO SMS")] = "t8"
    downlinks: Annotated[Downlinks, Meta(description="how downlinks are submitted")] = Downlinks()
    uplinks: Annotated[Uplinks, Meta(description="how SMS of devices are received")] = Uplinks()
