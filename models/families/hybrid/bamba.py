"""Bamba (IBM, Princeton, CMU and UIUC 2024): Llama most of whose layers have Mamba-2 in place of attention; what attends turns
half of each head."""

from dataclasses import replace
from typing import Any

from models.families.changes import where
from models.families.dense import llama
from models.families.hybrid import jamba
from models.families.recurrent.mamba2 import further, steps
from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec import Arch, Attention, Mamba2, Norm, Rope

# training's, how a scan is cut into pieces, and how many rows of logits are computed
IGNORED = ("z_loss_coefficient", "mamba_chunk_size", "num_logits_to_keep")


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.ignore(*IGNORED)
    config.assume(num_key_value_heads=8, rms_norm_eps=1e-5, max_position_embeddings=262_144, partial_rotary_factor=0.5)
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    attention = base.layers[0].mixer
    if isinstance(attention, Attention) and isinstance(attention.position, Rope):
        config.only("attn_rotary_emb", attention.position.dim)
    state, attends = mamba2(config, base.layers[0].norm), config.integers("attn_layer_indices") or ()
    return where(base, [i not in attends for i in range(len(base.layers))], lambda layer: replace(layer, mixer=state))


def mamba2(config: Config, norm: Norm | None, inner: int | None = None) -> Mamba2:
    """`norm`: behind the gate. `inner`: channels, by default `mamba_expand` times the model's."""
    inner = inner or int(config.number("mamba_expand", 2) * config.integer("hidden_size"))
    heads = config.integer("mamba_n_heads", 128)
    given = config.anything("mamba_d_head")
    head_dim = inner // heads if given in (None, "auto") else config.integer("mamba_d_head")
    if heads * head_dim != inner:
        raise ConfigError(f"{config.where}: mamba_n_heads = {heads} heads of mamba_d_head = {head_dim} are not {inner} channels")
    least, most = steps(config)
    return Mamba2(
        heads=heads,
        head_dim=head_dim,
        state=config.integer("mamba_d_state", 256),
        groups=config.integer("mamba_n_groups", 1),
        kernel=config.integer("mamba_d_conv", 4),
        conv_bias=config.flag("mamba_conv_bias", True),
        bias=config.flag("mamba_proj_bias", False),
        norm=norm,
        least_step=least,
        most_step=most,
    )


WEIGHTS: Recipes = {**jamba.FRAME, **further("model.layers.{i}.mamba.")}

TINY: dict[str, Any] = {
    "architectures": ["BambaForCausalLM"],
    "model_type": "bamba",
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "attn_layer_indices": [1, 3],
    "mamba_n_heads": 6,
    "mamba_d_head": 16,
    "mamba_n_groups": 2,
    "mamba_d_state": 7,
    "mamba_chunk_size": 8,
    "time_step_limit": [0.2, 0.9],
    "tie_word_embeddings": False,
}
