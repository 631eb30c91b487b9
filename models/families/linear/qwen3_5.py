"""Qwen3.5 (Qwen 2026), the dense ones: as Qwen3-Next is without experts, whose delta nets have a matrix for each role. Positions of
images, rows and columns, are those of the text where there is none."""

from typing import Any

from models.families.linear import qwen3_next
from models.hf import Config
from models.recipes import ByKeyHeads, Cat, Copy, First, Recipes, cat
from models.spec import Arch


def arch(config: Config) -> Arch:
    return decoder(config, kv_heads=4)


def decoder(config: Config, *, kv_heads: int) -> Arch:
    for key in ("rope_parameters", "rope_scaling"):
        if (part := config.part(key)) is not None:
            part.ignore("mrope_section", "mrope_interleaved")
    return qwen3_next.decoder(config, kv_heads=kv_heads)


INTO: Recipes = {
    "layers.{i}.mixer.into.weight": cat(*(f"model.layers.{{i}}.linear_attn.in_proj_{part}.weight" for part in ("qkv", "z", "b", "a"))),
}

WEIGHTS: Recipes = {**qwen3_next.DENSE, **INTO}

_B = "blk.{i}."
_INTO = ("attn_qkv", "attn_gate", "ssm_beta", "ssm_alpha")
_OUT = ByKeyHeads(Copy(_B + "ssm_out.weight"), "inputs")

GGUF: Recipes = {
    **qwen3_next.GGUF,
    "layers.{i}.mixer.into.weight": Cat(
        tuple(ByKeyHeads(Copy(f"{_B}{p}.weight")) for p in ("attn_qkv", "attn_gate", "ssm_beta", "ssm_alpha"))
    ),
    "layers.{i}.mixer.conv.weight": ByKeyHeads(Copy(_B + "ssm_conv1d.weight")),
    "layers.{i}.mixer.decay.rate": ByKeyHeads(Copy(_B + "ssm_a")),
    "layers.{i}.mixer.decay.bias": ByKeyHeads(Copy(_B + "ssm_dt.bias")),
    "layers.{i}.mixer.out.weight": First((_OUT, Copy(_B + "attn_output.weight"))),
}

TINY: dict[str, Any] = {**qwen3_next.NETS, "architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text"}
