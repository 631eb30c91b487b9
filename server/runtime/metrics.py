"""What operators watch, in Prometheus' format. Each application has a registry of its own."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.api import ImageStats, Stats
from retrieval.api import DatabaseFault
from retrieval.records import State
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.tool_host import ToolHost
from server.runtime.knowledge_base import KnowledgeBase

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

ENGINE: tuple[tuple[type[GaugeMetricFamily | CounterMetricFamily], str, str, Callable[[Stats], int]], ...] = (
    (GaugeMetricFamily, "stoa_requests_waiting", "Sequences in the queue", lambda stats: stats.waiting),
    (GaugeMetricFamily, "stoa_requests_running", "Sequences being computed", lambda stats: stats.running),
    (CounterMetricFamily, "stoa_prompt_tokens", "Prompt tokens, cached ones too", lambda stats: stats.prompt_tokens),
    (CounterMetricFamily, "stoa_cached_tokens", "Prompt tokens that came from the prefix cache", lambda stats: stats.cached_tokens),
    (CounterMetricFamily, "stoa_generated_tokens", "Generated tokens", lambda stats: stats.generated_tokens),
    (CounterMetricFamily, "stoa_drafted_tokens", "Tokens guessed ahead (speculation)", lambda stats: stats.drafted_tokens),
    (CounterMetricFamily, "stoa_accepted_tokens", "Of those the right ones", lambda stats: stats.accepted_tokens),
    (CounterMetricFamily, "stoa_prompt_images_read", "Images in prompts that were read", lambda stats: stats.images_read),
    (CounterMetricFamily, "stoa_prompt_images_found", "Images in prompts whose rows were remembered", lambda stats: stats.images_found),
    (CounterMetricFamily, "stoa_preemptions", "Sequences put back into the queue for want of pages", lambda stats: stats.preemptions),
    (CounterMetricFamily, "stoa_sequences_closed", "Sequences closed early, also by stop strings", lambda stats: stats.aborts),
)

MEMORY: tuple[tuple[str, str, str, Callable[[Stats], Mapping[str, int]]], ...] = (
    (
        "stoa_pages",
        "state",
        "Pages of the KV cache",
        lambda stats: {"free": stats.pages_free, "used": stats.pages_used, "cached": stats.pages_cached},
    ),
    (
        "stoa_slots",
        "state",
        "Slots of the states that do not grow",
        lambda stats: {"free": stats.slots_free, "used": stats.slots_used, "cached": stats.slots_cached},
    ),
    (
        "stoa_cache_bytes",
        "of",
        "Memory set aside for pages and for slots",
        lambda stats: {"pages": stats.pages_bytes, "slots": stats.slots_bytes},
    ),
)


IMAGES: tuple[tuple[type[GaugeMetricFamily | CounterMetricFamily], str, str, Callable[[ImageStats], int]], ...] = (
    (GaugeMetricFamily, "stoa_images_waiting", "Pictures in the queue", lambda stats: stats.waiting),
    (GaugeMetricFamily, "stoa_images_running", "Pictures that each step takes further", lambda stats: stats.running),
    (CounterMetricFamily, "stoa_images", "Pictures made", lambda stats: stats.finished),
    (CounterMetricFamily, "stoa_image_steps", "Steps of pictures", lambda stats: stats.steps),
    (CounterMetricFamily, "stoa_image_aborts", "Pictures that nobody waited for any more", lambda stats: stats.aborts),
)


class Metrics:
    """`stats`, `knowledge`, `host`, `database`, `archive` and `images` are read at each scrape; None while there is none. `stats`: of
    each model's engine."""

    def __init__(
        self,
        stats: Callable[[], Mapping[str, Stats]],
        knowledge: Callable[[], KnowledgeBase | None],
        host: Callable[[], ToolHost | None],
        database: Callable[[], Store | None],
        archive: Callable[[], Archive | None],
        images: Callable[[], ImageStats | None],
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_EngineCollector(stats))
        self.registry.register(_KnowledgeCollector(knowledge))
        self.registry.register(_HostCollector(host))
        self.registry.register(_DatabaseCollector(database))
        self.registry.register(_BatchCollector(archive))
        self.registry.register(_ImageCollector(images))
        self._batch_lines = Counter("stoa_batch_lines", "Lines of batches that this process has done", ("outcome",), registry=self.registry)
        self._requests = Counter("stoa_requests", "Requests answered", ("route", "status"), registry=self.registry)
        self._disconnected = Counter(
            "stoa_aborts", "Requests whose client went away before the answer was complete", registry=self.registry
        )
        self._time_to_first_token = Histogram(
            "stoa_time_to_first_token_seconds", "Request to first token", buckets=LONG, registry=self.registry
        )
        self._inter_token = Histogram("stoa_inter_token_seconds", "From one token to the next", buckets=SHORT, registry=self.registry)
        self._request_seconds = Histogram(
            "stoa_request_seconds", "Request to end of answer", ("route",), buckets=LONG, registry=self.registry
        )
        self._search_seconds = Histogram("stoa_search_seconds", "Stages of a search", ("stage",), buckets=SHORT, registry=self.registry)
        self._turn_overhead = Histogram(
            "stoa_turn_overhead_seconds", "Turn without generation and tools", buckets=SHORT, registry=self.registry
        )
        self._audio_seconds = Counter("stoa_audio_seconds", "Seconds of recordings that were transcribed", registry=self.registry)
        self.turn, self.audio_heard = self._turn_overhead.observe, self._audio_seconds.inc
        self.first_token, self.between_tokens, self.client_disconnected = (
            self._time_to_first_token.observe,
            self._inter_token.observe,
            self._disconnected.inc,
        )

    def request_finished(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def batch_line(self, outcome: str) -> None:
        """`outcome`: "completed" or "failed"."""
        self._batch_lines.labels(outcome).inc()

    def search_stage(self, stage: str, seconds: float) -> None:
        self._search_seconds.labels(stage).observe(seconds)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class _EngineCollector(Collector):
    def __init__(self, stats: Callable[[], Mapping[str, Stats]]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Labelled by model where there are several."""
        found = self._stats() or {"": Stats()}
        labels = ("model",) if len(found) > 1 else ()
        for family, label, told, values in MEMORY:
            metric = GaugeMetricFamily(family, told, labels=(*labels, label))
            for model, stats in found.items():
                for name, count in values(stats).items():
                    metric.add_metric((*([model] if labels else []), name), count)
            yield metric
        for family, name, told, value in ENGINE:
            metric = family(name, told, labels=labels)
            for model, stats in found.items():
                metric.add_metric([model] if labels else [], value(stats))
            yield metric


class _KnowledgeCollector(Collector):
    def __init__(self, knowledge: Callable[[], KnowledgeBase | None]) -> None:
        self._knowledge = knowledge

    def collect(self) -> Iterable[Metric]:
        if (known := self._knowledge()) is None:
            return
        waiting = GaugeMetricFamily("stoa_files_waiting", "Files that are not yet in their vector stores", labels=("state",))
        for state, count in _backlog(known).items():
            waiting.add_metric((state,), count)
        yield waiting
        tally = known.ingestor.stats
        files = CounterMetricFamily("stoa_files_read", "Files that this process has read into vector stores", labels=("outcome",))
        files.add_metric(("ready",), tally.ready)
        files.add_metric(("failed",), tally.failed)
        yield files
        yield CounterMetricFamily("stoa_chunks_stored", "Chunks that this process has made of them", value=tally.chunks)
        yield GaugeMetricFamily("stoa_files_being_read", "Files that this process is reading", value=len(tally.active))


class _BatchCollector(Collector):
    def __init__(self, archive: Callable[[], Archive | None]) -> None:
        self._archive = archive

    def collect(self) -> Iterable[Metric]:
        if (archive := self._archive()) is None:
            return
        batches = GaugeMetricFamily("stoa_batches", "Batches that have not ended", labels=("status",))
        with suppress(DatabaseFault):  # the other measurements are wanted all the more
            for status, count in archive.batch_backlog().items():
                batches.add_metric((status,), count)
        yield batches


class _ImageCollector(Collector):
    def __init__(self, images: Callable[[], ImageStats | None]) -> None:
        self._images = images

    def collect(self) -> Iterable[Metric]:
        if (stats := self._images()) is None:
            return
        for family, name, told, value in IMAGES:
            metric = family(name, told)
            metric.add_metric([], value(stats))
            yield metric


class _HostCollector(Collector):
    def __init__(self, host: Callable[[], ToolHost | None]) -> None:
        self._host = host

    def collect(self) -> Iterable[Metric]:
        calls = CounterMetricFamily("stoa_mcp_calls", "Calls of tools of MCP servers", labels=("server",))
        failures = CounterMetricFamily("stoa_mcp_failures", "Those that brought no output", labels=("server",))
        restarts = CounterMetricFamily("stoa_mcp_restarts", "Connections that were opened again", labels=("server",))
        ready = GaugeMetricFamily("stoa_mcp_ready", "Whether the MCP server takes calls", labels=("server",))
        host = self._host()
        for status in host.status() if host is not None else ():
            calls.add_metric((status.label,), status.calls)
            failures.add_metric((status.label,), status.failures)
            restarts.add_metric((status.label,), status.restarts)
            ready.add_metric((status.label,), status.state == "ready")
        yield from (calls, failures, restarts, ready)


def _backlog(known: KnowledgeBase) -> dict[State, int]:
    """Nothing while the database is away: the other measurements are wanted all the more."""
    try:
        return known.store.backlog()
    except DatabaseFault:
        return {}


class _DatabaseCollector(Collector):
    def __init__(self, database: Callable[[], Store | None]) -> None:
        self._database = database

    def collect(self) -> Iterable[Metric]:
        database = self._database()
        if database is not None and (free := database.free_bytes()) is not None:
            yield GaugeMetricFamily("stoa_disk_free_bytes", "Room left on the disk of the database", value=free)
