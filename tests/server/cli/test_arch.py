"""`stoa arch` and `stoa new-arch`, without weights. The commands themselves: test_settings.py."""

import json
from pathlib import Path

import pytest

from models.families import arch_of, family_of
from models.hf import ConfigError
from server.cli.arch.command import as_json, describe_models, new_arch
from tests.models.encoder_world import make, tokenizer
from tests.models.test_encoders import tiny


def written(folder: Path, name: str) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(new_arch(name))
    return str(folder)


def test_encoder(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    lines = describe_models([str(tmp_path)]).splitlines()
    assert lines[0].endswith(": BertModel") and lines[1].split() == ["layers", "3"]
    assert lines[-2].strip() == "3 layers (0 to 2): all tokens before and all behind; 128 keys read at the context's end"
    assert lines[-1].split(maxsplit=1) == ["remembers", "nothing: an encoder reads whole texts"]


def test_a_written_architecture_is_described_without_weights(tmp_path: Path) -> None:
    text = describe_models([written(tmp_path / "a", "gpt_oss")])
    assert "2 layers (0, 2): 2×24 and 2×24 numbers per token, of the last 5 tokens" in text
    assert "2 layers (1, 3): 2×24 and 2×24 numbers per token, of all tokens" in text
    assert "2 layers (0, 2): 5 tokens back; 5 keys read at the context's end" in text
    assert "2 layers (1, 3): all tokens before; 128 keys read at the context's end" in text
    assert "M of them for each token" in text and "tokens are compute-optimal" in text


def test_two_side_by_side(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", "llama"), written(tmp_path / "b", "deepseek_v3")
    names, architectures, layers, *_ = describe_models([first, second]).splitlines()
    assert [name[1:] for name in names.split()] == [first[-27:], second[-27:]] and architectures.split() == [
        "architecture",
        *["StoaForCausalLM"] * 2,
    ]
    assert layers.split() == ["layers", "3", "3"]


def test_memory_is_drawn_within_a_terminal(tmp_path: Path) -> None:
    """Bars of attention grow with the text, those of states do not."""
    models = [written(tmp_path / name, name) for name in ("llama", "mamba2", "lfm2")]
    drawn = describe_models(models).splitlines()[-21:]
    bars = [[sum(map(line.count, "█░")) for line in drawn[at : at + 6]] for at in (1, 8, 15)]
    assert max(map(len, drawn)) <= 80
    assert bars[0] == sorted(set(bars[0])) and len(set(bars[1])) == 1 and bars[2] == sorted(set(bars[2]))
    (mamba,) = json.loads(as_json(models[1:2]))
    assert mamba["curve"] == [[1 << n, mamba["bytes_per_sequence"]] for n in range(10, 21, 2)]


def test_json(tmp_path: Path) -> None:
    (found,) = json.loads(as_json([written(tmp_path / "a", "mixtral")]))
    assert found["architecture"] == "StoaForCausalLM" and found["active_parameters"] < found["parameters"]
    assert found["caches"] == [{"layers": [0, 1, 2], "per_token": [[2, 16], [2, 16]], "reach": 9, "of": "self"}]
    assert found["optimal_tokens"] == 20 * found["active_parameters"]


def test_a_new_architecture_is_the_familys(tmp_path: Path) -> None:
    config = json.loads(new_arch("qwen3"))
    assert config["model_type"] == "stoa"
    assert arch_of(config) == arch_of(dict(family_of({"architectures": ["Qwen3ForCausalLM"]}).TINY))
    assert json.loads(new_arch(written(tmp_path / "a", "qwen3"))) == config


def test_a_new_encoder(tmp_path: Path) -> None:
    config = json.loads(new_arch("bert"))
    assert config["architectures"] == ["StoaModel"] and config["arch"]["output"] == {"type": "Pooled"}
    assert describe_models([written(tmp_path / "a", "albert")]).splitlines()[-1].endswith("an encoder reads whole texts")


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(new_arch("llama").replace('"heads": 4', '"heads": 5'))
    with pytest.raises(ConfigError, match=r"arch\.layers\[0\]\.mixer\.heads = 5 is no multiple"):
        describe_models([str(tmp_path)])
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no JSON object"):
        describe_models([str(tmp_path)])


def test_an_encoder_is_told_of_beside_its_decoder(tmp_path: Path) -> None:
    text = describe_models([written(tmp_path / "a", "t5")])
    assert "encoder     2 layers" in text and "inputs of 128 tokens" in text
    assert "3 layers (0 to 2): 4×10 and 4×10 numbers per token, of the encoder's input" in text
    assert "3 layers (0 to 2): 4×10 and 4×10 numbers per token, of all tokens" in text
