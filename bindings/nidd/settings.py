"""Settings of one NIDD network instance: what is written in its section of the configuration."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.ranges import AtOnce, Attempts, Payload, PerSecond, Span, SpanOrZero, Times, WholeSpanOrZero
from bindings.reachability.settings import Reachability
from bindings.secret import Masked
from bindings.t8.settings import T8Settings
from bindings.transmission import exchange_lifetime

ACK_TIMEOUT = 2.0  # seconds (RFC 7252 §4.8)

Number = Annotated[int, Meta(ge=1, le=31)]


class Configurations(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How NIDD configurations are created and renewed (TS 29.122 §4.4.5.2)."""

    parallelism: Annotated[
        AtOnce,
        Meta(
            description="configurations created, renewed or deleted at the same time, at most, over connections beside "
            "http.pool_size; fewer while the SCEF is slow or refuses",
        ),
    ] = 24
    pace: Annotated[
        PerSecond, Meta(description="configurations begun per second, at most; 0: as many as the SCEF handles")
    ] = 0.0
    duration: Annotated[
        WholeSpanOrZero,
        Meta(description="requested duration of a configuration, seconds; 0: unlimited, if the SCEF agrees"),
    ] = 0
    renewal_margin: Annotated[
        SpanOrZero,
        Meta(
            description="seconds before the end of a configuration at which it is renewed; at most half of its duration"
        ),
    ] = 3600.0
    retry_min: Annotated[Span, Meta(description="seconds until a failed configuration is tried again")] = 5.0
    retry_max: Annotated[Span, Meta(description="limit of that time, which doubles with each failure")] = 3600.0
    adopt: Annotated[
        bool, Meta(description="look for existing configurations (GET) before creating the first one of a device")
    ] = True
    repair: Annotated[
        bool,
        Meta(
            description="at each start, compare the SCEF's list with the bridge's records, and create what is missing"
        ),
    ] = True
    request_test_notification: Annotated[
        bool, Meta(description="ask for a test notification with each new configuration (TS 29.122 §5.2.5.3)")
    ] = False
    supported_features: Annotated[
        str,
        Meta(
            pattern="^[A-Fa-f0-9]*$",
            description="features to negotiate, hexadecimal (TS 29.571 SupportedFeatures); 4: cancellation of buffered "
            "downlinks; the bit of test notifications (2) is added when they are asked for; empty: send none",
        ),
    ] = "4"
    mtc_provider_id: Annotated[str, Meta(description="mtcProviderId, if the operator asks for one")] = ""


class Downlinks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How downlinks are submitted, and the numbers of the south profile."""

    buffer: Annotated[
        Literal["", "network", "bridge"],
        Meta(
            description="who buffers a downlink for a sleeping device, never both: network (maximumLatency is "
            "the time left until the deadline) or bridge (the SCEF is asked not to buffer; the downlink waits in "
            "the bridge "
            "until the time that the SCEF names, or until the device sends something); empty: the value of "
            "quirks.profile"
        ),
    ] = ""
    pdn_establishment_option: Annotated[
        Literal["", "WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER"],
        Meta(
            description="what the SCEF does while the device has no PDN connection; empty: its default. Where the "
            "bridge buffers downlinks, it is INDICATE_ERROR"
        ),
    ] = "WAIT_FOR_UE"
    reliable_data_service: Annotated[
        bool,
        Meta(description="ask for RDS (TS 24.250): delivery is confirmed by the modem; must be enabled by the APN"),
    ] = False
    rds_timeout: Annotated[
        Span,
        Meta(description="seconds that the SCEF may take to answer where it waits for the modem's acknowledgement"),
    ] = 120.0
    max_packet_size: Annotated[
        Payload,
        Meta(description="limit of a packet, bytes, where the SCEF allows more; 0: the SCEF's limit"),
    ] = 0
    packet_size_unit: Annotated[
        Literal["bits", "bytes"],
        Meta(description="unit of maximumPacketSize: bits by TS 29.122; bytes for a SCEF that departs from it"),
    ] = "bits"
    retransmit_interval: Annotated[
        Span, Meta(description="seconds after SENT before the same CoAP message is sent again")
    ] = 60.0
    max_retransmit: Annotated[Times, Meta(description="how often it is sent again")] = 2
    exchange_span: Annotated[
        Span,
        Meta(
            description="seconds in which a device's repeat is recognised: RFC 7252's EXCHANGE_LIFETIME for the "
            "devices' ACK_TIMEOUT: 247 for 2 s, 552.5 for 15 s, 905 for 30 s"
        ),
    ] = exchange_lifetime(ACK_TIMEOUT)
    response_timeout: Annotated[
        Span, Meta(description="seconds after SENT after which the next request may go to the device")
    ] = 247.0
    max_attempts: Annotated[
        Attempts,
        Meta(
            description="submissions of one downlink at most that the network accepts and then reports as failed; "
            "what it refuses is tried again until the deadline"
        ),
    ] = 5
    quick: Annotated[
        bool, Meta(description="true: devices can answer within about a second; false: deep coverage, long eDRX")
    ] = True


class ZeroTouch(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Devices that open a NIDD connection and have no configuration (NIDDConfigurationTrigger, TS 29.522 §5.9).

    The NEF posts to the callback URL with /trigger appended: set callbacks.path, and give the operator that URL.
    """

    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="device addresses that get an endpoint and a configuration; * and ? as in names of files",
            examples=[["*@iot.example"]],
        ),
    ] = ()
    name: Annotated[
        str, Meta(min_length=1, description="template of the endpoint's name, with {device}, {local} and {domain}")
    ] = "{local}"
    options: Annotated[dict[str, str], Meta(description="options of the endpoint", examples=[{"buffer": "bridge"}])] = (
        msgspec.field(default_factory=dict)
    )


class Features(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Numbers of the features of 3gpp-nidd (TS 29.122 §5.6.4), if a SCEF numbers them differently."""

    test_notification: Annotated[Number, Meta(description="Notification_test_event")] = 2
    cancellation: Annotated[Number, Meta(description="MT_NIDD_modification_cancellation")] = 3


class NiddSettings(T8Settings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One SCEF or NEF, reached over T8 (3gpp-nidd/v1, TS 29.122 §5.6)."""

    provider: Annotated[Literal["t8"], Meta(description="network API: t8 is 3gpp-nidd/v1")] = "t8"
    configurations: Annotated[Configurations, Meta(description="how NIDD configurations are created and renewed")] = (
        Configurations()
    )
    downlinks: Annotated[Downlinks, Meta(description="how downlinks are submitted")] = Downlinks()
    zero_touch: Annotated[ZeroTouch, Meta(description="unknown devices that send something (zero touch)")] = ZeroTouch()
    reachability: Annotated[Reachability, Meta(description="monitoring events and network parameters")] = Reachability()
    features: Annotated[Features, Meta(description="feature numbers of the APIs")] = Features()
