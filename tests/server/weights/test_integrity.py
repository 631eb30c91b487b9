"""Weights that are not those that were fetched."""

import json
from pathlib import Path

import pytest

from engine.embedded.load import LoadOptions, load_model
from engine.embedded.scheduler import Limits
from server.text.tokenizer import load_tokenizer
from server.weights.cache import PullError
from server.weights.integrity import expect_intact, record_digests
from server.weights.progress import no_progress

LIMITS = Limits(max_running=1, max_waiting=1, max_step_tokens=2, mixed_step_tokens=2)


def test_damage_is_found_by_name(tmp_path: Path) -> None:
    directory, home = tmp_path / "model", tmp_path / "home"
    directory.mkdir()
    weights = directory / "model.safetensors"
    weights.write_bytes(b"x" * 1000)
    expect_intact(directory, home, no_progress)  # nothing is known of it
    record_digests(directory, no_progress)
    expect_intact(directory, home, no_progress)
    weights.write_bytes(b"x" * 500 + b"\xff" * 500)
    with pytest.raises(PullError, match=r"model\.safetensors is damaged"):
        expect_intact(directory, home, no_progress)
    weights.unlink()
    with pytest.raises(PullError, match=r"model\.safetensors is missing"):
        expect_intact(directory, home, no_progress)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_errors_name_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        load_model(tmp_path, LoadOptions(kv_memory=1 << 20, limits=LIMITS))
    (tmp_path / "tokenizer.json").write_text(content.replace("[]", json.dumps({"version": 1})))
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
