"""Settings of one NIDD network instance: what is written in its section of the configuration."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.secret import Masked

Seconds = Annotated[float, Meta(ge=0)]


class Credentials(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How the bridge proves to the SCEF/NEF who it is (TS 29.122 §6; Basic and fixed tokens are field practice)."""

    kind: Annotated[
        Literal["none", "basic", "bearer", "oauth2"],
        Meta(description="none (mutual TLS or a VPN vouches), basic, bearer (a fixed token), oauth2 (RFC 6749 §4.4)"),
    ] = "none"
    username: Annotated[str, Meta(description="basic: user name")] = ""
    password: Annotated[str, Meta(description="basic: password", extra={"secret": True})] = ""
    token: Annotated[str, Meta(description="bearer: the token", extra={"secret": True})] = ""
    token_url: Annotated[str, Meta(description="oauth2: URL of the token endpoint")] = ""
    client_id: Annotated[str, Meta(description="oauth2: client identifier")] = ""
    client_secret: Annotated[str, Meta(description="oauth2: client secret", extra={"secret": True})] = ""
    client_secret_in: Annotated[
        Literal["header", "body"], Meta(description="oauth2: where the token endpoint takes id and secret")
    ] = "header"  # noqa: S105  # a place, not a secret
    scope: Annotated[str, Meta(description="oauth2: scope to ask for; T8 defines none")] = ""


class Http(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The HTTP client toward the SCEF/NEF."""

    ca_bundle: Annotated[str, Meta(description="PEM file of the authorities to trust; empty: the system's")] = ""
    client_certificate: Annotated[str, Meta(description="PEM file of the client certificate for mutual TLS")] = ""
    client_key: Annotated[str, Meta(description="PEM file of its key; empty: in the certificate's file")] = ""
    proxy: Annotated[
        str, Meta(description="HTTP proxy URL; may hold user and password; empty: none", extra={"secret": True})
    ] = ""
    connect_timeout: Annotated[
        float, Meta(gt=0, description="seconds to get a connection, waiting for a free one of the pool included")
    ] = 10.0
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="seconds for connection, request and whole answer; more than connect_timeout. With "
            "reliable_data_service the answer waits for the device",
        ),
    ] = 30.0
    pool_size: Annotated[int, Meta(ge=1, description="connections to the SCEF/NEF at the same time")] = 32
    keepalive: Annotated[
        float, Meta(ge=0, description="seconds that an idle connection is kept; less than the SCEF's own limit")
    ] = 15.0
    headers: Annotated[
        dict[str, str], Meta(description="extra headers of every request, for API gateways", extra={"secret": True})
    ] = msgspec.field(default_factory=dict)


class Callbacks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The listener that the SCEF/NEF posts notifications to."""

    bind: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port to listen on; 0: any free one")] = 8180
    public_url: Annotated[
        str,
        Meta(
            description="how the SCEF/NEF reaches the listener, path prefix included, e.g. https://bridge.example/t8; "
            "empty: made from bind and port, for a SCEF on the same machine or network"
        ),
    ] = ""
    path: Annotated[
        str,
        Meta(
            description="unguessable last part of the callback URL; empty: made once and kept in the store",
            extra={"secret": True},
        ),
    ] = ""
    max_body: Annotated[int, Meta(ge=1024, description="largest notification, bytes")] = 65536
    kind: Annotated[
        Literal["none", "basic", "bearer"],
        Meta(description="credentials that the SCEF/NEF must show beside the unguessable path"),
    ] = "none"
    username: Annotated[str, Meta(description="basic: user name")] = ""
    password: Annotated[str, Meta(description="basic: password", extra={"secret": True})] = ""
    token: Annotated[str, Meta(description="bearer: the token", extra={"secret": True})] = ""
    certificate: Annotated[str, Meta(description="PEM file of the server certificate; empty: plain HTTP")] = ""
    key: Annotated[str, Meta(description="PEM file of its key; empty: in the certificate's file")] = ""
    client_ca: Annotated[
        str, Meta(description="PEM file of the authorities of client certificates; set: mutual TLS is required")
    ] = ""


class Configurations(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How NIDD configurations are made and kept (TS 29.122 §4.4.5.2)."""

    parallelism: Annotated[int, Meta(ge=1, description="configurations worked on at the same time")] = 8
    pace: Annotated[float, Meta(gt=0, description="configurations begun per second, at most")] = 20.0
    duration: Annotated[
        int, Meta(ge=0, description="seconds that a configuration is asked for; 0: without end, if the SCEF agrees")
    ] = 0
    renewal_margin: Annotated[
        Seconds,
        Meta(description="seconds before its end that a configuration is renewed; at most half of its time"),
    ] = 3600.0
    retry_min: Annotated[float, Meta(gt=0, description="seconds until a failed configuration is tried again")] = 5.0
    retry_max: Annotated[float, Meta(gt=0, description="limit of that time, which doubles with each failure")] = 3600.0
    adopt: Annotated[
        bool, Meta(description="look for existing configurations (GET) before making the first one of a device")
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

    pdn_establishment_option: Annotated[
        Literal["", "WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER"],
        Meta(description="what the SCEF does while the device has no PDN connection; empty: its default"),
    ] = "WAIT_FOR_UE"
    reliable_data_service: Annotated[
        bool,
        Meta(description="ask for RDS (TS 24.250): delivery is confirmed by the modem; must be enabled by the APN"),
    ] = False
    max_packet_size: Annotated[
        int,
        Meta(ge=0, description="largest packet, bytes, whatever the SCEF says if that is more; 0: as the SCEF says"),
    ] = 0
    packet_size_unit: Annotated[
        Literal["bits", "bytes"],
        Meta(description="unit of maximumPacketSize: bits by TS 29.122; bytes for a SCEF that gets it wrong"),
    ] = "bits"
    retransmit_interval: Annotated[
        float, Meta(gt=0, description="seconds after SENT before the same CoAP message is sent again")
    ] = 60.0
    max_retransmit: Annotated[int, Meta(ge=0, description="how many times it is sent again")] = 2
    exchange_span: Annotated[
        float, Meta(gt=0, description="seconds in which the device may repeat a message (RFC 7252 EXCHANGE_LIFETIME)")
    ] = 247.0
    response_timeout: Annotated[
        float, Meta(gt=0, description="seconds after SENT after which the next request may go to the device")
    ] = 247.0
    max_attempts: Annotated[int, Meta(ge=1, description="submissions of one downlink, all told")] = 5
    unreachable_pause: Annotated[
        float, Meta(gt=0, description="seconds until a downlink is tried again after the SCEF could not be reached")
    ] = 10.0
    quick: Annotated[
        bool, Meta(description="devices can answer within a second or so; false: deep coverage, long eDRX")
    ] = True


class NiddSettings(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One SCEF or NEF, reached over T8 (3gpp-nidd/v1, TS 29.122 §5.6)."""

    api_root: Annotated[
        str, Meta(description="apiRoot of the SCEF/NEF, path prefix included, without /3gpp-nidd: https://scef.example")
    ]
    scs_as_id: Annotated[str, Meta(min_length=1, description="our name at the SCEF/NEF (scsAsId)")]
    provider: Annotated[Literal["t8"], Meta(description="network API: t8 is 3gpp-nidd/v1")] = "t8"
    credentials: Annotated[Credentials, Meta(description="how we prove who we are")] = Credentials()
    http: Annotated[Http, Meta(description="the HTTP client")] = Http()
    callbacks: Annotated[Callbacks, Meta(description="the listener for notifications")] = Callbacks()
    configurations: Annotated[Configurations, Meta(description="how NIDD configurations are kept")] = Configurations()
    downlinks: Annotated[Downlinks, Meta(description="how downlinks are submitted")] = Downlinks()
