"""The tokens that steer a model, as its files number them."""

import json
from pathlib import Path

import pytest

from server.speech.tokens import SpeechTokens, read_speech_tokens
from tests.server.speech.fakes import FIRST_TIME, LANGUAGES, NUMBERS, write_model


def test_as_a_checkpoint_states_them(tmp_path: Path) -> None:
    stated = {"suppress_tokens": [5, 3, NUMBERS["endoftext"]], "begin_suppress_tokens": [9], "alignment_heads": [[2, 1], [3, 0]]}
    assert read_speech_tokens(write_model(tmp_path, {"is_multilingual": True, **stated})) == SpeechTokens(
        end=NUMBERS["endoftext"],
        start=NUMBERS["startoftranscript"],
        previous=NUMBERS["startofprev"],
        no_speech=NUMBERS["nospeech"],
        no_times=NUMBERS["notimestamps"],
        first_time=FIRST_TIME,
        languages={name: NUMBERS[name] for name in LANGUAGES},
        transcribe=NUMBERS["transcribe"],
        translate=NUMBERS["translate"],
        suppressed=(3, 5, *range(NUMBERS["startoftranscript"], NUMBERS["notimestamps"] + 1)),
        suppressed_first=(9,),
        alignment_heads=((2, 1), (3, 0)),
    )


def test_with_a_tokenizer_alone(tmp_path: Path) -> None:
    found = read_speech_tokens(write_model(tmp_path))
    assert set(found.languages) == set(LANGUAGES) and found.alignment_heads == ()
    assert found.suppressed_first == (NUMBERS["endoftext"],)


def test_heads_that_nobody_states_are_those_of_the_upper_layers(tmp_path: Path) -> None:
    write_model(tmp_path, config={"decoder_layers": 3, "decoder_attention_heads": 2})
    assert read_speech_tokens(tmp_path).alignment_heads == ((1, 0), (1, 1), (2, 0), (2, 1))


def test_older_names(tmp_path: Path) -> None:
    file = write_model(tmp_path) / "tokenizer.json"
    file.write_text(file.read_text().replace("<|nospeech|>", "<|nocaptions|>"))
    assert read_speech_tokens(tmp_path).no_speech == NUMBERS["nospeech"]


def test_a_model_of_english_says_so_or_ends_as_gpt_2_does(tmp_path: Path) -> None:
    assert read_speech_tokens(write_model(tmp_path, {"is_multilingual": False})).languages == {}
    spec = json.loads((tmp_path / "tokenizer.json").read_text())
    for token in spec["added_tokens"]:
        token["id"] += 50256 - NUMBERS["endoftext"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    (tmp_path / "generation_config.json").unlink()
    assert read_speech_tokens(tmp_path).languages == {}


def test_what_an_answer_begins_with(tmp_path: Path) -> None:
    found = read_speech_tokens(write_model(tmp_path))
    assert found.opening("de", translate=False) == (NUMBERS["startoftranscript"], NUMBERS["de"], NUMBERS["transcribe"])
    assert found.opening("ja", translate=True) == (NUMBERS["startoftranscript"], NUMBERS["ja"], NUMBERS["translate"])


def test_a_model_that_is_none_of_speech(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": []}')
    with pytest.raises(ValueError, match="no model of speech"):
        read_speech_tokens(tmp_path)
