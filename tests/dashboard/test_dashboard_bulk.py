"""Many devices at once: selected, tried without a change, confirmed, reported row by row; in a real Chromium."""

import os
import re

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from tests.dashboard.visitor import Visitor
from tests.service.kit import Kit

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def many(kit: Kit) -> None:
    kit.have_endpoints(120)


def button(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("button", name=name, exact=True)


async def looked_at(visitor: Visitor, name: str) -> None:
    """Hold what is shown against the rules of accessibility, wide and narrow; keep a picture where one is wanted."""
    shots = os.environ.get("DASHBOARD_SHOTS")
    for width in (360, 1280):
        await visitor.page.set_viewport_size({"width": width, "height": 800})
        if shots:
            await visitor.page.screenshot(path=f"{shots}/{name}-{width}.png")
        assert await visitor.violations() == [], (name, width)
        content, window = await visitor.width()
        assert content <= window, (name, width)


async def number(visitor: Visitor, **filters: str) -> int:
    found: int = (await visitor.api.ask("GET", "/v1/endpoint-count", **filters)).body["endpoints"]
    return found


@pytest.mark.timeout(240)
async def test_all_that_match_are_tried_then_confirmed_then_reported_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in("operate", "#/devices?text=e11")
    await expect(page.get_by_text("11 of 120 devices")).to_be_visible()
    await page.get_by_label("Select e110").press("Space")
    await expect(page.get_by_text("1 device selected")).to_be_visible()
    await expect(button(visitor, "Remove")).to_have_count(0)
    await button(visitor, "Select all 11 that match").press("Enter")
    await expect(page.get_by_text("All 11 that match are selected")).to_be_visible()
    await expect(page.get_by_label("Select e119")).to_be_checked()
    await looked_at(visitor, "bulk-selected")
    await button(visitor, "Disable").press("Enter")
    dialog = page.get_by_role("dialog", name="Disable: 11 devices?")
    await expect(dialog.get_by_role("row", name="would be done")).to_have_count(11)
    assert await number(visitor, enabled="false") == 0
    await looked_at(visitor, "bulk-tried")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert await number(visitor, enabled="false") == 0
    await button(visitor, "Disable").press("Enter")
    await button(visitor, "Disable (11)").press("Enter")
    report = page.get_by_role("dialog", name="Disable: 11 done")
    await expect(report.get_by_role("row", name="e11")).to_have_count(11)
    await looked_at(visitor, "bulk-reported")
    async with page.expect_download() as saving:
        await report.get_by_role("link", name="Save the report (CSV)").press("Enter")
    lines = (await (await saving.value).path()).read_text().splitlines()
    assert lines[0] == "name,outcome,detail"
    assert min(lines[1:]) == '"e11","done",""'
    assert len(lines) == 12
    await button(visitor, "Close").press("Enter")
    await expect(page.get_by_text("selected")).to_have_count(0)
    assert (await number(visitor, enabled="false"), await number(visitor, enabled="true")) == (11, 109)


async def test_what_was_shown_is_what_is_done_and_a_row_that_fails_says_why(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in("admin", "#/devices?text=e11")
    await page.get_by_label("Select all on this page").check()
    await expect(page.get_by_text("11 devices selected")).to_be_visible()
    await button(visitor, "Remove").click()
    dialog = page.get_by_role("dialog", name="Remove: 11 devices?")
    confirm = button(visitor, "Remove (11)")
    await expect(confirm).to_be_disabled()
    await visitor.api.ask("DELETE", "/v1/endpoints/e115")  # somebody else is quicker
    await dialog.get_by_role("textbox").fill("11")
    await confirm.click()
    report = page.get_by_role("dialog", name="Remove: 10 done, 1 failed")
    await expect(report.get_by_role("row").nth(1)).to_contain_text("No endpoint 'e115'")
    await button(visitor, "Close").click()
    await expect(page.get_by_text("No device is like that.")).to_be_visible()
    assert await number(visitor) == 109


async def test_a_selection_ends_with_its_filter_and_outlives_a_page(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in("operate", "#/devices")
    await page.get_by_label("Select all on this page").check()
    await expect(page.get_by_text("50 devices selected")).to_be_visible()
    await page.get_by_role("link", name="Next page").click()
    await expect(page.get_by_label("Select all on this page")).not_to_be_checked()
    await page.get_by_label("Select all on this page").check()
    await expect(page.get_by_text("100 devices selected")).to_be_visible()
    await page.get_by_label("Enabled").select_option("yes")
    await expect(page.get_by_text("selected")).to_have_count(0)


async def test_what_is_not_known_to_be_done_is_named_where_the_bridge_is_away(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in("operate", "#/devices")
    await page.get_by_label("Select all on this page").check()
    await button(visitor, "Select all 120 that match").click()
    await button(visitor, "Disable").click()
    confirm = button(visitor, "Disable (120)")
    await expect(confirm).to_be_enabled()
    await page.route(re.compile("/v1/endpoint"), lambda route: route.abort())
    await confirm.click()
    report = page.get_by_role("dialog", name="Disable: 0 done, 120 not known to be done")
    await expect(report.get_by_role("row").nth(1)).to_contain_text("The bridge does not answer")
    visitor.console.clear()  # the browser notes that a request failed


async def test_who_may_only_read_selects_nothing(visitor: Visitor) -> None:
    await visitor.sign_in("read", "#/devices")
    await expect(visitor.page.locator("tbody tr")).to_have_count(50)
    await expect(visitor.page.get_by_role("checkbox")).to_have_count(0)
