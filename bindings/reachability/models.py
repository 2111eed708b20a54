"""The bodies of 3gpp-monitoring-event as far as they are read (TS 29.122 §5.3.2); every member is optional here."""

from typing import Any

import msgspec


class IdleStatus(msgspec.Struct, gc=False):
    """IdleStatusInfo: when the device went idle, and the timers of its power saving, seconds."""

    activeTime: float | None = None  # noqa: N815  # T3324; the standard's spelling, and decoded by name
    edrxCycleLength: float | None = None  # noqa: N815
    periodicAUTimer: float | None = None  # noqa: N815  # T3412 extended
    idleStatusTimestamp: str | None = None  # noqa: N815


class Connection(msgspec.Struct, gc=False):
    """PdnConnectionInformation."""

    status: str | None = None
    pdnType: str | None = None  # noqa: N815


class Report(msgspec.Struct, gc=False):
    """MonitoringEventReport."""

    monitoringType: str | None = None  # noqa: N815
    externalId: str | None = None  # noqa: N815
    msisdn: str | None = None
    maxUEAvailabilityTime: str | None = None  # noqa: N815
    eventTime: str | None = None  # noqa: N815
    lossOfConnectReason: int | None = None  # noqa: N815
    idleStatusInfo: IdleStatus | None = None  # noqa: N815
    pdnConnInfoList: list[Connection] | None = None  # noqa: N815


class Notification(msgspec.Struct, gc=False):
    """MonitoringNotification; with only `subscription` it is a test notification."""

    subscription: str | None = None
    monitoringEventReports: list[Any] | None = None  # noqa: N815
    cancelInd: bool | None = None  # noqa: N815


class Subscribed(msgspec.Struct, gc=False):
    """MonitoringEventSubscription or NpConfiguration in a SCEF's answer."""

    self: str | None = None
    monitorExpireTime: str | None = None  # noqa: N815
    monitoringEventReport: Report | None = None  # noqa: N815
