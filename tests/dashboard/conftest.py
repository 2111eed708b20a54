"""A running service with its dashboard, and a real Chromium that looks at it.

Chromium takes seconds to start, so one is shared by all tests, each of which has a context of its own in it: cookies,
storage and pages. A browser belongs to its event loop, so the tests here share one loop, too.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from bridge.config import reading
from tests.api.kit import Api, serving, with_events
from tests.conftest import need_program
from tests.dashboard.visitor import Visitor
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding

PATIENCE = 15_000  # milliseconds; what is no event is asked for every 5 s

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
async def browser() -> AsyncIterator[Browser]:
    need_program("chromium")
    async with async_playwright() as playwright:
        # Without its sandbox, since tests may run as root; without /dev/shm, which is small in containers.
        launched = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(api: Api, browser: Browser) -> AsyncIterator[Visitor]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    made = Visitor(api, await _page(context))
    made.page.on("console", lambda message: _note(made, message))
    made.page.on("pageerror", lambda error: made.console.append(f"error: {error}"))
    yield made
    shots = os.environ.get("DASHBOARD_SHOTS")
    if shots:
        await made.page.screenshot(path=f"{shots}/last.png")
    await context.close()
    assert made.console == [], "the browser complained"


async def _page(context: BrowserContext) -> Page:
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    return page


def _note(visitor: Visitor, message: ConsoleMessage) -> None:
    if message.type in {"error", "warning"}:
        visitor.console.append(f"{message.type}: {message.text}")
