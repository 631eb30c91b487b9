"""What vLLM's scheduler tells of itself after each step."""

from dataclasses import dataclass, field

from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, MultiModalCacheStats, SchedulerStats


@dataclass(slots=True)
class Figures:
    """The last of each engine core, of which `--data-parallel` makes several."""

    waiting: dict[int, int] = field(default_factory=dict[int, int])
    usage: dict[int, float] = field(default_factory=dict[int, float])  # share of the pages
    preemptions: int = 0

    def logger(self, config: VllmConfig, core: int) -> StatLoggerBase:
        return _Logger(self, core)


class _Logger(StatLoggerBase):
    def __init__(self, figures: Figures, core: int) -> None:
        self._figures, self._core = figures, core

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: MultiModalCacheStats | None = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is not None:
            self._figures.waiting[self._core] = scheduler_stats.num_waiting_reqs
            self._figures.usage[self._core] = scheduler_stats.kv_cache_usage
        if iteration_stats is not None:
            self._figures.preemptions += iteration_stats.num_preempted_reqs

    def log_engine_initialized(self) -> None:
        """There is nothing to say: the server says that it is ready."""
