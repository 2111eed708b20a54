"""The dashboard of a node of a cluster, in a real Chromium."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from bridge.operations.types.endpoints import ListEndpoints
from tests.api.kit import Api, serving
from tests.dashboard.visitor import Visitor

pytest.importorskip("psycopg")

from tests.cluster.two import RIGHT, TwoNodes, two_nodes

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TwoNodes]:
    async with two_nodes(tmp_path, monkeypatch) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def api(nodes: TwoNodes) -> AsyncIterator[Api]:
    async with serving(nodes.service) as made:
        made.kit = nodes.kit
        yield made


async def test_nodes_and_shards_are_seen_and_a_node_is_drained(visitor: Visitor, nodes: TwoNodes) -> None:
    page = visitor.page
    await visitor.sign_in("admin")
    await expect(page.get_by_role("link", name="Nodes 2 nodes up")).to_be_visible()
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Nodes").click()
    for name in ("a", "b"):
        card = page.get_by_role("region", name=f"Node {name}")
        await expect(card).to_contain_text("serves")
        await expect(card).to_contain_text(f"Shards{RIGHT.count(name)}")
    await expect(page.get_by_text("every shard is where it belongs")).to_be_visible()
    await page.get_by_text("Each shard", exact=True).click()
    await expect(page.get_by_role("row", name=re.compile(f"^7 {RIGHT[7]} "))).to_be_visible()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for width in (1280, 360):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await visitor.violations() == [], width
            content, window = await visitor.width()
            assert content <= window, width
            if folder := os.environ.get("DASHBOARD_SHOTS"):
                await page.screenshot(path=f"{folder}/nodes-{scheme}-{width}.png", full_page=True)
    other = page.get_by_role("region", name="Node b")
    await other.get_by_role("button", name="Drain").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drain it").click()
    await expect(other).to_contain_text("draining")
    await expect(page.get_by_text(f"{RIGHT.count('b')} shards to move")).to_be_visible()
    await other.get_by_role("button", name="Let it serve again").click()
    await expect(other).to_contain_text("serves")


async def test_a_device_that_another_node_serves_says_which(visitor: Visitor, nodes: TwoNodes) -> None:
    theirs = next(one for one in (await nodes.ask(ListEndpoints())).items if one.node == "b")
    await visitor.sign_in("read", f"#/device/{theirs.name}")
    facts = visitor.page.get_by_role("region", name="How it is")
    await expect(facts).to_contain_text(f"b (shard {theirs.shard})")
    await expect(visitor.page.get_by_text("Node b serves this device")).to_be_visible()
    assert await visitor.violations() == []
    visitor.console.clear()  # the browser notes that the explanation was answered 503
