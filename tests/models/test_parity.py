"""Every family gives the logits that transformers gives, for the same random checkpoint."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from models.families import FAMILIES
from tests.models.world import logits_of, make, ours, prompts, their_logits

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10_000.0}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}

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
]


def tiny(family: str, **changes: Any) -> dict[str, Any]:
    return import_module(f"models.families.{family}").TINY | changes


def agree(directory: Path, values: dict[str, Any], *, shards: str = "1GB", **options: Any) -> None:
    theirs = make(values)
    theirs.save_pretrained(directory, max_shard_size=shards)
    tokens = prompts([23, 1, 7])
    want = their_logits(theirs, tokens, **options)
    assert want.std() > 0.2, "logits too flat to tell anything"
    torch.testing.assert_close(logits_of(ours(directory), tokens), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("family", "changes"), CASES, ids=[f"{family}-{'-'.join(changes) or 'tiny'}" for family, changes in CASES])
def test_same_logits(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    agree(tmp_path, tiny(family, **changes))


def test_attention_softcap(tmp_path: Path) -> None:
    """transformers reads the key, but hands its value on only when asked."""
    agree(tmp_path, tiny("gemma3", attn_logit_softcapping=1.5), softcap=1.5)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_shards(family: str, tmp_path: Path) -> None:
    agree(tmp_path, tiny(family), shards="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2


def test_every_family_has_a_case() -> None:
    assert {f"models.families.{family}" for family, _ in CASES} == set(FAMILIES.values())
