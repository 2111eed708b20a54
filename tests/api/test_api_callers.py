"""Who may ask for what: keys, roles, guesses, pages of other origins; and the audit log."""

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.config import Api as ApiSettings
from bridge.errors import ConfigurationError
from bridge.operations.access import digest
from bridge.store.access import ApiKey, Role
from tests.api.kit import Api

ASKED = {
    "read": ("GET", "/v1/endpoints", None),
    "operate": ("POST", "/v1/endpoints/e1/disable", {}),
    "admin": ("PATCH", "/v1/endpoints/e1", {"confirmed": True}),
}


@pytest.mark.parametrize("role", ASKED)
@pytest.mark.parametrize("wanted", ASKED)
async def test_a_role_may_do_what_it_covers_and_nothing_else(api: Api, role: str, wanted: str) -> None:
    method, path, body = ASKED[wanted]
    answer = await api.ask(method, path, body, role)
    if Role(role).covers(Role(wanted)):
        assert answer.status == 200
    else:
        assert (answer.status, answer.body["error"]) == (403, "AccessDenied")
        assert f" needs the role {wanted}" in answer.body["detail"]


async def test_contents_of_messages_need_more_than_to_read(api: Api) -> None:
    for path in ("/v1/downlinks/1/payload", "/v1/uplinks/1/payload"):
        assert (await api.ask("GET", path, role="read")).status == 403
        assert (await api.ask("GET", path, role="operate")).status == 404


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Basic YTpi",
        "Bearer lnb_1",
        "Bearer lnb_99_" + "A" * 43,
        "Bearer lnb_1_" + "A" * 43,
        "Bearer lnb_0_" + "A" * 43,
        "Bearer " + "x" * 5000,
    ],
)
async def test_without_a_key_of_this_bridge_nothing_is_answered(api: Api, authorization: str) -> None:
    await api.key("admin")  # the first one
    answer = await api.ask("GET", "/v1/status", role="", headers={"Authorization": authorization})
    assert (answer.status, answer.body["error"]) == (401, "UnknownCaller")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_a_revoked_key_is_refused_at_once_and_for_good(api: Api) -> None:
    made = (await api.ask("POST", "/v1/keys", {"name": "a person", "role": "read"})).body
    bearer = {"Authorization": f"Bearer {made['key']}"}
    assert (await api.ask("GET", "/v1/status", headers=bearer)).status == 200
    assert (await api.ask("DELETE", f"/v1/keys/{made['id']}")).body["valid"] is False
    answer = await api.ask("GET", "/v1/status", headers=bearer)
    assert (answer.status, answer.body["detail"]) == (401, f"key {made['id']} is revoked")
    listed = (await api.ask("GET", "/v1/keys")).body["items"]
    assert "key" not in listed[0], "a secret is shown once"


async def test_a_key_ends_with_its_lifetime(api: Api) -> None:
    now = api.service.now()
    key = await api.service.access.add_key(ApiKey(0, "late", Role.READ, digest("A" * 43), now - 9, expires_at=now - 1))
    answer = await api.ask("GET", "/v1/status", headers={"Authorization": f"Bearer lnb_{key.id}_{'A' * 43}"})
    assert (answer.status, answer.body["detail"]) == (401, f"key {key.id} is expired")


async def test_no_secret_is_stored(api: Api, tmp_path: Path) -> None:
    secret = (await api.key("read")).split("_", 2)[2]
    (key,) = await api.service.access.keys()
    assert key.digest == digest(secret)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("bridge.db" in path.name for path in files)
    assert not any(secret.encode() in path.read_bytes() for path in files)


async def test_guessing_is_limited_and_a_key_that_was_right_before_still_passes(api: Api) -> None:
    assert (await api.ask("GET", "/v1/status")).status == 200
    other = await api.key("read")
    statuses = [
        (await api.ask("GET", "/v1/status", role="", headers={"Authorization": f"Bearer lnb_1_{n:043}"})).status
        for n in range(15)
    ]
    assert statuses == [401] * 10 + [429] * 5
    refused = await api.ask("GET", "/v1/status", headers={"Authorization": f"Bearer {other}"})
    assert refused.status == 429, "a right guess must not be told from a wrong one"
    assert int(refused.headers["Retry-After"]) > 0
    assert (await api.ask("GET", "/v1/status")).status == 200


async def test_pages_of_other_origins_may_not_ask(api: Api) -> None:
    for origin, status in (
        (api.url, 200),
        ("https://fleet.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ):
        answer = await api.ask("POST", "/v1/endpoints/e1/enable", {}, headers={"Origin": origin})
        assert answer.status == status, origin


async def test_whatever_changes_something_is_in_the_audit_log_with_its_caller(api: Api) -> None:
    await api.ask("GET", "/v1/endpoints")
    await api.ask("PATCH", "/v1/endpoints/e1", {"confirmed": True})
    await api.ask("POST", "/v1/endpoints/nobody/disable", {}, role="operate")
    newest, older = (await api.ask("GET", "/v1/audit", limit="2")).body["items"]
    assert (newest["operation"], newest["subject"], newest["outcome"]) == ("endpoint.disable", "nobody", "NotFound")
    assert newest["who"].startswith("a test that may operate (key ")
    assert (older["operation"], older["subject"], older["outcome"]) == ("endpoint.update", "e1", "done")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (ApiSettings(listen="0.0.0.0:8460"), "without TLS"),
        (ApiSettings(listen="bridge.example:8460"), "without TLS"),
        (ApiSettings(listen="8460"), "is not of the form host:port"),
    ],
)
def test_other_hosts_reach_it_only_by_tls_or_on_purpose(settings: ApiSettings, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        settings.address()


def test_loopback_tls_and_a_switch_allow_to_listen() -> None:
    open_to_all = ApiSettings(listen="0.0.0.0:8460")
    assert ApiSettings(listen="127.0.0.1:8460").address() == ("127.0.0.1", 8460)
    assert ApiSettings(listen="[::1]:8460").address() == ("::1", 8460)
    assert ApiSettings().address() is None
    assert ApiSettings(listen=open_to_all.listen, certificate="c.pem").address() == ("0.0.0.0", 8460)
    assert ApiSettings(listen=open_to_all.listen, plain_http=True).address() == ("0.0.0.0", 8460)


async def test_a_key_is_refused_by_another_bridge(api: Api) -> None:
    """Ids are small numbers: only the secret says whose key it is."""
    key = await api.key("admin")
    (stored,) = await api.service.access.keys()
    known = api.service.access._keys  # type: ignore[attr-defined]
    known[stored.id] = replace(stored, digest=digest("B" * 43))
    answer = await api.ask("GET", "/v1/status", headers={"Authorization": f"Bearer {key}"})
    assert answer.status == 401
