"""The dashboard over a whole set-up: an emulated SCEF, device and server, and the bridge as a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from mock_network.lab import Lab, free_port
from tests import forked

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "urn:dev:ops:32473-meter-1"


@pytest_asyncio.fixture(loop_scope="session")
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(tmp_path / "lab") as lab:
        await lab.start_clock()
        ue = {"name": "meter", "external_id": "meter@iot", "t3324": 2.0, "t3412": 86400.0}
        await asyncio.gather(lab.start_scef([ue]), lab.start_server())
        lab.write_configuration(
            [{"name": NAME, "network": "nidd", "address": "meter@iot"}],
            sections=f'[api]\nlisten = "127.0.0.1:{free_port()}"\n[events]\nkeep = 3600\n',
            server="patience = 86400.0",
            service='default_servers = ["lab"]',
        )
        await lab.start_bridge()
        await lab.start_device(NAME, lab.modem("meter"))
        yield lab


async def link(lab: Lab) -> str:
    """Return the link that `lwm2m-bridge dashboard` prints."""
    config = str(lab.directory / "bridge.toml")
    words = [sys.executable, "-m", "bridge.cli", "dashboard", "--role", "operate", "-c", config]
    done = await asyncio.to_thread(forked.run, words)
    assert done.returncode == 0, done
    return done.stdout.strip()


async def asks(lab: Lab, operation: str, path: str) -> Any:
    assert lab.server is not None
    return await lab.server.post(f"/clients/{NAME}/{operation}", {"path": path, "timeout": 60})


@pytest.mark.timeout(180)
async def test_a_request_to_a_sleeping_device_is_followed_to_its_answer(lab: Lab, page: Page) -> None:
    assert lab.server is not None
    assert lab.scef is not None
    await lab.server.get(f"/clients/{NAME}", wait=20)
    await page.goto(await link(lab))
    await page.get_by_role("link", name="Devices", exact=True).click()
    row = page.get_by_role("row", name=NAME)
    await expect(row).to_contain_text("ready")
    await expect(row).to_contain_text("registered")
    await page.get_by_role("link", name=NAME).click()
    timeline = page.get_by_role("region", name="Timeline")
    await expect(timeline.get_by_text("registered with lab")).to_be_visible()
    await expect(timeline.get_by_text("provisioning: ready")).to_be_visible()

    await lab.scef.post("/ues/meter/sleep")
    asked = asyncio.create_task(asks(lab, "read", "/3/0/0"))
    waiting = page.get_by_role("region", name="Waiting messages")
    await expect(waiting.get_by_text("The network holds it until the device can be reached")).to_be_visible()
    await expect(waiting.get_by_role("row", name="Read /3/0/0")).to_contain_text("buffered")

    await lab.scef.post("/ues/meter/wake")
    assert (await asyncio.wait_for(asked, 30))["code"] == "2.05"
    await expect(waiting.get_by_text("Nothing waits for this device.")).to_be_visible()
    read = timeline.locator("summary", has_text="Read /3/0/0")
    await expect(read).to_contain_text("responded")
    await read.click()
    await expect(timeline.get_by_text("Accepted from lab")).to_be_visible()
    await expect(timeline.get_by_text("The device responds: 2.05")).to_be_visible()

    await page.get_by_role("link", name="Networks and servers", exact=True).click()
    network = page.get_by_role("region", name="Network nidd")
    await expect(network.get_by_title("Its API answered the latest call")).to_be_visible()
    await network.get_by_role("button", name="Check now").click()
    await expect(network.locator(".findings .badge").first).to_be_visible()
