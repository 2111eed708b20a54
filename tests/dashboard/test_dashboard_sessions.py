"""Sessions of browsers: a key is shown once, no script reads the cookie, a revoked key ends them."""

import asyncio
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
import pytest

from bridge.control.dashboard import sessions, site
from bridge.control.dashboard.sessions import COOKIE, LIFETIME, Sessions
from bridge.control.rest import stream
from tests.api.kit import Answer, Api
from tests.waiting import until

in_one_loop = pytest.mark.asyncio(loop_scope="session")

CHANGE = ("POST", "/v1/endpoints/e1/disable", {})


async def signed_in(api: Api, key: str, **headers: str) -> Answer:
    return await api.ask("POST", "/dashboard/session", {"key": key}, role="", headers={"Origin": api.url, **headers})


async def cookie(api: Api, role: str = "admin") -> Morsel[str]:
    """Sign in; return the cookie, which the client is made to forget: each request says itself what it sends."""
    answer = await signed_in(api, await api.key(role))
    assert answer.status == 200, answer.body
    api.session.cookie_jar.clear()
    return SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]


async def asked(api: Api, value: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    return await api.ask(method, path, body, role="", headers={"Cookie": f"{COOKIE}={value}", **headers})


@in_one_loop
async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_not_the_key(api: Api) -> None:
    made = await cookie(api)
    assert made["httponly"] is True
    assert made["samesite"] == "Strict"
    assert made["path"] == "/"
    assert int(made["max-age"]) == LIFETIME
    assert made["secure"] == "", "this test speaks plain HTTP"
    assert (await api.key("admin")).split("_", 2)[2] not in made.value


@in_one_loop
async def test_behind_a_proxy_that_does_tls_the_cookie_is_for_tls_alone(api: Api) -> None:
    answer = await signed_in(
        api, await api.key("read"), **{"Origin": "https://bridge.example", "Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status == 200, answer.body
    assert SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]["secure"] is True


@in_one_loop
async def test_a_session_may_do_what_its_key_may(api: Api) -> None:
    value = (await cookie(api, "read")).value
    who = (await asked(api, value, "GET", "/dashboard/session")).body
    assert (who["name"], who["role"]) == ("a test that may read", "read")
    assert (await asked(api, value, "GET", "/v1/endpoints")).status == 200
    refused = await asked(api, value, *CHANGE, Origin=api.url)
    assert (refused.status, refused.body["error"]) == (403, "AccessDenied")
    value = (await cookie(api, "operate")).value
    assert (await asked(api, value, *CHANGE, Origin=api.url)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:1"},
        {"Origin": "{url}", "Sec-Fetch-Site": "same-site"},
    ],
)
@in_one_loop
async def test_no_other_page_changes_anything_with_the_cookie(api: Api, headers: dict[str, str]) -> None:
    """A page on another port of the same host is the same site: the browser sends the cookie for it."""
    value = (await cookie(api)).value
    answer = await asked(api, value, *CHANGE, **{name: text.format(url=api.url) for name, text in headers.items()})
    assert (answer.status, answer.body["error"]) == (403, "AccessDenied")
    assert (await api.ask("GET", "/v1/endpoints/e1")).body["enabled"]


@in_one_loop
async def test_no_other_page_reads_with_the_cookie_or_signs_somebody_in(api: Api) -> None:
    value = (await cookie(api)).value
    for headers in ({"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "same-site"}):
        assert (await asked(api, value, "GET", "/v1/endpoints", **headers)).status == 403
    answer = await signed_in(api, await api.key("read"), Origin="https://evil.example")
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)


@in_one_loop
async def test_whoever_signs_out_is_out_on_the_bridge_too(api: Api) -> None:
    value = (await cookie(api)).value
    answer = await asked(api, value, "DELETE", "/dashboard/session", Origin=api.url)
    assert (answer.status, answer.body["role"]) == (200, None)
    assert SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]["max-age"] == "0"
    answer = await asked(api, value, "GET", "/v1/endpoints")
    assert (answer.status, answer.body["error"]) == (401, "UnknownCaller")
    assert (await api.ask("GET", "/v1/endpoints")).status == 200, "the key itself is as valid as before"


@in_one_loop
async def test_a_revoked_key_ends_its_sessions_and_what_they_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.05)
    made = (await api.ask("POST", "/v1/keys", {"name": "a person", "role": "admin"})).body
    value = SimpleCookie((await signed_in(api, made["key"])).headers["Set-Cookie"])[COOKIE].value
    headers = {"Cookie": f"{COOKIE}={value}", "Accept": "text/event-stream"}
    async with api.session.get("/v1/events", headers=headers) as events:
        assert events.status == 200
        assert (await events.content.readline()).startswith(b": still here")
        assert (await api.ask("DELETE", f"/v1/keys/{made['id']}")).status == 200
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(5):
                await events.content.read()
    await until(lambda: len(api.rest.streams) == 0)
    answer = await asked(api, value, "GET", "/v1/endpoints")
    assert (answer.status, answer.body["detail"]) == (401, f"key {made['id']} is revoked")
    assert (await asked(api, value, "GET", "/dashboard/session")).body["role"] is None


@in_one_loop
async def test_guessing_keys_at_the_sign_in_is_limited(api: Api) -> None:
    statuses = [(await signed_in(api, f"lnb_1_{n:043}")).status for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    answer = await signed_in(api, await api.key("read"))
    assert answer.status == 429, "a right guess must not be told from a wrong one"
    refused = api.service.metrics
    assert refused.value("api_callers_refused", error="UnknownCaller") == 10
    assert refused.value("api_callers_refused", error="TooManyGuesses") == 3


@in_one_loop
async def test_a_sign_in_whose_body_never_comes_is_ended(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_PATIENCE", 0.05)
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /dashboard/session HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert b" 400 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": "a", "more": 1}', b'"' + b"x" * 5000 + b'"']
)
@in_one_loop
async def test_a_sign_in_that_is_none_is_refused(api: Api, body: bytes) -> None:
    answer = await api.ask(
        "POST", "/dashboard/session", body, role="", headers={"Content-Type": "application/json", "Origin": api.url}
    )
    assert (answer.status, answer.body["error"]) == (400, "RequestError")


@in_one_loop
async def test_a_sign_in_without_end_is_not_read(api: Api) -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 65536

    headers = {"Content-Type": "application/json", "Origin": api.url}
    async with api.session.post("/dashboard/session", data=endless(), headers=headers) as answer:
        assert answer.status == 400


def test_sessions_end_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST", 10)
    now = 0.0
    made = Sessions(lambda: now)
    values = [made.begin(key) for key in range(1, 101)]
    assert len(set(values)) == 100
    assert made.key(values[-1]) == 100
    assert sum(made.key(value) is not None for value in values) <= 10
    now = LIFETIME
    assert made.key(values[-1]) is None


@pytest.mark.parametrize(
    "path", ["/dashboard/nothing.js", "/dashboard/..%2fsite.py", "/dashboard/%2e%2e/site.py", "/dashboard/a/b"]
)
@in_one_loop
async def test_only_the_dashboards_files_are_served(api: Api, path: str) -> None:
    assert (await api.ask("GET", path, role="")).status == 404


@in_one_loop
async def test_pages_allow_no_script_but_their_own(api: Api) -> None:
    async with api.session.get("/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/dashboard/")
    async with api.session.get("/dashboard/") as answer:
        text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in text
    assert "style=" not in text
    assert "http://" not in text, "nothing comes from elsewhere"
    assert "https://" not in text
    assert (
        await api.ask("GET", "/dashboard/", role="", headers={"If-None-Match": answer.headers["ETag"]})
    ).status == 304
