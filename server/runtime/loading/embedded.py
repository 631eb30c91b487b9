"""The embedded engine as the settings want it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from server.runtime.settings import Settings
from server.weights.paths import default_home

if TYPE_CHECKING:
    from engine.embedded.engine import EmbeddedEngine


def open_embedded(settings: Settings, name: str, directory: Path, shared: Sequence[tuple[int, ...]] = ()) -> "EmbeddedEngine":
    """`shared`: beginnings of prompts whose place in the prefix cache is everybody's. Raises ValueError."""
    from engine.embedded.engine import EmbeddedEngine
    from engine.embedded.load import LoadOptions, load_model
    from engine.embedded.scheduler import Limits

    limits = Limits(
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        max_step_tokens=settings.max_step_tokens,
        prefix_idle=settings.prefix_idle_seconds or None,
        mixed_step_tokens=settings.mixed_step_tokens or (16 if settings.device == "cpu" else 512),
    )
    options = LoadOptions(
        device=settings.device,
        quantize=settings.quantize,
        context=settings.context,
        kv_memory=settings.kv_memory_of(name) << 20,
        threads=settings.threads,
        limits=limits,
        packed=default_home() / "packed" if settings.keep_packed else None,
        speculative=settings.speculative,
    )
    return EmbeddedEngine(load_model(directory, options), shared)
