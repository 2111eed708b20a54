"""Checks a ChirpStack set-up for LwM2M: findings, and the cure for each."""

import contextlib
import hmac
import re
import secrets
from collections.abc import Mapping

import aiohttp
from chirpstack_api import api, common

from bindings.diagnosis import Finding, Grade, unreached
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.events import read
from bindings.lorawan.chirpstack.http import HttpEvents
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bindings.lorawan.identity import LAYERS, canonical_device
from bindings.lorawan.network_events import DataUplink
from bindings.lorawan.provider import PortsOf
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import CallFailed, CallTrouble, NotificationError

FLUSH_SPARES_PENDING = (4, 18)  # ChirpStack version from which flush_queue does not remove a pending item
EXPIRY_SINCE = (4, 10)  # expires_at of queue items
GOOD_RX1_DELAY = 3  # seconds: below that an answer rarely comes in time for the window that its request opened
_LOOP_TIMEOUT = 10.0
_PROOF = 64  # bytes of the answer to a self-check
_SAMPLE = 100  # devices that are checked
_DEFAULT_HISTORY = 10  # events that ChirpStack keeps for a device
_MORE_KEPT = 20  # events that Redis may keep beyond that: it trims whole nodes of a few events


def version_of(text: str) -> tuple[int, int]:
    """Read the first two numbers of a version such as 4.20.0-test.1; (0, 0) if there are none."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


async def diagnose(
    settings: LorawanSettings,
    client: ChirpStackClient,
    http: HttpEvents | None,
    mqtt: MqttEvents | None,
    ports_of: PortsOf,
) -> list[Finding]:
    """Check ChirpStack, and whether its events arrive if the network instance runs; changes nothing."""
    findings = [await _reachable(client, settings.api.version)]
    if not settings.api.tls and not settings.api.server.startswith(("127.", "localhost", "[::1]")):
        findings.append(
            Finding(
                "encryption",
                Grade.WARNING,
                "the API key travels without TLS",
                "set api.tls, and put a TLS proxy in front of ChirpStack",
            )
        )
    if http is not None:
        findings.append(await _loop(http))
    if mqtt is not None:
        findings.append(_broker(mqtt))
    if findings[0].grade is Grade.BAD:
        return findings
    try:
        findings += await _application(settings, client, http)
        findings += await _profiles(settings, client, ports_of)
    except CallFailed as error:
        findings.append(
            Finding("ChirpStack", Grade.BAD, str(error), "the API key must belong to the application's tenant")
        )
    return findings


async def _reachable(client: ChirpStackClient, assumed: str) -> Finding:
    what = "ChirpStack"
    try:
        text = await client.version()
    except CallFailed as error:
        if error.trouble is CallTrouble.DENIED:
            cure = (
                "make a new API key: chirpstack create-api-key, or in the web interface; changing api.secret "
                "invalidates all keys"
            )
        elif error.trouble is CallTrouble.UNSUPPORTED:
            return Finding(what, Grade.WARNING, "it does not report its version", "use 4.18 or newer")
        else:
            cure = "check api.server, api.tls, api.transport, the firewall, and that ChirpStack runs"
        return Finding(what, Grade.BAD, str(error), cure)
    if not text:
        return Finding(
            what,
            Grade.GOOD,
            f"key accepted; it reports no version to API keys: {assumed} is assumed",
            "set api.version if it is older",
        )
    version = version_of(text)
    if version < EXPIRY_SINCE:
        return Finding(
            what,
            Grade.BAD,
            f"version {text} does not expire queue items: they may be sent to the device long after their deadline",
            "update it to 4.18 or newer",
        )
    if version < FLUSH_SPARES_PENDING:
        return Finding(
            what,
            Grade.WARNING,
            f"version {text}: answers to devices wait behind requests",
            "update it to 4.18 or newer, so that an answer can pass",
        )
    return Finding(what, Grade.GOOD, f"version {text}, key accepted")


async def _loop(http: HttpEvents) -> Finding:
    """Post to the public URL, to check whether it leads to this listener, or to that of another node."""
    what = "event URL"
    cure = (
        "check http.public_url, the reverse proxy and NAT in front of it; ChirpStack may see another result "
        "than this machine"
    )
    probe = secrets.token_urlsafe(12)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LOOP_TIMEOUT)) as session:
            params = {"event": "self-check", "probe": probe}
            async with session.post(http.url, params=params, ssl=False) as answer:
                status, said = answer.status, await answer.content.read(_PROOF)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return unreached(what, http.url, error, cure)
    if hmac.compare_digest(said, http.proof(probe)):
        return Finding(what, Grade.GOOD, "leads to this listener, as seen from this machine")
    return Finding(what, Grade.BAD, f"answers {status}, and not from this listener", cure)


def _broker(mqtt: MqttEvents) -> Finding:
    what = "broker"
    if not mqtt.connected:
        why = f": {mqtt.last_error}" if mqtt.last_error else ""
        return Finding(
            what, Grade.BAD, f"not connected{why}", "check [mqtt]: host, port, tls, username, password, client_id"
        )
    if mqtt.last_error:
        return Finding(what, Grade.BAD, f"refuses: {mqtt.last_error}", "check mqtt.topic and what the user may read")
    if mqtt.lower_qos:
        return Finding(
            what,
            Grade.WARNING,
            f"{mqtt.lower_qos} of {mqtt.taken} events came with QoS 0: the broker does not keep such events while "
            "the bridge is disconnected",
            "set integration.mqtt.qos = 1 in ChirpStack's configuration",
        )
    if not mqtt.taken:
        return Finding(
            what, Grade.WARNING, "connected, no event yet", "check mqtt.topic against ChirpStack's event_topic"
        )
    return Finding(what, Grade.GOOD, f"connected, {mqtt.taken} events with QoS 1")


async def _application(settings: LorawanSettings, client: ChirpStackClient, http: HttpEvents | None) -> list[Finding]:
    if not settings.application_id:
        return [
            Finding(
                "application",
                Grade.WARNING,
                "no application_id: events of every application are taken",
                "set application_id to the one with the LwM2M devices",
            ),
            Finding(
                "HTTP integration, profiles, event history" if settings.events == "http" else "profiles, event history",
                Grade.WARNING,
                "not checked: they belong to an application, and application_id is not set",
                "set application_id, and check again",
            ),
        ]
    request = api.GetApplicationRequest(id=settings.application_id)
    try:
        found = await client.call(client.application.Get, request)
    except CallFailed as error:
        if error.out_of_reach:
            raise
        return [
            Finding("application", Grade.BAD, str(error), "check application_id, and to which tenant api.key belongs")
        ]
    findings = [Finding("application", Grade.GOOD, f"{found.application.name!r}")]
    if http is not None:
        findings.append(await _integration(settings, client, http))
    return findings


async def _integration(settings: LorawanSettings, client: ChirpStackClient, http: HttpEvents) -> Finding:
    what = "HTTP integration"
    cure = "lwm2m-bridge device integration --network NAME sets it"
    request = api.GetHttpIntegrationRequest(application_id=settings.application_id)
    try:
        found = await client.call(client.application.GetHttpIntegration, request)
    except CallFailed as error:
        if error.trouble is CallTrouble.NOT_FOUND:
            return Finding(what, Grade.BAD, "the application has no integration: no event will ever come", cure)
        raise
    urls = [url.strip() for url in found.integration.event_endpoint_url.split(",")]
    if http.url in urls:
        first = (
            ""
            if urls[0] == http.url
            else "; ChirpStack posts to one URL after the other, so that a slow one delays ours"
        )
        return Finding(what, Grade.WARNING if first else Grade.GOOD, "posts to this listener" + first)
    return Finding(what, Grade.BAD, "posts elsewhere, not to this listener", cure)


async def _profiles(settings: LorawanSettings, client: ChirpStackClient, ports_of: PortsOf) -> list[Finding]:
    if not settings.application_id:
        return []
    request = api.ListDevicesRequest(application_id=settings.application_id, limit=_SAMPLE)
    listed = (await client.call(client.device.List, request)).result
    findings: list[Finding] = []
    examples: dict[str, str] = {}
    ports: dict[str, dict[int, str]] = {}  # profile → FPorts of LwM2M, each with a device
    for device in listed:
        examples.setdefault(device.device_profile_id, device.dev_eui)
        own = ports.setdefault(device.device_profile_id, {})
        for port in await ports_of(canonical_device(device.dev_eui)):
            own.setdefault(port, device.dev_eui)
    for identifier, example in examples.items():
        profile = await client.get_profile(identifier)
        findings += _profile(profile, ports[identifier])
        device = (await client.get_device(example)).device
        if device.skip_fcnt_check:
            findings.append(
                Finding(
                    f"device {example}",
                    Grade.WARNING,
                    "frame counters are not checked: anybody can replay its uplinks",
                    "clear skip_fcnt_check",
                )
            )
        findings.append(await _history(client, example, settings.catch_up.patience))
    if not listed:
        findings.append(
            Finding("devices", Grade.WARNING, "the application has no device", "lwm2m-bridge device add makes one")
        )
    return findings


def _profile(profile: api.DeviceProfile, ports: Mapping[int, str]) -> list[Finding]:
    what = f"profile {profile.name!r}"
    findings = []
    if profile.rx1_delay < GOOD_RX1_DELAY:
        findings.append(
            Finding(
                what,
                Grade.WARNING,
                f"rx1_delay is {profile.rx1_delay or 'that of the region, often 1'} s: a server's answer rarely comes "
                "in time for the window that the device's request opens",
                "set rx1_delay to 3 to 5 s; devices learn it by a MAC command (not with mac_commands_disabled)",
            )
        )
    if profile.payload_codec_runtime != api.NONE:
        findings.append(
            Finding(
                what, Grade.WARNING, "a payload codec is applied to CoAP bytes", "set payload_codec_runtime to NONE"
            )
        )
    if profile.supports_class_c and not profile.class_c_timeout:
        findings.append(
            Finding(
                what,
                Grade.BAD,
                "class_c_timeout is 0: confirmed downlinks are nacked before the device can acknowledge",
                "set class_c_timeout to 10 s or more",
            )
        )
    if profile.flush_queue_on_activate:
        findings.append(Finding(what, Grade.GOOD, "a join empties the queue; the bridge queues those messages again"))
    layers = profile.app_layer_params
    for default, (name, title) in LAYERS.items():
        port = getattr(layers, f"{name}_f_port", 0) or default
        active = bool(getattr(layers, f"{name}_version", 0))
        if active and port in ports:
            findings.append(
                Finding(
                    what,
                    Grade.BAD,
                    f"FPort {port}, which {ports[port]} has for LwM2M, is that of {title} in this profile: ChirpStack "
                    "does not pass its uplinks on",
                    "use another FPort for LwM2M (downlinks.f_port, server_ports, or f_port of the endpoint), also in "
                    f"the device; or set {name}_f_port of the profile to another one",
                )
            )
    if not any(finding.grade is not Grade.GOOD for finding in findings):
        version = common.MacVersion.Name(profile.mac_version).removeprefix("LORAWAN_").replace("_", ".")
        findings.append(Finding(what, Grade.GOOD, f"LoRaWAN {version}, rx1_delay {profile.rx1_delay} s"))
    return findings


async def _history(client: ChirpStackClient, device: str, patience: float) -> Finding:
    what = "event history"
    cure = "raise monitoring.per_device_event_log_max_history in ChirpStack's configuration, to 100 or more"
    kept, oldest, ends = 0, "", False
    try:
        activation = await client.get_activation(device)
        last = activation.device_activation.f_cnt_up - 1  # -1: no uplink of the session
        async with contextlib.aclosing(client.events(device, patience, expected=last >= 0)) as history:
            async for item in history:
                kept, oldest = kept + 1, oldest or item.description
                ends = ends or (item.description == "up" and _f_cnt(item.body) == last)
                if kept > _DEFAULT_HISTORY + _MORE_KEPT:
                    return Finding(what, Grade.GOOD, f"ChirpStack keeps more than {kept - 1} events of {device}")
    except CallFailed as error:
        return Finding(
            what, Grade.WARNING, f"not readable: {error}", "is the key read-only, or the version old? see [catch_up]"
        )
    if last >= 0 and not ends:
        return Finding(
            what,
            Grade.BAD,
            f"{kept} events of {device} come, but not its last uplink (FCnt {last}): missed uplinks cannot be "
            "recovered",
            "let the proxy before ChirpStack pass streamed answers (of nginx: proxy_buffering off, and a long "
            f"proxy_read_timeout); if there is none, {cure}",
        )
    if kept == 0:
        return Finding(
            what,
            Grade.WARNING,
            f"{device} has no history: uplinks missed in an outage cannot be recovered",
            f"if an uplink of it has arrived: {cure}",
        )
    if kept < _DEFAULT_HISTORY or oldest == "join":
        return Finding(
            what, Grade.GOOD, f"events of {device} so far: {kept}; ChirpStack does not say how many it keeps at most"
        )
    text = f"only the last {kept} events of {device} are kept; the default is {_DEFAULT_HISTORY}"
    return Finding(what, Grade.WARNING, text, cure)


def _f_cnt(body: str) -> int:
    """Return the frame counter of an uplink event of the history, -1 where it cannot be read."""
    try:
        event = read("up", body.encode()).event
    except NotificationError:
        return -1
    return event.f_cnt if isinstance(event, DataUplink) else -1
