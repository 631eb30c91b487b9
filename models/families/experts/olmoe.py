"""OLMoE (arXiv 2409.02060): Llama with norms on all of q and all of k, and eight of 64 experts for each token."""

from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama, olmo2
from models.families.experts import qwen2_moe
from models.families.experts.mixtral import TRAINING, mixed
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, QKNorm, Softmax

_NORMS = ("layers.{i}.mixer.q_norm.weight", "layers.{i}.mixer.k_norm.weight")

WEIGHTS: Recipes = {**llama.WEIGHTS, **qwen2_moe.EXPERTS, **{name: olmo2.WEIGHTS[name] for name in _NORMS}}
GGUF: Recipes = {**llama.GGUF_PLAIN, **llama.GGUF_EXPERTS, **{name: olmo2.GGUF[name] for name in _NORMS}}


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(rms_norm_eps=1e-5)
    config.ignore(*TRAINING)
    bias, clip = config.flag("attention_bias", False), config.optional_number("clip_qkv")
    experts, active = config.integer("num_experts", 64), config.integer("num_experts_per_tok", 8)
    router = Softmax(renormalise=config.flag("norm_topk_prob", False))
    base = each(
        llama.decoder(config, bias=bias, out_bias=bias),
        lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm, over="projection"), clip=clip),
    )
    return each(base, lambda layer: mixed(layer, experts, active, router))


TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["OlmoeForCausalLM"],
    "model_type": "olmoe",
    "intermediate_size": 40,
    "num_experts": 7,
    "num_experts_per_tok": 3,
    "clip_qkv": 1.2,
    "pad_token_id": 0,
}
