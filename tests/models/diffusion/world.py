"""Tiny random models of diffusers, and ours with the same weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch


def make(values: Mapping[str, Any], seed: int = 0) -> Any:
    """The world's model for a config.json, with weights that let no part hide: no bias is zero."""
    rest = {key: value for key, value in values.items() if not key.startswith("_")}
    model = getattr(diffusers, values["_class_name"])(**rest).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter[0].numel() ** -0.5 if parameter.dim() > 1 else parameter + 0.3 * noise)
    return model


def save(folder: Path, parts: Mapping[str, Any], **index: Any) -> Path:
    """A folder as a pipeline's `save_pretrained` writes it. Parts: models and a scheduler by name; None for one that is not there."""
    for name, part in parts.items():
        index[name] = [None, None] if part is None else ["diffusers", type(part).__name__]
        if part is not None:
            part.save_pretrained(folder / name)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def pixels(*shape: int, seed: int = 3) -> torch.Tensor:
    """float32, about -1..1"""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.5
