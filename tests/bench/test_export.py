"""The bfloat16 copy that other servers get holds the GGUF file's weights."""

import json
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file

from bench.export_hf import export
from tests.models.gguf_files import round_weights, write
from tests.models.test_gguf import gguf_tiny, prepare
from tests.models.world import make


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma3"])
def test_weights_come_back(family: str, tmp_path: Path) -> None:
    theirs = make(gguf_tiny(family))
    round_weights(theirs, Kind.Q8_0)
    source = prepare(write(tmp_path / "model.gguf", theirs, Kind.Q8_0))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).write_text("{}")
    export(source, tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")
    expected = {name: value.to(torch.bfloat16) for name, value in theirs.state_dict().items()}
    if theirs.config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=1e-3, msg=name)


def test_no_token_ends_a_text(tmp_path: Path) -> None:
    source = prepare(write(tmp_path / "model.gguf", make(gguf_tiny("llama")), Kind.F32))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).write_text("{}")
    export(source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["eos_token_id"] is None
