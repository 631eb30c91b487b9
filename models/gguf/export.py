"""The tensors of a prepared GGUF directory under the names and in the layout of Hugging Face, for programs that read no GGUF.

The recipes that make our tensors from GGUF are read forwards, those that make them from Hugging Face's backwards.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoint import Gguf, open_checkpoint
from models.families import arch_of, recipes_of
from models.quant import dense
from models.recipes import Cat, Copy, Permute, Recipe, Shift
from models.spec import Arch


class CannotExport(ValueError):
    """No such copy can be made of these weights."""


def export_weights(source: Path, target: Path) -> dict[str, Any]:
    """Writes model.safetensors, in bfloat16, into `target`. Returns the configuration that goes with it. Raises CannotExport."""
    checkpoint = open_checkpoint(source)
    if not isinstance(checkpoint, Gguf):
        raise CannotExport(f"{source} is not a GGUF model; use it as it is")
    config: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    save_file(dict(_tensors(config, checkpoint)), target / "model.safetensors", {"format": "pt"})
    return config | {"dtype": "bfloat16"}


def _tensors(config: dict[str, Any], checkpoint: Gguf) -> Iterator[tuple[str, Tensor]]:
    gguf, arch = recipes_of(config, "gguf"), arch_of(config)
    for ours, theirs in recipes_of(config, "safetensors").items():
        for i in range(len(arch.layers)) if "{i}" in ours else (0,):
            for (name, shift), recipe in zip(_names(theirs), _parts(gguf[ours]), strict=True):
                if (value := _read(recipe, checkpoint, i, arch)) is not None:
                    yield name.format(i=i), (value - shift).to(torch.bfloat16).contiguous()


def _parts(recipe: Recipe) -> tuple[Recipe, ...]:
    return recipe.parts if isinstance(recipe, Cat) else (recipe,)


def _names(recipe: Recipe) -> Iterator[tuple[str, float]]:
    """Hugging Face names, with the constant that their recipe adds."""
    for part in _parts(recipe):
        match part:
            case Copy(name):
                yield name, 0.0
            case Shift(Copy(name), by):
                yield name, by
            case _:
                raise CannotExport(f"cannot undo {part}")


def _read(recipe: Recipe, checkpoint: Gguf, i: int, arch: Arch) -> Tensor | None:
    """float32, or None for what this model does not have (a bias, an output matrix of its own)."""
    match recipe:
        case Copy(template):
            weight = checkpoint.get(template.format(i=i))
            return None if weight is None else dense(weight)
        case Permute(part):
            value = _read(part, checkpoint, i, arch)
            return None if value is None else _halves(value, arch.layers[i].mixer.head_dim)  # type: ignore[union-attr]
        case _:
            raise CannotExport(f"cannot follow {recipe}")


def _halves(value: Tensor, head_dim: int) -> Tensor:
    """Rotary pairs side by side -> halves, within each head."""
    return value.unflatten(0, (-1, head_dim // 2, 2)).transpose(1, 2).flatten(0, 2)
