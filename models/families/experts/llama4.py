"""Llama 4, text (Meta 2025): one of many experts for each token beside a shared one, chosen weights multiplying what the
expert reads; chunks in layers with RoPE, and every fourth layer without positions but with a temperature."""

from dataclasses import replace
from typing import Any

from models.families.changes import ffn, mixer, where
from models.families.dense import llama
from models.families.experts.mixtral import TRAINING
from models.hf import Config, ConfigError
from models.recipes import Copy, Recipes, Transpose, cat
from models.spec import Arch, Chunked, InputSigmoid, MoE, Norm, QKNorm, Temperature


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(rope_theta=500_000.0, num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-5)
    config.ignore(*TRAINING, "layer_types", "for_llm_compressor")
    moe, dense = _moe(config), config.integer("intermediate_size_mlp", 16384)
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias)
    sparse = where(base, _sparse(config, len(base.layers)), lambda layer: replace(layer, ffn=moe))
    mlps = [layer.ffn is not moe for layer in sparse.layers]
    arch = where(sparse, mlps, lambda layer: ffn(layer, hidden=dense))
    return _positioned(arch, config)


def _moe(config: Config) -> MoE:
    hidden = config.integer("intermediate_size")
    experts, active = config.integer("num_local_experts", 16), config.integer("num_experts_per_tok", 1)
    return MoE(experts=experts, active=active, hidden=hidden, router=InputSigmoid(), shared=hidden)


def _sparse(config: Config, count: int) -> list[bool]:
    step = config.integer("interleave_moe_layer_step", 1)
    named = config.integers("moe_layers")
    return [i in named if named is not None else (i + 1) % step == 0 for i in range(count)]


def _positioned(arch: Arch, config: Config) -> Arch:
    """`no_rope_layers` says 1 where there is RoPE; those layers see chunks, and norm what they have rotated (which is the same
    before and after, as the norm has no weight)."""
    norm = QKNorm(norm=Norm(kind="rms_unweighted", eps=config.number("rms_norm_eps"))) if config.flag("use_qk_norm", True) else None
    chunk, every = config.optional_integer("attention_chunk_size"), config.integer("no_rope_layer_interval", 4)
    roped = config.integers("no_rope_layers") or tuple(int((i + 1) % every != 0) for i in range(len(arch.layers)))
    if len(roped) != len(arch.layers):
        raise ConfigError(f"{config.where}: no_rope_layers must have an entry for each of {len(arch.layers)} layers")
    tuned = Temperature(floor=config.number("floor_scale", 8192), scale=config.number("attn_scale", 0.1))
    temperature = tuned if config.flag("attn_temperature_tuning", True) else None
    local = where(arch, [r == 1 for r in roped], lambda layer: mixer(layer, qk_norm=norm, **_chunked(chunk)))
    return where(local, [r != 1 for r in roped], lambda layer: mixer(layer, position=None, temperature=temperature))


def _chunked(size: int | None) -> dict[str, Chunked]:
    return {} if size is None else {"mask": Chunked(size=size)}


_F = "model.layers.{i}.feed_forward."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.qkv.weight": llama.paired("weight"),
    "layers.{i}.mixer.qkv.bias": llama.paired("bias"),
    "layers.{i}.ffn.up.weight": cat(_F + "gate_proj.weight", _F + "up_proj.weight"),
    "layers.{i}.ffn.down.weight": Copy(_F + "down_proj.weight"),
    "layers.{i}.ffn.router.weight": Copy(_F + "router.weight"),
    "layers.{i}.ffn.experts.up": Transpose(Copy(_F + "experts.gate_up_proj")),
    "layers.{i}.ffn.experts.down": Transpose(Copy(_F + "experts.down_proj")),
    "layers.{i}.ffn.shared.up.weight": cat(_F + "shared_expert.gate_proj.weight", _F + "shared_expert.up_proj.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_F + "shared_expert.down_proj.weight"),
}

GGUF: Recipes = {**llama.GGUF, **llama.GGUF_EXPERTS}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["Llama4ForCausalLM"],
    "model_type": "llama4_text",
    "num_hidden_layers": 4,
    "head_dim": 24,
    "intermediate_size": 40,
    "intermediate_size_mlp": 72,
    "num_local_experts": 5,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2,
    "no_rope_layer_interval": 4,
    "attention_chunk_size": 6,
    "floor_scale": 4,
    "attn_scale": 0.3,
    "pad_token_id": 0,
}
