"""Longformer (arXiv 2004.05150): RoBERTa whose tokens see a window, but for the global ones. Which these are no checkpoint says;
it is the caller's choice there, and `global_attention` in config.json here: "first" (the default, and what transformers'
classifier does), "question" (all before the first separator: of a pair, what is asked) or "none"."""

from dataclasses import replace
from typing import Any

from models.families.encoders import roberta
from models.hf import Config, ConfigError
from models.recipes import Recipes, cat
from models.spec import Arch, Attention, FirstTokens, GlobalTokens, LocalGlobalAttention, Neighbourhood, QuestionTokens

PREFIX = "longformer."
UNUSED = r"(lm_head|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    config.only("attention_mode", "longformer")
    config.ignore("ignore_attention_mask", "onnx_export")
    arch = roberta.arch(config)
    windows = _windows(config, len(arch.layers))
    layers = tuple(replace(layer, mixer=_mixer(arch, window)) for layer, window in zip(arch.layers, windows, strict=True))
    return replace(arch, layers=layers, global_tokens=_global_tokens(config))


def _mixer(arch: Arch, window: int) -> LocalGlobalAttention:
    base = arch.layers[0].mixer
    assert isinstance(base, Attention)
    heads = base.heads
    return LocalGlobalAttention(heads=heads, head_dim=arch.dim // heads, mask=Neighbourhood(distance=window // 2), bias=True, out_bias=True)


def _windows(config: Config, count: int) -> tuple[int, ...]:
    """Of each layer, half of it before a token and half behind."""
    given = config.anything("attention_window")
    windows = (given,) * count if isinstance(given, int) else tuple(map(int, config.integers("attention_window") or (512,) * count))
    if len(windows) != count or any(window < 2 or window % 2 for window in windows):
        raise ConfigError(f"{config.where}: attention_window = {given!r} must be an even number, or one for each of {count} layers")
    return windows


def _global_tokens(config: Config) -> GlobalTokens | None:
    config.only("global_attention", "first", "question", "none")
    match config.text("global_attention", "first"):
        case "first":
            return FirstTokens()
        case "question":
            return QuestionTokens(separator=config.integer("sep_token_id", 2))
        case _:
            return None


_A = "encoder.layer.{i}.attention.self."
_OWN = {"global_q": ("query_global",), "global_kv": ("key_global", "value_global")}

WEIGHTS: Recipes = {
    **roberta.WEIGHTS,
    **{
        f"layers.{{i}}.mixer.{ours}.{field}": cat(*(f"{_A}{part}.{field}" for part in theirs))
        for ours, theirs in _OWN.items()
        for field in ("weight", "bias")
    },
}

HEAD = roberta.HEAD

TINY: dict[str, Any] = roberta.TINY | {
    "architectures": ["LongformerModel"],
    "model_type": "longformer",
    "attention_window": [4, 16, 8],
    "pad_token_id": 1,
    "sep_token_id": 2,
}
