"""A GGUF model is written once more for an engine that reads safetensors, once."""

import json
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file

from server.weights import safetensors_copy
from server.weights.cache import PullError
from server.weights.progress import no_progress
from server.weights.pull import pull
from server.weights.safetensors_copy import as_safetensors
from tests.models.gguf_files import round_weights, write
from tests.models.test_gguf import gguf_tiny, prepare
from tests.models.world import make
from tests.server.weights.sources import leftovers


def test_the_copy_has_the_weights_and_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, home = make(gguf_tiny("llama")), tmp_path / "home"
    round_weights(theirs, Kind.Q8_0)
    source = prepare(write(tmp_path / "model.gguf", theirs, Kind.Q8_0))
    for name in ("tokenizer.json", "tokenizer_config.json", "sha256.json"):
        (source / name).write_text("{}")
    copy = as_safetensors(source, no_progress, home)
    found, config = load_file(copy / "model.safetensors"), json.loads((copy / "config.json").read_text())
    for name, value in found.items():
        torch.testing.assert_close(value, theirs.state_dict()[name].to(torch.bfloat16), rtol=1e-2, atol=1e-3, msg=name)
    assert config["architectures"] == ["LlamaForCausalLM"] and config["dtype"] == "bfloat16" and (copy / "tokenizer.json").exists()
    monkeypatch.setattr(safetensors_copy, "_write", None)
    assert as_safetensors(source, no_progress, home) == copy and as_safetensors(copy, no_progress, home) == copy
    (source / "sha256.json").write_text('{"model.gguf": "other"}')  # other weights under the same name
    with pytest.raises(TypeError):
        as_safetensors(source, no_progress, home)


def test_what_cannot_be_copied_is_refused_and_leaves_nothing(gguf_file: Path, home: Path, tmp_path: Path) -> None:
    prepared = pull(str(gguf_file), cache=home)
    before = leftovers(home)
    (prepared / "config.json").write_text(
        json.dumps(json.loads((prepared / "config.json").read_text()) | {"architectures": ["NoneForCausalLM"]})
    )
    with pytest.raises(PullError, match="no safetensors can be made"):
        as_safetensors(prepared, no_progress, home)
    assert leftovers(home) == before
    with pytest.raises(PullError, match="neither a Hugging Face folder nor a GGUF file"):
        as_safetensors(tmp_path, no_progress, home)
