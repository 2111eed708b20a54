"""What can be set of a UE: in a file, on the command line, when it is created, and later over the control API."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mock_network.scef.schema.common import ExternalId, Msisdn

Seconds = Annotated[float, Meta(ge=0)]
Period = Annotated[float, Meta(gt=0)]  # seconds
Probability = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(gt=0)]
RdsNumber = Annotated[int, Meta(ge=0, le=15)]
UdpPort = Annotated[int, Meta(ge=0, le=65_535)]


class SettingsError(ValueError):
    """A UE has an unknown, missing or impossible setting."""


class UeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times in seconds, sizes in bits. At least one of `external_id` and `msisdn` is needed."""

    external_id: ExternalId | None = None
    msisdn: Msisdn | None = None
    # Power saving
    t3324: Seconds | None = None  # active time; None: no PSM, 0: PSM at once
    t3412: Period | None = None  # periodic tracking area update; None: never
    edrx_cycle: Period | None = None  # None: no eDRX
    edrx_ptw: Period = 2.56  # paging time window at the start of each cycle
    inactivity: Seconds = 20.0  # after the last data, until the radio connection is released; about 20 s on NB-IoT
    # Subscription and connection
    attached: bool = True  # at creation
    pdn: bool = True  # at creation, and whether a PDN connection follows an attach by itself
    apn: str = "nidd.example"
    in_coverage: bool = True
    authorised: bool = True  # for NIDD, by the HSS
    accepts_trigger: bool = True  # a device trigger makes it connect
    parameters_allowed: bool = True  # by its roaming agreement: 3gpp-network-parameter-configuration
    buffering: bool | None = None  # of downlinks, in the SCEF; None: as the profile says
    maximum_packet_size: Positive | None = None  # downlink; None: as the profile says
    uplink_packet_size: Positive | None = None  # None: as maximum_packet_size
    # Reliable data service, TS 24.250
    rds_enabled: bool = False  # by the operator, for its APN
    rds_ack: bool = True  # its modem acknowledges reliable data
    rds_attempts: Positive = 4  # transmissions of one packet at most
    rds_timer: Period = 5.0  # until a packet that was not acknowledged is sent again
    rds_ports: tuple[tuple[RdsNumber, RdsNumber], ...] = ()  # (UE, SCEF): each pair has a UDP port at the modem
    rds_formats: tuple[str, ...] = ()  # serialization formats that the UE offers; none: whatever is asked for
    # SMS
    sms: bool = True  # it has a subscription for SMS
    sms_port: UdpPort | None = None  # application port that its application listens to; None: any
    sms_loss: Probability = 0.0  # that an SMS is lost on air: it is sent again
    sms_ack_loss: Probability = 0.0  # that the UE has an SMS and the network does not know: it is sent again, too
    # Radio
    radio_latency: Seconds = 0.1  # one way
    radio_jitter: Seconds = 0.0  # added, uniform from 0
    paging_latency: Seconds = 0.5  # added when the UE is idle
    paging_timeout: Seconds = 10.0  # until paging is given up; T3413 is the network's choice (TS 24.301 §10.2)
    paging_loss: Probability = 0.0  # that a UE in coverage does not answer a page
    loss_down: Probability = 0.0  # that a datagram is lost on air
    loss_up: Probability = 0.0
    # Rate control
    downlink_rate: Positive | None = None  # serving PLMN: packets in `rate_window`; None: unlimited
    uplink_rate: Positive | None = None
    rate_window: Period = 360.0  # a deci-hour (TS 24.301 §9.9.4.28)
    apn_downlink_rate: Positive | None = None  # APN: packets in `apn_rate_unit`; None: unlimited
    apn_uplink_rate: Positive | None = None
    apn_rate_unit: Literal["minute", "hour", "day", "week"] = "hour"
    apn_exception_reports: Positive | None = None  # further exception reports in a unit; None: unlimited

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "UeSettings":
        """Return settings from external values. Raises SettingsError with the name of the setting."""
        try:
            settings = msgspec.convert(dict(values), cls)
        except msgspec.ValidationError as error:
            raise SettingsError(_named(error)) from error
        if settings.external_id is None and settings.msisdn is None:
            raise SettingsError("a UE needs external_id or msisdn")
        return settings

    def changed(self, values: Mapping[str, Any]) -> "UeSettings":
        """Return these settings with some changes. Raises SettingsError."""
        return self.parse({**msgspec.structs.asdict(self), **values})


def _named(error: msgspec.ValidationError) -> str:
    """Return what is wrong, the setting first."""
    what, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if where else what
