"""The API over HTTP: resources, pages, ETags, many endpoints at once; and what it does with bad input."""

import asyncio
import base64
import time
from io import BytesIO
from logging import WARNING
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from bridge.control.rest import server
from bridge.logging import UnreadableRequests
from tests.api.kit import Api

HEADER = "endpoint,network,address,servers,profile,default_ttl,object_list\n"


async def add(api: Api, *names: str) -> None:
    wanted = [{"network": "net", "address": f"dev-{name}", "name": name} for name in names]
    answer = await api.ask("POST", "/v1/endpoints", {"endpoints": wanted})
    assert answer.status == 201, answer.body


async def imported(api: Api, text: str, **more: Any) -> Any:
    body = {"csv": base64.b64encode(text.encode()).decode(), **more}
    return await api.ask("POST", "/v1/endpoint-imports", body)


async def test_endpoints_come_change_and_go(api: Api) -> None:
    await add(api, "urn:dev:1", "a/b c")
    assert (await api.ask("GET", "/v1/endpoints/urn%3Adev%3A1")).body["address"] == "dev-urn:dev:1"
    assert (await api.ask("GET", "/v1/endpoints/a%2Fb%20c")).body["name"] == "a/b c"
    changed = await api.ask("PATCH", "/v1/endpoints/urn:dev:1", {"name": "urn:dev:2", "default_ttl": 60})
    assert (changed.body["name"], changed.body["default_ttl"]) == ("urn:dev:2", 60)
    state = await api.ask("GET", "/v1/endpoints/urn:dev:2/state")
    assert state.body["provisioning"]["state"] in {"wanted", "pending"}
    assert (await api.ask("DELETE", "/v1/endpoints/urn:dev:2")).status == 200
    gone = await api.ask("GET", "/v1/endpoints/urn:dev:2")
    assert (gone.status, gone.body["title"], gone.body["detail"]) == (404, "Not Found", "no endpoint 'urn:dev:2'")


async def test_a_list_comes_in_pages_and_is_filtered(api: Api) -> None:
    await add(api, "m1", "m2", "m3")
    names: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await api.ask("GET", "/v1/endpoints", prefix="m", limit="2", **after)).body
        names += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert names == ["m1", "m2", "m3"]
    assert (await api.ask("GET", "/v1/endpoint-count", text="M2")).body == {"endpoints": 1}
    assert (await api.ask("GET", "/v1/endpoints", waiting="true")).body["items"] == []


async def test_an_unchanged_answer_is_not_sent_again(api: Api) -> None:
    first = await api.ask("GET", "/v1/endpoints/e1")
    again = await api.ask("GET", "/v1/endpoints/e1", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, None)


async def test_a_change_on_top_of_anothers_is_refused(api: Api) -> None:
    tag = (await api.ask("GET", "/v1/endpoints/e1")).headers["ETag"]
    mine = await api.ask("PATCH", "/v1/endpoints/e1", {"confirmed": True}, headers={"If-Match": tag})
    theirs = await api.ask("PATCH", "/v1/endpoints/e1", {"confirmed": False}, headers={"If-Match": tag})
    assert (mine.status, theirs.status, theirs.body["error"]) == (200, 412, "Outdated")
    assert (await api.ask("GET", "/v1/endpoints/e1")).body["confirmed"] is True
    assert (await api.ask("DELETE", "/v1/endpoints/e1", headers={"If-Match": tag})).status == 412
    assert (await api.ask("DELETE", "/v1/endpoints/e1", headers={"If-Match": "*"})).status == 200


async def test_many_endpoints_are_changed_after_a_dry_run_with_a_report_for_each(api: Api) -> None:
    await add(api, "m1", "m2")
    wanted = {"action": "disable", "filter": {"prefix": "m"}}
    dry = (await api.ask("POST", "/v1/endpoint-actions", {**wanted, "dry_run": True}, "operate")).body
    assert [(one["name"], one["outcome"]) for one in dry["items"]] == [("m1", "would be done"), ("m2", "would be done")]
    assert (dry["done"], dry["failed"]) == (0, 0)
    assert (await api.ask("GET", "/v1/endpoint-count", enabled="false")).body == {"endpoints": 0}
    done = (await api.ask("POST", "/v1/endpoint-actions", wanted, "operate")).body
    assert (done["done"], done["failed"]) == (2, 0)
    assert (await api.ask("GET", "/v1/endpoint-count", enabled="false")).body == {"endpoints": 2}
    some = {"names": ["m1", "nobody"]}
    report = (await api.ask("POST", "/v1/endpoint-removals", some)).body
    assert [(one["name"], one["outcome"], one["detail"]) for one in report["items"]] == [
        ("m1", "done", ""),
        ("nobody", "failed", "no endpoint 'nobody'"),
    ]


async def test_waiting_messages_of_many_endpoints_are_cancelled(api: Api) -> None:
    await add(api, "quiet")
    api.kit.ask(1)
    while not (await api.ask("GET", "/v1/downlinks", state="BUFFERED")).body["items"]:
        pass
    report = (await api.ask("POST", "/v1/endpoint-actions", {"action": "cancel", "filter": {}}, "operate")).body
    assert {one["name"]: one["detail"] for one in report["items"]} == {"e1": "1 message", "quiet": "0 messages"}


@pytest.mark.parametrize("body", [{}, {"names": ["e1"], "filter": {}}])
async def test_nothing_is_changed_where_it_is_not_said_what(api: Api, body: dict[str, Any]) -> None:
    answer = await api.ask("POST", "/v1/endpoint-removals", body)
    assert (answer.status, answer.body["error"]) == (400, "RequestError")


async def test_endpoints_are_moved_to_another_network_only_if_that_is_there(api: Api) -> None:
    report = (await api.ask("POST", "/v1/endpoint-moves", {"names": ["e1"], "network": "nowhere"})).body
    assert report["failed"] == 1
    assert "'nowhere' is not configured" in report["items"][0]["detail"]


async def test_an_import_with_one_wrong_line_imports_nothing_and_names_the_line(api: Api) -> None:
    lines = [f"i{n},net,dev-{n},,,,\n" for n in range(5)] + ["bad,nowhere,x,,,,\n"]
    report = (await imported(api, HEADER + "".join(lines))).body
    assert (report["added"], [fault["line"] for fault in report["faults"]]) == (0, [7])
    assert (await imported(api, HEADER + "".join(lines), partial=True)).body["added"] == 5


async def test_the_story_of_a_message_is_told(api: Api) -> None:
    api.kit.ask(1)
    while not (rows := (await api.ask("GET", "/v1/downlinks", endpoint="e1")).body["items"]):
        pass
    story = (await api.ask("GET", f"/v1/downlinks/{rows[0]['id']}")).body
    assert (story["operation"], story["target"], story["moments"][0]["what"]) == ("Read", "/3", "accepted from lab")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/endpoints?limit=0", None, 400, ">= 1"),
        ("GET", "/v1/endpoints?limit=1&limit=2", None, 400, "given twice"),
        ("GET", "/v1/endpoints?limit=1e2", None, 400, "is not a whole number"),
        ("GET", "/v1/endpoints?enabled=yes", None, 400, "is not true or false"),
        ("GET", "/v1/endpoints?silent_for=nan", None, 400, "is not a number"),
        ("GET", "/v1/endpoints?colour=red", None, 400, "unknown parameter 'colour'"),
        ("GET", "/v1/endpoints?after=%00", None, 400, "is not `next` of an earlier page"),
        ("GET", "/v1/downlinks/99999999999999999999", None, 400, "is not a whole number"),
        ("GET", "/v1/downlinks/0", None, 400, ">= 1"),
        ("GET", "/v1/endpoints/e1", {"a": 1}, 400, "takes no body"),
        ("POST", "/v1/endpoints?a=1", {}, 400, "unknown parameter"),
        ("POST", "/v1/endpoints", {"endpoints": [{"network": 1}]}, 400, "Expected `str`"),
        (
            "POST",
            "/v1/endpoints",
            {"endpoints": [{"network": "net", "address": "x", "colour": 1}]},
            400,
            "unknown field",
        ),
        ("POST", "/v1/endpoints", {"endpoints": [{"network": "net", "address": "d1", "name": "e2"}]}, 409, "e1"),
        ("POST", "/v1/endpoints", [], 400, "must be a JSON object"),
        ("PATCH", "/v1/endpoints/e1", {"endpoint": "e2"}, 400, "is already given by the path"),
        ("PUT", "/v1/endpoints/e1", {}, 405, "Not Allowed"),
        ("GET", "/v1/../../etc/passwd", None, 404, "there is no such path"),
        ("GET", "/v1/endpoints/..%2F..%2Fetc", None, 404, "no endpoint"),
        ("GET", "/v1/endpoints/%00", None, 404, "no endpoint"),
        ("GET", "/elsewhere", None, 404, "there is no such path"),
        ("POST", "/v1/endpoints/e1/cancel", {}, 404, "there is no such path"),
    ],
)
async def test_bad_input_is_answered_with_a_problem_that_says_what_is_wrong(
    api: Api, method: str, path: str, body: Any, status: int, said: str
) -> None:
    answer = await api.ask(method, path, body)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert said in answer.body["detail"]
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json_is_a_problem(api: Api, body: bytes) -> None:
    answer = await api.ask("POST", "/v1/endpoints", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.body["error"]) == (400, "RequestError")


async def test_a_body_that_is_not_said_to_be_json_is_refused(api: Api) -> None:
    answer = await api.ask("POST", "/v1/endpoints", b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status == 415, "a form of another page could send it"


async def test_a_body_without_end_is_cut_off(api: Api) -> None:
    size = 100 * 1024 * 1024
    assert size > server.LARGEST_REQUEST
    answer = await api.ask("POST", "/v1/endpoints", BytesIO(bytes(size)), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.body["status"]) == (413, 413)


async def test_markup_in_names_is_data(api: Api) -> None:
    name = "<img src=x onerror=alert(1)>"
    await add(api, name)
    answer = await api.ask("GET", "/v1/endpoints", text="<img")
    assert answer.body["items"][0]["name"] == name
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_dry_run_of_an_import_changes_nothing_and_reports_on_each_line(api: Api) -> None:
    await add(api, "old")
    text = f"{HEADER}old,net,dev-old,lab,,9,\nnew,net,dev-new,lab,,,\nbad,nowhere,d,lab,,,\n"
    dry = (await imported(api, text, dry_run=True, rows=True, update=True, partial=True)).body
    assert (dry["added"], dry["changed"], len(dry["faults"])) == (1, 1, 1)
    outcomes = [(row["line"], row["name"], row["outcome"]) for row in dry["rows"]]
    assert outcomes == [(2, "old", "changed"), (3, "new", "added"), (4, "", "wrong")]
    assert (await api.ask("GET", "/v1/endpoints/new")).status == 404
    assert (await api.ask("GET", "/v1/endpoints/old")).body["default_ttl"] is None
    whole = (await imported(api, text, dry_run=True, rows=True, update=True)).body
    assert [row["outcome"] for row in whole["rows"]] == ["left out", "left out", "wrong"]
    assert (whole["added"], whole["changed"], whole["unchanged"]) == (0, 0, 0)
    done = (await imported(api, text, rows=True, update=True, partial=True)).body
    assert (done["added"], done["changed"], done["rows"]) == (1, 1, dry["rows"])


async def test_an_import_shows_how_far_it_is(api: Api) -> None:
    seen: list[tuple[str, int, int]] = []
    service = api.service
    before = service.directory.add_all

    async def watched(drafts: Any) -> Any:
        seen.extend((one.name, one.done, one.total or 0) for one in (await service.status()).work)
        return await before(drafts)

    service.directory.add_all = watched  # type: ignore[method-assign]  # a look in the middle
    lines = "".join(f"n{number},net,dev-n{number},lab,,,\n" for number in range(1200))
    assert (await imported(api, HEADER + lines)).body["added"] == 1200
    mine = [(done, total) for name, done, total in seen if name == "endpoints are imported"]
    assert mine[0] == (0, 1200)
    assert 0 < mine[-1][0] < 1200
    assert all(one.name != "endpoints are imported" for one in (await service.status()).work)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_hundred_thousand_lines_are_imported_within_a_minute_but_for_the_wrong_one(api: Api) -> None:
    number, wrong = 100_000, 70_001
    lines = [f"n{line},net,dev-n{line},lab,,,\n" for line in range(number)]
    lines[wrong] = "n70001,net,dev-n5,lab,,,\n"  # the device of another line

    async def sent(**more: Any) -> Any:
        csv = base64.b64encode((HEADER + "".join(lines)).encode()).decode()
        body = BytesIO(msgspec.json.encode({"csv": csv, **more}))
        return (await api.ask("POST", "/v1/endpoint-imports", body, headers={"Content-Type": "application/json"})).body

    refused = await sent()
    assert (refused["added"], refused["faults"]) == (
        0,
        [{"line": wrong + 2, "reason": "device 'dev-n5' is in line 7 already"}],
    )
    begun, begun_wall = time.process_time(), time.monotonic()
    done = await sent(partial=True)
    spent, passed = time.process_time() - begun, time.monotonic() - begun_wall
    print(f"{number} lines: {spent:.1f} s of processor time, {passed:.1f} s passed")
    assert spent < 60  # on a machine that has nothing else to do
    assert (done["added"], len(done["faults"])) == (number - 1, 1)
    assert (await api.ask("GET", "/v1/endpoint-count")).body == {"endpoints": number}  # with the one of the set-up


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"GET /v1/status HTTP/1.1\r\nOrigin: http://\xff", b""),
        (b"GET /v1/status HTTP/1.1\r\nAuthorization: Bearer \xff", b""),
        (b"GET /v1/status HTTP/1.1\r\nCookie: lwm2m_bridge_session=\xff", b""),
        (b"GET /v1/status HTTP/1.1\r\nX-Forwarded-For: \xff", b""),
        (b"GET /v1/endpoints/%ED%A0%80%FF HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"GET /v1/endpoints/\xff HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"GET /\xff HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"GET /v1/endpoints?%ED%A0%80=%FF HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"GET /v1/endpoints?limit=%FF HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"GET /v1/endpoints?\xff=1 HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
        (b"POST /v1/endpoints/e1/downlinks HTTP/1.1\r\nAuthorization: Bearer KEY\r\nIdempotency-Key: \xff", b"{}"),
        (b"PATCH /v1/endpoints/e1 HTTP/1.1\r\nAuthorization: Bearer KEY\r\nIf-Match: \xff", b"{}"),
        (b"POST /v1/endpoints HTTP/1.1\r\nAuthorization: Bearer KEY", b'{"\xff":1}'),
        (b"POST /v1/endpoints HTTP/1.1\r\nAuthorization: Bearer KEY", b'{"\\ud800":1}'),
        (b"POST /v1/keys HTTP/1.1\r\nAuthorization: Bearer KEY", b'{"name":"\\ud800","role":"read"}'),
        (b"\xff /v1/endpoints HTTP/1.1\r\nAuthorization: Bearer KEY", b""),
    ],
)
async def test_bytes_that_are_no_text_are_refused_as_any_other_mistake(
    api: Api, head: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key = (await api.key("admin")).encode()
    lines = b"\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    url = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(head.replace(b"KEY", key) + lines % len(body) + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500, answer
    answer.decode()  # it is UTF-8
    written = [one for one in caplog.records if UnreadableRequests().filter(one)]
    assert not [one for one in written if one.exc_info], "a traceback that a caller can cause"
    assert all(hasattr(one, "sample") for one in written if one.levelno >= WARNING)
