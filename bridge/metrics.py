"""What the bridge counts, for Prometheus. Names are made when they are first used, under the prefix `lwm2m_bridge_`.

`count` is for the data path: a dictionary look-up. Numbers that somebody else keeps are read when they are asked for
(`watch`).
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_log = logging.getLogger("bridge.metrics")

PREFIX = "lwm2m_bridge_"
CONTENT_TYPE = CONTENT_TYPE_LATEST

SERIES = 1000
"""Sets of labels under one name, and names, at most: no table grows with a peer's traffic alone (R30)."""

_Labels = tuple[tuple[str, str], ...]
_OVERFLOW: _Labels = (("overflow", "true"),)
_OVERFLOW_NAME = "metrics_overflow"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")

Reading = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Watch:
    read: Callable[[], Reading]
    label: str
    counter: bool


class Metrics:
    """All counters and gauges of one process. May be used from any thread."""

    def __init__(self, *, process: bool = True) -> None:
        """`process`: add memory, processor time and descriptors of this process."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._lock = threading.Lock()
        self._counters: dict[str, dict[_Labels, float]] = {}
        self._gauges: dict[str, dict[_Labels, float]] = {}
        self._watches: dict[str, _Watch] = {}
        self._texts: dict[str, str] = {}
        self.registry.register(_Source(self._collect))
        if process:
            ProcessCollector(registry=self.registry)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter. Never raises; `name` is snake_case and short, labels have few values."""
        key = tuple(labels.items())
        with self._lock:
            try:
                self._counters[name][key] += amount
            except KeyError:
                series, key = _place(self._counters, name, key)
                series[key] = series.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Never raises."""
        with self._lock:
            series, key = _place(self._gauges, name, tuple(labels.items()))
            series[key] = value

    def watch(self, name: str, read: Callable[[], Reading], *, label: str = "kind", counter: bool = False) -> None:
        """Read a number, or several by the value of `label`, whenever metrics are asked for."""
        with self._lock:
            self._watches[name] = _Watch(read, label, counter)

    def describe(self, name: str, text: str) -> None:
        """Set the help text of a name."""
        self._texts[name] = text

    def value(self, name: str, **labels: str) -> float:
        """Return a counter as it is now, over all series that have these labels; 0 if there are none."""
        wanted = set(labels.items())
        with self._lock:
            return sum(value for key, value in self._counters.get(name, {}).items() if wanted <= set(key))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _collect(self) -> Iterator[Metric]:
        with self._lock:
            counters = {name: dict(series) for name, series in self._counters.items()}
            gauges = {name: dict(series) for name, series in self._gauges.items()}
            watches = dict(self._watches)
        for name, watch in watches.items():
            try:
                reading = watch.read()
            except Exception:  # noqa: BLE001  (a broken number must not hide the others)
                _log.exception("a metric cannot be read", extra={"metric": name, "sample": name})
                continue
            found = reading if isinstance(reading, Mapping) else {"": reading}
            into = counters if watch.counter else gauges
            series = into.setdefault(name, {})
            for value, number in found.items():
                series[((watch.label, value),) if value else ()] = number
        for name, series in counters.items():
            yield self._family(CounterMetricFamily, name, series, "_total")
        for name, series in gauges.items():
            yield self._family(GaugeMetricFamily, name, series, "")

    def _family(self, kind: type[Any], name: str, series: Mapping[_Labels, float], suffix: str) -> Metric:
        full = PREFIX + _NOT_IN_NAMES.sub("_", name)
        family: Metric = kind(full, self._texts.get(name, name.replace("_", " ")))
        for key, value in series.items():
            labels = {_NOT_IN_NAMES.sub("_", label): text for label, text in key}
            family.add_sample(full + suffix, labels, value)
        return family


def _place(table: dict[str, dict[_Labels, float]], name: str, key: _Labels) -> tuple[dict[_Labels, float], _Labels]:
    """Find or make where a value belongs; beyond the limits that is the place of all others."""
    if name not in table and len(table) >= SERIES:
        name, key = _OVERFLOW_NAME, ()
    series = table.setdefault(name, {})
    if key not in series:
        key = tuple(sorted(key))  # the same labels in another order are the same series
        if key not in series and len(series) >= SERIES:
            key = _OVERFLOW
    return series, key


class _Source(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()
