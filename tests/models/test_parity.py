"""Every family gives the logits that transformers gives, for the same random checkpoint."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import PreTrainedModel

from models.families import ENCODERS, FAMILIES
from tests.models.rwkv_world import Rwkv7
from tests.models.world import logits_of, make, ours, prompts, their_logits

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10_000.0}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}

FALCON_RW = {"new_decoder_architecture": False, "multi_query": False, "parallel_attn": False, "num_kv_heads": None, "bias": True}

_LONGROPE = import_module("models.families.experts.phimoe").TINY["rope_parameters"]
# transformers 5.24 takes the short factors in sequences of any length, and only the amplitude of the long ones
PHIMOE_ROPE = _LONGROPE | {"long_factor": _LONGROPE["short_factor"]}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("llama", {"num_key_value_heads": 1}),
    ("llama", {"num_key_value_heads": 4, "head_dim": 24}),
    ("llama", {"rope_parameters": LLAMA3 | {"rope_theta": 500_000.0}}),
    ("llama", {"rope_parameters": YARN}),
    ("llama", {"rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.7, "beta_fast": 16.0}}),
    ("llama", {"rope_parameters": YARN | {"attention_factor": 0.8, "truncate": False}}),
    ("llama", {"rope_parameters": LINEAR}),
    ("mistral", {}),
    ("mistral", {"sliding_window": None, "tie_word_embeddings": True}),
    ("qwen2", {}),
    ("qwen2", {"use_sliding_window": False, "tie_word_embeddings": True}),
    ("qwen2", {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
    ("qwen3", {}),
    ("qwen3", {"attention_bias": True, "tie_word_embeddings": True}),
    ("qwen3", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2}),
    ("gemma3", {}),
    ("gemma3", {"final_logit_softcapping": None, "attention_bias": True}),
    ("gemma", {}),
    ("gemma", {"attention_bias": True, "tie_word_embeddings": False}),
    ("gemma2", {}),
    ("gemma2", {"final_logit_softcapping": None, "layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
    ("granite", {}),
    ("granite", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    ("smollm3", {}),
    ("smollm3", {"no_rope_layers": [0, 1, 1, 0], "use_sliding_window": True, "sliding_window": 4}),
    ("starcoder2", {}),
    ("starcoder2", {"use_bias": False, "sliding_window": None, "tie_word_embeddings": False}),
    ("olmo2", {}),
    ("olmo2", {"attention_bias": True, "tie_word_embeddings": True}),
    ("olmo3", {}),
    ("cohere", {}),
    ("cohere", {"use_qk_norm": False, "attention_bias": True}),
    ("cohere2", {}),
    ("cohere2", {"layer_types": ["full_attention", "sliding_attention"] * 2, "attention_bias": True}),
    ("glm", {}),
    ("glm", {"attention_bias": False, "partial_rotary_factor": 1.0}),
    ("glm4", {}),
    ("phi3", {}),
    ("phi3", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0}, "sliding_window": 9}),
    ("phi3", {"rope_parameters": import_module("models.families.dense.phi3").TINY["rope_parameters"] | {"attention_factor": 0.7}}),
    ("mamba", {}),
    ("mamba", {"use_bias": False, "use_conv_bias": False, "conv_kernel": 2, "time_step_rank": "auto", "tie_word_embeddings": False}),
    ("falcon_mamba", {}),
    ("mamba2", {}),
    ("mamba2", {"use_bias": False, "n_groups": 1, "use_conv_bias": False, "time_step_limit": [0.0, float("inf")]}),
    ("lfm2", {}),
    ("lfm2", {"conv_bias": False, "block_auto_adjust_ff_dim": False, "tie_word_embeddings": False}),
    ("jamba", {}),
    ("jamba", {"num_experts": 1, "mamba_conv_bias": False, "mamba_dt_rank": "auto", "tie_word_embeddings": True}),
    ("bamba", {}),
    ("bamba", {"mamba_proj_bias": True, "attention_bias": True, "mlp_bias": True, "time_step_limit": [0.0, float("inf")]}),
    ("falcon_h1", {}),
    ("falcon_h1", {"mamba_norm_before_gate": False, "attention_bias": True, "mlp_bias": True, "mamba_n_groups": 3}),
    ("falcon_h1", {"mamba_rms_norm": False, "mamba_proj_bias": True, "projectors_bias": True, "mamba_d_ssm": None, "mamba_d_head": "auto"}),
    ("nemotron_h", {}),
    ("nemotron_h", {"n_group": 1, "topk_group": 1, "norm_topk_prob": False, "moe_latent_size": None, "use_bias": True}),
    ("nemotron_h", {"hybrid_override_pattern": "M-M*-", "mlp_bias": True, "use_conv_bias": False, "mlp_hidden_act": "silu"}),
    ("recurrent_gemma", {}),
    ("recurrent_gemma", {"block_types": ["attention", "recurrent"], "attention_bias": True, "lru_width": None, "conv1d_width": 4}),
    ("lfm2_moe", {}),
    ("lfm2_moe", {"norm_topk_prob": False, "conv_bias": False, "tie_word_embeddings": False, "num_dense_layers": 0}),
    ("zamba2", {}),
    ("zamba2", {"use_shared_attention_adapter": False, "use_mem_rope": False, "num_mem_blocks": 1, "num_key_value_heads": 2}),
    ("zamba2", {"add_bias_linear": True, "num_mem_blocks": 3, "hidden_act": "silu", "tie_word_embeddings": False}),
    ("granitemoehybrid", {}),
    ("granitemoehybrid", {"num_local_experts": 0, "position_embedding_type": "nope", "attention_bias": True, "tie_word_embeddings": True}),
    ("qwen3_next", {}),
    ("qwen3_next", {"attention_bias": True, "norm_topk_prob": False, "decoder_sparse_step": 2, "linear_num_key_heads": 3}),
    ("qwen3_5", {}),
    ("qwen3_5_moe", {}),
    ("kimi_linear", {}),
    ("kimi_linear", {"q_lora_rank": 28, "attention_bias": True, "mlp_layer_types": ["dense", "dense", "sparse"]}),
    ("olmo_hybrid", {}),
    ("olmo_hybrid", {"linear_allow_neg_eigval": False, "rope_parameters": None, "linear_num_value_heads": None}),
    ("rwkv7", {}),
    ("mixtral", {}),
    ("mixtral", {"sliding_window": None, "num_experts_per_tok": 1, "num_local_experts": 8}),
    ("qwen2_moe", {}),
    ("qwen2_moe", {"norm_topk_prob": True, "qkv_bias": False, "decoder_sparse_step": 2, "mlp_only_layers": []}),
    ("qwen3_moe", {}),
    ("qwen3_moe", {"norm_topk_prob": False, "attention_bias": True, "decoder_sparse_step": 1, "mlp_only_layers": [0]}),
    ("olmoe", {}),
    ("olmoe", {"norm_topk_prob": True, "clip_qkv": None}),
    ("granitemoe", {}),
    ("granitemoe", {"architectures": ["GraniteMoeSharedForCausalLM"], "model_type": "granitemoeshared", "shared_intermediate_size": 36}),
    ("phimoe", {"rope_parameters": PHIMOE_ROPE}),
    ("phimoe", {"rope_parameters": PHIMOE_ROPE, "lm_head_bias": False, "attention_bias": False, "router_jitter_noise": 0.01}),
    ("gpt_oss", {}),
    ("gpt_oss", {"swiglu_limit": 0.5, "tie_word_embeddings": True}),
    ("llama4", {}),
    ("llama4", {"use_qk_norm": False, "attn_temperature_tuning": False, "interleave_moe_layer_step": 1, "num_experts_per_tok": 2}),
    ("deepseek_v2", {}),
    ("deepseek_v2", {"q_lora_rank": None, "topk_method": "greedy", "attention_bias": True, "first_k_dense_replace": 0}),
    ("deepseek_v3", {}),
    ("deepseek_v3", {"norm_topk_prob": False, "attention_bias": True, "rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.7}}),
    ("minicpm3", {}),
    ("reformer_lm", {}),
    ("reformer_lm", {"num_hashes": 1, "num_buckets": 8, "attn_layers": ["lsh", "lsh"], "axial_pos_embds": False}),
    ("gpt2", {}),
    ("gpt2", {"scale_attn_weights": False, "n_inner": None, "tie_word_embeddings": False}),
    ("gpt_neo", {}),
    ("gpt_neox", {}),
    ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False, "tie_word_embeddings": True}),
    ("opt", {}),
    ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 44}),
    ("bloom", {}),
    ("bloom", {"n_head": 4}),
    ("mpt", {}),
    ("mpt", {"n_heads": 4, "attn_config": {"alibi": True, "softmax_scale": 0.2}}),
    ("falcon", {}),
    ("falcon", {"num_ln_in_parallel_attn": 1, "bias": True}),
    ("falcon", {"new_decoder_architecture": False}),
    ("falcon", FALCON_RW),
]


FAMILY = {module.rpartition(".")[2]: module for module in (*FAMILIES.values(), *ENCODERS.values())}


def tiny(family: str, **changes: Any) -> dict[str, Any]:
    return import_module(FAMILY[family]).TINY | changes


def agree(
    directory: Path,
    values: dict[str, Any],
    *,
    shards: str = "1GB",
    attention: str = "eager",
    lengths: Sequence[int] = (23, 1, 7),
    **options: Any,
) -> None:
    """A draw of weights may hang on rounding, so that transformers' own logits are further than 1e-4 from those of float64: then another
    is drawn. What is wrong differs by more than 1e-3, or in every draw."""
    for seed in range(3):
        theirs = make(values, seed, attention)
        theirs.save_pretrained(directory, max_shard_size=shards)
        tokens = prompts(lengths)
        want, got = their_logits(theirs, tokens, **options), logits_of(ours(directory), tokens)
        assert want.std() > 0.2, "logits too flat to tell anything"
        if seed == 2 or not 1e-4 < (got - want).abs().max() < 1e-3:
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
            return


@pytest.mark.parametrize(("family", "changes"), CASES, ids=[f"{family}-{'-'.join(changes) or 'tiny'}" for family, changes in CASES])
def test_same_logits(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    agree(tmp_path, tiny(family, **changes))


def test_attention_softcap(tmp_path: Path) -> None:
    """transformers reads the key, but hands its value on only when asked."""
    agree(tmp_path, tiny("gemma3", attn_logit_softcapping=1.5), softcap=1.5)


def test_falcon_with_alibi(tmp_path: Path) -> None:
    """transformers 5.24 adds the biases twice in its eager attention, to the scores and to the mask; once in the other."""
    agree(tmp_path, tiny("falcon", **FALCON_RW, alibi=True), attention="sdpa")


def test_phimoe_up_to_the_original_context(tmp_path: Path) -> None:
    agree(tmp_path, tiny("phimoe"), lengths=(16, 1, 7))


def test_rwkv7_under_either_names(tmp_path: Path) -> None:
    theirs, tokens = Rwkv7(tiny("rwkv7"), 0), prompts((23, 1, 7))
    theirs.save_for_hugging_face(tmp_path)
    torch.testing.assert_close(logits_of(ours(tmp_path), tokens), their_logits(cast(PreTrainedModel, theirs), tokens), rtol=1e-4, atol=1e-4)


def test_dynamic_ntk(tmp_path: Path) -> None:
    """Theirs grows with every token, ours at each doubling of the length that the model was trained with: equal there."""
    dynamic = {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 10_000.0}
    agree(tmp_path, tiny("llama", rope_parameters=dynamic, max_position_embeddings=16), lengths=(32, 9, 16))


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_shards(family: str, tmp_path: Path) -> None:
    agree(tmp_path, tiny(family), shards="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2


def test_every_family_has_a_case() -> None:
    assert {FAMILY[family] for family, _ in CASES} == set(FAMILIES.values()) - {"models.families.stoa"}  # which only tests of ours can know
