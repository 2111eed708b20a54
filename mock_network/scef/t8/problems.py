"""Error answers: problem details (TS 29.122 §5.2.1.2.12), and the form that a failed downlink has (§5.6.2.2.4)."""

import datetime as dt
import http
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from mock_network.scef.core.profile import Profile
from mock_network.scef.core.refusals import RefusedError

_FAILURE = 500  # the status with which a downlink fails


class BadRequestError(Exception):
    """A request that is not according to the schema: 400 with `invalidParams`."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}")
        self.param = param
        self.reason = reason


def problem(
    status: int,
    cause: str | None = None,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """Return problem details; `more` are further members."""
    title = http.HTTPStatus(status).phrase
    body = {"title": title, "status": status, "detail": detail, "cause": cause or None, **more}
    text = json.dumps({name: value for name, value in body.items() if value is not None})
    return web.Response(status=status, text=text, content_type="application/problem+json", headers=headers)


def unauthorised(detail: str = "credentials are missing, wrong or expired") -> web.Response:
    """Return the answer to a request without good credentials (RFC 6750 §3)."""
    return problem(401, None, detail, headers={"WWW-Authenticate": "Bearer"})


def refusal(profile: Profile, refused: RefusedError, retry_at: dt.datetime | None) -> web.Response:
    """Return a refusal as the profile writes it; `retry_at` is by the SCEF's own clock."""
    status, cause = profile.refusal(refused.why)
    detail = refused.why.value if profile.coded_detail is None else f"{profile.coded_detail}: {refused.why.value}"
    again = None if retry_at is None else timestamp(retry_at)
    headers = None if refused.wait is None else {"Retry-After": str(max(1, round(refused.wait)))}
    if not refused.downlink or status != _FAILURE or profile.problem_json_for_failures:
        return problem(status, cause, detail, headers=headers, requestedRetransmissionTime=again, **refused.more)
    return failed_downlink(status, cause, detail, again)


def failed_downlink(status: int, cause: str | None, detail: str, again: str | None) -> web.Response:
    """Return a NiddDownlinkDataDeliveryFailure."""
    members = {"title": http.HTTPStatus(status).phrase, "status": status, "detail": detail, "cause": cause}
    body: dict[str, Any] = {"problemDetail": {name: value for name, value in members.items() if value is not None}}
    if again is not None:
        body["requestedRetransmissionTime"] = again
    return web.json_response(body, status=status)


def timestamp(moment: dt.datetime) -> str:
    """Return an RFC 3339 date-time in UTC."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
