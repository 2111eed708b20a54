"""Metrics for Prometheus. A metric is created at its first use, under the prefix `lwm2m_bridge_`.

`count` is for the data path: one dictionary lookup. Numbers that other parts keep are read when metrics are scraped
(`watch`).
"""

import logging
import math
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_log = logging.getLogger("bridge.metrics")

PREFIX = "lwm2m_bridge_"
CONTENT_TYPE = CONTENT_TYPE_LATEST

SERIES = 1000
"""The most sets of labels under one name, and names: no table grows with a peer's traffic alone (R30)."""

Labels = tuple[tuple[str, str], ...]
_OVERFLOW: Labels = (("overflow", "true"),)
_OVERFLOW_NAME = "metrics_overflow"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")

UNDESCRIBED = "See the table of counters in docs/metrics.md."

Reading = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Watch:
    read: Callable[[], Reading]
    label: str
    counter: bool


@dataclass(frozen=True, slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    series: dict[Labels, list[float]]  # numbers by bucket, the last one without a bound, and then the sum


class Metrics:
    """All counters and gauges of one process. May be used from any thread."""

    def __init__(self, *, process: bool = True) -> None:
        """`process`: add memory, processor time and descriptors of this process."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, float]] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}
        self._watches: dict[str, _Watch] = {}
        self._histograms: dict[str, _Histogram] = {}
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

    def replace(self, name: str, values: Mapping[Labels, float]) -> None:
        """Set all series of a gauge; series that are not among `values` disappear."""
        with self._lock:
            self._gauges[name] = {tuple(sorted(key)): value for key, value in values.items()}

    def histogram(self, name: str, text: str, bounds: Sequence[float]) -> None:
        """Declare a histogram: its help text, and the upper bounds of its buckets, rising, without +Inf."""
        self._texts[name] = text
        self._histograms[name] = _Histogram(tuple(bounds), {})

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a declared histogram; otherwise as `count`."""
        histogram = self._histograms[name]
        key = tuple(labels.items())
        with self._lock:
            series = histogram.series.get(key)
            if series is None:
                key = tuple(sorted(key))
                if key not in histogram.series and len(histogram.series) >= SERIES:
                    key = _OVERFLOW
                series = histogram.series.setdefault(key, [0.0] * (len(histogram.bounds) + 2))
            series[bisect_left(histogram.bounds, value)] += 1
            series[-1] += value

    def begin(self, name: str, **labels: str) -> None:
        """Create a counter's series with 0, so that its first event is an increase that an alert can see."""
        self.count(name, 0, **labels)

    def watch(self, name: str, read: Callable[[], Reading], *, label: str = "kind", counter: bool = False) -> None:
        """Read a number, or several by the value of `label`, whenever metrics are scraped."""
        with self._lock:
            self._watches[name] = _Watch(read, label, counter)

    def describe(self, name: str, text: str) -> None:
        """Set the help text of a name."""
        self._texts[name] = text

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's value, over all series that have these labels; 0 if there are none."""
        wanted = set(labels.items())
        with self._lock:
            return sum(value for key, value in self._counters.get(name, {}).items() if wanted <= set(key))

    def series(self, name: str) -> dict[Labels, float]:
        """Return each series of a counter as it is now."""
        with self._lock:
            return dict(self._counters.get(name, {}))

    def buckets(self, name: str) -> dict[Labels, dict[float, float]]:
        """Return each series of a declared histogram: the number of values in each bucket, by its upper bound."""
        histogram = self._histograms[name]
        bounds = (*histogram.bounds, math.inf)
        with self._lock:
            return {key: dict(zip(bounds, numbers[:-1], strict=True)) for key, numbers in histogram.series.items()}

    def text(self) -> bytes:
        """Return everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _collect(self) -> Iterator[Metric]:
        with self._lock:
            counters = {name: dict(series) for name, series in self._counters.items()}
            gauges = {name: dict(series) for name, series in self._gauges.items()}
            watches = dict(self._watches)
            histograms = {
                name: _Histogram(one.bounds, {key: list(series) for key, series in one.series.items()})
                for name, one in self._histograms.items()
            }
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
        for name, histogram in histograms.items():
            yield self._histogram_family(name, histogram)
        for name, series in counters.items():
            yield self._family(CounterMetricFamily, name, series, "_total")
        for name, series in gauges.items():
            yield self._family(GaugeMetricFamily, name, series, "")

    def _family(self, kind: type[Any], name: str, series: Mapping[Labels, float], suffix: str) -> Metric:
        full = PREFIX + _NOT_IN_NAMES.sub("_", name)
        family: Metric = kind(full, self._texts.get(name, UNDESCRIBED))
        for key, value in series.items():
            labels = {_NOT_IN_NAMES.sub("_", label): text for label, text in key}
            family.add_sample(full + suffix, labels, value)
        return family

    def _histogram_family(self, name: str, histogram: _Histogram) -> Metric:
        full = PREFIX + name
        family = HistogramMetricFamily(full, self._texts[name])
        for key, series in histogram.series.items():
            labels = dict(key)
            *numbers, total = series
            below = 0.0
            for bound, number in zip((*histogram.bounds, math.inf), numbers, strict=True):
                below += number
                family.add_sample(
                    f"{full}_bucket", {**labels, "le": "+Inf" if bound == math.inf else str(float(bound))}, below
                )
            family.add_sample(f"{full}_count", labels, below)
            family.add_sample(f"{full}_sum", labels, total)
        return family


def _place(table: dict[str, dict[Labels, float]], name: str, key: Labels) -> tuple[dict[Labels, float], Labels]:
    """Find or create the series of a value; beyond the limits it is the common series of all others."""
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
