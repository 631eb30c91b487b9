"""CTranslate2's model.bin, by a writer of our own: every type of number, whole decoders, and files that are cut or changed."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.checkpoint import open_checkpoint
from models.ctranslate2.file import CTranslate2
from models.ctranslate2.folder import config_of, generation_config_of
from models.families import arch_of
from models.hf import ConfigError
from models.quant import Grouped, Weight, WeightsError
from tests.models import ctranslate2_files, encoder_decoder_world
from tests.models.ctranslate2_files import model_bin
from tests.models.test_parity import tiny
from tests.models.world import logits_of, make, ours, prompts, their_logits

RANDOM = np.random.default_rng(9)
TOKENS = prompts([23, 1, 7])
VARIABLES = {
    "encoder/conv1/weight": RANDOM.normal(size=(6, 5, 3)).astype(np.float32),
    "encoder/layer_0/linear_0/weight": RANDOM.normal(size=(6, 64)).astype(np.float32),
    "encoder/layer_0/linear_1/weight": RANDOM.normal(size=(5, 30)).astype(np.float32),
    "encoder/layer_0/linear_1/bias": RANDOM.normal(size=5).astype(np.float32),
    "encoder/num_heads": np.asarray(np.int16(3)),
    "encoder/odd": np.asarray(np.int8(1)),
}


def write(directory: Path, content: bytes) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "model.bin").write_bytes(content)
    return directory / "model.bin"


def dense(value: Weight) -> Tensor:
    return value.float() if isinstance(value, Tensor) else value.dequantize()


@pytest.mark.parametrize(("kind", "close"), [("float32", 0), ("float16", 1e-3), ("int16", 2e-3), ("int8", 2e-2)])
@pytest.mark.parametrize("version", [4, 5, 6])
def test_every_tensor(kind: str, close: float, version: int, tmp_path: Path) -> None:
    file = CTranslate2(write(tmp_path, model_bin(VARIABLES, kind, "WhisperSpec", version)))
    assert file.spec == "WhisperSpec" and file.settings == {"encoder/num_heads": 3, "encoder/odd": 1}
    assert set(file) == {name for name, value in VARIABLES.items() if value.ndim} and len(file) == 4
    for name in file:
        torch.testing.assert_close(dense(file[name]), torch.from_numpy(VARIABLES[name]), rtol=0, atol=close)
    assert isinstance(file["encoder/layer_0/linear_0/weight"], Grouped) == (kind == "int8")


def folder(directory: Path, variables: dict[str, Any], kind: str = "float32", **config: Any) -> Path:
    """As ct2-transformers-converter leaves it."""
    write(directory, model_bin(variables, kind))
    said = {"bos_token": "t1", "eos_token": "t2", "unk_token": "t0", "layer_norm_epsilon": 1e-5, "multi_query_attention": True} | config
    (directory / "config.json").write_text(json.dumps(said))
    (directory / "vocabulary.json").write_text(json.dumps([f"t{i}" for i in range(256)]))
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}))
    return directory


def prepared(directory: Path) -> Path:
    (directory / "config.json").write_text(json.dumps(config_of(directory)))
    return directory


FAMILIES = {"gpt2": ctranslate2_files.gpt2, "llama": ctranslate2_files.llama, "qwen3": ctranslate2_files.llama}


def changed(family: str) -> dict[str, Any]:
    """Its converter does not ask GPT-2 how scores are scaled."""
    return {key: value for key, value in tiny(family).items() if key != "scale_attn_by_inverse_layer_idx"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder(family: str, tmp_path: Path) -> None:
    theirs = make(changed(family))
    directory = prepared(folder(tmp_path, FAMILIES[family](theirs)))
    torch.testing.assert_close(logits_of(ours(directory), TOKENS), their_logits(theirs, TOKENS), rtol=1e-4, atol=1e-4)
    assert json.loads((directory / "config.json").read_text())["eos_token_id"] == 2


def test_a_decoder_in_eight_bits_stays_in_them(tmp_path: Path) -> None:
    theirs = make(changed("llama"))
    variables = ctranslate2_files.llama(theirs)
    rounded = ctranslate2_files.quantized(variables, "int8")
    for name in [name for name in rounded if name.endswith("_scale")]:
        weight = name.removesuffix("_scale")
        variables[weight] = (rounded[weight] / rounded[name][:, None]).astype(np.float32)
    int8, plain = prepared(folder(tmp_path / "8", ctranslate2_files.llama(theirs), "int8")), prepared(folder(tmp_path / "32", variables))
    assert isinstance(open_checkpoint(int8)["decoder/layer_0/ffn/linear_1/weight"], Grouped)
    torch.testing.assert_close(logits_of(ours(int8), TOKENS), logits_of(ours(plain), TOKENS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "close"), [("float32", 1e-4), ("int8", 0.3)])
def test_whisper(kind: str, close: float, tmp_path: Path) -> None:
    """Its folder's tokens have a line each, and its config.json says what is not to be answered."""
    values = importlib.import_module("models.families.encoder_decoder.whisper").TINY
    theirs = encoder_decoder_world.make(values)
    write(tmp_path, model_bin(ctranslate2_files.whisper(theirs), kind, "WhisperSpec"))
    (tmp_path / "vocabulary.txt").write_text("\n".join([*(f"t{i}" for i in range(254)), "<|endoftext|>", "<|startoftranscript|>"]) + "\n")
    (tmp_path / "config.json").write_text(
        json.dumps({"suppress_ids": [5], "suppress_ids_begin": [6], "alignment_heads": [[1, 2]], "lang_ids": []})
    )
    assert generation_config_of(tmp_path) == {"suppress_tokens": [5], "begin_suppress_tokens": [6], "alignment_heads": [[1, 2]]}
    config = json.loads((prepared(tmp_path) / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["decoder_start_token_id"]) == (254, 254, 255)
    inputs, texts = encoder_decoder_world.some_inputs(values, [1, 1]), encoder_decoder_world.some_tokens([9, 4])
    found = encoder_decoder_world.logits_of(ours(tmp_path), inputs, texts)
    torch.testing.assert_close(found, encoder_decoder_world.their_logits(theirs, inputs, texts), rtol=0, atol=close)


def test_what_is_one_tensor_is_tied(tmp_path: Path) -> None:
    file = CTranslate2(write(tmp_path, model_bin(ctranslate2_files.gpt2(make(changed("gpt2"))), "int8")))
    assert file.same("decoder/projection/weight", "decoder/embeddings/weight")
    torch.testing.assert_close(dense(file["decoder/projection/weight"]), dense(file["decoder/embeddings/weight"]))
    assert not file.same("decoder/projection/weight", "decoder/position_encodings/encodings")


SMALL = model_bin({name: value for name, value in VARIABLES.items() if "layer_0" in name}, "int8")


def test_a_file_that_ends_anywhere(tmp_path: Path) -> None:
    for end in range(len(SMALL)):
        with pytest.raises((WeightsError, ValueError), match=r"ends within (the header|the aliases|encoder/)|mmap an empty"):
            CTranslate2(write(tmp_path, SMALL[:end]))
    with pytest.raises(WeightsError, match="has 3 bytes behind its aliases"):
        CTranslate2(write(tmp_path, SMALL + b"abc"))


def test_a_byte_that_is_another(tmp_path: Path) -> None:
    """Of names, shapes, types and lengths: an error, or another name."""
    first = SMALL.index(b"encoder/layer_0/linear_0/weight\0")
    for at in [*range(first + 32, first + 32 + 1 + 8 + 1 + 4), *range(4)]:
        wrong = bytearray(SMALL)
        wrong[at] ^= 0x15
        with pytest.raises(WeightsError):
            CTranslate2(write(tmp_path, bytes(wrong)))


def test_aliases_of_nothing(tmp_path: Path) -> None:
    twice = {"a/weight": np.ones((2, 3), np.float32), "b/weight": np.ones((2, 3), np.float32)}
    content = model_bin(twice)
    assert set(CTranslate2(write(tmp_path, content))) == {"a/weight", "b/weight"}
    with pytest.raises(WeightsError, match="b/weight is an alias of a/weighs, which there is not"):
        CTranslate2(write(tmp_path, content[:-2] + b"s\0"))


@pytest.mark.parametrize("scale", [None, np.ones(4, np.float32), np.ones(5, np.float16)])
def test_a_scale_that_does_not_fit(scale: Any, tmp_path: Path) -> None:
    variables = {"a/weight": np.ones((5, 32), np.int8)} | ({} if scale is None else {"a/weight_scale": scale})
    with pytest.raises(WeightsError, match=r"a/weight_scale must be float32 \[5\], but is"):
        CTranslate2(write(tmp_path, model_bin(variables)))["a/weight"]


LAYER = "decoder/layer_0/"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({LAYER + "self_attention/rotary_interleave": np.int8(1)}, "rotary_interleave = 1 is not supported"),
        ({LAYER + "self_attention/rotary_scaling_type": np.int8(2)}, "rotary_scaling_type = 2 is not supported"),
        ({LAYER + "input_layer_norm/gamma": np.ones(64, np.float32)}, "layer_0/input_layer_norm/gamma is not supported"),
        ({LAYER + "attention/linear_0/weight": np.ones((1, 1), np.float32)}, "attention/linear_0/weight is not supported"),
        ({LAYER + "self_attention/relative": np.int8(1)}, "layer_0: nobody read self_attention/relative"),
        ({"decoder/scale_outputs": np.float32(2)}, "nobody read scale_outputs"),
        ({"decoder/activation": np.int8(6)}, "activation = 6 is not supported"),
        ({"decoder/num_heads": np.int16(5)}, "linear_0/weight has 128 rows, but must have 5 queries and twice 2 keys"),
        ({"decoder/pre_norm": np.int8(0)}, "pre_norm = 0 is not supported"),
        ({"decoder/embeddings/weight": np.float32(0)}, "embeddings/weight must be a matrix"),
    ],
)
def test_what_is_refused(variables: dict[str, Any], message: str, tmp_path: Path) -> None:
    plain = ctranslate2_files.llama(make(tiny("llama")))
    with pytest.raises(ConfigError, match=message):
        config_of(folder(tmp_path, plain | {name: np.asarray(value) for name, value in variables.items()}))


def test_what_a_folder_must_say(tmp_path: Path) -> None:
    directory = folder(tmp_path, ctranslate2_files.llama(make(tiny("llama"))), quantization_type=1)
    with pytest.raises(ConfigError, match="quantization_type = 1 is not supported"):
        config_of(directory)
    folder(tmp_path, ctranslate2_files.llama(make(tiny("llama"))))
    assert arch_of(config_of(directory)).context == 128
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 1e30}))
    with pytest.raises(ConfigError, match="say it in tokenizer_config"):
        config_of(directory)
    (directory / "vocabulary.json").unlink()
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}))
    with pytest.raises(ConfigError, match="must have the model's 256 tokens, but has 0"):
        config_of(directory)
    write(tmp_path, model_bin(VARIABLES, spec="TransformerSpec"))
    with pytest.raises(ConfigError, match="TransformerSpec is not supported, only TransformerDecoderSpec and WhisperSpec"):
        config_of(directory)
