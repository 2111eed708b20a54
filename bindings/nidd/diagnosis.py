"""Checks of one network instance for `doctor`: findings, and the cure for each."""

import re

from bindings.diagnosis import Finding, Grade
from bindings.http.callbacks import CallbackListener
from bindings.http.client import NoAnswer, NotSent
from bindings.nidd import operations
from bindings.nidd.notifications import Notifications
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.settings import NiddSettings
from bindings.t8.client import T8Client
from bindings.t8.diagnosis import clock_findings, loop_finding, scef_findings
from bindings.t8.trouble import JobFailed

_SAMPLE = 20  # devices whose RDS ports are compared: each is a call


async def diagnose(
    settings: NiddSettings,
    client: T8Client,
    listener: CallbackListener,
    notifications: Notifications,
    provisioning: Provisioning,
    *,
    is_shared: bool,
) -> list[Finding]:
    """Check a running network instance; changes nothing at the SCEF. `is_shared`: other nodes have the URL, too."""
    findings = await scef_findings(settings, client, operations.LIST)
    findings.append(await loop_finding(settings, listener.url, notifications.checks, is_shared=is_shared))
    findings.append(_callbacks(settings, notifications, is_shared=is_shared))
    findings.extend(
        Finding("packet size", Grade.WARNING, warning, "ask the operator for the unit of maximumPacketSize")
        for warning in provisioning.life.size_warnings
    )
    findings.extend(clock_findings(client))
    findings.extend(await _ports(provisioning))
    surplus = provisioning.life.inventory.surplus
    if surplus:
        name, device = next(iter(surplus.items()))
        findings.append(
            Finding(
                "configurations",
                Grade.WARNING,
                f"the SCEF has a second configuration for {len(surplus)} device(s), such as {name} for {device}",
                "have the operator delete it: the SCEF decides which of the two carries an uplink",
            )
        )
    report = provisioning.status()
    waiting = report["wanted"] + report["lost"]
    if report["last_error"] and waiting:
        more = f" (and {waiting - 1} more to be made)" if waiting > 1 else ""
        findings.append(
            Finding(
                "configurations", Grade.BAD, f"{report['last_error']}{more}", _configuration_cure(report["last_error"])
            )
        )
    return findings


async def _ports(provisioning: Provisioning) -> list[Finding]:
    """Compare the RDS ports of some endpoints with their configurations at the SCEF."""
    what = "RDS ports"
    devices = await provisioning.with_ports(_SAMPLE)
    if not devices:
        return []
    lacking: dict[str, list[str]] = {}
    silent = 0
    try:
        for device, record in devices:
            missing = await provisioning.life.ports_missing(record)
            silent += missing is None
            if missing:
                lacking[device] = missing
    except (JobFailed, NotSent, NoAnswer) as error:
        return [
            Finding(what, Grade.WARNING, f"not compared with the SCEF's configurations: {error}", "check again later")
        ]
    if lacking:
        device, missing = next(iter(lacking.items()))
        text = (
            f"the SCEF's configurations of {len(lacking)} of {len(devices)} device(s) lack RDS ports of their "
            f"endpoints, such as {', '.join(missing)} of {device}: messages on these ports are lost"
        )
        cure = "have the operator add them, or delete the configuration: the bridge makes it anew, with them"
        return [Finding(what, Grade.BAD, text, cure)]
    if silent:
        text = f"the SCEF does not say which ports {silent} of {len(devices)} device(s) have"
        return [
            Finding(what, Grade.WARNING, text, "ask the operator whether reliable data service with ports is supported")
        ]
    return [Finding(what, Grade.GOOD, f"the SCEF has the ports of all {len(devices)} device(s) that were compared")]


def _configuration_cure(error: str) -> str:
    """Return the cure for the last failure, given as `DEVICE: STATUS CAUSE …`."""
    status = re.search(r"(?<![^ :])[45]\d\d(?![^ :])", error)
    match status.group() if status else "":
        case "400":
            return "the SCEF rejects the request: check the endpoint's address and options"
        case "401":
            return "check [credentials] and the client certificate"
        case "403":
            return "ask the operator to authorise this device for our scsAsId"
        case "404":
            return "the network does not know the device: check the endpoint's address, or ask the operator to add it"
        case "429" | "500" | "502" | "503" | "504":
            return "the SCEF/NEF is overloaded or fails: the bridge tries again; ask the operator if it lasts"
        case _:
            return "see the error; the bridge tries again"


def _callbacks(settings: NiddSettings, notifications: Notifications, *, is_shared: bool) -> Finding:
    what = "callbacks from the SCEF/NEF"
    if notifications.tested_at is not None:
        return Finding(what, Grade.GOOD, "a test notification has arrived")
    if notifications.heard_at is not None:
        return Finding(what, Grade.GOOD, "notifications arrive")
    if settings.configurations.request_test_notification:
        return Finding(
            what,
            Grade.WARNING,
            "no notification yet, although each new configuration asks for a test notification",
            "if configurations were made since the start, the SCEF cannot reach callbacks.public_url or does "
            "not support test notifications",
        )
    return Finding(
        what,
        Grade.WARNING,
        f"none{' at this node' if is_shared else ''} since the start, or since the network's settings were changed",
        "if devices have sent since then, the SCEF does not reach callbacks.public_url. To test that, set "
        "configurations.request_test_notification and provision a device: its test notification must arrive",
    )
