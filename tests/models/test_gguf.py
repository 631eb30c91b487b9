"""GGUF files, through config_from_metadata, tensors.json and the recipes, give the logits of the model they hold."""

import json
from math import log
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader
from transformers import PreTrainedModel

from models.checkpoint import open_checkpoint
from models.families import arch_of
from models.gguf.config import config_from_metadata
from models.gguf.index import tensor_index
from models.hf import ConfigError
from models.quant import Grouped
from tests.models.gguf_files import round_weights, write
from tests.models.test_parity import LLAMA3, YARN, tiny
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


def gguf_tiny(family: str, **changes: Any) -> dict[str, Any]:
    """TINY as far as a GGUF file can say it."""
    if family == "gemma3":
        plain = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
        types = ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]
        changes = {"num_hidden_layers": 7, "layer_types": types, "rope_parameters": plain, "final_logit_softcapping": None} | changes
        changes = {"query_pre_attn_scalar": 24} | changes
    if family == "qwen2":
        changes = {"use_sliding_window": False, "sliding_window": None} | changes
    return tiny(family, **(DIMS | changes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_kinds(family: str, kind: Kind, tmp_path: Path) -> None:
    theirs = make(gguf_tiny(family))
    round_weights(theirs, kind)
    agree(prepare(write(tmp_path / "model.gguf", theirs, kind)), theirs)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"tie_word_embeddings": True, "head_dim": 24}),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("llama", {"rope_parameters": LLAMA3 | {"rope_theta": 500_000.0}}),
    ("mistral", {}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen2", {"rope_parameters": YARN}),
    ("qwen3", {"tie_word_embeddings": True}),
]


@pytest.mark.parametrize(("family", "changes"), CASES, ids=[f"{family}-{'-'.join(changes)}" for family, changes in CASES])
def test_families(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = make(gguf_tiny(family, **changes))
    round_weights(theirs, Kind.Q8_0)
    agree(prepare(write(tmp_path / "model.gguf", theirs, Kind.Q8_0)), theirs)


# Llama 3's scaling comes back as divisors: the same numbers, another value
SAME = [(family, changes) for family, changes in [*CASES, ("gemma3", {})] if "low_freq_factor" not in changes.get("rope_parameters", {})]


@pytest.mark.parametrize(("family", "changes"), SAME, ids=[f"{family}-{'-'.join(changes)}" for family, changes in SAME])
def test_the_same_architecture(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Equal to the last digit: 1e-05 comes back from 32 bits as 1e-05."""
    values = gguf_tiny(family, **changes)
    paths = write(tmp_path / "model.gguf", make(values), Kind.F16)
    assert arch_of(config_from_metadata(GGUFReader(paths[0]))) == arch_of(values)


def test_yarn_amplitude_comes_on_top(tmp_path: Path) -> None:
    theirs = make(gguf_tiny("qwen2", rope_parameters=YARN))
    (path,) = write(tmp_path / "model.gguf", theirs, Kind.F16, extra={"rope.scaling.attn_factor": 2.0, "rope.scaling.yarn_beta_fast": 16.0})
    rope = config_from_metadata(GGUFReader(path))["rope_parameters"]
    assert rope["attention_factor"] == pytest.approx(2 * (0.1 * log(4) + 1)) and rope["beta_fast"] == 16.0


def test_pieces(tmp_path: Path) -> None:
    theirs = make(gguf_tiny("llama"))
    paths = write(tmp_path / "tiny.gguf", theirs, Kind.F32, split=12)
    assert (paths[0].name, len(paths)) == ("tiny-00001-of-00003.gguf", 3)
    agree(prepare(paths), theirs)


def test_same_as_safetensors(tmp_path: Path) -> None:
    """The same numbers in both forms: not a bit of difference."""
    theirs = make(gguf_tiny("llama"))
    round_weights(theirs, Kind.Q4_1)
    theirs.save_pretrained(tmp_path / "dense")
    (tmp_path / "quantized").mkdir()
    directory = prepare(write(tmp_path / "quantized" / "model.gguf", theirs, Kind.Q4_1))
    tokens = prompts([9])
    assert isinstance(open_checkpoint(directory)["blk.0.attn_q.weight"], Grouped)
    assert torch.equal(logits_of(ours(directory), tokens), logits_of(ours(tmp_path / "dense"), tokens))


def test_metadata_that_nobody_reads(tmp_path: Path) -> None:
    theirs = make(gguf_tiny("llama"))
    (path,) = write(tmp_path / "model.gguf", theirs, Kind.F32, extra={"attention.temperature_scale": 2.0})
    with pytest.raises(ConfigError, match=r"nobody read attention\.temperature_scale"):
        config_from_metadata(GGUFReader(path))


def test_unknown_architecture(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "rwkv7")
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    with pytest.raises(ConfigError, match="'rwkv7' is not supported"):
        config_from_metadata(GGUFReader(tmp_path / "model.gguf"))


def test_gemma_27b_scales_queries_otherwise(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 32}
    types = ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(62)]
    theirs = make(gguf_tiny("gemma3", num_hidden_layers=62, layer_types=types, query_pre_attn_scalar=16, **small))
    config = config_from_metadata(GGUFReader(write(tmp_path / "model.gguf", theirs, Kind.F32)[0]))
    assert config["query_pre_attn_scalar"] == 16
