"""What is the SCEF's word, and what is that of a proxy in its name."""

import pytest

from bindings.contract import Ambiguous, LimitOf, Refusal, Refused
from bindings.nidd.answers import read_submit
from bindings.t8.answer import Answer
from bindings.t8.times import PeerClock

CLOCK = PeerClock(lambda: 1_800_000_000.0)
JSON = {"content-type": "application/json"}
PROBLEM = {"content-type": "application/problem+json"}
HTML = {"content-type": "text/html"}
STATUSES = [*range(200, 206), 300, 301, 302, 303, *range(400, 432), 451, *range(500, 512), 520, 599]


@pytest.mark.parametrize("status", [status for status in STATUSES if status != 204])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (HTML, b"<html><body>An error occurred</body></html>"),
        (HTML, b'{"title":"in the body of a page"}'),
        (JSON, b'{"timestamp":1,"status":404,"error":"Not Found","path":"/x"}'),  # Spring
        (JSON, b'{"message":"no Route matched with those values"}'),  # Kong
        (JSON, b'{"statusCode":404,"message":"Resource not found"}'),  # Azure
        (JSON, b'{"fault":{"faultstring":"x","detail":{"errorcode":"y"}}}'),  # Apigee
        ({}, b""),
        ({"content-type": "text/plain"}, b"upstream connect error or disconnect/reset before headers"),  # Envoy
    ],
)
def test_what_a_proxy_answers_proves_nothing_about_a_downlink(status, headers, body):
    answer = Answer(status, body, headers)
    assert not answer.own or 200 <= status < 300
    assert isinstance(read_submit(answer, "c1", CLOCK), Ambiguous)


@pytest.mark.parametrize(
    "body",
    [
        b'{"cause":"X"}',
        b'{"title":"Not Found","status":404}',
        b'{"detail":"SCEF-ERR-001-002: text"}',
        b'{"problemDetail":{}}',
        b'{"problemDetails":{"status":500}}',
        b'{"requestedRetransmissionTime":"2030-01-01T00:00:00Z","problemDetail":{"status":500}}',
        b'\xef\xbb\xbf{"title":"with a byte order mark"}',
    ],
)
def test_problems_of_t8(body):
    for headers in (JSON, PROBLEM, {"content-type": "application/problem+json; charset=utf-8"}, {}):
        assert Answer(404, body, headers).own


def test_a_success_without_content_is_one():
    assert Answer(204).own
    assert Answer(204).ok


@pytest.mark.parametrize("body", [b"{}", b"[]", b' \n{"a":1}'])
def test_a_success_has_json(body):
    assert Answer(200, body, JSON).ok
    assert not Answer(200, body, HTML).ok


def test_a_scef_without_bodies_is_believed_where_that_is_said():
    assert Answer(404, b"", {}, bare=True).own
    assert not Answer(404, b"<html>", HTML, bare=True).own


def test_401_that_names_its_scheme_has_done_nothing():
    assert Answer(401, b"<html>", HTML | {"www-authenticate": "Bearer"}).asks_for_credentials
    assert Answer(401, b'{"title":"who?"}', PROBLEM).asks_for_credentials
    assert not Answer(401, b"<html>", HTML).asks_for_credentials
    assert not Answer(403, b"", {"www-authenticate": "Bearer"}).asks_for_credentials


@pytest.mark.parametrize(("status", "why"), [(429, Refusal.RATE_LIMITED), (503, Refusal.NETWORK_UNAVAILABLE)])
def test_what_the_gateway_refuses_by_itself_is_certain_where_that_is_said(status, why):
    answer = Answer(status, b"<html>", HTML | {"retry-after": "30"})
    result = read_submit(answer, "c1", CLOCK, {429, 503})
    assert isinstance(result, Refused)
    assert (result.why, result.retry_at) == (why, CLOCK.now() + 30)
    assert isinstance(read_submit(Answer(502, b"<html>", HTML), "c1", CLOCK, {429, 503}), Ambiguous)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b'{"problemDetail":{"cause":"TEMPORARILY_NOT_REACHABLE"}}', Refusal.UNREACHABLE),
        (500, b'{"problemDetail":{"cause":"NO_PDN_CONNECTION"}}', Refusal.UNREACHABLE),
        (500, b'{"problemDetail":{"detail":"queue full"}}', Refusal.FAILED),
        (500, b'{"problemDetail":{},"requestedRetransmissionTime":"2000-01-01T00:00:00Z"}', Refusal.UNREACHABLE),
        (500, b'{"detail":"SCEF-ERR-001-002: queue full","status":500}', Refusal.FAILED),
        (500, b'{"cause":"NOBODY_KNOWS"}', Refusal.FAILED),
        (500, b'{"title":"Internal Server Error","status":500}', Refusal.NETWORK_UNAVAILABLE),
        (503, b'{"title":"Service Unavailable"}', Refusal.NETWORK_UNAVAILABLE),
        (503, b'{"cause":"TEMPORARILY_NOT_REACHABLE"}', Refusal.UNREACHABLE),
        (429, b'{"title":"Too Many Requests"}', Refusal.RATE_LIMITED),
        (403, b'{"cause":"QUOTA_EXCEEDED"}', Refusal.RATE_LIMITED),
        (403, b'{"cause":"APN_RATE_EXCEEDED"}', Refusal.RATE_LIMITED),
        (403, b'{"cause":"DATA_TOO_LARGE"}', Refusal.TOO_LARGE),
        (403, b'{"title":"Forbidden"}', Refusal.FAILED),
        (403, b'{"cause":"NOT_FOR_YOU"}', Refusal.REJECTED),
        (413, b'{"title":"Payload Too Large"}', Refusal.TOO_LARGE),
        (404, b'{"title":"Not Found"}', Refusal.UNREACHABLE),
        (405, b'{"title":"Method Not Allowed"}', Refusal.FAILED),
        (400, b'{"title":"Bad Request"}', Refusal.REJECTED),
    ],
)
def test_what_the_scef_says_is_whose_trouble(status, body, why):
    result = read_submit(Answer(status, body, PROBLEM), "c1", CLOCK)
    assert isinstance(result, Refused)
    assert (result.why, result.retry_at) == (why, None)


@pytest.mark.parametrize("status", [408, 409, 502, 504])
def test_who_says_this_does_not_know_what_became_of_the_downlink(status):
    assert isinstance(read_submit(Answer(status, b'{"title":"x"}', PROBLEM), "c1", CLOCK), Ambiguous)


@pytest.mark.parametrize(
    ("body", "limit_of"),
    [
        (b'{"title":"Too Many Requests"}', LimitOf.NETWORK),  # said of the client, whatever the message
        (b'{"cause":"RATE_LIMIT_EXCEEDED"}', LimitOf.DEVICE),
    ],
)
def test_whose_limit_a_429_is_of(body, limit_of):
    result = read_submit(Answer(429, body, PROBLEM), "c1", CLOCK)
    assert isinstance(result, Refused)
    assert (result.why, result.limit_of) == (Refusal.RATE_LIMITED, limit_of)


def test_a_gateways_429_is_a_limit_of_the_whole_network():
    result = read_submit(Answer(429, b"<html>", HTML), "c1", CLOCK, {429})
    assert isinstance(result, Refused)
    assert result.limit_of is LimitOf.NETWORK
