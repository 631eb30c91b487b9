"""How a checkpoint that goes on with its prompt wants tokens chosen: generation_config.json, as vLLM reads it too."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingDefaults:
    """Where a request says nothing. In the words of `engine.api.Sampling`."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all tokens
    min_p: float = 0.0
    repetition_penalty: float = 1.0


STANDARD = SamplingDefaults()

_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, math.inf),
    "top_p": (0.0, 1.0),
    "top_k": (-1, math.inf),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (1e-3, math.inf),
}


def read_sampling_defaults(directory: Path, recommended: Mapping[str, float]) -> SamplingDefaults:
    """`recommended`: what counts where generation_config.json does not say. Raises ValueError for a number out of its range."""
    file = directory / "generation_config.json"
    generation: dict[str, Any] = {**recommended, **(json.loads(file.read_text("utf-8")) if file.exists() else {})}
    given = {field.name: generation[field.name] for field in fields(SamplingDefaults) if generation.get(field.name) is not None}
    for name, value in given.items():
        low, high = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not (low <= value <= high and math.isfinite(value)):
            raise ValueError(f"generation_config.json: {name} is {value!r}; take it out, or serve with --generation-config none")
    if "top_k" in given:
        given["top_k"] = max(int(given["top_k"]), 0)
    return SamplingDefaults(**given)
