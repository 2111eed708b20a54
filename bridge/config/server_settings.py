"""The settings of an LwM2M server: `[servers.NAME]`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bindings.ranges import Port, Span, SpanOrZero
from bridge.config.profiles import DEFAULT, profile
from bridge.config.security import NONE, Links, Security
from bridge.config.uris import COAPS_PORT, read_uri
from bridge.north.udp.servers import ServerName
from bridge.relay.model import QueueMode, ServerProfile

Lifetime = Annotated[int, Meta(ge=1, le=2**32 - 1)]  # seconds, OMA Core TS /1/x/1


class ServerSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An LwM2M server, under the name that endpoints use for it. Its name cannot change while endpoints use it."""

    uri: Annotated[
        str,
        Meta(
            description="where it takes CoAP: coap://host:port over UDP, coaps:// over DTLS, coap+tcp:// over TCP, "
            "coaps+tcp:// over TLS",
            examples=["coap://127.0.0.1:5683"],
        ),
    ]
    secure_port: Annotated[
        Port,
        Meta(
            description="coap://: its port for DTLS sessions of the devices themselves, "
            "which the bridge relays without decrypting them"
        ),
    ] = COAPS_PORT
    profile: Annotated[
        str,
        Meta(
            description="what kind of server it is: default, emqx, leshan, leshan-demo, lwm2m-node-lib, strict, "
            "thingsboard, transparent, wakaama"
        ),
    ] = DEFAULT
    known_as: Annotated[
        list[str],
        Meta(
            description="further host names that devices may write into Uri-Host to address this server, "
            "beside the host of uri; "
            "a Non-IP device can name its server only this way"
        ),
    ] = msgspec.field(default_factory=list)
    bootstrap: Annotated[
        bool,
        Meta(
            description="true: it is a bootstrap server, which gets the Bootstrap-Requests of its devices, and none of "
            "their registrations",
        ),
    ] = False
    patience: Annotated[
        Span | None,
        Meta(
            description="seconds that it waits for an answer; this and all below: default from the profile",
            examples=[120.0],
        ),
    ] = None
    margin: Annotated[
        SpanOrZero | None,
        Meta(description="how many seconds before patience ends 5.04 Gateway Timeout is sent", examples=[5.0]),
    ] = None
    silent_expiry: Annotated[bool | None, Meta(description="true: send nothing instead of 5.04", examples=[False])] = (
        None
    )
    fit_register: Annotated[
        bool | None, Meta(description="false: pass the device's Register unchanged", examples=[True])
    ] = None
    lwm2m_version: Annotated[
        str | None, Meta(description="LwM2M version for devices that name none", examples=["1.1"])
    ] = None
    binding: Annotated[
        str | None,
        Meta(description="binding parameter (b) of a Register toward it; empty: as the device says", examples=["U"]),
    ] = None
    queue_mode: Annotated[
        QueueMode | None,
        Meta(
            description="the queue mode parameter (Q): strip (the bridge does the queueing), keep or add",
            examples=["strip"],
        ),
    ] = None
    awake_time: Annotated[
        Span | None,
        Meta(
            description="queue mode kept or added: seconds after a message for which it takes the device for awake",
            examples=[93.0],
        ),
    ] = None
    announce_awake: Annotated[
        bool,
        Meta(
            description="queue mode kept or added: true: when the device can be reached (it polled or sent, or the "
            "network reports it) and the server takes it for asleep, send an Update in the device's place, which also "
            "renews the registration",
        ),
    ] = False
    keep_sms: Annotated[
        bool | None,
        Meta(
            description="false: take the device's number for SMS (sms) out of a Register, so that the server sends no "
            "triggers itself",
            examples=[True],
        ),
    ] = None

    acknowledges_notifications: Annotated[
        bool | None,
        Meta(
            description="false: it acknowledges no confirmable notification, so notifications are sent to it as NON, "
            "and one that is lost on the way is not sent again",
            examples=[True],
        ),
    ] = None

    default_lifetime: Annotated[
        Lifetime | None,
        Meta(description="lifetime (lt) for devices that name none, seconds", examples=[86400]),
    ] = None
    transfer: Annotated[
        Span | None,
        Meta(
            description="seconds from the first block within which it expects a block-wise write to end; raise "
            "it with the server's own timeout for firmware",
            examples=[120.0],
        ),
    ] = None
    piggybacked_blocks: Annotated[
        bool | None,
        Meta(
            description="true: it continues a block-wise write only if the answer is in the acknowledgement",
            examples=[False],
        ),
    ] = None

    security: Annotated[
        Security, Meta(description="how endpoints authenticate to it, for coaps:// and coaps+tcp://")
    ] = msgspec.field(default_factory=Security)
    links: Annotated[Links, Meta(description="how sessions and connections with it are kept")] = msgspec.field(
        default_factory=Links
    )

    def __post_init__(self) -> None:
        uri = read_uri(self.uri)
        if uri.secure and self.security.mode == NONE:
            raise ValueError(
                f"uri {self.uri} needs a section [servers.NAME.security] with a mode: how endpoints "
                "authenticate. For devices that have sessions of their own with it, write coap:// and secure_port"
            )
        if self.security.mode != NONE and not uri.secure:
            raise ValueError(f"security has no effect with uri {self.uri}; write coaps:// or coaps+tcp://")
        fitted = self.fitted()
        if fitted.patience <= 0 or not 0 <= fitted.margin < fitted.patience:
            raise ValueError(
                f"patience {fitted.patience} s and margin {fitted.margin} s leave no time; "
                "patience must be above the margin, and the margin 0 or more"
            )

    def fitted(self) -> ServerProfile:
        """Return the named profile with the values that are overridden here. Raises ConfigurationError."""
        base = profile(self.profile)
        return ServerProfile(
            patience=base.patience if self.patience is None else self.patience,
            margin=base.margin if self.margin is None else self.margin,
            silent_expiry=base.silent_expiry if self.silent_expiry is None else self.silent_expiry,
            fit_register=base.fit_register if self.fit_register is None else self.fit_register,
            lwm2m_version=base.lwm2m_version if self.lwm2m_version is None else self.lwm2m_version,
            binding=base.binding if self.binding is None else (self.binding or None),
            queue_mode=base.queue_mode if self.queue_mode is None else self.queue_mode,
            default_lifetime=base.default_lifetime if self.default_lifetime is None else self.default_lifetime,
            transfer=self._transfer(base),
            piggybacked_blocks=base.piggybacked_blocks if self.piggybacked_blocks is None else self.piggybacked_blocks,
            awake_time=base.awake_time if self.awake_time is None else self.awake_time,
            awake_by_any=base.awake_by_any,
            asleep_after_timeout=base.asleep_after_timeout,
            announce_awake=self.announce_awake,
            acknowledges_notifications=(
                base.acknowledges_notifications
                if self.acknowledges_notifications is None
                else self.acknowledges_notifications
            ),
            keep_sms=base.keep_sms if self.keep_sms is None else self.keep_sms,
        )

    def _transfer(self, base: ServerProfile) -> float | None:
        """Return the time of a transfer; if the profile's is that of a request, another patience changes both."""
        if self.transfer is not None:
            return self.transfer
        return self.patience if self.patience is not None and base.transfer == base.patience else base.transfer

    def server_name(self, key: str) -> ServerName:
        """Return the server for `bridge.north.udp.servers.Servers`."""
        uri = read_uri(self.uri)
        return ServerName(key, uri.host, uri.port, uri.port if uri.secure else self.secure_port, uri.stream)
