"""The dashboard's pages in a real Chromium, over a running service whose network the test scripts."""

import asyncio
import contextlib
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError, Locator, Route, expect

from bindings.contract import Accepted, NetworkState, Provisioned
from bindings.provisioning import ProvisioningState
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode, frame
from bridge.config import Events
from bridge.delivery.downlinks import ServerRequest
from tests.dashboard.visitor import Visitor
from tests.service.kit import Kit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = ("#/overview", "#/devices", "#/waiting", "#/networks", "#/device/e1", "#/device/nobody")
EVENTS_ARE_LOGGED = """
const add = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (type, act) {
  add.call(this, type, (event) => { act(event); console.log("event"); });
};
"""
MARKUP = "<img src=x onerror=globalThis.owned=1>&lt;b&gt;'\""


async def some_traffic(kit: Kit) -> None:
    """Have one message answered, and two that wait: one in the network, one behind it."""
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.SENT)
    kit.ask(1)
    row = await until(lambda: sent(kit))
    await kit.network.uplink("d1", frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff\x05"))
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.BUFFERED)
    kit.ask(2)
    kit.ask(3)
    await until(lambda: states(kit, {"RESPONDED", "BUFFERED", "QUEUED"}))


async def sent(kit: Kit) -> ServerRequest | None:
    rows = await kit.rows()
    return rows[0] if rows and rows[0].state == "SENT" else None


async def states(kit: Kit, wanted: set[str]) -> bool:
    return set(await kit.states()) == wanted


async def test_whoever_signs_in_sees_the_fleet(visitor: Visitor) -> None:
    await visitor.open("#/devices")
    await expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await visitor.violations() == []
    await visitor.sign_in("read", "#/devices")
    row = visitor.page.get_by_role("row", name="e1")
    await expect(row).to_contain_text("net")
    await expect(row).to_contain_text("d1")
    await expect(visitor.page.get_by_text("1 device", exact=True)).to_be_visible()
    await expect(visitor.page.get_by_title("Pages change as events happen")).to_be_visible()


async def test_the_key_is_in_no_storage_and_no_script_reads_the_cookie(visitor: Visitor) -> None:
    await visitor.sign_in("read")
    found = await visitor.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length, location.href]")
    assert found[:3] == ["", 0, 0]
    assert await visitor.api.key("read") not in found[3]
    (cookie,) = await visitor.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


async def test_a_wrong_key_says_so_and_the_next_try_may_be_right(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.get_by_label("Key").fill(MARKUP)
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_role("alert")).to_contain_text("lwm2m-bridge key create")
    visitor.console.clear()  # the browser notes that the answer was 401
    await visitor.page.get_by_label("Key").fill(await visitor.api.key("read"))
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.timeout(240)
async def test_every_page_is_accessible_and_fits_a_narrow_screen(visitor: Visitor, scheme: str) -> None:
    await some_traffic(visitor.api.kit)
    await visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await visitor.sign_in("admin")
    for path in PAGES:
        await visitor.go(path)
        await arrived(visitor, path)
        for width in (1280, 360):
            await visitor.page.set_viewport_size({"width": width, "height": 800})
            assert await visitor.violations() == [], (path, width)
            content, window = await visitor.width()
            assert content <= window, (path, width)
    visitor.console.clear()  # "nobody" was answered 404, and the browser notes that


@pytest.mark.parametrize("width", [360, 700, 880, 1280])
async def test_all_pages_of_the_bar_can_be_seen_at_any_width(visitor: Visitor, width: int) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": 800})
    await visitor.sign_in("admin")
    links = visitor.page.locator(".bar nav a")
    boxes = [await links.nth(n).bounding_box() for n in range(await links.count())]
    assert len(boxes) == 4
    for box in boxes:
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    nav = "(() => { const nav = document.querySelector('.bar nav'); return nav.scrollWidth <= nav.clientWidth; })()"
    assert await visitor.page.evaluate(nav)


async def test_the_address_of_a_device_may_be_typed_as_that_of_the_list_with_its_name(visitor: Visitor) -> None:
    await visitor.sign_in("read")
    await visitor.go("#/devices/e1")
    await expect(visitor.page.get_by_role("heading", level=1, name="e1")).to_be_visible()
    assert await visitor.page.locator(".bar nav a[aria-current]").inner_text() == "Devices"


async def arrived(visitor: Visitor, path: str) -> None:
    name = {"overview": "Overview", "devices": "Devices", "waiting": "Waiting messages", "networks": "Networks"}
    page, _, part = path.removeprefix("#/").partition("/")
    heading = {"e1": "e1", "nobody": "No such device"}[part] if part else name[page]
    await visitor.page.get_by_role("heading", level=1, name=heading).wait_for()


async def test_reduced_motion_is_respected(visitor: Visitor) -> None:
    await visitor.sign_in("read")
    running = "document.getAnimations().length"
    assert await visitor.page.evaluate(running) == 0
    duration = "getComputedStyle(document.querySelector('button')).transitionDuration"
    assert await visitor.page.evaluate(duration) == "0s"


async def test_markup_in_names_is_text(visitor: Visitor) -> None:
    api = visitor.api
    new = {"network": "net", "address": "d<2>", "name": MARKUP}
    assert (await api.ask("POST", "/v1/endpoints", {"endpoints": [new]})).status == 201
    await api.kit.network.events.deliver(Provisioned("d<2>", ProvisioningState.FAILED, MARKUP))
    await visitor.sign_in("admin", "#/devices")
    await visitor.page.get_by_role("link", name=MARKUP).click()
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    await expect(visitor.page.get_by_text("Trouble")).to_be_visible()
    await visitor.page.get_by_role("button", name="Remove").click()
    await expect(visitor.page.get_by_role("dialog")).to_contain_text(f"Remove {MARKUP}?")
    assert await visitor.page.locator("img[src=x]").count() == 0
    assert await visitor.page.evaluate("globalThis.owned") is None
    await visitor.page.get_by_role("dialog").get_by_role("textbox").fill(MARKUP)
    await visitor.page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    await expect(visitor.page.get_by_role("heading", name="Devices")).to_be_visible()
    await expect(visitor.page.get_by_role("link", name=MARKUP)).to_have_count(0)


async def test_what_waits_says_why_and_until_when_and_can_be_cancelled(visitor: Visitor) -> None:
    await some_traffic(visitor.api.kit)
    await visitor.sign_in("operate", "#/waiting")
    held = visitor.page.get_by_role("row", name="The network holds it until the device can be reached")
    await expect(held).to_be_visible()
    behind = visitor.page.get_by_role("row", name="One request at a time")
    await expect(behind.locator("time").first).to_contain_text("in ")
    await behind.get_by_role("button", name="Cancel").click()
    await expect(visitor.page.get_by_text(re.compile(r"Message \d+ is cancelled\."))).to_be_visible()
    await expect(behind).to_have_count(0)
    assert "CANCELLED" in await visitor.api.kit.states()


async def test_the_page_of_a_device_changes_as_things_happen(visitor: Visitor) -> None:
    kit = visitor.api.kit
    await some_traffic(kit)
    await visitor.sign_in("read", "#/device/e1")
    timeline = visitor.page.get_by_role("region", name="Timeline")
    await expect(timeline.get_by_text("responded")).to_have_count(1)
    answer = timeline.get_by_title("nothing acknowledges it: the server may not have it")
    await expect(answer).to_have_text("forwarded")
    await expect(answer).to_have_class("badge plain")
    first = timeline.locator("summary", has_text="responded")
    await first.click()
    await expect(timeline.get_by_text("Attempt 1: transmitted toward the device")).to_be_visible()
    row = (await kit.rows())[1]
    await kit.network.uplink("d1", frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff\x06"))
    await expect(timeline.get_by_text("responded")).to_have_count(2)
    await expect(timeline.get_by_text("Attempt 1: transmitted toward the device")).to_be_visible()  # stays open
    await kit.network.events.deliver(Provisioned("d1", ProvisioningState.FAILED, "no quota"))
    await expect(timeline.get_by_text("provisioning: failed")).to_be_visible()
    await expect(visitor.page.get_by_role("region", name="How it is")).to_contain_text("No quota")


async def test_what_happens_while_a_page_reads_is_shown_too(visitor: Visitor) -> None:
    kit, page = visitor.api.kit, visitor.page
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def hold_the_first(route: Route) -> None:
        answer = await route.fetch()
        if not reading.is_set():
            reading.set()
            await go_on.wait()
        await route.fulfill(response=answer)

    await page.add_init_script(EVENTS_ARE_LOGGED)
    await visitor.sign_in("read", "#/devices")
    await expect(page.locator("#live")).to_have_text("live")
    row = page.get_by_role("row", name="e1")
    await expect(row).to_contain_text("pending")
    await page.route("**/v1/endpoints?*", hold_the_first)
    await kit.network.events.deliver(Provisioned("d1", ProvisioningState.FAILED, "no quota"))
    await reading.wait()
    async with page.expect_console_message(lambda message: message.text == "event"):
        await kit.network.events.deliver(Provisioned("d1", ProvisioningState.READY))
    go_on.set()
    await expect(row).to_contain_text("ready")


@pytest.mark.parametrize(
    ("role", "there", "missing"),
    [
        ("read", [], ["Disable", "Provision again", "Cancel", "Cancel all waiting", "Remove", "Show the content"]),
        ("operate", ["Disable", "Provision again", "Cancel all waiting"], ["Remove"]),
        ("admin", ["Disable", "Provision again", "Cancel all waiting", "Remove"], []),
    ],
)
async def test_a_role_is_offered_what_it_may_do(
    visitor: Visitor, role: str, there: list[str], missing: list[str]
) -> None:
    await some_traffic(visitor.api.kit)
    await visitor.sign_in(role, "#/device/e1")
    await expect(visitor.page.get_by_text("The network holds it")).to_be_visible()
    await visitor.page.locator(".timeline summary").first.click()
    await expect(visitor.page.get_by_role("heading", name="What happened")).to_be_visible()
    for name in there:
        await expect(button(visitor, name)).to_be_visible()
    for name in missing:
        await expect(button(visitor, name)).to_have_count(0)


def button(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("button", name=name, exact=True)


async def test_actions_are_carried_out(visitor: Visitor) -> None:
    kit = visitor.api.kit
    await some_traffic(kit)
    await visitor.sign_in("admin", "#/device/e1")
    await button(visitor, "Cancel all waiting").click()
    await button(visitor, "Cancel them").click()
    await expect(visitor.page.get_by_text("Nothing waits for this device.")).to_be_visible()
    before = len(kit.network.provisioned)
    await button(visitor, "Provision again").click()
    await until(lambda: len(kit.network.provisioned) > before)
    await button(visitor, "Disable").click()
    await visitor.page.keyboard.press("Escape")  # nothing is done
    assert (await visitor.api.ask("GET", "/v1/endpoints/e1")).body["enabled"]
    await button(visitor, "Disable").click()
    await button(visitor, "Disable it").click()
    await button(visitor, "Enable").click()
    await expect(button(visitor, "Disable")).to_be_visible()
    await button(visitor, "Remove").click()
    confirm = button(visitor, "Remove it")
    await expect(confirm).to_be_disabled()
    await visitor.page.get_by_role("dialog").get_by_role("textbox").fill("e1")
    await confirm.click()
    await expect(visitor.page.get_by_text("There are no devices yet")).to_be_visible()
    gone = "404 (Not Found)", "/v1/endpoints/e1"  # the device's page may have asked once more
    visitor.console[:] = [line for line in visitor.console if not all(part in line for part in gone)]
    assert (await visitor.api.ask("GET", "/v1/endpoints/e1")).status == 404
    entries = (await visitor.api.ask("GET", "/v1/audit")).body["items"]
    assert {one["who"].rpartition(" (")[0] for one in entries} == {"a test that may admin"}
    assert "endpoint.remove" in {one["operation"] for one in entries}


async def test_a_revoked_key_ends_the_session_in_the_browser(visitor: Visitor) -> None:
    await visitor.sign_in("read", "#/devices")
    (key,) = await visitor.api.service.access.keys()
    await visitor.api.ask("DELETE", f"/v1/keys/{key.id}")
    with contextlib.suppress(PlaywrightError):  # the end of its stream may have told the page already
        await visitor.page.get_by_role("button", name="Device").click(timeout=2000)  # sorts, and so asks
    await expect(visitor.page.get_by_text("Your session is over")).to_be_visible()
    visitor.console.clear()  # the browser notes that the answer was 401


async def test_whoever_signs_out_is_asked_for_a_key(visitor: Visitor) -> None:
    await visitor.sign_in("read", "#/devices")
    await button(visitor, "Sign out").click()
    await expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_link_signs_in_once(visitor: Visitor) -> None:
    made = (await visitor.api.ask("POST", "/v1/dashboard-links", {"name": "a colleague", "role": "operate"})).body
    await visitor.open(f"#/sign-in?code={made['code']}")
    await expect(visitor.page.get_by_text("a colleague")).to_be_visible()
    assert made["code"] not in visitor.page.url
    await button(visitor, "Sign out").click()
    await visitor.open(f"?again#/sign-in?code={made['code']}")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("This link was used, or is too old")
    visitor.console.clear()  # the browser notes that the answer was 401


@pytest_asyncio.fixture(loop_scope="session")
async def many(kit: Kit) -> None:
    kit.have_endpoints(120)


@pytest.mark.usefixtures("many")
async def test_a_fleet_is_searched_sorted_and_paged(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in("read", "#/devices")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(50)
    await expect(page.get_by_text("120 devices")).to_be_visible()
    await page.get_by_role("link", name="Next page").click()
    await expect(page.get_by_role("link", name="First page")).to_be_visible()
    await expect(page.get_by_role("link", name="e1", exact=True)).to_have_count(0)
    await page.get_by_role("link", name="Next page").click()
    await expect(rows).to_have_count(20)
    await page.get_by_role("button", name="Back").click()
    await expect(rows).to_have_count(50)
    search = page.get_by_label("Search")
    await search.press_sequentially("E11", delay=120)  # slower than the search waits: nothing typed is lost
    await expect(page.get_by_text("11 of 120 devices")).to_be_visible()
    await expect(search).to_have_value("E11")
    await expect(search).to_be_focused()
    await page.get_by_role("button", name="Device").press("Enter")
    await expect(rows.first).to_contain_text("e119")
    await expect(page.get_by_role("columnheader", name="Device")).to_have_attribute("aria-sort", "descending")
    for column in ("Address", "Last uplink", "Last downlink", "Waiting"):
        await page.get_by_role("button", name=column).click()
        await expect(page.get_by_role("columnheader", name=column)).to_have_attribute(
            "aria-sort", re.compile(".+ending")
        )
        await expect(rows).to_have_count(11)
    await page.get_by_role("button", name="Device").click()
    await page.get_by_role("button", name="Device").click()
    await expect(rows.first).to_contain_text("e119")
    await page.reload()  # the address says what is shown
    await expect(rows.first).to_contain_text("e119")
    await page.get_by_label("Registration").select_option("live")
    await expect(page.get_by_text("No device is like that.")).to_be_visible()
    await page.get_by_role("link", name="Clear").click()
    await expect(page.get_by_text("120 devices")).to_be_visible()


async def test_everything_is_reached_by_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    await some_traffic(visitor.api.kit)
    await visitor.sign_in("admin", "#/devices")
    await page.reload()
    await page.get_by_role("link", name="e1", exact=True).wait_for()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await page.get_by_role("link", name="e1", exact=True).press("Enter")
    await expect(page.get_by_role("heading", level=1, name="e1")).to_be_visible()
    await expect(page.get_by_role("main")).to_be_focused()
    await page.locator(".timeline summary").first.press("Enter")
    await expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    await button(visitor, "Disable").press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_networks_are_checked_and_plotted(visitor: Visitor) -> None:
    await some_traffic(visitor.api.kit)
    await visitor.sign_in("read", "#/networks")
    card = visitor.page.get_by_role("region", name="Network net")
    await expect(card).to_contain_text("Calls under way")
    await expect(visitor.page.get_by_role("img", name="Messages given to networks")).to_be_visible()
    await visitor.go("#/overview")
    await expect(visitor.page.get_by_role("img", name="Messages to devices")).to_be_visible()
    plot = visitor.page.locator(".plot", has_text="Messages to devices")
    await plot.get_by_text("Show as a table").click()
    await expect(plot.get_by_role("cell", name="1")).to_be_visible()


@pytest_asyncio.fixture(loop_scope="session")
async def without_events(kit: Kit) -> None:
    kit.config = replace(kit.config, events=Events(keep=0))


@pytest.mark.usefixtures("without_events")
async def test_without_events_pages_ask_again_and_say_so(visitor: Visitor) -> None:
    await visitor.sign_in("read", "#/device/e1")
    await expect(visitor.page.get_by_text("every 10 s")).to_be_visible()
    await some_traffic(visitor.api.kit)
    await expect(visitor.page.get_by_text("The network holds it until the device can be reached")).to_be_visible()


async def test_a_device_is_asked_by_a_form_and_its_answer_is_shown(visitor: Visitor) -> None:
    kit = visitor.api.kit
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.SENT)
    await visitor.sign_in("operate", "#/device/e1")
    card = visitor.page.get_by_role("region", name="Ask the device")
    await card.get_by_label("Path").fill("3/0/9")
    await card.get_by_role("button", name="Send").click()
    assert await kit.rows() == [], "the browser refuses what is no path"
    await card.get_by_label("Path").fill("/3/0/9")
    await card.get_by_role("button", name="Send").click()
    await expect(card).to_contain_text("Read /3/0/9")
    row = await until(lambda: sent(kit))
    await kit.network.uplink("d1", frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff87"))
    await expect(card).to_contain_text("responded")
    await expect(card).to_contain_text("Battery Level")
    await expect(card.get_by_text("87", exact=True)).to_be_visible()
    await expect(visitor.page.locator(".timeline summary", has_text="from the API")).to_be_visible()
    await card.get_by_label("Operation").select_option("write")
    assert await visitor.violations() == []
    await card.get_by_label("Path").fill("/3/0/14")
    await card.get_by_label("Value").fill("+02:00")
    await card.get_by_role("button", name="Send").click()
    await expect(card).to_contain_text("Write /3/0/14")


@pytest.mark.parametrize(
    ("path", "typed", "written"),
    [
        ("/1/0/1", "9007199254740993", b"9007199254740993"),  # an integer
        ("/1/0/1", "0x10", None),
        ("/3/0/14", "1234", b"1234"),  # a string
        ("/5/0/0", "1234", b"\xd7\x6d\xf8"),  # opaque, in base64
        ("/32769/0/1", "0012", b"0012"),  # a resource that the bridge does not know
        ("/32769/0/1", "9007199254740993", b"9007199254740993"),
        ("/32769/0/1", "true", b"true"),
    ],
)
async def test_what_is_typed_is_what_is_written(visitor: Visitor, path: str, typed: str, written: bytes | None) -> None:
    kit = visitor.api.kit
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.SENT)
    await visitor.sign_in("operate", "#/device/e1")
    card = visitor.page.get_by_role("region", name="Ask the device")
    await card.get_by_label("Operation").select_option("write")
    await card.get_by_label("Path").fill(path)
    await card.get_by_label("Value").fill(typed)
    await card.get_by_role("button", name="Send").click()
    if written is None:
        await expect(card).to_contain_text("is of type integer")
        visitor.console.clear()  # the browser notes that the answer was 400
        return
    await until(lambda: sent(kit))
    payload = decode(kit.network.attempts[0].payload).payload
    assert payload.endswith(written)
    assert payload == written or path == "/5/0/0"


async def test_a_large_integer_is_shown_to_the_last_digit_and_the_bridge_is_asked_with_pauses(visitor: Visitor) -> None:
    kit = visitor.api.kit
    kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.SENT)
    await visitor.sign_in("operate", "#/device/e1")
    asked: list[str] = []

    async def at_once(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_(url=route.request.url.replace("wait=25", "wait=0"))

    await visitor.page.route("**/outcome?*", at_once)
    card = visitor.page.get_by_role("region", name="Ask the device")
    await card.get_by_label("Path").fill("/32769/0/1")
    await card.get_by_role("button", name="Send").click()
    row = await until(lambda: sent(kit))
    await until(lambda: len(asked) >= 3)
    begin = await visitor.page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => one.name.includes('/outcome'))"
        ".map((one) => one.startTime)"
    )
    assert all(later - earlier > 900 for earlier, later in pairwise(begin)), "asked without a pause"
    payload = b'[{"n":"/32769/0/1","v":9007199254740993}]'
    frame_ = frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xc1\x6e\xff" + payload)
    await kit.network.uplink("d1", frame_)
    await expect(card.get_by_text("9007199254740993", exact=True)).to_be_visible()
