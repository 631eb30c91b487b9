"""Hints without an effect are taken, and named in the answer and in a header, by each API, whole and as a stream."""

import json
from typing import Any

import httpx
import pytest

from server.http.warnings import WARNINGS_HEADER
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
HELLO = [{"role": "user", "content": "Hello"}]
CHAT: tuple[str, dict[str, Any]] = ("/v1/chat/completions", {"messages": HELLO})
RESPONSES: tuple[str, dict[str, Any]] = ("/v1/responses", {"input": "Hello"})
MESSAGES: tuple[str, dict[str, Any]] = ("/v1/messages", {"messages": HELLO, "max_tokens": 50})

HINTS: list[tuple[tuple[str, dict[str, Any]], dict[str, Any], str]] = [
    (CHAT, {"reasoning_effort": "high"}, "reasoning_effort"),
    (CHAT, {"reasoning": {"effort": "low", "exclude": True}}, "reasoning"),
    (CHAT, {"thinking": {"type": "enabled", "budget_tokens": 100}}, "thinking.budget_tokens, thinking"),
    (CHAT, {"enable_thinking": True}, "enable_thinking"),
    (CHAT, {"think": "high"}, "think"),
    (CHAT, {"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs.enable_thinking"),
    (RESPONSES, {"chat_template_kwargs": {"thinking": True}}, "chat_template_kwargs.thinking"),
    (CHAT, {"verbosity": "low"}, "verbosity"),
    (CHAT, {"service_tier": "flex"}, "service_tier"),
    (CHAT, {"prediction": {"type": "content", "content": "x"}}, "prediction"),
    (CHAT, {"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
    (CHAT, {"prompt_cache_options": {"ttl": "30m"}}, "prompt_cache_options"),
    (RESPONSES, {"text": {"verbosity": "high"}}, "text.verbosity"),
    (RESPONSES, {"reasoning": {"effort": "high"}}, "reasoning.effort"),
    (RESPONSES, {"reasoning": {"summary": "concise"}}, "reasoning.summary"),
    (RESPONSES, {"service_tier": "priority"}, "service_tier"),
    (RESPONSES, {"context_management": [{"type": "clear_tool_uses"}]}, "context_management.0"),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.budget_tokens, thinking"),
    (MESSAGES, {"output_config": {"effort": "medium"}}, "output_config.effort"),
    (MESSAGES, {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}, "context_management"),
    (MESSAGES, {"speed": "fast"}, "speed"),
    (MESSAGES, {"thinking": {"type": "adaptive", "display": "updates"}}, "thinking.display"),
    (MESSAGES, {"thinking": {"type": "adaptive", "display": "of a later version"}}, "thinking.display"),
]
SILENT: list[tuple[tuple[str, dict[str, Any]], dict[str, Any]]] = [
    (CHAT, {"reasoning_effort": "none", "verbosity": "medium", "service_tier": "auto", "prompt_cache_retention": "in_memory"}),
    (CHAT, {"thinking": {"type": "disabled"}, "enable_thinking": False, "reasoning": {"enabled": False}, "think": False}),
    (CHAT, {"thinking": {"type": "auto"}, "include_reasoning": False}),
    (RESPONSES, {"text": {"verbosity": "medium"}, "reasoning": {"summary": "auto"}, "service_tier": "default"}),
    (MESSAGES, {"service_tier": "standard_only", "thinking": {"type": "disabled"}}),
]


def post(api: tuple[str, dict[str, Any]], **fields: Any) -> httpx.Response:
    app, _ = ready(FakeEngine(says("Paris.", TEXT)), TEXT)
    url, body = api
    response = ask(app, "POST", url, json={"model": "tiny", **body, **fields})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize(("api", "fields", "names"), HINTS)
def test_a_hint_is_named_in_answer_and_header(api: tuple[str, dict[str, Any]], fields: dict[str, Any], names: str) -> None:
    whole = post(api, **fields)
    assert whole.headers[WARNINGS_HEADER] == names
    assert ", ".join(warning["param"] for warning in whole.json()["warnings"]) == names
    stream = post(api, **fields, stream=True)
    assert stream.headers[WARNINGS_HEADER] == names
    assert json.dumps(whole.json()["warnings"]).replace(" ", "") in stream.text.replace(" ", "")


@pytest.mark.parametrize(("api", "fields"), SILENT)
def test_what_the_server_does_anyway_is_no_reason_to_warn(api: tuple[str, dict[str, Any]], fields: dict[str, Any]) -> None:
    whole = post(api, **fields)
    assert WARNINGS_HEADER not in whole.headers and "warnings" not in whole.json()
    assert "warnings" not in post(api, **fields, stream=True).text


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
def test_unknown_fields_that_are_null_are_dropped(api: tuple[str, dict[str, Any]]) -> None:
    post(api, thread=None, nonsense=None)
    app, _ = ready(FakeEngine(says("Paris.", TEXT)), TEXT)
    nested = {"model": "tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "odd": None}], "odd": None}]}
    assert ask(app, "POST", CHAT[0], json=nested).status_code == 200
    refused = ask(app, "POST", api[0], json={"model": "tiny", **api[1], "thread": None, "nonsense": 1})
    assert refused.status_code == 400 and "nonsense" in refused.text and "thread" not in refused.text
