import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import metrics as module
from bridge.metrics import Metrics


@pytest.fixture
def metrics():
    return Metrics(process=False)


def samples(metrics):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_a_name_is_made_when_it_is_first_counted(metrics):
    metrics.count("uplinks", network="n", state="FORWARDED")
    metrics.count("uplinks", state="FORWARDED", network="n")
    metrics.count("uplinks", 3)
    assert samples(metrics) == {
        ("lwm2m_bridge_uplinks_total", (("network", "n"), ("state", "FORWARDED"))): 2.0,
        ("lwm2m_bridge_uplinks_total", ()): 3.0,
    }
    assert metrics.value("uplinks") == 5
    assert metrics.value("uplinks", network="n") == 2
    assert metrics.value("nothing") == 0


def test_a_gauge_has_its_last_value(metrics):
    metrics.gauge("queued", 3, network="n")
    metrics.gauge("queued", 1, network="n")
    assert samples(metrics) == {("lwm2m_bridge_queued", (("network", "n"),)): 1.0}


def test_numbers_kept_elsewhere_are_read_when_asked_for(metrics, caplog):
    kept = {"received": 1, "sent": 2}
    metrics.watch("north", lambda: kept, counter=True)
    metrics.watch("endpoints", lambda: 7)
    metrics.watch("broken", lambda: 1 / 0)
    kept["sent"] = 5
    assert samples(metrics) == {
        ("lwm2m_bridge_north_total", (("kind", "received"),)): 1.0,
        ("lwm2m_bridge_north_total", (("kind", "sent"),)): 5.0,
        ("lwm2m_bridge_endpoints", ()): 7.0,
    }
    assert "cannot be read" in caplog.text


def test_any_name_and_label_can_be_exposed(metrics):
    metrics.count("a name-with.dots", **{"la bel": 'x"\n\\'})
    assert samples(metrics) == {("lwm2m_bridge_a_name_with_dots_total", (("la_bel", 'x"\n\\'),)): 1.0}


def test_neither_names_nor_series_grow_without_bound(metrics, monkeypatch):
    monkeypatch.setattr(module, "SERIES", 3)
    for i in range(10):
        metrics.count("seen", peer=str(i))
    found = samples(metrics)
    assert len(found) == 4
    assert found["lwm2m_bridge_seen_total", (("overflow", "true"),)] == 7.0
    for i in range(10):
        metrics.count(f"name{i}")
    assert len(metrics._counters) == 4
    assert metrics.value("metrics_overflow") == 8


def test_counting_from_several_threads_loses_nothing(metrics):
    threads = [threading.Thread(target=lambda: [metrics.count("n") for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.value("n") == 8000


def test_help_and_process_numbers_are_exposed():
    metrics = Metrics()
    metrics.count("n")
    metrics.describe("n", "things that happened")
    text = metrics.text().decode()
    assert "# HELP lwm2m_bridge_n_total things that happened" in text
    assert "process_resident_memory_bytes" in text


def test_a_histogram_counts_what_is_up_to_each_bound(metrics):
    metrics.histogram("wait_seconds", "Time that something waited.", (1.0, 10.0))
    for value in (0.5, 1.0, 3.0, 70.0):
        metrics.observe("wait_seconds", value, network="n")
    assert samples(metrics) == {
        ("lwm2m_bridge_wait_seconds_bucket", (("le", "1.0"), ("network", "n"))): 2.0,
        ("lwm2m_bridge_wait_seconds_bucket", (("le", "10.0"), ("network", "n"))): 3.0,
        ("lwm2m_bridge_wait_seconds_bucket", (("le", "+Inf"), ("network", "n"))): 4.0,
        ("lwm2m_bridge_wait_seconds_count", (("network", "n"),)): 4.0,
        ("lwm2m_bridge_wait_seconds_sum", (("network", "n"),)): 74.5,
    }


def test_a_histogram_has_no_more_series_than_its_limit(metrics, monkeypatch):
    monkeypatch.setattr(module, "SERIES", 2)
    metrics.histogram("wait_seconds", "Time that something waited.", (1.0,))
    for i in range(5):
        metrics.observe("wait_seconds", 0.5, peer=str(i))
    assert samples(metrics)["lwm2m_bridge_wait_seconds_count", (("overflow", "true"),)] == 3.0


def test_replaced_gauges_leave_no_series_behind(metrics):
    metrics.replace("endpoints", {(("network", "old"),): 2.0})
    metrics.replace("endpoints", {(("network", "new"),): 3.0})
    assert samples(metrics) == {("lwm2m_bridge_endpoints", (("network", "new"),)): 3.0}
