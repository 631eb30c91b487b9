"""Every parameter of every generation API is sent, and what becomes of it held against docs/parameters.md: what is honoured changes what
the engine is asked or what the client is told, what is refused is a 4xx that names it, what has no effect is named in the warnings."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from bench.parameters import PAGE
from server.api.common.hints import PRIORITY_HINT
from server.http.warnings import WARNINGS_HEADER
from tests.server.fake_images import FakeImageEngine, images
from tests.server.fakes import FakeEngine, ask, ready, says, text, tool_text
from tests.server.text.reasoning.families import tokenizer

TEXT, TOOLS, QWEN, LLAMA, THINKS = text(), tool_text(), text("qwen"), text("llama3"), tokenizer("qwen3.5")
USER = {"role": "user", "content": "Hello"}
LONG = {"role": "user", "content": "word " * 300}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
CHAT_TOOLS, FLAT_TOOLS = [{"type": "function", "function": FUNCTION}], [{"type": "function", **FUNCTION}]
ANTHROPIC_TOOLS = [{"name": "f", "input_schema": SCHEMA}]


@dataclass(frozen=True)
class Api:
    path: str
    body: dict[str, Any]
    inside: str | None = None  # the object that has the parameters

    def send(self, tokenizer: Any = TEXT, **fields: Any) -> tuple[httpx.Response, list[Any]]:
        """The answer, and what the engine was asked."""
        painter = FakeImageEngine()
        engine = FakeEngine(says("One two.", tokenizer, then="<|eot_id|>" if tokenizer is LLAMA else "<|im_end|>"), context=4096)
        given = {self.inside: {**self.body.get(self.inside, {}), **fields}} if self.inside else fields
        app, _ = ready(engine, tokenizer, parts={"images": images(painter)})
        answer = ask(app, "POST", self.path, json={"model": "tiny", **self.body, **given})
        return answer, [*engine.requests, *map(repr, painter.requests)]


@dataclass(frozen=True)
class Given:
    """A value that has an effect, beside other fields (both with and without it)."""

    value: Any
    beside: dict[str, Any] = field(default_factory=dict[str, Any])
    tokenizer: Any = TEXT


CHAT = Api("/v1/chat/completions", {"messages": [USER], "max_tokens": 20})
COMPLETIONS = Api("/v1/completions", {"prompt": "Hello", "max_tokens": 20})
RESPONSES = Api("/v1/responses", {"input": "Hello"})
MESSAGES = Api("/v1/messages", {"messages": [USER], "max_tokens": 20})
OLLAMA_CHAT = Api("/api/chat", {"messages": [USER], "stream": False})
OLLAMA_GENERATE = Api("/api/generate", {"prompt": "Hello", "stream": False})
OLLAMA_OPTIONS = Api("/api/chat", {"messages": [USER], "stream": False}, inside="options")
IMAGES = Api("/v1/images/generations", {"model": "brush", "prompt": "a dog", "seed": 1})
APIS = {
    "vLLM's, in both completions": (CHAT, COMPLETIONS),
    "llama.cpp's and Ollama's, in both completions": (CHAT, COMPLETIONS),
    "`POST /v1/chat/completions`": (CHAT,),
    "`POST /v1/completions`": (COMPLETIONS,),
    "`POST /v1/responses`": (RESPONSES,),
    "`POST /v1/messages` (Anthropic)": (MESSAGES,),
    "`POST /v1/images/generations`": (IMAGES,),
    "`POST /api/chat` (Ollama)": (OLLAMA_CHAT,),
    "`POST /api/generate` (Ollama)": (OLLAMA_GENERATE,),
    "`options` of Ollama's": (OLLAMA_OPTIONS,),
}
TALK = [LONG, {"role": "assistant", "content": "word " * 300}] * 4 + [USER]
ENDED = [USER, {"role": "assistant", "content": "Well"}]
HONOURED: dict[str, Given] = {
    "add_generation_prompt": Given(False),
    "add_special_tokens": Given(False, tokenizer=LLAMA),
    "background": Given(True),  # needs a database, which these servers have not
    "bad_words": Given(["ugly"]),
    "beam_width": Given(2),
    "best_of": Given(2),
    "cache_salt": Given("a"),
    "chat_template_kwargs": Given({"enable_thinking": False}, tokenizer=QWEN),
    "context_management": Given([{"type": "compaction", "compact_threshold": 1000}], {"input": TALK}),
    "continue_final_message": Given(True, {"messages": ENDED}),
    "conversation": Given("conv_1"),
    "denoising": Given({"steps": 3}),
    "echo": Given(True),
    "enable_thinking": Given(False, tokenizer=QWEN),
    "format": Given("json"),
    "early_stopping": Given(True, {"beam_width": 2}),
    "frequency_penalty": Given(0.5),
    "grammar": Given('root ::= "a"'),
    "guidance_scale": Given(2.0),
    "guided_choice": Given(["a"]),
    "guided_grammar": Given('root ::= "a"'),
    "guided_json": Given(SCHEMA),
    "guided_regex": Given("a+"),
    "ignore_eos": Given(True),
    "images": Given(["aGk="]),
    "include_reasoning": Given(False, tokenizer=THINKS),
    "include_stop_str_in_output": Given(True, {"stop": "two"}),
    "input": Given("Other"),
    "instructions": Given("Be brief."),
    "json_schema": Given(SCHEMA),
    "length_penalty": Given(2.0, {"beam_width": 2}),
    "logit_bias": Given({"5": 1}),
    "logprobs": Given(True),
    "max_completion_tokens": Given(3, {"max_tokens": None}),
    "max_output_tokens": Given(16),
    "max_tokens": Given(3),
    "max_tool_calls": Given(3),
    "mcp_approvals": Given([{"approval_request_id": "mcpr_1", "approve": True}]),
    "mcp_servers": Given([{"type": "url", "name": "x", "url": "stoa://x"}]),
    "messages": Given([{"role": "user", "content": "Other"}]),
    "metadata": Given({"a": "b"}),
    "min_p": Given(0.1),
    "min_tokens": Given(3),
    "model": Given("other"),
    "n": Given(2),
    "n_predict": Given(3, {"max_tokens": None}),
    "negative_prompt": Given("a cat"),
    "num_ctx": Given(10**6),
    "num_predict": Given(3),
    "options": Given({"seed": 5}),
    "output_compression": Given(50, {"output_format": "jpeg"}),
    "output_format": Given("webp"),
    "output_config": Given({"format": {"type": "json_schema", "schema": SCHEMA}}),
    "parallel_tool_calls": Given(False, {"tool_choice": "required"}, TOOLS),
    "parse_special": Given(False, {"prompt": "<|im_start|>"}),
    "partial_images": Given(1, {"stream": True}),
    "presence_penalty": Given(0.5),
    "previous_response_id": Given("resp_1"),
    "prompt": Given("Other"),
    "prompt_logprobs": Given(1),
    "quality": Given("low"),
    "raw": Given(True),
    "reasoning": Given({"effort": "none"}, tokenizer=QWEN),
    "reasoning_effort": Given("none", tokenizer=QWEN),
    "repeat_penalty": Given(1.5),
    "repetition_penalty": Given(1.5),
    "request_id": Given("abc"),
    "response_format": Given(RESPONSE_FORMAT),
    "return_token_ids": Given(True),
    "return_tokens_as_token_ids": Given(True, {"logprobs": True}),
    "seed": Given(5),
    "size": Given("8x8"),
    "skip_special_tokens": Given(False, {"ignore_eos": True}),
    "steps": Given(3),
    "speculative": Given(False),
    "stop": Given("two"),
    "stop_sequences": Given(["two"]),
    "stop_token_ids": Given([7]),
    "store": Given(True),
    "stream": Given(True),
    "stream_options": Given({"include_usage": True}, {"stream": True}),
    "structured_outputs": Given({"regex": "a+"}),
    "suffix": Given("after"),
    "system": Given("Be brief."),
    "temperature": Given(0.5),
    "text": Given({"format": {"type": "json_object"}}),
    "think": Given(False, tokenizer=QWEN),
    "thinking_token_budget": Given(5, tokenizer=QWEN),
    "thinking": Given({"type": "disabled"}, tokenizer=QWEN),
    "timings_per_token": Given(True),
    "tool_choice": Given("required", tokenizer=TOOLS),
    "tools": Given(CHAT_TOOLS, tokenizer=TOOLS),
    "top_k": Given(3),
    "top_logprobs": Given(2, {"logprobs": True}),
    "top_p": Given(0.5),
    "truncate": Given(False, {"messages": [LONG] * 20 + [USER]}),
    "truncate_prompt_tokens": Given(1),
    "truncation": Given("auto", {"input": [LONG] * 20 + [USER]}),
    "use_beam_search": Given(True),
}  # fmt: skip
# of searches: tests/server/api/chat_completions/; of models that follow prompts by themselves: tests/server/api/images/test_guidance.py
ELSEWHERE = {"include", "true_cfg_scale"}
SPECIAL: dict[tuple[str, str], Given] = {
    (COMPLETIONS.path, "logprobs"): Given(1),
    (COMPLETIONS.path, "return_tokens_as_token_ids"): Given(True, {"logprobs": 1}),
    (COMPLETIONS.path, "truncate_prompt_tokens"): Given(1, {"prompt": "One two three four"}),
    (CHAT.path, "parallel_tool_calls"): Given(False, {"tools": CHAT_TOOLS, "tool_choice": "required"}, TOOLS),
    (CHAT.path, "tool_choice"): Given("required", {"tools": CHAT_TOOLS}, TOOLS),
    (RESPONSES.path, "include"): Given(["message.output_text.logprobs"]),
    (RESPONSES.path, "parallel_tool_calls"): Given(False, {"tools": FLAT_TOOLS, "tool_choice": "required"}, TOOLS),
    (RESPONSES.path, "tool_choice"): Given("required", {"tools": FLAT_TOOLS}, TOOLS),
    (RESPONSES.path, "tools"): Given(FLAT_TOOLS, tokenizer=TOOLS),
    (RESPONSES.path, "top_logprobs"): Given(2, {"include": ["message.output_text.logprobs"]}),
    (RESPONSES.path, "stream_options"): Given({"include_obfuscation": True}, {"stream": True}),
    (IMAGES.path, "response_format"): Given("url"),
    (MESSAGES.path, "tool_choice"): Given({"type": "any"}, {"tools": ANTHROPIC_TOOLS}, TOOLS),
    (MESSAGES.path, "tools"): Given(ANTHROPIC_TOOLS, tokenizer=TOOLS),
}  # fmt: skip
# Of types that not every value fits
TAKEN: dict[str, Any] = {
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"ttl": "30m"},
    "service_tier": "flex",
    "verbosity": "low",
    "moderation": "auto",
    "style": "vivid",
    "speed": "fast",
    "samplers": ["top_k"],
    "dry_sequence_breakers": ["x"],
    "keep_alive": "5m",
    "chat_template_content_format": "string",
    "guided_decoding_backend": "x",
    "reasoning_format": "none",
    "client_metadata": {"a": "b"},
    "metadata": {"user_id": "u"},
    "cache_control": {"type": "ephemeral"},
    "context_management": {"edits": []},
    "diagnostics": {"a": "b"},
}
VALUES: tuple[Any, ...] = (
    True,
    False,
    100,
    1.5,
    "x",
    "transparent",
    ["x"],
    [1],
    [{}],
    {"a": "b"},
    {},
    {"id": "x"},
    {"model": "x"},
    {"name": "f"},
    [{"name": "f"}],
    ["text", "audio"],
    {"voice": "alloy", "format": "wav"},
)


def rows() -> list[tuple[str, str, str]]:
    """Of the page: heading, parameter, fate."""
    found, heading = list[tuple[str, str, str]](), ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        if (row := re.fullmatch(r"\| `(\w+)` \| (.*) \|", line)) and heading in APIS:
            found.append((heading, row[1], row[2]))
    return found


def cases(*beginnings: str) -> list[Any]:
    return [
        pytest.param(api, name, fate, id=f"{api.inside or api.path}-{name}")
        for heading, name, fate in rows()
        for api in APIS[heading]
        if fate.startswith(beginnings)
    ]


def told(response: httpx.Response) -> Any:
    """Without what differs between any two answers."""
    text = re.sub(
        r'"(id|created_at|created|completed_at|\w+_duration|\w+_ms|\w+_per_second|item_id|request_id)": ?("[^"]*"|[0-9.e-]+)',
        "",
        response.text,
    )
    return response.status_code, text, '"id":"cmpl-abc' in response.text or '"id":"chatcmpl-abc' in response.text


def params(response: httpx.Response) -> list[str]:
    return [name for name in response.headers.get(WARNINGS_HEADER, "").split(", ") if name]


def full_name(api: Api, name: str) -> str:
    return f"{api.inside}.{name}" if api.inside else name


def test_every_table_is_tried() -> None:
    headings = set(re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert headings - APIS.keys() == {"`POST /v1/embeddings`"} and APIS.keys() <= headings


@pytest.mark.parametrize(("api", "name", "fate"), cases("honoured"))
def test_what_is_honoured_has_an_effect(api: Api, name: str, fate: str) -> None:
    if fate != "honoured":
        reason = fate.removeprefix("honoured in part: ")
        assert reason == PRIORITY_HINT.reason and api.send(priority=3)[1] != api.send()[1]
        return
    if name in ELSEWHERE and (api.path, name) not in SPECIAL:
        return
    given = SPECIAL.get((api.path, name)) or HONOURED[name]
    without, plainly = api.send(given.tokenizer, **given.beside)
    answer, asked = api.send(given.tokenizer, **{**given.beside, name: given.value})
    assert answer.status_code < 500 and (told(answer) != told(without) or asked != plainly), answer.text
    if answer.status_code >= 400:
        assert name in answer.text or str(given.value) in answer.text or "context" in answer.text


@pytest.mark.parametrize(("api", "name", "fate"), cases("refused", "only"))
def test_what_is_refused_is_named(api: Api, name: str, fate: str) -> None:
    accepted = [
        json.loads(value.replace("'", '"')) if value[:1] in [*"[-0123456789tf"] else value for value in re.findall(r"`([^`]*)`", fate)
    ]
    for value in accepted:
        answer, _ = api.send(**{name: value})
        assert answer.status_code == 200 and not params(answer), answer.text
    codes = set[Any]()
    for value in VALUES:
        if value in accepted or value in ([], False, None):
            continue
        answer, _ = api.send(**{name: value})
        assert answer.status_code == 400 and full_name(api, name) in answer.text, answer.text
        codes.add(re.sub(r".*does not support.*|.*only supports.*|.*not kept here.*", "said", answer.text, flags=re.DOTALL))
    assert "said" in codes, "some value has the right type, and is refused for what it asks"


@pytest.mark.parametrize(("api", "name", "fate"), cases("no effect", "taken"))
def test_what_has_no_effect_is_named_and_taken(api: Api, name: str, fate: str) -> None:
    wanted = [full_name(api, name)] if fate.startswith("no effect") else []
    plain, plainly = api.send()
    silent = re.findall(r"`([^`]*)`", fate)
    answers = [(value, *api.send(**{name: value})) for value in ([TAKEN[name], *silent] if name in TAKEN else VALUES)]
    taken = [(value, answer, asked) for value, answer, asked in answers if answer.status_code == 200]
    assert taken, "no value is taken"
    for value, answer, asked in taken:
        warned = [] if json.dumps(value).strip('"') in silent else wanted
        assert params(answer) == warned and asked == plainly
        assert [one["param"] for one in answer.json().get("warnings") or ()] == warned
        assert told(answer)[0] == told(plain)[0]
