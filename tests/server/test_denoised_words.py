"""A tiny LLaDA that was trained to denoise the words of a number (tests/tiny_models/number_words_llada.py), behind a real server and
OpenAI's client: numbers that training never saw, a token a step, several in a step, and streamed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.server.conftest import running
from tests.tiny_models.number_words import held_out, words

NUMBERS = held_out()[::25]
GREEDY: dict[str, Any] = {"model": "llada", "max_tokens": 32, "temperature": 0}


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    options = ("--model", "llada=number-words-llada", "--threads", "1", "--embedding-model", "none")
    with (
        running(tmp_path_factory.mktemp("server") / "log", *options) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def right(answers: list[str], wanted: list[str]) -> float:
    return sum(answer.strip() == truth for answer, truth in zip(answers, wanted, strict=True)) / len(wanted)


@pytest.mark.parametrize("how", [{}, {"steps": 8}, {"threshold": 0.9}, {"order": "margin", "block_length": 16, "canvas_length": 32}])
def test_four_of_five_numbers_in_words(openai: OpenAI, how: dict[str, Any]) -> None:
    body = {"denoising": how} if how else {}
    answer = openai.completions.create(prompt=[f"{n} =" for n in NUMBERS], extra_body=body, **GREEDY)
    assert len(NUMBERS) == 80 and right([choice.text for choice in answer.choices], list(map(words, NUMBERS))) >= 0.8
    assert all(choice.finish_reason == "stop" for choice in answer.choices)


def test_figures_out_of_words_by_chat(openai: OpenAI) -> None:
    def ask(n: int) -> str:
        messages: Any = [{"role": "user", "content": words(n)}]
        with openai.chat.completions.create(messages=messages, stream=True, **GREEDY) as stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    with ThreadPoolExecutor(8) as clients:
        assert right(list(clients.map(ask, NUMBERS[::2])), [str(n) for n in NUMBERS[::2]]) >= 0.8


def test_what_a_block_cannot_have_is_refused(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="presence_penalty"):
        openai.completions.create(prompt="7 =", presence_penalty=1.0, **GREEDY)
