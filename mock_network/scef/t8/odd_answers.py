"""Faults in the content of answers: members that are missing or renamed, links that lead elsewhere."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from mock_network.faults import Fault
from mock_network.scef.t8.problems import timestamp

Body = dict[str, Any]
Take = Callable[[str], Fault | None]
CREATED = 201


def _relative(link: str) -> str:
    return urlsplit(link).path


def moved(link: str, prefix: str) -> str:
    """Return a link whose path has another prefix before the API's name."""
    parts = urlsplit(link)
    before, api, rest = parts.path.partition("/3gpp-")
    return parts._replace(path=f"{before}{prefix}{api}{rest}").geturl()


def from_now(now: dt.datetime, fault: Fault) -> str:
    """Return the date-time that a fault writes instead of the true one."""
    return timestamp(now + dt.timedelta(seconds=float(fault.params.get("seconds", -600.0))))


def alter(response: web.Response, take: Take, now: dt.datetime) -> None:
    """Change an answer by the faults that `take` returns; `now` is the time of the SCEF's own clock."""
    location = response.headers.get("Location")
    body = _body(response)
    links: Callable[[str], str] | None = None
    if take("links_relative"):
        links = _relative
    elif fault := take("links_elsewhere"):
        prefix = str(fault.params.get("prefix", "/gw/configurations/7"))
        links = lambda link: moved(link, prefix)  # noqa: E731 - one of two, chosen here
    if links is not None and location is not None:
        response.headers["Location"] = links(location)
    if response.status == CREATED and take("no_location"):
        response.headers.pop("Location", None)
    if body is None:
        return
    if links is not None and "self" in body:
        body["self"] = links(body["self"])
    if take("no_self"):
        body.pop("self", None)
    if "deliveryStatus" in body:
        _alter_status(body, take)
    if "requestedRetransmissionTime" in body and (fault := take("retry_time")):
        body["requestedRetransmissionTime"] = from_now(now, fault)
    response.text = json.dumps(body)


def _alter_status(body: Body, take: Take) -> None:
    if take("no_status"):
        del body["deliveryStatus"]
    elif take("status_renamed"):
        body["status"] = body.pop("deliveryStatus")
    elif fault := take("unknown_status"):
        body["deliveryStatus"] = str(fault.params.get("status", "PARKED"))


def _body(response: web.Response) -> Body | None:
    if response.content_type not in {"application/json", "application/problem+json"} or not response.text:
        return None
    body = json.loads(response.text)
    return body if isinstance(body, dict) else None
