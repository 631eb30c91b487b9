"""What operators watch, in Prometheus' format. Each application has a registry of its own."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.api import Stats

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """`stats` is asked at each scrape; None while no engine runs."""

    def __init__(self, stats: Callable[[], Stats | None]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_EngineCollector(stats))
        self._requests = Counter("stoa_requests", "Requests answered", ("route", "status"), registry=self.registry)
        self._dropped = Counter("stoa_aborts", "Requests whose client went away before the answer was complete", registry=self.registry)
        self._first = Histogram("stoa_time_to_first_token_seconds", "Request to first token", buckets=LONG, registry=self.registry)
        self._between = Histogram("stoa_inter_token_seconds", "From one token to the next", buckets=SHORT, registry=self.registry)
        self._whole = Histogram("stoa_request_seconds", "Request to end of answer", ("route",), buckets=LONG, registry=self.registry)
        self.first_token, self.between_tokens, self.dropped = self._first.observe, self._between.observe, self._dropped.inc

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._whole.labels(route).observe(seconds)

    def page(self) -> bytes:
        return generate_latest(self.registry)


class _EngineCollector(Collector):
    def __init__(self, stats: Callable[[], Stats | None]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        stats = self._stats() or Stats()
        yield GaugeMetricFamily("stoa_requests_waiting", "Sequences in the queue", value=stats.waiting)
        yield GaugeMetricFamily("stoa_requests_running", "Sequences being computed", value=stats.running)
        pages = GaugeMetricFamily("stoa_pages", "Pages of the KV cache", labels=("state",))
        for state, count in (("free", stats.pages_free), ("used", stats.pages_used), ("cached", stats.pages_cached)):
            pages.add_metric((state,), count)
        yield pages
        yield CounterMetricFamily("stoa_prompt_tokens", "Prompt tokens, cached ones too", value=stats.prompt_tokens)
        yield CounterMetricFamily("stoa_cached_tokens", "Prompt tokens that came from the prefix cache", value=stats.cached_tokens)
        yield CounterMetricFamily("stoa_generated_tokens", "Generated tokens", value=stats.generated_tokens)
        yield CounterMetricFamily("stoa_preemptions", "Sequences put back into the queue for want of pages", value=stats.preemptions)
        yield CounterMetricFamily("stoa_sequences_closed", "Sequences closed early, also by stop strings", value=stats.aborts)
