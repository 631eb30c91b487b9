"""Sampling that a checkpoint wants: read from its folder, taken where a request says nothing, and told."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from server.runtime.loading.chat import open_text
from server.runtime.settings import Settings
from server.text.sampling_defaults import STANDARD, SamplingDefaults, read_sampling_defaults
from server.weights.gguf_tokenizer import generation_config
from tests.server.fakes import FakeEngine, ask, ready, says, text
from tests.server.text.tool_calls.chat_templates import save

QWEN = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.05}
TEXT = replace(text(), sampling=SamplingDefaults(**QWEN))


def folder_of(tmp_path: Path, **generation: object) -> Path:
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    return tmp_path


def test_a_folder_says(tmp_path: Path) -> None:
    assert read_sampling_defaults(tmp_path, {}) == STANDARD
    assert read_sampling_defaults(tmp_path, {"temperature": 0.2}) == replace(STANDARD, temperature=0.2)
    folder = folder_of(tmp_path, **QWEN, eos_token_id=2, do_sample=True, top_a=None)
    assert read_sampling_defaults(folder, {"temperature": 0.2}) == SamplingDefaults(**QWEN)
    assert read_sampling_defaults(folder_of(tmp_path, top_k=-1, top_p=None), {}) == STANDARD


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"top_p": 1.5}, {"top_k": "all"}, {"top_k": math.inf}, {"repetition_penalty": 0}, {"min_p": True}],
)
def test_what_cannot_be_is_named(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"generation_config.json: {next(iter(wrong))} is .*--generation-config none"):
        read_sampling_defaults(folder_of(tmp_path, **wrong), {})


def test_gguf_files_say_it_in_their_words() -> None:
    told = {"general.sampling.temp": 0.6, "general.sampling.top_k": 64, "general.sampling.penalty_repeat": 1.1, "tokenizer.ggml.tokens": []}
    config = generation_config({**told, "tokenizer.ggml.token_type": []})
    assert config["temperature"] == 0.6 and config["top_k"] == 64 and config["repetition_penalty"] == 1.1


def test_an_operator_may_want_none_of_it(tmp_path: Path) -> None:
    folder = folder_of(save("chatml", tmp_path), **QWEN, eos_token_id=0)
    assert open_text(Settings(), "x", folder).sampling == SamplingDefaults(**QWEN)
    assert open_text(Settings(generation_config="none"), "x", folder).sampling == STANDARD
    (folder / "generation_config.json").write_text("{}")
    assert open_text(Settings(), "smollm2", folder).sampling.temperature < 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/responses", {"input": "hi", "store": False}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}),
    ],
)
def test_requests_that_say_nothing_get_it(path: str, body: dict[str, Any]) -> None:
    engine = FakeEngine(says("yes", TEXT))
    app, _ = ready(engine, TEXT)
    answer = ask(app, "POST", path, json={"model": "tiny", **body}).json()
    assert {name: getattr(engine.requests[0].sampling, name) for name in QWEN} == QWEN
    if path == "/v1/responses":
        assert (answer["temperature"], answer["top_p"]) == (0.7, 0.8)
    ask(app, "POST", path, json={"model": "tiny", **body, "temperature": 0, "top_p": 1})
    assert (engine.requests[1].sampling.temperature, engine.requests[1].sampling.top_p) == (0.0, 1.0)
    (model,) = ask(app, "GET", "/v1/models").json()["data"]
    assert model["sampling"] == asdict(TEXT.sampling)


def test_a_search_of_beams_goes_without_what_is_said_of_sampling() -> None:
    engine = FakeEngine(says("yes", TEXT))
    app, _ = ready(engine, TEXT)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "beam_width": 2}
    assert ask(app, "POST", "/v1/chat/completions", json=body).status_code == 200
    assert (engine.requests[0].sampling.temperature, engine.requests[0].sampling.repetition_penalty) == (0.0, 1.0)
    answer = ask(app, "POST", "/v1/chat/completions", json={**body, "repetition_penalty": 1.05})
    assert answer.status_code == 400 and "repetition_penalty" in answer.json()["error"]["message"]
