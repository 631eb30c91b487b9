"""An encoder written out in config.json (models/families/stoa.py)."""

from typing import Any

from models.families import stoa
from models.recipes import Recipes

PREFIX = ""
UNUSED = r"(?!)"  # every tensor must be used

arch = stoa.arch

WEIGHTS: Recipes = stoa.WEIGHTS

HEAD: Recipes = {}

_ATTENTION: dict[str, Any] = {"type": "Attention", "heads": 4, "kv_heads": 2, "head_dim": 16, "gate": "head"}

TINY: dict[str, Any] = {
    "model_type": "stoa",
    "architectures": ["StoaModel"],
    "stoa_version": stoa.VERSION,
    "arch": {
        "dim": 64,
        "vocab": 256,
        "context": 128,
        "position": {"type": "Sinusoidal"},
        "layers": [
            {
                "mixer": {**_ATTENTION, "mask": {"type": "Full"}, "position": {"type": "RelativeBias", "buckets": 8, "max_distance": 20}},
                "ffn": {"type": "MoE", "experts": 5, "active": 2, "hidden": 40, "router": {"type": "Softmax"}},
            },
            {
                "mixer": {**_ATTENTION, "mask": {"type": "Neighbourhood", "distance": 6}, "position": {"type": "Alibi"}},
                "ffn": {"type": "MLP", "hidden": 96},
            },
        ],
        "output": {"type": "Pooled", "pooling": ["mean", "cls"], "layers": [{"type": "Dense", "width": 24}], "normalize": True},
    },
}
