"""What tiny random encoder-decoders read and answer, against transformers: special tokens, languages, the checkpoint's own settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.encoder_decoder.world import COUNT, World, bart, mbart, mbart50, nllb, serving, t5

TEXTS = ["The capital of France is Paris.", " two  spaces, and ünknown: 🤖", "system turn"]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"no_repeat_ngram_size": 2, "min_length": 6, "suppress_tokens": [20, 21]},
    {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 3},
    {"num_beams": 2, "bad_words_ids": [[11], [12, 13]], "repetition_penalty": 1.0},
]


@pytest.mark.parametrize("family", [t5, bart], ids=lambda made: made.__name__)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "none")
def test_reads_and_answers_as_transformers_does(family: Callable[..., World], settings: dict[str, Any], tmp_path: Path) -> None:
    world = family(tmp_path, forced_eos_token_id=2 if family is bart else None, **settings)
    with serving(tmp_path) as client:
        for text in TEXTS:
            tokens, said = world.answer(text, max_new_tokens=COUNT)
            choice = client.complete(text)
            assert choice["prompt_token_ids"] == world.read(text)
            assert (choice["token_ids"], choice["text"]) == (tokens, said)
            assert choice["finish_reason"] == ("length" if len(tokens) == COUNT else "stop")
            assert client.chat(text)["message"]["content"] == said


@pytest.mark.parametrize("family", [t5, bart], ids=lambda made: made.__name__)
def test_beams_of_the_request(family: Callable[..., World], tmp_path: Path) -> None:
    world = family(tmp_path, num_beams=2)
    with serving(tmp_path) as client:
        for width, penalty, early in ((4, 1.0, False), (3, 0.0, True), (2, 2.0, "never"), (1, 1.0, False)):
            tokens, _ = world.answer(TEXTS[0], max_new_tokens=COUNT, num_beams=width, length_penalty=penalty, early_stopping=early)
            more: dict[str, Any] = {"length_penalty": penalty, "early_stopping": early}
            assert client.complete(TEXTS[0], beam_width=width, **more)["token_ids"] == tokens
            assert client.chat(TEXTS[0], beam_width=width, **more)["token_ids"] == tokens
        plain, _ = world.answer(TEXTS[0], max_new_tokens=COUNT, num_beams=1)
        assert client.complete(TEXTS[0], use_beam_search=False)["token_ids"] == plain
        assert client.complete(TEXTS[0], logprobs=1)["token_ids"] == plain


def test_formats_where_the_tokenizer_writes_bytes(tmp_path: Path) -> None:
    """What the checkpoint forces stands before the format, and ends none."""
    bart(tmp_path, forced_eos_token_id=2, num_beams=2)
    with serving(tmp_path) as client:
        for texts in (["Paris"], ["system", "user"]):
            choice = client.complete(TEXTS[0], structured_outputs={"choice": texts})
            assert choice["text"] in texts and choice["finish_reason"] == "stop"
            assert client.chat(TEXTS[0], structured_outputs={"choice": texts})["message"]["content"] == choice["text"]


def test_without_a_limit_the_checkpoint_has_one(tmp_path: Path) -> None:
    world = t5(tmp_path, max_length=7)
    with serving(tmp_path) as client:
        tokens, _ = world.answer(TEXTS[0])
        assert len(tokens) == 6 and client.chat(TEXTS[0], max_tokens=None)["token_ids"] == tokens


@pytest.mark.parametrize("setting", ["encoder_no_repeat_ngram_size", "num_beam_groups"])
def test_what_nobody_honours_is_refused_at_start(setting: str, tmp_path: Path) -> None:
    t5(tmp_path)
    (tmp_path / "generation_config.json").write_text(f'{{"{setting}": 3}}')
    with pytest.raises(ValueError, match=setting), serving(tmp_path):
        pass


# source and target as a request calls them, and as the model does; what tells the target
TRANSLATORS = [
    (nllb, "de", "en", "deu_Latn", "eng_Latn"),
    (nllb, "zho_Hant", "fra", "zho_Hant", "fra_Latn"),
    (mbart, "en", "de-DE", "en_XX", "de_DE"),
    (mbart50, "deu", "uk", "de_DE", "uk_UA"),
]


@pytest.mark.parametrize(("family", "source", "target", "reads", "writes"), TRANSLATORS)
def test_languages(family: Callable[..., World], source: str, target: str, reads: str, writes: str, tmp_path: Path) -> None:
    world = family(tmp_path)
    language = world.tokenizer.convert_tokens_to_ids(writes)
    told = {"decoder_start_token_id": language} if family is mbart else {"forced_bos_token_id": language}
    world.tokenizer.src_lang = reads
    tokens, said = world.answer(TEXTS[0], max_new_tokens=COUNT, **told)
    with serving(tmp_path) as client:
        pair = {"source_language": source, "target_language": target}
        by_name = client.complete(TEXTS[0], model=f"tiny:{source}-{target}".replace("de-DE", "de_DE"))
        by_kwargs = client.chat(TEXTS[0], chat_template_kwargs=pair)
        assert (by_name["prompt_token_ids"], by_name["token_ids"], by_name["text"]) == (world.read(TEXTS[0]), tokens, said)
        assert (by_kwargs["read"], by_kwargs["token_ids"], by_kwargs["message"]["content"]) == (world.read(TEXTS[0]), tokens, said)


def test_the_default_source_is_the_tokenizers(tmp_path: Path) -> None:
    world = nllb(tmp_path)
    with serving(tmp_path) as client:
        assert client.complete(TEXTS[0], model="tiny:fr")["prompt_token_ids"] == world.read(TEXTS[0])


def test_the_checkpoints_target_is_the_default(tmp_path: Path) -> None:
    world = mbart(tmp_path)  # answers begin with Romanian
    with serving(tmp_path) as client:
        assert client.chat(TEXTS[0])["token_ids"] == world.answer(TEXTS[0], max_new_tokens=COUNT)[0]


def test_tasks_of_t5(tmp_path: Path) -> None:
    world = t5(tmp_path)
    wanted = world.read(f"translate English to German: {TEXTS[0]}")
    with serving(tmp_path) as client:
        assert client.complete(TEXTS[0], model="tiny:en-de")["prompt_token_ids"] == wanted
        assert client.chat(TEXTS[0], chat_template_kwargs={"target_language": "deu"})["read"] == wanted
        refused = client.chat(TEXTS[0], 400, chat_template_kwargs={"source_language": "de", "target_language": "en"})
        assert "there are en" in refused["message"] or "there are de, fr" in refused["message"]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({}, "chat_template_kwargs.target_language", "it is needed; there are ace_Arab"),
        ({"chat_template_kwargs": {"target_language": "xx"}}, "chat_template_kwargs.target_language", "'xx'; there are ace_Arab"),
        ({"chat_template_kwargs": {"source_language": "xx", "target_language": "de"}}, "chat_template_kwargs.source_language", "'xx'"),
        ({"chat_template_kwargs": {"target_language": 3}}, "chat_template_kwargs.target_language", "a language is a string"),
        ({"model": "tiny:de-xx"}, "model", "'xx'"),
    ],
)
def test_languages_that_there_are_not(fields: dict[str, Any], param: str, told: str, tmp_path: Path) -> None:
    nllb(tmp_path)
    with serving(tmp_path) as client:
        error = client.chat(TEXTS[0], 400, **fields)
        assert error["param"] == param and told in error["message"]
