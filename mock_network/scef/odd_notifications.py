"""Faults in the content of notifications and in the form in which they are written."""

import base64
import datetime as dt
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mock_network.faults import Fault
from mock_network.scef.core import Ue
from mock_network.scef.t8.notices import Notice
from mock_network.scef.t8.odd_answers import from_now, moved

Body = dict[str, Any]
Take = Callable[[str], Fault | None]
JSON = "application/json"
_LINKS = ("niddConfiguration", "niddDownlinkDataTransfer", "transaction", "subscription", "configuration")


@dataclass(slots=True)
class Post:
    """One notification as it is written."""

    url: str
    data: bytes | AsyncIterator[bytes]
    headers: dict[str, str] = field(default_factory=dict)


def altered(notice: Notice, ue: Ue | None, take: Take, now: dt.datetime) -> Body:
    """Return the body of a notification, changed by the faults that `take` returns.

    `now` is by the SCEF's own clock.
    """
    body = dict(notice.body)
    if "data" in body and (fault := take("notification_oversize")):
        data = base64.b64decode(body["data"])
        body["data"] = base64.b64encode(data + bytes(int(fault.params.get("octets", 2000)))).decode()
    if "data" in body and ue is not None and take("notification_both_identities"):
        body["externalId"] = ue.settings.external_id or "of-msisdn@unknown.example"
        body["msisdn"] = ue.settings.msisdn or "0"
    if {"externalId", "msisdn"} & body.keys() and (fault := take("notification_unknown_identity")):
        body.pop("msisdn", None)
        body["externalId"] = str(fault.params.get("external_id", "nobody@unknown.example"))
    for member in ("deliveryStatus", "status", "result"):
        if member in body and (fault := take("notification_unknown_status")):
            body[member] = str(fault.params.get("status", "PARKED"))
    if "requestedRetransmissionTime" in body and (fault := take("notification_retry_time")):
        body["requestedRetransmissionTime"] = from_now(now, fault)
    if "deliveryStatus" in body and take("notification_status_renamed"):
        body["status"] = body.pop("deliveryStatus")
    for name in _LINKS:
        if name in body:
            body[name] = _link(body[name], take)
    return body


def _link(link: str, take: Take) -> str:
    if take("notification_unknown_resource"):
        before, _, _ = link.partition("/downlink-data-deliveries/")
        link = link.replace(before, before.rpartition("/")[0] + "/no-such", 1)
    if take("notification_links_relative"):
        link = urlsplit(link).path
    if fault := take("notification_links_elsewhere"):
        link = moved(link, str(fault.params.get("prefix", "/gw/configurations/7")))
    return link


def written(url: str, text: str, headers: dict[str, str], take: Take) -> Post:
    """Return a notification in the form that it is to have."""
    post = Post(url, text.encode(), {"Content-Type": JSON, **headers})
    fault = take("notification_form")
    match fault.params.get("form", "bom") if fault is not None else "":
        case "bom":
            post.data = b"\xef\xbb\xbf" + text.encode()
        case "gzip":
            post.data = gzip.compress(text.encode())
            post.headers["Content-Encoding"] = "gzip"
        case "charset":
            post.headers["Content-Type"] = f'{JSON}; charset="UTF-8"'
        case "chunked":
            post.data = _pieces(text.encode())
        case "trailing_slash":
            post.url += "/"
        case "lower_case_scheme" if "Authorization" in headers:
            scheme, _, value = headers["Authorization"].partition(" ")
            post.headers["Authorization"] = f"{scheme.lower()} {value}"
        case "not_json":
            post.data = json.dumps({"data": 1}).encode()[:-1]
        case _:
            pass
    return post


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), 16):
        yield data[begin : begin + 16]
