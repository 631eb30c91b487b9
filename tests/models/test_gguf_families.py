"""Every family that llama.cpp has, through a GGUF file, gives the logits of the model that the file was made from."""

import json
from dataclasses import replace
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from torch import Tensor
from transformers import PreTrainedModel

from models.gguf.config import ARCHITECTURES, config_from_metadata
from models.gguf.index import tensor_index
from models.hf import ConfigError
from tests.models.gguf_families import WRITTEN, Written, write
from tests.models.gguf_states import STATES
from tests.models.world import logits_of, make, ours, prompts, their_logits

PLAIN_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
NETS = {"linear_value_head_dim": 12, "layer_types": ["linear_attention", "full_attention"] * 2}
GRANITE4 = {"time_step_limit": [0.0, inf], "position_embedding_type": "nope"}
LONG = {"rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 16}

# TINY of a family as far as a file can say it: what it leaves out is as llama.cpp has it
CASES: list[tuple[str, dict[str, Any]]] = [
    ("gpt.gpt2", {"scale_attn_by_inverse_layer_idx": False}),
    ("gpt.gpt_neox", {"hidden_size": 96, "rotary_pct": 0.25}),
    ("gpt.bloom", {}),
    ("gpt.falcon", {}),
    ("gpt.falcon", {"new_decoder_architecture": False, "multi_query": True, "parallel_attn": True, "num_kv_heads": 1}),
    ("gpt.mpt", {}),
    ("dense.phi3", {"rope_parameters": {**LONG, "partial_rotary_factor": 0.75, "attention_factor": 1.25}}),
    ("dense.starcoder2", {"sliding_window": None}),
    ("dense.olmo2", {}),
    ("dense.olmo3", {}),
    ("dense.gemma", {}),
    ("dense.gemma2", {"query_pre_attn_scalar": 24}),
    ("dense.cohere", {}),
    ("dense.cohere2", {}),
    ("dense.glm", {"head_dim": 16}),
    ("dense.glm4", {}),
    ("dense.smollm3", {"no_rope_layer_interval": 4}),
    ("dense.granite", {}),
    ("experts.mixtral", {"sliding_window": None}),
    ("experts.qwen2_moe", {"mlp_only_layers": []}),
    ("experts.qwen3_moe", {"decoder_sparse_step": 1}),
    ("experts.olmoe", {"clip_qkv": None}),
    ("experts.gpt_oss", {}),
    ("experts.granitemoe", {}),
    (
        "experts.granitemoe",
        {"model_type": "granitemoeshared", "architectures": ["GraniteMoeSharedForCausalLM"], "shared_intermediate_size": 56},
    ),
    ("experts.phimoe", {"router_jitter_noise": 0.01, "sliding_window": None, "rope_parameters": PLAIN_ROPE}),
    ("experts.llama4", {"attention_chunk_size": 8192, "floor_scale": 8192, "attn_scale": 0.1}),
    ("latent.deepseek_v2", {}),
    ("latent.deepseek_v3", {}),
    ("recurrent.mamba", {"use_bias": False}),
    ("recurrent.falcon_mamba", {"mixer_rms_eps": 1e-5}),
    ("recurrent.mamba2", {"num_heads": 4, "expand": 2, "time_step_limit": [0.0, inf], "use_bias": False}),
    ("recurrent.lfm2", {"conv_bias": False, "intermediate_size": 112, "block_auto_adjust_ff_dim": False}),
    ("hybrid.jamba", {"mamba_proj_bias": False}),
    ("hybrid.granitemoehybrid", GRANITE4),
    ("hybrid.granitemoehybrid", GRANITE4 | {"num_local_experts": 0, "shared_intermediate_size": 40}),
    ("hybrid.falcon_h1", {"mamba_norm_before_gate": False, "time_step_limit": [0.0, inf]}),
    ("hybrid.falcon_h1", {"mamba_norm_before_gate": False, "time_step_limit": [0.0, inf], "mamba_rms_norm": False}),
    ("hybrid.nemotron_h", {"hybrid_override_pattern": "M-*M", "mlp_bias": True, "time_step_min": 1e-12}),
    ("hybrid.nemotron_h", {"hybrid_override_pattern": "ME*EM", "n_group": 1, "topk_group": 1, "time_step_min": 1e-12}),
    ("experts.lfm2_moe", {"conv_bias": False, "routed_scaling_factor": 1.0}),
    ("linear.qwen3_next", NETS | {"mlp_only_layers": []}),
    ("linear.kimi_linear", {"linear_num_heads": 4, "num_expert_group": 1, "topk_group": 1}),
    ("linear.qwen3_5", NETS),
    ("linear.qwen3_5_moe", NETS),
    ("latent.minicpm3", {"v_head_dim": 16, "scale_emb": 12, "dim_model_base": 256}),
]


@pytest.mark.parametrize(("sheet", "changes"), CASES, ids=[f"{sheet}-{'-'.join(changes)}" for sheet, changes in CASES])
def test_family(sheet: str, changes: dict[str, Any], tmp_path: Path) -> None:
    values = import_module(f"models.families.{sheet}").TINY | changes
    if "longrope" in str(changes):
        factors = ("short_factor", "long_factor")
        values["rope_parameters"] |= {key: import_module(f"models.families.{sheet}").TINY["rope_parameters"][key] for key in factors}
    theirs = make({"use_sliding_window": False} | values if sheet == "experts.qwen2_moe" else values)
    assert_same(theirs, how(theirs.config), tmp_path)


def test_what_predicts_further_tokens_is_not_read(tmp_path: Path) -> None:
    theirs = make(import_module("models.families.linear.qwen3_5").TINY | NETS)
    usual = how(theirs.config)

    def change(name: str, tensor: Tensor, config: Any) -> list[tuple[str, Tensor]]:
        further = ("nextn.enorm", "attn_norm") if name == "model.norm.weight" else ()
        return [*usual.change(name, tensor, config), *((f"blk.4.{part}.weight", tensor) for part in further)]

    def says(config: Any) -> dict[str, Any]:
        return {**usual.says(config), "block_count": 5, "nextn_predict_layers": 1}

    assert_same(theirs, replace(usual, says=says, change=change), tmp_path)


def assert_same(theirs: PreTrainedModel, how: Written, tmp_path: Path) -> None:
    """Its logits through a file that is written so are its own."""
    write(tmp_path / "model.gguf", theirs, how)
    (tmp_path / "config.json").write_text(json.dumps(config_from_metadata(GGUFReader(tmp_path / "model.gguf"))))
    (tmp_path / "tensors.json").write_text(json.dumps(tensor_index([tmp_path / "model.gguf"])))
    tokens = prompts([19, 1])
    torch.testing.assert_close(logits_of(ours(tmp_path), tokens), their_logits(theirs, tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sheet", "says", "message"),
    [
        ("hybrid.granitemoehybrid", {"rope.scaling.finetuned": True}, "GGUF files of Bamba are not read"),
        ("hybrid.jamba", {"attention.head_count_kv": [2, 2, 0, 2]}, r"layers \[0, 1, 3\] are not every so many, as attn_layers are"),
        ("hybrid.nemotron_h", {"expert_group_count": 2}, "expert_group_count = 2 is not supported"),
    ],
)
def test_what_is_refused(sheet: str, says: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = make(import_module(f"models.families.{sheet}").TINY)
    usual = how(model.config)
    write(tmp_path / "model.gguf", model, replace(usual, says=lambda config: {**usual.says(config), **says}))
    with pytest.raises(ConfigError, match=message):
        config_from_metadata(GGUFReader(tmp_path / "model.gguf"))


def how(config: Any) -> Written:
    """With experts and without, Nemotron-H has two names."""
    sparse = "moe" in getattr(config, "layers_block_type", ())
    return (WRITTEN | STATES)[f"{config.model_type}_moe" if sparse else config.model_type]


def test_no_architecture_is_without_a_case() -> None:
    """llama, qwen2, qwen3 and gemma3 have theirs in test_gguf.py."""
    assert {written.arch for written in (*WRITTEN.values(), *STATES.values())} | {"llama", "qwen2", "qwen3", "gemma3"} == set(ARCHITECTURES)
