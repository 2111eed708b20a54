"""Settings of one LoRaWAN network instance: what is written in its section of the configuration."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.pem_files import CaBundle, CertificateKey, ClientCertificate
from bindings.ranges import AtOnce, Attempts, Body, Payload, Span, SpanOrZero, Timeout, Times
from bindings.secret import Masked
from bindings.transmission import exchange_lifetime

FPort = Annotated[int, Meta(ge=1, le=223)]
ACK_TIMEOUT = 300.0  # seconds; OMA Transport App. C.2
HISTORY_PATIENCE = 2.0  # seconds: the pause of ChirpStack in StreamDeviceEvents, and as much again


class Api(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """ChirpStack's API."""

    server: Annotated[str, Meta(min_length=3, description="host:port of ChirpStack's API", examples=["127.0.0.1:8080"])]
    key: Annotated[
        str,
        Meta(description="API key of the tenant (or a global one); not a read-only one", extra={"secret": True}),
    ]
    transport: Annotated[
        Literal["grpc-web", "grpc"],
        Meta(
            description="grpc-web: over HTTP/1.1 as ChirpStack's web interface, which also works through a proxy, "
            "if the proxy does not delay streamed answers; grpc: over HTTP/2"
        ),
    ] = "grpc-web"
    connections: Annotated[AtOnce, Meta(description="concurrent calls over grpc-web, each on its own connection")] = 64
    tls: Annotated[bool, Meta(description="reach it over TLS")] = False
    ca_bundle: CaBundle = ""
    timeout: Annotated[Timeout, Meta(description="seconds for one call")] = 10.0
    version: Annotated[
        str,
        Meta(description="ChirpStack's version, for an API key: ChirpStack reports it to users only"),
    ] = "4.18"


class Http(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The listener for ChirpStack's HTTP integration."""

    bind: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port to listen on; 0: any free one")] = 8181
    public_url: Annotated[
        str,
        Meta(
            description="how ChirpStack reaches the listener, path prefix included, e.g. https://bridge.example/up; "
            "empty: made from bind and port, for a ChirpStack on the same machine or network"
        ),
    ] = ""
    path: Annotated[
        str,
        Meta(
            description="unguessable last part of the URL; empty: generated once and stored",
            extra={"secret": True},
        ),
    ] = ""
    max_body: Annotated[Body, Meta(description="largest event, bytes")] = 262144
    overlap: Annotated[
        SpanOrZero,
        Meta(
            description="seconds after a reload that changes them in which the former path and address are still taken "
            "beside the new ones, so that a change in ChirpStack loses no event"
        ),
    ] = 3600.0


class Mqtt(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The broker that ChirpStack publishes its events to."""

    host: Annotated[str, Meta(min_length=1, description="broker")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="its port; 8883 is usual with TLS")] = 1883
    tls: Annotated[bool, Meta(description="reach it over TLS")] = False
    ca_bundle: CaBundle = ""
    client_certificate: ClientCertificate = ""
    client_key: CertificateKey = ""
    username: Annotated[str, Meta(description="user name; empty: none")] = ""
    password: Annotated[str, Meta(description="password", extra={"secret": True})] = ""
    client_id: Annotated[
        str,
        Meta(
            description="name of the session that the broker keeps; empty: generated once and stored. With [cluster] "
            "the name of the node is added"
        ),
    ] = ""
    topic: Annotated[
        str,
        Meta(
            description="event_topic of ChirpStack's configuration with + for each variable; {application} is the "
            "application_id, or + without one; the last but one level is the DevEUI, the last level the event type"
        ),
    ] = "application/{application}/device/+/event/+"
    session_expiry: Annotated[
        int,
        Meta(ge=0, le=0xFFFFFFFF, description="seconds that the broker keeps events while the bridge is disconnected"),
    ] = 86400
    receive_maximum: Annotated[int, Meta(ge=1, le=65535, description="unacknowledged events at the same time")] = 500
    keepalive: Annotated[int, Meta(ge=5, le=65535, description="keep-alive interval, seconds")] = 30
    shared_group: Annotated[
        str,
        Meta(
            description="name of a shared subscription; its subscribers share the events, and lose their order. "
            "Empty: none; with [cluster] the nodes share a subscription whose name is generated once and stored"
        ),
    ] = ""


class Downlinks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How downlinks are sent, and the numbers of the south profile (OMA LwM2M Transport, App. C)."""

    f_port: Annotated[
        FPort, Meta(description="FPort of LwM2M, in both directions; option f_port of an endpoint overrides it")
    ] = 10
    flush_for_answers: Annotated[
        bool,
        Meta(
            description="an answer to the device's own message is sent before a request that waits in ChirpStack's "
            "queue: the "
            "queue is flushed (flush_queue of Enqueue, ChirpStack 4.18 or newer), and the request is queued again "
            "behind the answer"
        ),
    ] = True
    max_payload: Annotated[
        Payload, Meta(description="limit of the FRMPayload, bytes, where the data rate allows more; 0: no limit")
    ] = 0
    rx_window: Annotated[
        Literal["rx1", "rx2"],
        Meta(
            description="first window that ChirpStack uses (rx_window of its region): the largest payload depends on it"
        ),
    ] = "rx1"
    rx1_dr_offset: Annotated[
        int,
        Meta(
            ge=-1,
            le=7,
            description="RX1DROffset of ChirpStack's region (rx1_dr_offset), which it does not report to an "
            "API key; -1: unknown, the smallest payload is assumed until a transmission shows it",
        ),
    ] = -1
    rx2_dr: Annotated[
        int,
        Meta(
            ge=-1,
            le=15,
            description="data rate of RX2 (rx2_dr of ChirpStack's region); -1: unknown, as with rx1_dr_offset",
        ),
    ] = -1
    repeater_compatible: Annotated[bool, Meta(description="use the smaller sizes for networks with repeaters")] = False
    dwell_time_400ms: Annotated[bool, Meta(description="AS923, AU915: frames respect the dwell time of 400 ms")] = False
    retransmit_interval: Annotated[
        Span,
        Meta(description="seconds after txack before the same CoAP message is sent again (ACK_TIMEOUT); class A, B"),
    ] = 300.0
    class_c_retransmit_interval: Annotated[
        Span,
        Meta(
            description="the same for class C, which can answer at once; short, so that a repetition "
            "and its answer come while the server still waits",
        ),
    ] = 50.0
    max_retransmit: Annotated[Times, Meta(description="how often it is sent again (MAX_RETRANSMIT)")] = 4
    exchange_span: Annotated[
        Span,
        Meta(
            description="seconds in which a device's repeat is recognised: RFC 7252's EXCHANGE_LIFETIME for an "
            "ACK_TIMEOUT of 300 s that doubles; 1500 will do for devices with a constant wait of 300 s"
        ),
    ] = exchange_lifetime(ACK_TIMEOUT)
    response_timeout: Annotated[
        Span,
        Meta(description="seconds after txack after which the next request may go to the device; class A, B"),
    ] = 1500.0
    class_c_response_timeout: Annotated[
        Span, Meta(description="the same for class C, which must answer within ACK_TIMEOUT")
    ] = 300.0
    max_attempts: Annotated[
        Attempts,
        Meta(
            description="submissions of one downlink at most that are not acknowledged (nack), or that the network "
            "server accepts and then discards; what it refuses is tried again until the deadline"
        ),
    ] = 5
    unreachable_pause: Annotated[
        Span, Meta(description="seconds until a downlink is submitted again after ChirpStack could not be reached")
    ] = 10.0


class EndToEnd(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Payloads that ChirpStack cannot read: it has no AppSKey of a device, or only one under a KEK."""

    keks: Annotated[
        dict[str, str],
        Meta(
            description="key-encryption keys (KEK) by label, the same as in the Join Server; hexadecimal digits",
            extra={"secret": True},
        ),
    ] = msgspec.field(default_factory=dict)
    required: Annotated[
        bool,
        Meta(description="true: in this network, no payload is sent or accepted that ChirpStack can read"),
    ] = False


class CatchUp(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Events that were missed while the bridge, the broker or ChirpStack was away (StreamDeviceEvents)."""

    enabled: Annotated[
        bool,
        Meta(
            description="after an outage, read missed events from ChirpStack, which keeps "
            "monitoring.per_device_event_log_max_history events"
        ),
    ] = True
    parallelism: Annotated[AtOnce, Meta(description="devices whose history is read at the same time")] = 32
    patience: Annotated[
        float,
        Meta(
            gt=1,
            le=3600,
            description="seconds without a further event after which the history of a device counts as read; "
            "ChirpStack sends "
            "ten events, pauses for a second, and sends the next ten",
        ),
    ] = HISTORY_PATIENCE


class LorawanSettings(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One ChirpStack v4 application (or all that the API key can see)."""

    api: Annotated[Api, Meta(description="ChirpStack's gRPC API")]
    provider: Annotated[Literal["chirpstack"], Meta(description="network API: chirpstack is ChirpStack v4")] = (
        "chirpstack"
    )
    application_id: Annotated[
        str,
        Meta(description="UUID of the ChirpStack application; events of others are dropped. Empty: any application"),
    ] = ""
    events: Annotated[
        Literal["http", "mqtt"],
        Meta(description="how events arrive: http (ChirpStack's HTTP integration posts each at most once) or mqtt"),
    ] = "http"
    http: Annotated[Http, Meta(description="events = http: the listener")] = Http()
    mqtt: Annotated[Mqtt, Meta(description="events = mqtt: the broker")] = Mqtt()
    downlinks: Annotated[Downlinks, Meta(description="how downlinks are sent")] = Downlinks()
    end_to_end: Annotated[EndToEnd, Meta(description="end-to-end encryption: payloads that ChirpStack cannot read")] = (
        EndToEnd()
    )
    catch_up: Annotated[CatchUp, Meta(description="recovery of missed events")] = CatchUp()
