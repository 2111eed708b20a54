"""Checks of one network instance as an operator runs them: what will hurt, and the cure."""

import asyncio
import re
import secrets

import aiohttp
import msgspec

from bindings.diagnosis import Finding, Grade, reason, unreached
from bindings.http.callbacks import CallbackListener
from bindings.http.client import NoAnswer, NotSent
from bindings.nidd import operations
from bindings.nidd.notifications import Notifications
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.settings import NiddSettings
from bindings.t8.client import T8Client
from bindings.t8.listener import authorization
from bindings.t8.settings import Callbacks

_SKEW_WORTH_TELLING = 30.0  # seconds
_LIST_TIMEOUT = 60.0  # seconds for the whole list
_LOOP_TIMEOUT = 10.0  # seconds for our own request to the public URL


async def diagnose(
    settings: NiddSettings,
    client: T8Client,
    listener: CallbackListener,
    notifications: Notifications,
    provisioning: Provisioning,
) -> list[Finding]:
    """Check a running network instance; changes nothing at the SCEF."""
    findings = [await _reachable(client)]
    if settings.api_root.startswith("http://"):
        findings.append(
            Finding("encryption", Grade.WARNING, "the SCEF/NEF is reached without TLS", "use https (TS 29.122 §6)")
        )
    findings.append(await _loop(settings.callbacks, listener, notifications))
    findings.append(_callbacks(settings, listener, notifications))
    findings.extend(
        Finding("packet size", Grade.WARNING, warning, "ask the operator for the unit of maximumPacketSize")
        for warning in provisioning.life.size_warnings
    )
    findings.extend(_clock(client))
    surplus = provisioning.life.inventory.surplus
    if surplus:
        name, device = next(iter(surplus.items()))
        findings.append(
            Finding(
                "configurations",
                Grade.WARNING,
                f"the SCEF has a second configuration for {len(surplus)} device(s), such as {name} for {device}",
                "have the operator delete it: which of the two carries an uplink is the SCEF's choice",
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


def _configuration_cure(error: str) -> str:
    """Give the cure that fits the last failure, told as `DEVICE: STATUS CAUSE …`."""
    status = re.search(r"(?<![^ :])[45]\d\d(?![^ :])", error)
    match status.group() if status else "":
        case "400":
            return "the SCEF does not take the request: check the endpoint's address and options"
        case "401":
            return "check [credentials] and the client certificate"
        case "403":
            return "ask the operator to authorise this device for our scsAsId"
        case "404":
            return "the network does not know the device: check the endpoint's address, or ask the operator to add it"
        case "429" | "500" | "502" | "503" | "504":
            return "the SCEF/NEF is busy or ill: it is tried again by itself; ask the operator if it stays so"
        case _:
            return "see the error; it is tried again by itself"


async def _reachable(client: T8Client) -> Finding:
    what = "SCEF/NEF"
    try:
        async with asyncio.timeout(_LIST_TIMEOUT):
            answer = await client.ask(operations.LIST, part=_drop, bounded=False)
    except NotSent as error:
        return Finding(what, Grade.BAD, str(error), "check api_root, http.proxy, the firewall, and the certificates")
    except (NoAnswer, TimeoutError) as error:
        return Finding(what, Grade.BAD, reason(error), "it takes connections but does not answer: ask the operator")
    if 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
        return Finding(what, Grade.GOOD, "reachable, credentials accepted")
    detail = f"GET configurations: {answer}"
    if answer.status in {401, 403}:
        return Finding(what, Grade.BAD, detail, "check [credentials], the client certificate and scs_as_id")
    if answer.status in {404, 405, 406, 501}:
        return Finding(
            what, Grade.WARNING, detail, "check api_root and scs_as_id; if they are right, the SCEF lists nothing"
        )
    return Finding(what, Grade.BAD, detail, "ask the operator")


def _clock(client: T8Client) -> list[Finding]:
    skew = client.clock.skew
    if skew is None or abs(skew) < _SKEW_WORTH_TELLING:
        return []
    detail = f"the SCEF's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours; its times are read so"
    return [Finding("clock", Grade.WARNING, detail, "set both clocks by NTP")]


def _drop(piece: bytes) -> None:
    """Read the list to its end, as whoever asks for it must, and keep nothing."""


async def _loop(settings: Callbacks, listener: CallbackListener, notifications: Notifications) -> Finding:
    """Post a test notification of our own to the public URL: does it lead to this listener?"""
    what = "callback URL"
    probe = f"self-check/{secrets.token_urlsafe(12)}"
    notifications.probes.add(probe)
    headers = {"Content-Type": "application/json"}
    if credentials := authorization(settings):
        headers["Authorization"] = credentials
    cure = "check callbacks.public_url, the reverse proxy and NAT in front of it; from here it may differ from outside"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LOOP_TIMEOUT)) as session:
            body = msgspec.json.encode({"subscription": probe})
            # Whether the certificate is trusted is the SCEF's question; here it is only whether we are reached.
            async with session.post(listener.url, data=body, headers=headers, ssl=False) as answer:
                status = answer.status
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return unreached(what, listener.url, error, cure)
    finally:
        reached = probe not in notifications.probes
        notifications.probes.discard(probe)
    if reached and status == 204:  # noqa: PLR2004
        return Finding(what, Grade.GOOD, "leads to this listener, as seen from this machine")
    return Finding(what, Grade.BAD, f"answers {status}, and not from this listener", cure)


def _callbacks(settings: NiddSettings, listener: CallbackListener, notifications: Notifications) -> Finding:
    what = "callbacks from the SCEF/NEF"
    if notifications.tested_at is not None:
        return Finding(what, Grade.GOOD, "a test notification has arrived")
    if notifications.heard_at is not None:
        return Finding(what, Grade.GOOD, "notifications arrive")
    if settings.configurations.request_test_notification:
        return Finding(
            what,
            Grade.WARNING,
            "no notification yet, although test notifications are asked for with each new configuration",
            "if configurations were made since the start, the SCEF cannot reach callbacks.public_url or has no "
            "test notifications",
        )
    return Finding(
        what,
        Grade.WARNING,
        f"none yet ({listener.taken} in all)",
        "set configurations.request_test_notification and provision a device: the SCEF then proves the way back",
    )
