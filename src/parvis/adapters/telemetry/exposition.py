"""The operator's metrics, in Prometheus' text form. Names and labels are declared here, once."""

from collections.abc import Iterable

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


class Exposition:
    """All metrics of this installation."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package types the rest
        self._registry = CollectorRegistry()
        self._gauges_of: dict[str, dict[str, int]] = {}
        self._counters = {
            "parvis_requests_total": Counter(
                "parvis_requests",
                "Requests that reached an engine.",
                ("operation", "outcome"),
                registry=self._registry,
            ),
            "parvis_tokens_total": Counter(
                "parvis_tokens",
                "Tokens counted, in disjoint classes.",
                ("operation", "class"),
                registry=self._registry,
            ),
            "parvis_refusals_total": Counter(
                "parvis_refusals", "Requests refused before an engine.", ("code",), registry=self._registry
            ),
        }
        self._histograms = {
            name: Histogram(name, text, ("operation",), buckets=_BUCKETS_S, registry=self._registry)
            for name, text in (
                ("parvis_first_byte_seconds", "Time to the first byte of an answer."),
                ("parvis_request_seconds", "Time to the end of an answer."),
            )
        }
        self._gauges = {
            "parvis_in_flight": Gauge("parvis_in_flight", "Requests on engines now.", registry=self._registry),
            "parvis_connections": Gauge("parvis_connections", "Client connections now.", registry=self._registry),
            "parvis_rates_divided": Gauge(
                "parvis_rates_divided",
                "Gateways that go on with their part of the limits: whoever keeps rates does not answer.",
                registry=self._registry,
            ),
            "parvis_replicas_ready": Gauge(
                "parvis_replicas_ready", "Engine replicas that serve.", registry=self._registry
            ),
            "parvis_books_differences": Gauge(
                "parvis_books_differences",
                "Sentences of the last self-check of the books: zero when they add up.",
                registry=self._registry,
            ),
            "parvis_open_runs": Gauge(
                "parvis_open_runs", "Gateway journals not fully booked.", registry=self._registry
            ),
        }

    def add(self, gateway: str, counters: Iterable[Sample], gauges: Iterable[Sample]) -> None:
        """Take in what a gateway counted. Names that are not declared are a bug there and are left out."""
        for name, labels, amount in counters:
            if name in self._counters:
                self._counters[name].labels(*labels).inc(amount)
        self._gauges_of[gateway] = {name: value for name, _, value in gauges}
        self._sum_gauges()

    def gone(self, gateway: str) -> None:
        """This gateway has left: nothing runs on it any more."""
        self._gauges_of.pop(gateway, None)
        self._sum_gauges()

    def _sum_gauges(self) -> None:
        for name in GATEWAY_GAUGES:
            self.set(name, sum(gauges.get(name, 0) for gauges in self._gauges_of.values()))

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
