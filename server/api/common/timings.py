"""Speed of a request, in the format of llama.cpp's server (`timings`)."""

import time
from dataclasses import dataclass, field

from pydantic import BaseModel

from server.api.common.types import Usage


class Timings(BaseModel):
    """ms: milliseconds. `prompt_n`: tokens of the prompt that were computed; `cache_n`: those that were not."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


@dataclass
class TimingCounter:
    """Started with the request; the time to its first output counts for the prompt, the rest for the answer."""

    _started: float = field(default_factory=time.perf_counter)
    _first: float | None = None
    _last: float = 0.0

    def push(self) -> None:
        """There is output."""
        self._last = time.perf_counter()
        self._first = self._first or self._last

    def timings(self, usage: Usage) -> Timings:
        first = self._first or self._started
        cached = usage.prompt_tokens_details.cached_tokens
        prompt_ms, predicted_ms = (first - self._started) * 1000, max(self._last - first, 0.0) * 1000
        prompt_n, predicted_n = usage.prompt_tokens - cached, usage.completion_tokens
        return Timings(
            cache_n=cached,
            prompt_n=prompt_n,
            prompt_ms=prompt_ms,
            prompt_per_token_ms=prompt_ms / max(prompt_n, 1),
            prompt_per_second=_rate(prompt_n, prompt_ms),
            predicted_n=predicted_n,
            predicted_ms=predicted_ms,
            predicted_per_token_ms=predicted_ms / max(predicted_n, 1),
            predicted_per_second=_rate(predicted_n, predicted_ms),
        )


def _rate(count: int, milliseconds: float) -> float:
    return count * 1000 / milliseconds if milliseconds > 0 else 0.0
