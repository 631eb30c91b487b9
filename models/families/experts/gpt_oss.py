"""gpt-oss (arXiv 2508.10925): biases everywhere, a sink in every head, a window in every other layer, YaRN whose borders are
not rounded, experts with a clamped activation whose gate and up rows lie side by side."""

from typing import Any

from models.families.changes import each, masked, mixer, sliding, where
from models.families.dense import llama
from models.families.experts.mixtral import TRAINING, mixed
from models.hf import Config
from models.recipes import Copy, First, Recipes, Transpose, Unzip, cat
from models.spec import Arch, Clamped, SoftmaxOfTop, Window


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(num_key_value_heads=8, head_dim=64, sliding_window=128, rms_norm_eps=1e-5)
    config.ignore(*TRAINING, "experts_per_token", "initial_context_length")
    bias, experts, active = (
        config.flag("attention_bias", True),
        config.integer("num_local_experts"),
        config.integer("num_experts_per_tok", 4),
    )
    clamped = Clamped(limit=config.number("swiglu_limit", 7.0), alpha=config.number("swiglu_alpha", 1.702))
    base = each(llama.decoder(config, bias=bias, out_bias=bias), lambda layer: mixer(layer, sinks=True))
    moe = each(base, lambda layer: mixed(layer, experts, active, SoftmaxOfTop(), activation=clamped, bias=True, router_bias=True))
    count, window = len(base.layers), Window(size=config.integer("sliding_window"))
    older = tuple("full_attention" if i % 2 else "sliding_attention" for i in range(count))
    return where(moe, sliding(config.items("layer_types", str) or older, count), lambda layer: masked(layer, window))


_L, _M = "model.layers.{i}.", "model.layers.{i}.mlp."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.sinks": Copy(_L + "self_attn.sinks"),
    "layers.{i}.ffn.router.weight": Copy(_M + "router.weight"),
    "layers.{i}.ffn.router.bias": Copy(_M + "router.bias"),
    "layers.{i}.ffn.experts.up": Unzip(Transpose(Copy(_M + "experts.gate_up_proj"))),
    "layers.{i}.ffn.experts.up_bias": Unzip(Copy(_M + "experts.gate_up_proj_bias")),
    "layers.{i}.ffn.experts.down": Transpose(Copy(_M + "experts.down_proj")),
    "layers.{i}.ffn.experts.down_bias": Copy(_M + "experts.down_proj_bias"),
}

_B = "blk.{i}."

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    **llama.GGUF_EXPERTS,
    "layers.{i}.mixer.sinks": Copy(_B + "attn_sinks.weight"),
    "layers.{i}.norm2.weight": First((Copy(_B + "post_attention_norm.weight"), Copy(_B + "ffn_norm.weight"))),
    "layers.{i}.ffn.router.bias": Copy(_B + "ffn_gate_inp.bias"),
    "layers.{i}.ffn.experts.up_bias": cat(_B + "ffn_gate_exps.bias", _B + "ffn_up_exps.bias"),
    "layers.{i}.ffn.experts.down_bias": Copy(_B + "ffn_down_exps.bias"),
}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "num_hidden_layers": 4,
    "head_dim": 24,
    "intermediate_size": 40,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "sliding_window": 5,
    "rope_parameters": {
        "rope_type": "yarn",
        "factor": 4.0,
        "rope_theta": 10_000.0,
        "original_max_position_embeddings": 32,
        "truncate": False,
    },
}
