"""A folder of CTranslate2's is prepared once, and described and opened like any other."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models

from engine.embedded.load import LoadOptions, load_model
from engine.embedded.scheduler import Limits
from server.cli.arch.command import describe_models
from server.weights.cache import PullError
from server.weights.pull import pull
from tests.models import ctranslate2_files
from tests.models.test_ctranslate2 import changed, folder
from tests.models.world import make


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    directory = folder(tmp_path / "gpt2-ct2", ctranslate2_files.gpt2(make(changed("gpt2"))), "int8")
    Tokenizer(models.WordLevel({f"t{i}": i for i in range(256)}, unk_token="t0")).save(str(directory / "tokenizer.json"))
    return directory


def test_prepared_once(converted: Path, home: Path) -> None:
    prepared = pull(str(converted), cache=home)
    names = {"config.json", "model.bin", "sha256.json", "source.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in prepared.iterdir()} == names
    assert (prepared / "model.bin").samefile(converted / "model.bin")
    assert pull(str(converted), cache=home) == prepared == pull(str(prepared), cache=home)
    (converted / "model.bin").write_bytes((converted / "model.bin").read_bytes()[:-1])
    with pytest.raises(PullError, match="ends within"):
        pull(str(converted), cache=home)


def test_opened(converted: Path, home: Path) -> None:
    limits = Limits(max_running=3, max_waiting=256, max_step_tokens=24, mixed_step_tokens=7)
    loaded = load_model(pull(str(converted), cache=home), LoadOptions(kv_memory=1 << 20, dtype=torch.float32, limits=limits))
    assert loaded.end_tokens == (2,) and loaded.info.vocab == 256 and loaded.info.context == 128


def test_described_before_and_after(converted: Path, home: Path) -> None:
    (converted / "tokenizer.json").rename(converted / "elsewhere.json")
    described = describe_models([str(converted)])
    (converted / "elsewhere.json").rename(converted / "tokenizer.json")
    assert unnamed(described) == unnamed(describe_models([str(pull(str(converted), cache=home))]))
    assert "3 layers" in described


def unnamed(described: str) -> list[str]:
    return [line for line in described.splitlines() if "gpt2-ct2" not in line]


def test_what_cannot_be_used(converted: Path, home: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    (converted / "config.json").write_text(json.dumps(config | {"quantization_type": 1}))
    with pytest.raises(PullError, match=r"gpt2-ct2 cannot be used: .*quantization_type = 1 is not supported"):
        pull(str(converted), cache=home)
    (converted / "tokenizer.json").unlink()
    with pytest.raises(PullError, match=r"has no tokenizer\.json; convert the model with --copy_files"):
        pull(str(converted), cache=home)
