"""Metrics and probes, as Prometheus and an orchestrator ask for them over HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bindings.lorawan.counters import COUNTERS as LORAWAN
from bindings.nidd.counters import COUNTERS as NIDD
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.metrics import UNDESCRIBED
from bridge.north.contract import Counters
from bridge.service.counters import COUNTERS
from bridge.service.gauges import _NORTH
from bridge.service.metrics_server import MetricsServer
from bridge.service.service import Service
from mock_network.lab import free_port
from tests.service.kit import Kit
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def asking(service: Service) -> AsyncIterator[Any]:
    address = "127.0.0.1", free_port()
    server = MetricsServer(service, address)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{address[1]}") as session:
            yield session
    finally:
        await server.stop()


async def families(session: aiohttp.ClientSession) -> dict[str, Metric]:
    async with session.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return {family.name: family for family in text_string_to_metric_families(await answer.text())}


def value(family: Metric, **labels: str) -> float:
    (found,) = [one.value for one in family.samples if one.labels == labels]
    return found


async def test_every_metric_has_a_help_text_and_a_name_with_its_unit(kit: Kit) -> None:
    async with kit.running() as service, asking(service) as session:
        found = await families(session)
    ours = {name: family for name, family in found.items() if name.startswith("lwm2m_bridge_")}
    assert len(ours) > 30
    for name, family in ours.items():
        assert family.documentation != UNDESCRIBED, name
        assert family.documentation[0].isupper(), name
        assert family.documentation.endswith("."), name
    for mixed in ("lwm2m_bridge_north", "lwm2m_bridge_store"):
        assert mixed not in ours, "several units under one name"


async def test_series_that_alerts_look_at_exist_before_their_first_event(kit: Kit) -> None:
    async with kit.running() as service, asking(service) as session:
        found = await families(session)
    assert value(found["lwm2m_bridge_outcomes"], direction="down", state="UNKNOWN") == 0
    assert value(found["lwm2m_bridge_provision_failures"], network="net") == 0
    assert value(found["lwm2m_bridge_failed_commits"]) == 0
    assert value(found["lwm2m_bridge_downlinks_waiting"], state="QUEUED") == 0
    build = found["lwm2m_bridge_build_info"].samples[0]
    assert (build.value, sorted(build.labels)) == (1, ["python", "version"])


async def test_endpoints_waiting_messages_and_durations_are_measured(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.service.gauges.FRESH", 0.0)
    async with kit.running() as service, asking(service) as session:
        kit.ask(1)
        await until(lambda: kit.network.attempts)

        async def submitted() -> dict[str, Metric] | None:
            found = await families(session)
            waits = found["lwm2m_bridge_downlinks_waiting"]
            return found if value(waits, state="BUFFERED") == 1 else None

        found = await until(submitted)
        pending = value(found["lwm2m_bridge_endpoints"], network="net", enabled="true", provisioning="pending")
        wanted = value(found["lwm2m_bridge_endpoints"], network="net", enabled="true", provisioning="wanted")
        assert pending + wanted == 1
        calls = found["lwm2m_bridge_submit_duration_seconds"]
        assert [one.value for one in calls.samples if one.name.endswith("_count")] == [1]
        (row,) = await kit.rows()
        await kit.network.uplink("d1", frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff\x05"))

        async def settled() -> bool:
            durations = (await families(session)).get("lwm2m_bridge_message_duration_seconds")
            return durations is not None and any(
                one.labels == {"direction": "down", "le": "+Inf"} and one.value == 1 for one in durations.samples
            )

        await until(settled)


async def test_probes_tell_the_truth_while_it_starts_runs_and_cannot_commit(kit: Kit) -> None:
    service = Service(kit.config)
    await service.open()
    try:
        async with asking(service) as session:
            async with session.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"phase": "starting"})
            async with session.get("/readyz") as answer:
                body = await answer.json()
                assert (answer.status, body["ready"], body["reason"]) == (503, False, "starting")
            await service.start()
            async with session.get("/readyz") as answer:
                assert (answer.status, (await answer.json())["ready"]) == (200, True)
            store: Any = service.store
            store._writer.is_failing = True
            async with session.get("/readyz") as answer:
                body = await answer.json()
                assert answer.status == 503
                assert body["reason"] == "the latest commit failed: nothing is accepted"
    finally:
        await service.stop()


def test_every_number_of_the_transport_toward_servers_is_exposed() -> None:
    assert {key for key, _ in _NORTH.values()} == {field.name for field in fields(Counters)}


COUNTED = re.compile(r"""\b[cC]ount\(\s*"([a-z0-9_]+)\"""")


@pytest.mark.parametrize(
    ("room", "described"),
    [("bridge", COUNTERS), ("bindings/nidd", NIDD), ("bindings/lorawan", LORAWAN)],
)
def test_all_that_is_counted_has_a_help_text_of_its_own(room: str, described: dict[str, str]) -> None:
    names = {name for path in (ROOT / room).rglob("*.py") for name in COUNTED.findall(path.read_text())}
    assert len(names) > 10
    assert sorted(names - set(described)) == []
