"""A tokenizer that went through a GGUF file encodes as the one it was written from."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from server.weights import gguf_tokenizer
from server.weights.pull import pull
from tests.server.weights import tiny_gguf

SAMPLES = [
    "",
    " ",
    "Hello world",
    "  two spaces,  and   more ",
    "tabs\t\tand\n\n\nlines  \n x\r\n",
    "I'll DON'T we've it's",
    "1 12 123 1234 12345 a1b22c333",
    "你好世界 привет مرحبا 🎉👩‍👩‍👧 e\u0301 \u00e9",
    "<|im_start|>user\nhi<|im_end|>\n<think>",
    "\x00\x01 \x7f\u2581",
    "foo_bar(baz[0]) != {'a': 1}; // ---",
]

DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])


def split(pattern: str) -> Any:
    cut = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


ORIGINALS = {
    "gpt-2": lambda: tiny_gguf.byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "smollm": lambda: tiny_gguf.byte_level(DIGITS),
    "llama-bpe": lambda: tiny_gguf.byte_level(split(gguf_tokenizer.LLAMA3)),
    "qwen2": lambda: tiny_gguf.byte_level(split(gguf_tokenizer.QWEN2), normalizers.NFC()),
    "tekken": lambda: tiny_gguf.byte_level(split(gguf_tokenizer.TEKKEN)),
}


@pytest.mark.parametrize("pre", ORIGINALS)
def test_byte_level_comes_back(pre: str) -> None:
    original = ORIGINALS[pre]()
    ours = gguf_tokenizer.build_tokenizer(tiny_gguf.described(original, pre))
    assert ours.get_vocab_size() == original.get_vocab_size()
    for text in SAMPLES:
        assert ours.encode(text).ids == original.encode(text).ids, text


@pytest.mark.parametrize("pre", ["gpt-2", "llama-bpe", "qwen2"])
def test_byte_level_agrees_with_transformers(pre: str, tmp_path: Path) -> None:
    metadata = tiny_gguf.described(ORIGINALS[pre](), pre)
    tiny_gguf.write(tmp_path / "m.gguf", metadata)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="m.gguf")
    ours = gguf_tokenizer.build_tokenizer(metadata)
    for text in SAMPLES:
        if pre == "qwen2" and text != normalizers.NFC().normalize_str(text):
            continue  # the published qwen2 tokenizers compose characters; transformers does not for GGUF
        assert ours.encode(text).ids == theirs(text)["input_ids"], text


def test_digits_are_split_for_smollm() -> None:
    tokens = gguf_tokenizer.build_tokenizer(tiny_gguf.described(ORIGINALS["smollm"](), "smollm")).encode("in 2024").tokens
    assert tokens[-4:] == ["2", "0", "2", "4"]


def test_control_tokens_are_special_and_user_defined_ones_are_text() -> None:
    ours = gguf_tokenizer.build_tokenizer(tiny_gguf.described(ORIGINALS["smollm"](), "smollm"))
    ids = ours.encode("<|im_start|><think>").ids
    assert [ours.id_to_token(i) for i in ids] == ["<|im_start|>", "<think>"]
    assert ours.decode(ids) == "<think>"
    assert ours.decode(ids, skip_special_tokens=False) == "<|im_start|><think>"


BYTE_LEVEL = gguf_tokenizer.build_tokenizer(tiny_gguf.described(ORIGINALS["smollm"](), "smollm"))


@given(st.text())
def test_text_survives(text: str) -> None:
    assert BYTE_LEVEL.decode(BYTE_LEVEL.encode(text).ids, skip_special_tokens=False) == text


def test_configuration() -> None:
    metadata = tiny_gguf.described(ORIGINALS["smollm"](), "smollm")
    config = gguf_tokenizer.tokenizer_config(metadata)
    assert (config["bos_token"], config["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert config["chat_template"] == tiny_gguf.TEMPLATE
    assert config["add_bos_token"] is False
    assert gguf_tokenizer.generation_config(metadata)["eos_token_id"] == [0, 2]  # <|endoftext|> ends a text too


def test_bos_and_eos_are_added_when_asked_for() -> None:
    metadata = tiny_gguf.described(ORIGINALS["gpt-2"](), "gpt-2") | {
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": True,
    }
    ours = gguf_tokenizer.build_tokenizer(metadata)
    assert ours.encode("a").tokens == ["<|im_start|>", "a", "<|im_end|>"]
    assert ours.encode("a", add_special_tokens=False).tokens == ["a"]
    assert ours.encode("a", "b").tokens == ["<|im_start|>", "a", "<|im_end|>", "b", "<|im_end|>"]


@pytest.mark.parametrize(("key", "value"), [("pre", "something-new"), ("model", "rwkv")])
def test_an_unknown_tokenizer_is_refused_by_name(key: str, value: str) -> None:
    metadata = tiny_gguf.described(ORIGINALS["gpt-2"](), "gpt-2") | {f"tokenizer.ggml.{key}": value}
    with pytest.raises(gguf_tokenizer.UnknownTokenizer, match=value):
        gguf_tokenizer.build_tokenizer(metadata)


def sentencepiece_model(**options: Any) -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny_gguf.TEXT), model_writer=model, model_type="bpe", vocab_size=420, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2, **options,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def described(theirs: sentencepiece.SentencePieceProcessor, **more: Any) -> dict[str, Any]:
    def kind(i: int) -> int:
        return 2 if theirs.is_unknown(i) else 3 if theirs.is_control(i) else 6 if theirs.is_byte(i) else 1

    numbers = range(theirs.vocab_size())
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [theirs.id_to_piece(i) for i in numbers],
        "tokenizer.ggml.scores": [theirs.get_score(i) for i in numbers],
        "tokenizer.ggml.token_type": [kind(i) for i in numbers],
        "tokenizer.ggml.bos_token_id": theirs.bos_id(),
        "tokenizer.ggml.eos_token_id": theirs.eos_id(),
        "tokenizer.ggml.unknown_token_id": theirs.unk_id(),
    } | {f"tokenizer.ggml.{key}": value for key, value in more.items()}


WITH_PREFIX = sentencepiece_model()
OURS_WITH_PREFIX = gguf_tokenizer.build_tokenizer(described(WITH_PREFIX))
PLAIN = sentencepiece_model(add_dummy_prefix=False)
OURS_PLAIN = gguf_tokenizer.build_tokenizer(described(PLAIN, add_space_prefix=False))
PAIRS = [(WITH_PREFIX, OURS_WITH_PREFIX), (PLAIN, OURS_PLAIN)]
# a tab is no character of its own to SentencePiece's trainer, and NUL ends its strings
CHARACTERS = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])


@settings(deadline=None)
@given(st.sampled_from(SAMPLES[:8]) | st.text(CHARACTERS) | st.text(" abcdehotu123.,", max_size=40))
def test_sentencepiece_agrees_with_sentencepiece(text: str) -> None:
    for theirs, ours in PAIRS:
        assert encoded(ours, text) == theirs.encode(text), text


@given(st.text(CHARACTERS))
def test_sentencepiece_text_survives(text: str) -> None:
    text = text.replace("\u2581", " ")
    for _, ours in PAIRS:
        assert ours.decode(encoded(ours, text)) == text


def encoded(ours: Tokenizer, text: str) -> list[int]:
    return ours.encode(text, add_special_tokens=False).ids


def test_sentencepiece_begins_with_bos_unless_told_otherwise() -> None:
    assert OURS_WITH_PREFIX.encode("the").tokens[0] == "<s>"
    without = gguf_tokenizer.build_tokenizer(described(WITH_PREFIX, add_bos_token=False))
    assert without.encode("the").tokens[0] != "<s>"


def test_the_default_model() -> None:
    """SmolLM2 itself: the one tokenizer that everybody meets."""
    directory = pull("smollm2")
    ours = Tokenizer.from_file(str(directory / "tokenizer.json"))
    assert ours.get_vocab_size() == 49152 == json.loads((directory / "config.json").read_text())["vocab_size"]
    assert ours.encode("Hello world").ids == [19556, 905]
    assert ours.encode("2024").tokens == ["2", "0", "2", "4"]
    assert ours.encode("<|im_start|>").ids == [1]
    for text in SAMPLES:
        assert ours.decode(ours.encode(text).ids, skip_special_tokens=False) == text


def test_short_merges_say_the_same() -> None:
    """In half the time; where a token contains a space a merge stays a pair."""
    short = {"model": {"merges": [["a", "b"], ["ab", "c"]]}}
    assert json.loads(gguf_tokenizer.with_short_merges(json.dumps(short)))["model"]["merges"] == ["a b", "ab c"]
    long = {"model": {"merges": [["a", "b"], ["a b", "c"]]}}
    assert json.loads(gguf_tokenizer.with_short_merges(json.dumps(long))) == long
