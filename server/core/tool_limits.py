"""Limits of a tool loop; the settings (server/runtime/settings.py) take their defaults from here. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """Limits of one request's tool loop. After the last turn the model answers without tools."""

    max_turns: int = 10
    max_calls: int = 32
    max_parallel_calls: int = 8  # calls of one turn
    max_seconds: float = 120.0
    max_repeats: int = 3  # the same call so often ends the loop
    max_output_tokens: int = 2048  # of one call's output; the middle of a longer one is left out
