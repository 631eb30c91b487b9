"""A prepared GGUF directory as Hugging Face safetensors in bfloat16: the same weights for servers that read no GGUF.

    python -m bench.export_hf smollm2 OUT

The recipes that make our tensors from GGUF are read forwards, those that make them from Hugging Face's backwards.
"""

import json
import shutil
import sys
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
from server.weights.pull import pull

ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def export(source: Path, target: Path) -> None:
    """Writes `target`: config.json, tokenizer and model.safetensors. No token ends a text: some of the servers that
    are compared cannot be asked to ignore the end, and all must generate equally much."""
    target.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = json.loads((source / "config.json").read_text())
    checkpoint = open_checkpoint(source)
    if not isinstance(checkpoint, Gguf):
        raise SystemExit(f"{source} is not a GGUF model; use it as it is")
    save_file(dict(_tensors(config, checkpoint)), target / "model.safetensors", {"format": "pt"})
    endless = {key: value for key, value in config.items() if key not in ENDS} | {"dtype": "bfloat16", "eos_token_id": None}
    (target / "config.json").write_text(json.dumps(endless, indent=1))
    (target / "generation_config.json").write_text(json.dumps({"do_sample": False}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, target / name)


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
                raise NotImplementedError(f"cannot undo {part}")


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
            raise NotImplementedError(f"cannot follow {recipe}")


def _halves(value: Tensor, head_dim: int) -> Tensor:
    """Rotary pairs side by side -> halves, within each head."""
    return value.unflatten(0, (-1, head_dim // 2, 2)).transpose(1, 2).flatten(0, 2)


if __name__ == "__main__":
    export(pull(sys.argv[1]), Path(sys.argv[2]))
