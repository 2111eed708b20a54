"""A real Prometheus scrapes a running bridge: alert rules load, and every expression of the dashboard has data."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from mock_network.lab import free_port
from tests.conftest import need_program
from tests.deploy.manifests import ALERTS, CHART
from tests.e2e.kit import set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASHBOARD = json.loads((CHART / "files" / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
RULES = [rule for group in yaml.load(ALERTS.read_text(), yaml.CSafeLoader)["groups"] for rule in group["rules"]]
SCRAPED_EVERY = 1  # seconds


class Prometheus:
    """A Prometheus server and its HTTP API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def get(self, path: str, **query: str) -> Any:
        async with self._session.get(f"{self._url}/api/v1/{path}", params=query) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        return body["data"]

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression of PromQL now; one entry for each series."""
        found: list[dict[str, Any]] = (await self.get("query", query=expression))["result"]
        return found

    async def is_ready(self) -> bool:
        try:
            return bool(await self.ask("up == 1"))
        except (aiohttp.ClientError, AssertionError):
            return False


def write_configuration(directory: Path, metrics: int) -> Path:
    (directory / "alerts.yaml").write_text(ALERTS.read_text())
    file = directory / "prometheus.yml"
    scraped = {"job_name": "lwm2m-bridge", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}
    every = {"scrape_interval": f"{SCRAPED_EVERY}s", "evaluation_interval": f"{SCRAPED_EVERY}s"}
    file.write_text(yaml.safe_dump({"global": every, "scrape_configs": [scraped], "rule_files": ["alerts.yaml"]}))
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="prometheus")
async def prometheus_fixture(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """Yield a Prometheus that has scraped a bridge before and after a read of a device."""
    need_program("prometheus")
    directory = tmp_path_factory.mktemp("prometheus")
    metrics, port = free_port(), free_port()
    service = f'metrics_listen = "127.0.0.1:{metrics}"'
    async with set_up(tmp_path_factory.mktemp("world"), service=service) as world, aiohttp.ClientSession() as session:
        command = [
            "prometheus",
            f"--config.file={write_configuration(directory, metrics)}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  (it returns at once)
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}", session)
            await until(prometheus.is_ready, why="Prometheus does not scrape the bridge")
            await world.add_device("meter", endpoint={}, device={})
            await world.ask("meter", "read", "/3/0/0")
            read = 'lwm2m_bridge_outcomes_total{direction="down", state="RESPONDED"} > 0'
            await until(lambda: prometheus.ask(read), why="the read is not counted")
            await asyncio.sleep(3 * SCRAPED_EVERY)  # rates need two scrapes after the last change
            yield prometheus
        finally:
            process.terminate()
            process.wait(30)


async def test_the_rule_file_is_loaded_and_every_rule_can_be_evaluated(prometheus: Prometheus):
    async def evaluated() -> dict[str, Any] | None:
        groups = (await prometheus.get("rules"))["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
        return rules if all(rule["health"] != "unknown" for rule in rules.values()) else None

    rules = await until(evaluated, why="rules were not evaluated")
    assert rules.keys() == {rule["alert"] for rule in RULES}
    assert {name: rule.get("lastError", "") for name, rule in rules.items() if rule["health"] != "ok"} == {}


async def test_a_healthy_bridge_fires_no_alert(prometheus: Prometheus):
    assert await prometheus.ask('ALERTS{alertstate="firing"}') == []


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
async def test_every_expression_of_the_dashboard_has_data(prometheus: Prometheus, title: str, expression: str):
    written = expression.replace("$instance", ".*").replace("$__rate_interval", "1m")
    assert await prometheus.ask(written), f"{title}: no series"


async def test_every_panel_says_what_it_shows():
    assert all(panel["description"].endswith(".") for panel in PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS) > 15
