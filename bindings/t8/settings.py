"""Settings of every T8 network instance: the SCEF or NEF, the bridge's name and credentials there, callbacks."""

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.pem_files import CaBundle, CertificateKey, ClientCertificate
from bindings.ranges import AtOnce, Body, PortOrAny, SpanOrZero, Timeout
from bindings.secret import Masked
from bindings.t8.quirks import Quirks, quirks


class Credentials(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How the bridge authenticates to the SCEF/NEF (TS 29.122 §6; Basic and fixed tokens are field practice)."""

    kind: Annotated[
        Literal["none", "basic", "bearer", "oauth2"],
        Meta(
            description="none (mutual TLS or a VPN authenticates), basic, bearer (a fixed token), oauth2 (RFC 6749 "
            "§4.4)"
        ),
    ] = "none"
    username: Annotated[str, Meta(description="basic: user name")] = ""
    password: Annotated[str, Meta(description="basic: password", extra={"secret": True})] = ""
    token: Annotated[str, Meta(description="bearer: the token", extra={"secret": True})] = ""
    token_url: Annotated[str, Meta(description="oauth2: URL of the token endpoint")] = ""
    client_id: Annotated[str, Meta(description="oauth2: client identifier")] = ""
    client_secret: Annotated[str, Meta(description="oauth2: client secret", extra={"secret": True})] = ""
    client_secret_in: Annotated[
        Literal["header", "body"], Meta(description="oauth2: where id and secret are sent to the token endpoint")
    ] = "header"  # noqa: S105  # a place, not a secret
    scope: Annotated[str, Meta(description="oauth2: scope to ask for; T8 defines none")] = ""


class Http(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The HTTP client toward the SCEF/NEF."""

    ca_bundle: CaBundle = ""
    client_certificate: ClientCertificate = ""
    client_key: CertificateKey = ""
    proxy: Annotated[
        str, Meta(description="HTTP proxy URL; may hold user and password; empty: none", extra={"secret": True})
    ] = ""
    connect_timeout: Annotated[
        Timeout, Meta(description="seconds to get a connection, waiting for a free one of the pool included")
    ] = 10.0
    request_timeout: Annotated[
        Timeout,
        Meta(description="seconds for connection, request and whole answer; more than connect_timeout"),
    ] = 30.0
    pool_size: Annotated[AtOnce, Meta(description="connections to the SCEF/NEF, at most")] = 32
    keepalive: Annotated[
        SpanOrZero, Meta(description="seconds that an idle connection is kept; less than the SCEF's own limit")
    ] = 15.0
    headers: Annotated[
        dict[str, str], Meta(description="extra headers of every request, for API gateways", extra={"secret": True})
    ] = msgspec.field(default_factory=dict)


class Callbacks(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The listener to which the SCEF/NEF posts notifications."""

    bind: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[PortOrAny, Meta(description="TCP port to listen on; 0: any free one")] = 8180
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
            description="unguessable last part of the callback URL; empty: generated once and stored",
            extra={"secret": True},
        ),
    ] = ""
    max_body: Annotated[Body, Meta(description="largest notification, bytes")] = 65536
    overlap: Annotated[
        SpanOrZero,
        Meta(
            description="seconds after a reload that changes them in which the former path, credentials and address "
            "are still taken beside the new ones, so that a change at the SCEF/NEF loses no notification"
        ),
    ] = 3600.0
    kind: Annotated[
        Literal["none", "basic", "bearer"],
        Meta(description="credentials that the SCEF/NEF must show beside the unguessable path"),
    ] = "none"
    username: Annotated[str, Meta(description="basic: user name")] = ""
    password: Annotated[str, Meta(description="basic: password", extra={"secret": True})] = ""
    token: Annotated[str, Meta(description="bearer: the token", extra={"secret": True})] = ""
    certificate: Annotated[
        str, Meta(description="PEM file of the server certificate; empty: plain HTTP", extra={"file": True})
    ] = ""
    key: CertificateKey = ""
    client_ca: Annotated[
        str,
        Meta(
            description="PEM file of the authorities of client certificates; set: mutual TLS is required",
            extra={"file": True},
        ),
    ] = ""


class Departures(Masked, kw_only=True, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """How this SCEF/NEF, or a gateway before it, departs from TS 29.122: a profile, and settings that override it."""

    profile: Annotated[
        Literal[
            "strict-r17", "strict-r15", "relative-links", "both-ids", "small-apn", "no-buffer", "conflict", "lossy"
        ],
        Meta(description="NIDD only; the kind of SCEF/NEF: it sets the default of each value below"),
    ] = "strict-r17"
    bare_answers: Annotated[
        bool | None,
        Meta(
            description="true: its errors have no body. Only then an error without a T8 body counts as the "
            "SCEF's own; else it counts as a proxy's",
            examples=[True],
        ),
    ] = None
    gateway_refusals: Annotated[
        tuple[Annotated[int, Meta(ge=400, le=599)], ...] | None,
        Meta(
            description="statuses that the API gateway answers itself, without forwarding the request; such an "
            "answer without a T8 body proves that the SCEF did not get the request",
            examples=[[429, 503]],
        ),
    ] = None
    patches_destination: Annotated[
        bool | None,
        Meta(
            description="NIDD only; false: notificationDestination cannot be changed: the configuration is deleted "
            "and created again",
            examples=[False],
        ),
    ] = None
    keeps_downlinks: Annotated[
        bool | None,
        Meta(description="NIDD only; false: the SCEF does not buffer for a sleeping device", examples=[False]),
    ] = None
    lists_late: Annotated[
        bool | None,
        Meta(
            description="NIDD only; true: look for a configuration before each creation, not only before the first",
            examples=[True],
        ),
    ] = None
    small_packets: Annotated[
        bool | None,
        Meta(description="NIDD only; true: a maximumPacketSize below 128 bytes is meant as written", examples=[True]),
    ] = None

    @property
    def resolved(self) -> Quirks:
        """Return the effective quirks, of profile and settings."""
        return _resolved(self)


@lru_cache(maxsize=64)  # every downlink asks for them
def _resolved(departures: Departures) -> Quirks:
    own = {name: getattr(departures, name) for name in departures.__struct_fields__ if name != "profile"}
    return quirks(departures.profile, **own)


class T8Settings(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One SCEF or NEF, reached over T8 (TS 29.122 §5); the base of the settings of each kind of T8 network."""

    api_root: Annotated[
        str,
        Meta(description="apiRoot of the SCEF/NEF, path prefix included, without the API's name: https://scef.example"),
    ]
    other_api_roots: Annotated[
        tuple[str, ...],
        Meta(
            description="further apiRoots of the same SCEF/NEF, tried in this order while the earlier ones fail",
            examples=[["https://scef2.example"]],
        ),
    ] = ()
    scs_as_id: Annotated[str, Meta(min_length=1, description="name of the bridge at the SCEF/NEF (scsAsId)")]
    credentials: Annotated[Credentials, Meta(description="credentials of the bridge")] = Credentials()
    http: Annotated[Http, Meta(description="the HTTP client")] = Http()
    callbacks: Annotated[Callbacks, Meta(description="the listener for notifications")] = Callbacks()
    quirks: Annotated[Departures, Meta(description="how this SCEF/NEF departs from the standard")] = Departures()
