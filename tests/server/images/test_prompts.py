"""Prompts become labels or tokens: what is named, what is refused, and texts as transformers reads them."""

import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from engine.api import Label, PromptTokens, ReadsText
from server.images.clip_tokenizer import BEGIN, END, load_clip_tokenizer
from server.images.prompts import LabelReader, PromptError, TextReader, TextTokens
from tests.server.fake_images import NAMES

READER = LabelReader(NAMES)
TEXTS = ("", "A photo of a cat's 2 hats,  naïve — 東京", "it's\tTHE cat…", "x<|y|>")


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("a dog", 1),
        ("Dogs? No: the DOG!", 1),
        ("my house cat", 0),
        ("a cat in a house", 0),
        ("an electric eel", 2),
        ("an eel", 3),
        ("a dog and another dog", 1),
    ],
)
def test_labels_are_named_in_words(prompt: str, label: int) -> None:
    assert READER.read(prompt, "").told == Label(label)


def test_no_words_are_no_label() -> None:
    assert READER.read(" .. ", "").told is None


def test_what_names_no_label_or_several() -> None:
    for prompt, told in (("dogs", "names none"), ("an electric eel and an eel", "electric eel and eel at once"), ("cat-dog", "at once")):
        with pytest.raises(PromptError, match=told):
            READER.read(prompt, "")
    with pytest.raises(PromptError, match="and 8 more"):
        LabelReader({i: f"name{i}" for i in range(20)}).read("other", "")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A vocabulary of bytes and a few merges, as CLIP's was published."""
    letters = [chr(i) for i in [*range(33, 127), *range(161, 173), *range(174, 324)]]
    merges = ["c a", "ca t</w>", "h a", "t s</w>"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges), BEGIN, END]
    (tmp_path / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", "pad_token": "!"}))
    return tmp_path


def test_texts_are_read_as_transformers_reads_them(published: Path) -> None:
    world, (tokenizer, padding) = CLIPTokenizer.from_pretrained(published), load_clip_tokenizer(published)
    assert padding == world.pad_token_id
    for text in TEXTS:
        assert tokenizer.encode(text).ids == world(text)["input_ids"]


def test_names_of_tokens_in_a_prompt_are_text(published: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    one = tmp_path_factory.mktemp("one")
    CLIPTokenizer.from_pretrained(published).save_pretrained(one)
    for folder in (published, one):
        tokenizer, padding = load_clip_tokenizer(folder)
        ids = tokenizer.encode(f"{BEGIN} a cat! {END}").ids
        assert not {tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END), padding} & set(ids[1:-1])


def test_a_tokenizer_in_one_file(published: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("one")
    world = CLIPTokenizer.from_pretrained(published)
    world(TEXTS[1], padding="max_length", truncation=True, max_length=7)  # what is saved then fills up and cuts off
    world.save_pretrained(folder)
    (one, padding), (several, _) = load_clip_tokenizer(folder), load_clip_tokenizer(published)
    assert padding == world.pad_token_id and [one.encode(text).ids for text in TEXTS] == [several.encode(text).ids for text in TEXTS]


def test_prompts_are_filled_up_and_never_cut(published: Path) -> None:
    tokenizer, padding = load_clip_tokenizer(published)
    reader = TextReader([TextTokens(tokenizer, ReadsText(context=6, vocab=999, filled=True), padding)])
    read = reader.read("cat", "")
    assert isinstance(read.told, PromptTokens) and read.tokens == 3
    assert read.told.negative is not None and len(read.told.negative[0]) == 6
    assert read.told.tokens == ((*tokenizer.encode("cat").ids, *[padding] * 3),)
    assert reader.read("cat", "hats").tokens == 3 + len(tokenizer.encode("hats").ids)
    with pytest.raises(PromptError, match=r"it has 7 tokens, and this model reads 6") as refused:
        reader.read("cat", "abcde")
    assert refused.value.field == "negative_prompt"


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither tokenizer.json nor vocab.json and merges.txt"):
        load_clip_tokenizer(tmp_path)
