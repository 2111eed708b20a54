"""Somebody with a browser who looks at the dashboard."""

from dataclasses import dataclass, field

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.api.kit import Api

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
ROWS = 20  # of each table that are held against the rules; the rows after them are made by the same code


@dataclass
class Visitor:
    """Somebody with a browser."""

    api: Api
    page: Page
    console: list[str] = field(default_factory=list)  # errors and warnings of the browser

    async def open(self, path: str = "") -> None:
        await self.page.goto(f"{self.api.url}/dashboard/{path}")

    async def sign_in(self, role: str = "admin", path: str = "") -> None:
        """Sign in by the form, and be at a page."""
        await self.open(path)
        await self.page.get_by_label("Key").fill(await self.api.key(role))
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_role("button", name="Sign out").wait_for()

    async def go(self, path: str) -> None:
        await self.page.evaluate("path => { location.hash = path; }", path)

    async def violations(self) -> list[str]:
        """Return what axe finds wrong with the page, in a line each; of a long table it reads the first rows."""
        found = await Axe().run(
            self.page,
            context={"exclude": [[f"tbody tr:nth-child(n + {ROWS + 1})"]]},
            options={"runOnly": list(RULES), "resultTypes": ["violations"]},
        )
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
            for one in found.response["violations"]
        ]

    async def width(self) -> tuple[int, int]:
        """Return how wide the content is, and how wide the window."""
        found: list[int] = await self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return found[0], found[1]
