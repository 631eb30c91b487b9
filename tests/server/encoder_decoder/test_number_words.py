"""A tiny T5 that was trained to translate figures into words and back (tests/tiny_models/number_words_t5.py), behind a real server and
OpenAI's client: numbers that training never saw, by every API."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI
from openai.types import Completion

from tests.server.conftest import Running, running
from tests.tiny_models.number_words import held_out, words
from tests.tiny_models.number_words_t5 import IN_FIGURES, IN_WORDS, tokenizer

NUMBERS = held_out()[::33]
GREEDY: dict[str, Any] = {"model": "t5", "max_tokens": 24}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tight = ("--max-running", "16", "--kv-memory", "16", "--threads", "1", "--embedding-model", "none")
    with running(tmp_path_factory.mktemp("server") / "log", "--model", "t5=number-words-t5", *tight) as server:
        yield server


@pytest.fixture
def openai(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def complete(openai: OpenAI, prompt: str | list[str], **fields: Any) -> Completion:
    return openai.completions.create(prompt=prompt, **{**GREEDY, **fields})


def right(answers: list[str], wanted: list[str]) -> float:
    return sum(answer == truth for answer, truth in zip(answers, wanted, strict=True)) / len(wanted)


def test_nine_of_ten_numbers_in_words(openai: OpenAI) -> None:
    answer = complete(openai, [f"{IN_WORDS} {n}" for n in NUMBERS])
    assert len(NUMBERS) > 60 and right([choice.text for choice in answer.choices], list(map(words, NUMBERS))) >= 0.9
    assert all(choice.finish_reason == "stop" for choice in answer.choices)


def test_nine_of_ten_words_in_figures(openai: OpenAI) -> None:
    """Sixteen clients at once, by chat: the system says what to do."""

    def ask(n: int) -> str:
        messages: Any = [{"role": "system", "content": IN_FIGURES}, {"role": "user", "content": words(n)}]
        return openai.chat.completions.create(messages=messages, **GREEDY).choices[0].message.content or ""

    with ThreadPoolExecutor(16) as clients:
        assert right(list(clients.map(ask, NUMBERS)), list(map(str, NUMBERS))) >= 0.9


def test_usage_counts_what_is_read_and_what_the_answer_begins_with(openai: OpenAI) -> None:
    prompt = f"{IN_WORDS} 41357"
    usages = [complete(openai, prompt).usage for _ in range(2)]
    assert usages[0] and usages[1] and usages[1].prompt_tokens_details
    assert usages[0].prompt_tokens == len(tokenizer().encode(prompt).ids) + 1
    assert usages[0].completion_tokens == len(tokenizer().encode(words(41357)).ids)
    assert usages[1].prompt_tokens_details.cached_tokens == usages[0].prompt_tokens - 1


def test_streams_and_logprobs(openai: OpenAI) -> None:
    whole = complete(openai, f"{IN_WORDS} 90210", logprobs=2)
    logged = whole.choices[0].logprobs
    assert logged and logged.tokens and logged.text_offset and logged.token_logprobs
    assert "".join(logged.tokens) == f" {whole.choices[0].text}" == " ninety thousand two hundred ten"
    assert logged.text_offset[:2] == [0, 6] and min(one or 0 for one in logged.token_logprobs) > -0.5
    with openai.completions.create(prompt=f"{IN_WORDS} 90210", stream=True, **GREEDY) as stream:
        chunks = [chunk.choices[0].text for chunk in stream if chunk.choices]
    assert "".join(chunks) == whole.choices[0].text  # in how many, the clocks of both sides decide


def test_stop_seed_and_n(openai: OpenAI) -> None:
    cut = complete(openai, f"{IN_WORDS} 90210", stop=" two").choices[0]
    assert (cut.text, cut.finish_reason) == ("ninety thousand", "stop")
    short = complete(openai, f"{IN_WORDS} 90210", max_tokens=2).choices[0]
    assert (short.text, short.finish_reason) == ("ninety thousand", "length")
    several = [[choice.text for choice in complete(openai, "90", n=4, temperature=2, seed=3).choices] for _ in range(2)]
    assert several[0] == several[1] and len(set(several[0])) > 1
    assert [choice.text for choice in complete(openai, f"{IN_WORDS} 7", n=2, temperature=0).choices] == ["seven"] * 2


def test_beams(openai: OpenAI) -> None:
    answer = complete(openai, [f"{IN_WORDS} {n}" for n in NUMBERS[:8]], extra_body={"beam_width": 3})
    assert [choice.text for choice in answer.choices] == list(map(words, NUMBERS[:8]))
    with openai.completions.create(prompt=f"{IN_WORDS} 90210", stream=True, extra_body={"beam_width": 3}, **GREEDY) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == words(90210)


def test_an_answer_goes_on(openai: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": f"{IN_WORDS} 90210"}, {"role": "assistant", "content": "ninety thousand"}]
    answer = openai.chat.completions.create(messages=messages, extra_body={"continue_final_message": True}, **GREEDY)
    assert answer.choices[0].message.content == " two hundred ten"


def test_responses_anthropic_and_ollama(server: Running, openai: OpenAI) -> None:
    response = openai.responses.create(model="t5", instructions=IN_WORDS, input="8020")
    assert response.output_text == words(8020) and response.usage and response.usage.input_tokens == 10
    messages = [{"role": "user", "content": "8020"}]
    body = {"model": "t5", "max_tokens": 24, "system": IN_WORDS, "messages": messages}
    said = httpx.post(f"{server.url}/v1/messages", json=body).json()
    assert said["content"][0]["text"] == words(8020)
    assert httpx.post(f"{server.url}/v1/messages/count_tokens", json=body | {"max_tokens": None}).json()["input_tokens"] == 10
    system = [{"role": "system", "content": IN_WORDS}, *messages]
    said = httpx.post(f"{server.url}/api/chat", json={"model": "t5", "messages": system, "stream": False}).json()
    assert said["message"]["content"] == words(8020)
    for body in ({"prompt": "8020", "system": IN_WORDS}, {"prompt": f"{IN_WORDS} 8020", "raw": True}):
        said = httpx.post(f"{server.url}/api/generate", json={"model": "t5", "stream": False, **body}).json()
        assert said["response"] == words(8020)


def test_messages_that_are_not_read_are_told(openai: OpenAI) -> None:
    messages: Any = [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": f"{IN_WORDS} 2"},
    ]
    answer: Any = openai.chat.completions.create(messages=messages, **GREEDY)
    assert answer.choices[0].message.content == "two" and [one["param"] for one in answer.warnings] == ["messages"]


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
TOLD = [
    {"role": "user", "content": "1"},
    {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "a", "content": "x"},
]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("chat/completions", {"tools": TOOLS}, "tools"),
        ("chat/completions", {"messages": TOLD}, "messages"),
        ("chat/completions", {"prompt_logprobs": 1}, "prompt_logprobs"),
        ("chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("chat/completions", {"messages": [{"role": "user", "content": "1 " * 600}]}, "messages"),
        ("chat/completions", {"messages": [{"role": "assistant", "content": "1"}]}, "messages"),
        ("chat/completions", {"chat_template_kwargs": {"target_language": "de"}}, "chat_template_kwargs.target_language"),
        ("chat/completions", {"chat_template_kwargs": {"tone": "x"}}, "chat_template_kwargs.tone"),
        ("completions", {"structured_outputs": {"regex": "a+"}}, "structured_outputs"),
        ("completions", {"suffix": "x"}, "suffix"),
        ("completions", {"echo": True}, "echo"),
        ("completions", {"prompt_logprobs": 1}, "prompt_logprobs"),
        ("completions", {"prompt": "1 " * 600}, "prompt"),
        ("completions", {"prompt": [100]}, "prompt"),
        ("completions", {"max_tokens": 512}, "max_tokens"),
        ("completions", {"beam_width": 2, "logprobs": 1}, "beam_width"),
        ("completions", {"beam_width": 2, "temperature": 1}, "beam_width"),
        ("completions", {"beam_width": 2, "n": 2}, "beam_width"),
        ("completions", {"length_penalty": 2.0}, "length_penalty"),
        ("completions", {"use_beam_search": True}, "use_beam_search"),
        ("completions", {"model": "t5:en-de"}, "model"),
    ],
)
def test_what_cannot_work_is_refused_by_name(openai: OpenAI, path: str, fields: dict[str, Any], param: str) -> None:
    usual = {"prompt": "1"} if path == "completions" else {"messages": [{"role": "user", "content": "1"}]}
    body = {**GREEDY, **usual, **fields}
    refusal: Any = pytest.raises(Exception)
    with refusal as told:
        openai.post(f"/{path}", cast_to=object, body=body)
    assert told.value.status_code in (400, 404) and told.value.body["param"] == param


def test_truncated_prompts_keep_what_the_tokenizer_adds(openai: OpenAI) -> None:
    """The last four: a space, two digits, the end."""
    pieces = tokenizer().encode(f"{IN_FIGURES} sixty {IN_WORDS} 42").ids
    whole = complete(openai, f"one two three {IN_WORDS} 42", extra_body={"truncate_prompt_tokens": 7})
    assert len(pieces) > 7 and whole.choices[0].text == "forty-two" and whole.usage and whole.usage.prompt_tokens == 8
    with pytest.raises(BadRequestError, match="512"):
        complete(openai, f"{IN_WORDS} 42" * 200)
