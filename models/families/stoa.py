"""An architecture written out in config.json (`model_type: "stoa"`): any mix of the vocabulary, without a line of Python.

    {"model_type": "stoa", "architectures": ["StoaForCausalLM"], "stoa_version": 1, "arch": {...}}

An encoder's is called StoaModel (models/families/encoders/stoa_encoder.py).
The checkpoint's tensors have our own names (models/README.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Copy, Recipe, Recipes
from models.spec import Arch, Writes
from models.spec.check import check
from models.spec.json_form import VERSION, SpecError, from_json, to_json


def arch(config: Config) -> Arch:
    config.ignore("decoder_start_token_id")  # of an encoder-decoder: read where it answers
    if config.integer("stoa_version") != VERSION:
        raise ConfigError(f"{config.where}: stoa_version must be {VERSION}, the only one that there is")
    try:
        arch = from_json(config.anything("arch"))
        check(arch)
    except SpecError as error:
        raise ConfigError(f"{config.where}: {error}") from error
    if config.first("architectures") != _name(arch):
        raise ConfigError(f'{config.where}: architectures must be ["{_name(arch)}"] where arch.output is a {type(arch.output).__name__}')
    return arch


def _name(arch: Arch) -> str:
    return "StoaForCausalLM" if isinstance(arch.output, Writes) else "StoaModel"


def config_of(arch: Arch) -> dict[str, Any]:
    """config.json that says `arch`."""
    return {"model_type": "stoa", "architectures": [_name(arch)], "stoa_version": VERSION, "arch": to_json(arch)}


class OwnNames(Mapping[str, Recipe]):
    """Every tensor as it is, under its own name."""

    def __getitem__(self, name: str) -> Recipe:
        return Copy(name)

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


WEIGHTS: Recipes = OwnNames()

TINY: dict[str, Any] = {
    "model_type": "stoa",
    "architectures": ["StoaForCausalLM"],
    "stoa_version": VERSION,
    "arch": {
        "dim": 60,
        "vocab": 256,
        "context": 128,
        "layers": [
            {
                "times": 2,
                "mixer": {
                    "type": "Attention",
                    "heads": 6,
                    "kv_heads": 2,
                    "head_dim": 12,
                    "mask": {"type": "Strided", "local": 6, "stride": 4},
                    "position": {"type": "Alibi"},
                    "sinks": True,
                },
                "ffn": {"type": "MoE", "experts": 5, "active": 2, "hidden": 40, "router": {"type": "Softmax", "renormalise": True}},
            },
            {
                "mixer": {"type": "LatentAttention", "heads": 3, "kv_rank": 20, "rope_dim": 8, "nope_dim": 10, "value_dim": 14},
                "ffn": {"type": "MLP", "hidden": 100, "activation": "gelu", "gated": False},
                "norm": {"type": "Norm", "kind": "layer"},
                "placement": "parallel",
            },
        ],
    },
}
