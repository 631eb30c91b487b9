"""Tiny models that were trained to spell numbers, behind a real server: one digit of a wrong state is one wrong word. Sixteen clients at
once, little memory, prompts in small pieces, and answers that go on from what the turns before have left in the cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.models.test_number_words import NAMES, NUMBERS
from tests.server.conftest import Running, running
from tests.tiny_models.number_words import words

LONG = [n for n in NUMBERS if len(words(n)) > 45]
TURN = 20  # tokens


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = [option for name in NAMES for option in ("--model", f"{name}=number-words-{name}")]
    tight = ("--max-running", "16", "--max-step-tokens", "12", "--mixed-step-tokens", "2", "--kv-memory", "6", "--threads", "1")
    with running(tmp_path_factory.mktemp("server") / "log", *models, *tight, "--embedding-model", "none") as server:
        yield server


def ask(server: Running, model: str, prompt: str, tokens: int = 80) -> dict[str, Any]:
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
    found = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).json()
    return found["choices"][0] | {"cached": found["usage"]["prompt_tokens_details"]["cached_tokens"]}


@pytest.mark.parametrize("model", NAMES)
def test_sixteen_at_once(server: Running, model: str) -> None:
    numbers = NUMBERS[3::4]
    with ThreadPoolExecutor(16) as clients:
        said = list(clients.map(lambda n: ask(server, model, f"{n}="), numbers))
    assert [answer["text"] for answer in said] == list(map(words, numbers))
    assert all(answer["finish_reason"] == "stop" for answer in said)


@pytest.mark.parametrize("model", NAMES)
def test_a_second_and_a_third_turn(server: Running, model: str) -> None:
    """Each finds what the one before computed, up to its last full page of 16 tokens."""
    for n in LONG[:3]:
        text = f"{n}="
        for turn in range(3):
            answer = ask(server, model, text, TURN)
            assert answer["cached"] == (len(text) // 16 * 16 if turn else 0)
            text += answer["text"]
        assert text == f"{n}={words(n)}"
