"""The dashboard in a real Chromium, over a running service."""

from playwright.async_api import expect

from tests.dashboard.visitor import Visitor


async def test_whoever_signs_in_sees_the_fleet(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await visitor.violations() == []
    await visitor.sign_in("read")
    row = visitor.page.get_by_role("row", name="e1")
    await expect(row).to_contain_text("net")
    await expect(row).to_contain_text("d1")
    await expect(visitor.page.get_by_text("1 device")).to_be_visible()
    await expect(visitor.page.get_by_title("Pages change as events happen")).to_be_visible()
    assert await visitor.violations() == []
