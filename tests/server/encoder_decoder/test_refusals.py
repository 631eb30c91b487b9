"""Models that read no text, checkpoints that say too little, and what languages are called."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.api import ModelInfo, ReaderInfo, ReadsFrames
from server.text.encoder_decoder.languages import TARGET, LanguageError, find_code
from server.text.tokenizer import load_tokenizer
from server.weights.pull import pull
from tests.server.fakes import FakeEngine, ask, ready, says, text


@dataclass
class Listener(FakeEngine):
    @property
    def info(self) -> ModelInfo:
        return replace(super().info, reader=ReaderInfo(context=1500, reads=ReadsFrames(frames=3000, bins=80), start=1))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "Hello"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
        ("/v1/responses", {"input": "Hello"}),
        ("/api/generate", {"prompt": "Hello", "raw": True}),
    ],
)
def test_a_model_of_speech_answers_no_text(path: str, body: dict[str, Any]) -> None:
    engine = Listener(says("x", text()))
    answer = ask(ready(engine, text())[0], "POST", path, json={"model": "tiny", **body})
    assert answer.status_code == 400 and "/v1/audio/transcriptions" in answer.text and not engine.requests


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"decoder_start_token_id": None}, "decoder_start_token_id"),
        ({"diversity_penalty": 0.5}, "diversity_penalty = 0.5 is not supported"),
    ],
)
def test_a_checkpoint_that_cannot_be_followed(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = pull("number-words-t5")
    config = json.loads((folder / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(ValueError, match=told):
        load_tokenizer(tmp_path)


NLLB = ["arb_Arab", "deu_Latn", "kas_Arab", "kas_Deva", "nob_Latn", "por_Latn", "zho_Hans", "zho_Hant"]
MBART = ["de_DE", "en_XX", "pt_XX", "zh_CN"]


@pytest.mark.parametrize(
    ("name", "codes", "found"),
    [
        ("de", NLLB, "deu_Latn"),
        ("DEU", NLLB, "deu_Latn"),
        ("de-AT", NLLB, "deu_Latn"),
        ("no", NLLB, "nob_Latn"),
        ("ar", NLLB, "arb_Arab"),
        ("zh", NLLB, "zho_Hans"),
        ("zho_hant", NLLB, "zho_Hant"),
        ("ks", NLLB, "kas_Arab"),
        ("pt-BR", MBART, "pt_XX"),
        ("deu", MBART, "de_DE"),
        ("zh_CN", MBART, "zh_CN"),
        ("de", ["fra", "deu"], "deu"),
    ],
)
def test_languages_have_several_names(name: str, codes: list[str], found: str) -> None:
    assert find_code(name, codes, TARGET) == found


@pytest.mark.parametrize("name", ["", "x", "german", "d", "_"])
def test_what_is_no_language(name: str) -> None:
    with pytest.raises(LanguageError, match="there are de_DE, en_XX, pt_XX, zh_CN"):
        find_code(name, MBART, TARGET)
