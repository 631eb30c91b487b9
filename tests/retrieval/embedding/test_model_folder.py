"""What a model's folder says: lengths, prompts, a name, and what tells its weights from others."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrieval.embedding.model_folder import read_folder, revision


def write(directory: Path, **files: Any) -> Path:
    """Names without .json."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in ({"config": {}} | files).items():
        (directory / f"{name}.json").write_text(json.dumps(value))
    return directory


def test_lengths(tmp_path: Path) -> None:
    assert read_folder(write(tmp_path)).max_tokens is None
    assert read_folder(write(tmp_path, tokenizer_config={"model_max_length": 1e30})).max_tokens is None
    assert read_folder(write(tmp_path, tokenizer_config={"model_max_length": 512})).max_tokens == 512
    assert read_folder(write(tmp_path, sentence_bert_config={"max_seq_length": 256, "do_lower_case": True})).max_tokens == 256
    assert read_folder(tmp_path).lowercase


def test_a_body_in_a_folder_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, modules=[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}])
    body = write(tmp_path / "0_Transformer", sentence_bert_config={"max_seq_length": 99})
    folder = read_folder(tmp_path)
    assert (folder.transformer_path, folder.max_tokens) == (body, 99)


def prompts(directory: Path, **config: Any) -> tuple[str, str]:
    found = read_folder(write(directory, config_sentence_transformers=config)).prompts
    return found["query"], found["document"]


def test_prompts(tmp_path: Path) -> None:
    assert prompts(tmp_path) == ("", "")
    assert prompts(tmp_path, prompts={"query": "find: ", "document": ""}) == ("find: ", "")
    assert prompts(tmp_path, prompts={"query": "q: ", "passage": "p: ", "corpus": "c: "}) == ("q: ", "p: ")
    assert prompts(tmp_path, prompts={"query": "q: ", "sts": "s: "}, default_prompt_name="sts") == ("q: ", "s: ")
    assert prompts(tmp_path, prompts={}, default_prompt_name=None) == ("", "")


@pytest.mark.parametrize("name", ["e5-small-v2", "multilingual-e5-base", "e5-large"])
def test_prompts_that_a_family_does_not_tell(name: str, tmp_path: Path) -> None:
    assert prompts(tmp_path / name) == ("query: ", "passage: ")
    hub = tmp_path / f"models--intfloat--{name}" / "snapshots" / "abc"
    assert prompts(hub) == ("query: ", "passage: ")
    assert prompts(tmp_path / name, prompts={"query": "q "}) == ("q ", "")  # told after all


@pytest.mark.parametrize("name", ["multilingual-e5-large-instruct", "bge-e5-small-v2x", "minilm"])
def test_others_have_none(name: str, tmp_path: Path) -> None:
    assert prompts(tmp_path / name) == ("", "")


def test_names(tmp_path: Path) -> None:
    assert read_folder(write(tmp_path / "mine")).name == "mine"
    assert read_folder(write(tmp_path / "mine", config={"_name_or_path": "org/all-good"})).name == "all-good"
    assert read_folder(write(tmp_path / "mine", config={"_name_or_path": "tmp/"})).name == "mine"
    assert read_folder(write(tmp_path / "models--org--name" / "snapshots" / "abc")).name == "org/name"


def test_a_missing_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        read_folder(write(tmp_path)).tokenizer()


def test_a_revision_sees_weights_and_tokenizer(tmp_path: Path) -> None:
    directory = write(tmp_path, tokenizer={"a": 1})
    weights = directory / "model.safetensors"
    weights.write_bytes(bytes(10_000_000))
    first = revision(directory)
    assert first == revision(directory) and len(first) == 16
    weights.write_bytes(bytes(9_999_999) + b"x")
    trained = revision(directory)
    weights.write_bytes(bytes(10_000_001))
    longer = revision(directory)
    write(tmp_path, tokenizer={"a": 2})
    assert len({first, trained, longer, revision(directory)}) == 4
