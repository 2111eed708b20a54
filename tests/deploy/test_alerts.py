"""Every metric that an alert names is there from the first scrape on, so that its first event is an increase."""

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mock_network.lab import free_port
from tests.deploy.manifests import ALERTS
from tests.docs.markdown import ROOT

OF_NODES = "lwm2m_bridge_cluster_"
NODE_METRICS = "".join(path.read_text() for path in (ROOT / "bridge" / "service").glob("*.py"))
METRIC = re.compile(r"lwm2m_bridge_\w+")
RULES = [rule for group in yaml.load(ALERTS.read_text(), yaml.CSafeLoader)["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module", name="scrape")
def scrape_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the metrics of a bridge that has just become ready."""
    folder = tmp_path_factory.mktemp("bridge")
    metrics = free_port()
    (folder / "bridge.toml").write_text(
        f"""
        [service]
        state_directory = "state"
        metrics_listen = "127.0.0.1:{metrics}"
        [north]
        port = {free_port()}
        [servers.main]
        uri = "coap://127.0.0.1:{free_port()}"
        [networks.operator]
        binding = "nidd"
        api_root = "http://127.0.0.1:1"
        scs_as_id = "as1"
        callbacks = {{ port = {free_port()} }}
        """
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "bridge.cli", "run"], cwd=folder, stdout=log, stderr=log)
    try:
        fetch(f"http://127.0.0.1:{metrics}/readyz", process, folder / "log")
        yield fetch(f"http://127.0.0.1:{metrics}/metrics", process, folder / "log")
    finally:
        process.terminate()
        process.wait(30)


def fetch(url: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the body of the first answer that is no error."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def test_every_metric_of_an_alert_exists_with_the_labels_that_it_selects(scrape: str):
    samples = [sample for family in text_string_to_metric_families(scrape) for sample in family.samples]
    exposed = set(re.findall(r"^# TYPE (\S+)", scrape, re.MULTILINE))
    for rule in RULES:
        for name in METRIC.findall(rule["expr"]):
            if name.startswith(OF_NODES):  # which this bridge is not
                assert f'"{name.removeprefix("lwm2m_bridge_")}"' in NODE_METRICS, f"{rule['alert']}: no metric {name}"
                continue
            assert name in exposed, f"{rule['alert']}: there is no metric {name}"
            for selected in re.findall(name + r"\{([^}]*)\}", rule["expr"]):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', selected))
                found = [one for one in samples if one.name == name and labels.items() <= one.labels.items()]
                assert found, f"{rule['alert']}: no series of {name} has {labels}"


def test_every_alert_says_what_is_wrong_and_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
