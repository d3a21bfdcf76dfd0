"""The operator's metrics, in Prometheus' text form. Names and labels are declared here, once."""

from collections import Counter as Counts
from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from parvis.adapters.telemetry.tally import Sample
from parvis.domain.metering.records import UsageRecord

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MS_PER_S = 1000
GATEWAY_GAUGES = ("parvis_in_flight", "parvis_connections", "parvis_rates_divided")
"""Gauges that are sums over the gateways."""
WAITS, WAITING = "parvis_queue_wait_seconds", "parvis_queue_waiting"
"""Of queues, by pool: gateways tell each wait in milliseconds, and how many wait."""
_COUNTERS = (
    ("parvis_requests", "Requests that reached an engine.", ("operation", "outcome")),
    ("parvis_tokens", "Tokens counted, in disjoint classes.", ("operation", "class")),
    ("parvis_refusals", "Requests refused before an engine.", ("code",)),
    ("parvis_ejections", "Times that a gateway left a replica alone.", ("replica",)),
    ("parvis_retries", "Second attempts at another replica: made, or over budget.", ("verdict",)),
)
_OF_REPLICAS = (
    ("open", "The part of the gateways that sends requests to a replica, 0 to 1."),
    ("first_byte_ms", "Milliseconds to the first byte of a replica, lately and on average; 0 while nobody knows."),
)
_HISTOGRAMS = (
    ("parvis_first_byte_seconds", "Time to the first byte of an answer.", "operation"),
    ("parvis_request_seconds", "Time to the end of an answer.", "operation"),
    (WAITS, "How long requests waited for a replica, of those that had to.", "pool"),
)
_GAUGES = (
    ("parvis_in_flight", "Requests on engines now."),
    ("parvis_connections", "Client connections now."),
    (
        "parvis_rates_divided",
        "Gateways that go on with their part of the limits: whoever keeps rates does not answer.",
    ),
    ("parvis_replicas_ready", "Engine replicas that serve."),
    ("parvis_books_differences", "Sentences of the last self-check of the books: zero when they add up."),
    ("parvis_open_runs", "Gateway journals not fully booked."),
)


class Exposition:
    """All metrics of this installation."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package types the rest
        self._registry = CollectorRegistry()
        self._gauges_of: dict[str, dict[tuple[str, tuple[str, ...]], int]] = {}
        self._counters = {
            f"{name}_total": Counter(name, text, labels, registry=self._registry) for name, text, labels in _COUNTERS
        }
        self._seen = {
            name: Gauge(f"parvis_replica_{name}", text, ("replica",), registry=self._registry)
            for name, text in _OF_REPLICAS
        }
        self._histograms = {
            name: Histogram(name, text, (label,), buckets=_BUCKETS_S, registry=self._registry)
            for name, text, label in _HISTOGRAMS
        }
        self._waiting = Gauge(WAITING, "Requests that wait for a replica now.", ("pool",), registry=self._registry)
        self._gauges = {name: Gauge(name, text, registry=self._registry) for name, text in _GAUGES}

    def add(self, gateway: str, counters: Iterable[Sample], gauges: Iterable[Sample]) -> None:
        """Take in what a gateway counted. Names that are not declared are a bug there and are left out."""
        for name, labels, amount in counters:
            if name in self._counters:
                self._counters[name].labels(*labels).inc(amount)
            elif name == WAITS:
                self._histograms[WAITS].labels(*labels).observe(amount / _MS_PER_S)
        self._gauges_of[gateway] = {(name, labels): value for name, labels, value in gauges}
        self._sum_gauges()

    def gone(self, gateway: str) -> None:
        """This gateway has left: nothing runs on it any more."""
        self._gauges_of.pop(gateway, None)
        self._sum_gauges()

    def _sum_gauges(self) -> None:
        for name in GATEWAY_GAUGES:
            self.set(name, sum(gauges.get((name, ()), 0) for gauges in self._gauges_of.values()))
        waiting: Counts[str] = Counts()
        for gauges in self._gauges_of.values():
            waiting.update({labels[0]: value for (name, labels), value in gauges.items() if name == WAITING})
        self._waiting.clear()
        for pool, requests in waiting.items():
            self._waiting.labels(pool).set(requests)

    def seen(self, replicas: Mapping[str, Mapping[str, float]]) -> None:
        """How each replica does, by its id: `open` and `first_byte_ms`. Others are not there any more."""
        for name, gauge in self._seen.items():
            gauge.clear()
            for replica_id, values in replicas.items():
                gauge.labels(replica_id).set(values[name])

    def booked(self, records: Iterable[UsageRecord]) -> None:
        """Times are taken where they are booked, so that nothing is observed on the path of a request."""
        for record in records:
            operation, settled = record.started.operation, record.settled
            first_byte_s, total_s = settled.first_byte_ms / _MS_PER_S, settled.total_ms / _MS_PER_S
            self._histograms["parvis_first_byte_seconds"].labels(operation).observe(first_byte_s)
            self._histograms["parvis_request_seconds"].labels(operation).observe(total_s)

    def set(self, name: str, value: int) -> None:
        if name in self._gauges:
            self._gauges[name].set(value)

    def text(self) -> str:
        return generate_latest(self._registry).decode()
