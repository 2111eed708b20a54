"""Checks of one network instance for `doctor`: findings, and the cure for each."""

from bindings.diagnosis import Finding, Grade
from bindings.http.callbacks import CallbackListener
from bindings.sms import operations
from bindings.sms.notifications import Notifications
from bindings.sms.settings import SmsSettings
from bindings.t8.client import T8Client
from bindings.t8.diagnosis import clock_findings, loop_finding, scef_findings


async def diagnose(
    settings: SmsSettings,
    client: T8Client,
    listener: CallbackListener,
    notifications: Notifications,
    *,
    is_shared: bool,
) -> list[Finding]:
    """Check a running network instance; changes nothing at the SCEF. `is_shared`: other nodes have the URL, too."""
    findings = await scef_findings(settings, client, operations.LIST)
    findings.append(await loop_finding(settings, listener.url, notifications.checks, is_shared=is_shared))
    findings.append(_reports(notifications))
    findings.append(_uplinks(settings, notifications))
    findings.extend(clock_findings(client))
    return findings


def _reports(notifications: Notifications) -> Finding:
    what = "delivery reports"
    if notifications.reported_at is not None:
        return Finding(what, Grade.GOOD, "delivery reports arrive")
    return Finding(
        what,
        Grade.WARNING,
        "none since the start",
        "if downlinks were submitted since, the SCEF cannot reach callbacks.public_url",
    )


def _uplinks(settings: SmsSettings, notifications: Notifications) -> Finding:
    what = "SMS of devices"
    if notifications.heard_at is not None:
        return Finding(what, Grade.GOOD, "SMS of devices arrive")
    if not settings.callbacks.path:
        return Finding(
            what,
            Grade.WARNING,
            "none since the start, and callbacks.path is empty: there is no URL that the operator could post them to",
            "set callbacks.path to an unguessable word, and have the operator post MSISDN-less MO SMS to "
            "callbacks.public_url/PATH; where SMS only wake devices up, nothing needs to be done",
        )
    return Finding(
        what,
        Grade.WARNING,
        "none since the start",
        "ask the operator whether MSISDN-less MO SMS are posted to callbacks.public_url, a slash and callbacks.path",
    )
