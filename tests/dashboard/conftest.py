"""A running service with its dashboard, and a real Chromium that looks at it.

Chromium takes seconds to start, and a context of it, which is a window of its own, more than a second of the processor.
So all tests share one context. Each test has pages of its own in it, and a bridge at a port of its own, so that storage
and cache are its own, too; cookies, which are shared by ports, are removed. A browser belongs to its event loop, so the
tests here share one loop, too.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, ConsoleMessage, Page, ViewportSize, async_playwright, expect

from bridge.config import reading
from tests.api.kit import Api, serving, with_events
from tests.conftest import need_program
from tests.dashboard.visitor import Visitor
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding

PATIENCE = 15_000  # milliseconds; what is no event is asked for every 5 s
VIEWPORT: ViewportSize = {"width": 1280, "height": 800}

expect.set_options(timeout=PATIENCE)


@pytest_asyncio.fixture(loop_scope="session")
async def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kit]:
    monkeypatch.setattr(reading, "binding_class", lambda _name: ScriptedBinding)
    made = with_events(Kit(tmp_path))
    yield made
    made.server.close()


@pytest_asyncio.fixture(loop_scope="session")
async def api(kit: Kit) -> AsyncIterator[Api]:
    async with kit.running() as service, serving(service) as made:
        made.kit = kit
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def window() -> AsyncIterator[BrowserContext]:
    """Yield a window of Chromium with one page, which nobody uses: the window would end with its last page."""
    need_program("chromium")
    async with async_playwright() as playwright:
        # Without its sandbox, since tests may run as root; without /dev/shm, which is small in containers; without the
        # emulation of a graphics card, which is slow.
        launched = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        context = await launched.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        await context.new_page()
        yield context
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(window: BrowserContext) -> AsyncIterator[Page]:
    """Yield a new page; with the test end all pages that were opened since, and all cookies."""
    before = set(window.pages)
    made = await window.new_page()
    made.set_default_timeout(PATIENCE)
    yield made
    for opened in set(window.pages) - before:
        await opened.close()
    await window.clear_cookies()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(api: Api, page: Page) -> AsyncIterator[Visitor]:
    made = Visitor(api, page)
    page.on("console", lambda message: _note(made, message))
    page.on("pageerror", lambda error: made.console.append(f"error: {error}"))
    yield made
    shots = os.environ.get("DASHBOARD_SHOTS")
    if shots:
        await page.screenshot(path=f"{shots}/last.png")
    await page.close()
    assert made.console == [], "the browser complained"


def _note(visitor: Visitor, message: ConsoleMessage) -> None:
    if message.type in {"error", "warning"}:
        visitor.console.append(f"{message.type}: {message.text} at {message.location['url']}")
