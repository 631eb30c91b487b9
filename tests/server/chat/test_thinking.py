"""Thoughts on the real engine, with a model of random weights that would think for ever: budgets, schemas and calls behind them, in all
APIs."""

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
import torch

from engine.embedded.engine import EmbeddedEngine
from models.spec import Causal
from server.text.tokenizer import ChatTokenizer
from tests.engine import tiny
from tests.server.fakes import FakeEngine, ask, ready, says
from tests.server.text.reasoning.families import FAMILIES, directory, tokenizer

VOCAB, CONTEXT = 460, 2048
USER = {"role": "user", "content": "Which </think> is <think> more?"}
SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 22, 333]}}, "required": ["a"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
TOOL = {"type": "function", "function": {"name": "pick", "parameters": SCHEMA}}
CHAT = "/v1/chat/completions"
BUDGETS = (0, 1, 50)


@cache
def engine(name: str) -> EmbeddedEngine:
    torch.set_num_threads(1)
    end = tuple(tokenizer(name).stop_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "CONTEXT", CONTEXT)
        return EmbeddedEngine(tiny.loaded(tiny.arch(Causal(), vocab=VOCAB), directory(name) / "tokenizer.json", end, pages=256))


@pytest.fixture(scope="module", autouse=True)
def engines() -> Iterator[None]:
    yield
    for name in FAMILIES:
        asyncio.run(engine(name).close())
    engine.cache_clear()


def send(name: str, path: str = CHAT, **body: Any) -> Any:
    known = tokenizer(name)
    app, _ = ready(engine(name), known)  # type: ignore[arg-type]
    answer = ask(app, "POST", path, json={"model": "tiny", **body})
    assert answer.status_code == 200, answer.text
    return answer


def eager(name: str) -> dict[str, float]:
    """It begins its thoughts and never ends them, as far as marks are tokens."""
    known, bias = tokenizer(name), dict[str, float]()
    assert known.reasoning is not None
    for token, mark in known.thought_tokens.items():
        begins = mark in known.reasoning.reopening and FAMILIES[name].place == "before"
        bias[str(token)] = 100.0 if begins else -100.0
    return bias if name != "gpt-oss" else {}


def chat(name: str, **fields: Any) -> Any:
    kwargs = dict(FAMILIES[name].on)
    given = {
        "messages": [USER],
        "max_tokens": 150,
        "seed": 5,
        "logit_bias": eager(name),
        **({"chat_template_kwargs": kwargs} if kwargs else {}),
    }
    return send(name, **{**given, **fields})


def thought_tokens(body: Any) -> int:
    return body["usage"]["completion_tokens_details"]["reasoning_tokens"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_schema_begins_behind_the_thoughts(name: str) -> None:
    """Valid whether they are begun by the prompt, by the model or not at all; the same whole and as a stream."""
    fields: dict[str, Any] = {"response_format": FORMAT, "thinking_token_budget": 9, "logprobs": True}
    body = chat(name, **fields).json()
    message = body["choices"][0]["message"]
    jsonschema.validate(json.loads(message["content"]), SCHEMA)
    assert thought_tokens(body) <= 9 and message.get("reasoning") == message.get("reasoning_content")
    if FAMILIES[name].place == "thoughts" or name in ("qwen3", "mistral", "seed-oss", "minimax-m3"):
        assert thought_tokens(body) == 9 and body["choices"][0]["finish_reason"] == "stop"
    logged = [entry["bytes"] for entry in body["choices"][0]["logprobs"]["content"]]
    assert bytes(byte for entry in logged for byte in entry or ()).decode().strip() == message["content"]
    stream = chat(name, **fields, stream=True, stream_options={"include_usage": True}).text
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]
    for field in ("reasoning", "reasoning_content"):
        assert "".join(delta.get(field) or "" for delta in deltas) == message.get(field, "")
    streamed = [
        one["bytes"] for chunk in chunks for choice in chunk["choices"] for one in (choice.get("logprobs") or {}).get("content") or ()
    ]
    assert streamed == logged and thought_tokens(chunks[-1]) == thought_tokens(body)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_schema_is_kept_though_the_tokens_run_out_in_thoughts(name: str) -> None:
    body = chat(name, response_format=FORMAT, max_tokens=90).json()
    jsonschema.validate(json.loads(body["choices"][0]["message"]["content"]), SCHEMA)


@pytest.mark.parametrize("name", ["deepseek-r1", "qwen3", "qwen3.5", "deepseek-v3.1", "kimi-k2-thinking", "gpt-oss", "mistral"])
def test_calls_come_behind_the_thoughts_too(name: str) -> None:
    body = chat(name, tools=[TOOL], tool_choice="required", thinking_token_budget=9, max_tokens=300).json()
    (call,) = body["choices"][0]["message"]["tool_calls"][:1]
    assert call["function"]["name"] == "pick" and thought_tokens(body) <= 9
    jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMA)


@pytest.mark.parametrize(("name", "mark"), [("qwen3", "<tool_call>"), ("kimi-k2-thinking", "<|tool_calls_section_begin|>")])
def test_a_call_within_thoughts_fits_its_schema(name: str, mark: str) -> None:
    known = tokenizer(name)
    bias = {**eager(name), str(known.control_token_id(mark)): 30.0}
    body = chat(name, tools=[TOOL], logit_bias=bias, max_tokens=300).json()
    message = body["choices"][0]["message"]
    assert message["content"] is None and body["choices"][0]["finish_reason"] == "tool_calls"
    jsonschema.validate(json.loads(message["tool_calls"][0]["function"]["arguments"]), SCHEMA)


@pytest.mark.parametrize("name", ["deepseek-r1", "qwen3", "seed-oss", "minimax-m2"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_are_exact(name: str, budget: int) -> None:
    body = chat(name, thinking_token_budget=budget, ignore_eos=True).json()
    message = body["choices"][0]["message"]
    assert thought_tokens(body) == budget and message["content"] and ("reasoning" in message) == (budget > 0)


def test_thoughts_that_the_tokens_do_not_suffice_for_leave_no_answer() -> None:
    body = chat("deepseek-r1", max_tokens=20, ignore_eos=True).json()
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"], thought_tokens(body)) == (None, "length", 20)
    message = choice["message"]
    send("deepseek-r1", messages=[USER, message, USER], max_tokens=5)  # it may be sent back as it is


MESSAGES: dict[str, Any] = {"messages": [USER], "max_tokens": 1200}
APIS = [
    (CHAT, {"messages": [USER], "thinking": {"type": "enabled", "budget_tokens": 6}}, 6),
    (CHAT, {"messages": [USER], "reasoning": {"max_tokens": 6}}, 6),
    (CHAT, {"messages": [USER], "chat_template_kwargs": {"thinking_budget": 6}}, 6),
    (CHAT, {"messages": [USER], "reasoning_effort": "none"}, 0),
    ("/v1/responses", {"input": "Hello", "reasoning": {"effort": "none"}}, 0),
    ("/v1/responses", {"input": "Hello", "chat_template_kwargs": {"thinking_budget": 6}}, 6),
    ("/v1/messages", {**MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 1024}}, 1024),
    ("/v1/messages", {**MESSAGES, "thinking": {"type": "disabled"}}, 0),
    ("/api/chat", {"messages": [USER], "think": False, "stream": False}, 0),
    ("/api/generate", {"prompt": "Hello", "think": False, "stream": False}, 0),
]


def fake(known: ChatTokenizer, words: str, path: str, **body: Any) -> tuple[Any, FakeEngine]:
    engine = FakeEngine(says(words, known, then="<｜end▁of▁sentence｜>"), context=4096)
    app, _ = ready(engine, known)
    return ask(app, "POST", path, json={"model": "tiny", **body}), engine


@pytest.mark.parametrize(("path", "body", "budget"), APIS)
def test_every_api_sets_a_budget(path: str, body: dict[str, Any], budget: int) -> None:
    answer, asked = fake(tokenizer("deepseek-r1"), "Hm.</think>Yes.", path, **body)
    assert answer.status_code == 200 and "warnings" not in answer.json(), answer.text
    thoughts = asked.requests[0].thoughts
    assert thoughts is not None and thoughts.tokens == budget
    assert tokenizer("deepseek-r1").decode(thoughts.end) == "</think>\n\n"


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        (CHAT, {"messages": [USER]}, lambda body: thought_tokens(body)),
        ("/v1/responses", {"input": "Hello"}, lambda body: body["usage"]["output_tokens_details"]["reasoning_tokens"]),
        ("/v1/messages", MESSAGES, lambda body: body["usage"]["output_tokens_details"]["thinking_tokens"]),
        ("/api/chat", {"messages": [USER], "stream": False}, lambda body: body["thinking_count"]),
    ],
)
def test_every_api_counts_thoughts(path: str, body: dict[str, Any], count: Any) -> None:
    known = tokenizer("deepseek-r1")
    answer, _ = fake(known, "Hm, hm.</think>\n\nYes.", path, **body)
    assert count(answer.json()) == len(known.encode("Hm, hm."))


@pytest.mark.parametrize("fields", [{"include_reasoning": False}, {"reasoning": {"exclude": True}}])
def test_thoughts_may_be_kept_back(fields: dict[str, Any]) -> None:
    answer, _ = fake(tokenizer("deepseek-r1"), "Hm.</think>Yes.", CHAT, messages=[USER], **fields)
    message = answer.json()["choices"][0]["message"]
    assert message["content"] == "Yes." and not {"reasoning", "reasoning_content"} & message.keys() and thought_tokens(answer.json()) > 0


def test_thinking_blocks_are_signed_and_come_back_as_they_are() -> None:
    known = tokenizer("qwen3.5")
    words = "Hm.</think>Yes."
    engine = FakeEngine(says(words, known), context=4096)
    app, _ = ready(engine, known)
    body = {"model": "tiny", **MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    content = ask(app, "POST", "/v1/messages", json=body).json()["content"]
    assert [block["type"] for block in content] == ["thinking", "text"] and len(content[0]["signature"]) > 20
    stream = ask(app, "POST", "/v1/messages", json={**body, "stream": True}).text
    assert json.dumps(content[0]["signature"]) in stream and stream.index("signature_delta") < stream.index("content_block_stop")
    again = {**body, "messages": [USER, {"role": "assistant", "content": content}, USER]}
    assert ask(app, "POST", "/v1/messages", json=again).status_code == 200
    hidden = {**body, "thinking": {"type": "adaptive", "display": "omitted"}}
    assert [block["type"] for block in ask(app, "POST", "/v1/messages", json=hidden).json()["content"]] == ["text"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (CHAT, {"messages": [USER], "reasoning_effort": "a lot"}, "reasoning_effort"),
        (CHAT, {"messages": [USER], "chat_template_kwargs": {"reasoning_effort": "max"}}, "chat_template_kwargs.reasoning_effort"),
        (CHAT, {"messages": [USER], "chat_template_kwargs": {"thinking_budget": -5}}, "chat_template_kwargs.thinking_budget"),
        (CHAT, {"messages": [USER], "thinking_token_budget": 3, "reasoning": {"max_tokens": 4}}, "reasoning.max_tokens"),
        ("/v1/responses", {"input": "Hello", "reasoning": {"effort": "a lot"}}, "reasoning.effort"),
        ("/v1/messages", {**MESSAGES, "output_config": {"effort": "a lot"}}, "output_config.effort"),
        ("/v1/messages", {**MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 5}}, "budget_tokens"),
        ("/api/chat", {"messages": [USER], "think": "a lot"}, "think"),
    ],
)
def test_efforts_and_budgets_that_are_none_are_refused(path: str, body: dict[str, Any], field: str) -> None:
    answer, asked = fake(tokenizer("gpt-oss"), "Yes.", path, **body)
    assert answer.status_code == 400 and field in answer.text and not asked.requests
