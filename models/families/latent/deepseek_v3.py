"""DeepSeek-V3 and R1 (arXiv 2412.19437, 2501.12948): V2 whose router takes sigmoids, decides with a correction, and judges a
group by its two best experts. Layers behind the last, which predict further tokens in training, are not read."""

from typing import Any

from models.families.latent import deepseek_v2
from models.hf import Config, ConfigError
from models.recipes import Copy, Recipes
from models.spec import Arch, ExpertGroups, Sigmoid


def arch(config: Config) -> Arch:
    config.only("rope_interleave", True)
    config.only("moe_layer_freq", 1)
    config.only("scoring_func", "sigmoid")
    config.only("topk_method", "noaux_tc")
    config.ignore("num_nextn_predict_layers")
    return deepseek_v2.sparse(deepseek_v2.decoder(config), config, router(config))


def router(config: Config) -> Sigmoid:
    count, active = config.integer("n_group", 8), config.integer("topk_group", 4)
    if config.integer("n_routed_experts") % count:
        raise ConfigError(f"{config.where}: n_routed_experts must be a multiple of n_group = {count}")
    groups = ExpertGroups(count=count, active=active, score="top2")
    renormalise = config.flag("norm_topk_prob", True)
    return Sigmoid(renormalise=renormalise, groups=groups, scale=config.number("routed_scaling_factor", 2.5))


WEIGHTS: Recipes = {
    **deepseek_v2.WEIGHTS,
    "layers.{i}.ffn.correction": Copy("model.layers.{i}.mlp.gate.e_score_correction_bias"),
}

GGUF: Recipes = {**deepseek_v2.GGUF, "layers.{i}.ffn.correction": Copy("blk.{i}.exp_probs_b.bias")}

TINY: dict[str, Any] = {
    **{key: value for key, value in deepseek_v2.TINY.items() if key != "topk_method"},
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_nextn_predict_layers": 0,
    "rope_interleave": True,
}
