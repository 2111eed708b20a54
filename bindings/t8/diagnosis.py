"""Checks that every network instance over T8 has in common: the SCEF, whether it can reach the bridge, its clock."""

import asyncio
import ssl

import aiohttp
import msgspec

from bindings.diagnosis import Finding, Grade, reason, unreached
from bindings.http.client import NoAnswer, NotSent
from bindings.t8.client import T8Client
from bindings.t8.listener import authorization
from bindings.t8.operations import Operation
from bindings.t8.self_check import SelfChecks, is_of_a_bridge
from bindings.t8.settings import Callbacks, Http, T8Settings
from bindings.tls import client_context

_SKEW_WORTH_TELLING = 30.0  # seconds
_LIST_TIMEOUT = 60.0  # seconds for the whole list
_LOOP_TIMEOUT = 10.0  # seconds for the bridge's request to its public URL


async def scef_findings(settings: T8Settings, client: T8Client, listing: Operation) -> list[Finding]:
    """Return whether the SCEF answers to `listing`, a GET of a collection, and whether that is encrypted."""
    findings = [await _reachable(client, listing)]
    if settings.api_root.startswith("http://"):
        findings.append(
            Finding("encryption", Grade.WARNING, "the SCEF/NEF is reached without TLS", "use https (TS 29.122 §6)")
        )
    return findings


def clock_findings(client: T8Client) -> list[Finding]:
    """Return a finding if the SCEF's clock differs much."""
    skew = client.clock.skew
    if skew is None or abs(skew) < _SKEW_WORTH_TELLING:
        return []
    detail = (
        f"the SCEF's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours; the bridge "
        "corrects its times by that"
    )
    return [Finding("clock", Grade.WARNING, detail, "synchronise both clocks by NTP")]


async def _reachable(client: T8Client, listing: Operation) -> Finding:
    what = "SCEF/NEF"
    try:
        async with asyncio.timeout(_LIST_TIMEOUT):
            answer = await client.ask(listing, part=_drop, bounded=False)
    except NotSent as error:
        return Finding(what, Grade.BAD, str(error), "check api_root, http.proxy, the firewall, and the certificates")
    except (NoAnswer, TimeoutError) as error:
        return Finding(what, Grade.BAD, reason(error), "it accepts connections but does not answer: ask the operator")
    if 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
        return Finding(what, Grade.GOOD, "reachable, credentials accepted")
    detail = f"GET {listing.path.strip('/')}: {answer}"
    if answer.status in {401, 403}:
        return Finding(what, Grade.BAD, detail, "check [credentials], the client certificate and scs_as_id")
    if answer.status in {404, 405, 406, 501}:
        return Finding(
            what, Grade.WARNING, detail, "check api_root and scs_as_id; if they are right, the SCEF lists nothing"
        )
    return Finding(what, Grade.BAD, detail, "ask the operator")


def _drop(piece: bytes) -> None:
    """Read the list to its end, without keeping anything."""


_CUT = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
"""Errors of a connection that was open, such as one whose certificate is refused (RFC 8446 §4.4.2.4)..."""
_NOT_MADE = aiohttp.ClientConnectorError  # ... which is one of the first


def _trusting(http: Http) -> ssl.SSLContext:
    """Return a context with the bridge's certificate that accepts any: the SCEF decides which it trusts."""
    context = client_context("http", http.ca_bundle, http.client_certificate, http.client_key)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _unseen(what: str, settings: Callbacks) -> Finding:
    return Finding(
        what,
        Grade.WARNING,
        f"the server there demands a client certificate signed by {settings.client_ca}, and "
        "http.client_certificate is not: whether it leads to this listener cannot be checked from here",
        "have the SCEF send a test notification (configurations.request_test_notification)",
    )


async def loop_finding(settings: T8Settings, url: str, checks: SelfChecks, *, is_shared: bool) -> Finding:
    """Post a test notification to the public URL `url`, to check whether it leads to this listener.

    `is_shared`: it may lead to that of another node as well. The listener passes what arrives to `checks`.
    """
    what = "callback URL"
    check = checks.begin()
    headers = {"Content-Type": "application/json"}
    if credentials := authorization(settings.callbacks):
        headers["Authorization"] = credentials
    cure = "check callbacks.public_url, the reverse proxy and NAT in front of it; from outside the result may differ"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LOOP_TIMEOUT)) as session:
            body = msgspec.json.encode({"subscription": check})
            async with session.post(url, data=body, headers=headers, ssl=_trusting(settings.http)) as answer:
                status, of_a_bridge = answer.status, is_of_a_bridge(check, answer.headers)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        if settings.callbacks.client_ca and isinstance(error, _CUT) and not isinstance(error, _NOT_MADE):
            return _unseen(what, settings.callbacks)
        return unreached(what, url, error, cure)
    finally:
        arrived = checks.end(check)
    if arrived and status == 204:  # noqa: PLR2004
        return Finding(what, Grade.GOOD, "leads to this listener, as seen from this machine")
    if is_shared and of_a_bridge:
        return Finding(what, Grade.GOOD, "leads to another node, which has taken it, as seen from this machine")
    if is_shared and status == 204:  # noqa: PLR2004
        text = "answers 204, and not from this node: perhaps from one of an older release"
        return Finding(what, Grade.WARNING, text, cure)
    if of_a_bridge:
        return Finding(what, Grade.BAD, "leads to another bridge, which has the same path", cure)
    return Finding(what, Grade.BAD, f"answers {status}, and not from this listener", cure)
