"""A GGUF file is prepared once, shares its bytes with the original, and is never mistaken for another."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, pre_tokenizers

from server.weights import gguf, integrity
from server.weights.cache import PullError
from server.weights.pull import pull
from tests.server.weights import tiny_gguf
from tests.server.weights.sources import PREPARED, leftovers


def test_a_gguf_file_is_prepared(gguf_file: Path, home: Path) -> None:
    directory = pull(str(gguf_file), cache=home)
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert (directory / "model.gguf").samefile(gguf_file)  # no second copy
    assert json.loads((directory / "config.json").read_text())["hidden_size"] == 32
    assert {entry["name"] for entry in json.loads((directory / "tensors.json").read_text())} == set(tiny_gguf.weights(8))
    assert Tokenizer.from_file(str(directory / "tokenizer.json")).encode("<|im_end|>").ids == [2]
    assert json.loads((directory / "tokenizer_config.json").read_text())["chat_template"] == tiny_gguf.TEMPLATE


def test_what_is_prepared_costs_nothing_again(gguf_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(str(gguf_file), cache=home)
    assert pull(str(first), cache=home) == first
    monkeypatch.setattr(integrity, "file_sha256", None)
    monkeypatch.setattr(gguf, "_config_files", None)
    assert pull(str(gguf_file), cache=home) == first
    assert pull(str(first), cache=home) == first


def test_equal_content_elsewhere_is_the_same_model(gguf_file: Path, home: Path, tmp_path: Path) -> None:
    (copy := tmp_path / "tiny.gguf").write_bytes(gguf_file.read_bytes())
    assert pull(str(copy), cache=home) == pull(str(gguf_file), cache=home)


def test_a_file_written_over_is_another_model(gguf_file: Path, home: Path, tmp_path: Path) -> None:
    """Through the hard link the prepared weights change too: neither the new nor the old content may get the wrong ones."""
    old = gguf_file.read_bytes()
    (file := tmp_path / "tiny.gguf").write_bytes(old)
    before = pull(str(file), cache=home)
    metadata = tiny_gguf.described(tiny_gguf.byte_level(pre_tokenizers.ByteLevel(use_regex=False)), "gpt-2")
    new = tiny_gguf.write(tmp_path / "other.gguf", metadata, seed=1).read_bytes()
    file.write_bytes(new)
    after = pull(str(file), cache=home)
    assert after != before and (after / "model.gguf").read_bytes() == new
    assert pull(str(gguf_file), cache=home) == before and (before / "model.gguf").read_bytes() == old


def test_all_pieces_make_one_model(home: Path, tmp_path: Path) -> None:
    metadata = tiny_gguf.described(tiny_gguf.byte_level(pre_tokenizers.ByteLevel()), "gpt-2")
    tiny_gguf.write(tmp_path / "m.gguf", metadata, split=4)
    pieces = sorted(path.name for path in tmp_path.glob("m-*.gguf"))
    directory = pull(str(tmp_path / pieces[1]), cache=home)
    entries = json.loads((directory / "tensors.json").read_text())
    assert {entry["name"] for entry in entries} == set(tiny_gguf.weights(8))
    assert sorted({entry["file"] for entry in entries}) == pieces
    assert all((directory / piece).samefile(tmp_path / piece) for piece in pieces)
    assert pull(str(tmp_path), cache=home) == directory


def test_a_missing_piece_is_named(home: Path, tmp_path: Path) -> None:
    (first := tmp_path / "m-00001-of-00003.gguf").write_bytes(b"")
    (tmp_path / "m-00003-of-00003.gguf").write_bytes(b"")
    with pytest.raises(PullError, match=r"missing beside it: m-00002-of-00003\.gguf"):
        pull(str(first), cache=home)


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: b"GGUF", lambda c: b"no model" * 99, lambda c: c[:500], lambda c: c[:-50]])
def test_a_damaged_gguf_file_is_refused_and_leaves_nothing(
    damage: Callable[[bytes], bytes], home: Path, tmp_path: Path, gguf_file: Path
) -> None:
    (file := tmp_path / "bad.gguf").write_bytes(damage(gguf_file.read_bytes()))
    with pytest.raises(PullError, match=r"bad\.gguf"):
        pull(str(file), cache=home)
    assert not leftovers(home)
