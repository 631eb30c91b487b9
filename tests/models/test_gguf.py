"""GGUF files, through config_from_metadata, tensors.json and the recipes, give the logits of the model they hold."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, PreTrainedModel

from models.checkpoint import open_checkpoint
from models.gguf import config_from_metadata, tensor_index
from models.hf import ConfigError
from models.quant import Grouped
from tests.models.gguf_files import round_weights, write
from tests.models.test_parity import tiny
from tests.models.world import logits_of, make, ours, prompts, their_logits

DIMS = {"hidden_size": 64, "intermediate_size": 96}
KINDS = [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_1]


def prepare(paths: list[Path]) -> Path:
    """What `stoa pull` does, but for the tokenizer."""
    directory = paths[0].parent
    (directory / "config.json").write_text(json.dumps(config_from_metadata(*map(GGUFReader, paths))))
    (directory / "tensors.json").write_text(json.dumps(tensor_index(paths)))
    return directory


def agree(directory: Path, theirs: PreTrainedModel) -> None:
    tokens = prompts([19, 1])
    torch.testing.assert_close(logits_of(ours(directory), tokens), their_logits(theirs, tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_kinds(family: str, kind: Kind, tmp_path: Path) -> None:
    theirs = make(gguf_tiny(family))
    round_weights(theirs, kind)
    agree(prepare(write(tmp_path / "model.gguf", theirs, kind)), theirs)


def gguf_tiny(family: str, **changes: Any) -> dict[str, Any]:
    """TINY as far as a GGUF file can say it."""
    if family == "gemma3":
        plain = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
        types = ["sliding_attention"] * 3 + ["full_attention"]
        changes = {"layer_types": types, "rope_parameters": plain, "query_pre_attn_scalar": 24, "final_logit_softcapping": None} | changes
    if family == "qwen2":
        changes = {"use_sliding_window": False, "sliding_window": None} | changes
    return tiny(family, **DIMS, **changes)
