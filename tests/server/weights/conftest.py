"""Something to pull: a GGUF file, a directory, and an index of wheels."""

import os
from pathlib import Path

import pytest
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers

from tests.server.weights import tiny_gguf


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_gguf.byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_gguf.described(tokenizer, "gpt-2"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hf_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "hf"
    directory.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (directory / name).write_text("{}")
    save_file(tiny_gguf.weights(8), directory / "model.safetensors")
    return directory


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder, which is all that pip sees."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory
