"""Anthropic's own client against a server process with SmolLM2."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, BadRequestError

from tests.server.conftest import Running

CAPITAL: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "Current weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}
GREEDY = {"temperature": 0}  # which this client does not know any more
TRUTH: Any = {"model": "smollm2", "messages": CAPITAL, "max_tokens": 24, "extra_body": GREEDY}


@pytest.fixture
def anthropic(server: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


def test_streams_say_what_answers_say(anthropic: Anthropic) -> None:
    answer = anthropic.messages.create(**TRUTH)
    (block,) = answer.content
    assert block.type == "text" and "Paris" in block.text and answer.stop_reason in ("end_turn", "max_tokens")
    with anthropic.messages.stream(**TRUTH) as stream:
        parts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(parts) > 3 and "".join(parts) == block.text
    assert final.usage.output_tokens == answer.usage.output_tokens
    counted = anthropic.messages.count_tokens(model="smollm2", messages=CAPITAL)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_call_fits_its_schema(anthropic: Anthropic, choice: Any) -> None:
    asked: Any = [{"role": "user", "content": "How is the weather in Oslo, in celsius?"}]
    given: Any = {"model": "smollm2", "max_tokens": 200, "messages": asked, "tools": [WEATHER], "tool_choice": choice, "extra_body": GREEDY}
    with anthropic.messages.stream(**given) as stream:
        message = stream.get_final_message()
    used = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use" and used
    arguments: Any = used[0].input
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "fahrenheit"), json.dumps(arguments)
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one.id, "content": "12 degrees"} for one in used]}
    again = anthropic.messages.create(model="smollm2", max_tokens=8, messages=[*asked, message.to_param(), result], tools=[WEATHER])
    assert again.content


def test_who_goes_away_is_not_answered_any_more(anthropic: Anthropic, server: Running) -> None:
    long: Any = {**TRUTH, "max_tokens": 1500, "messages": [{"role": "user", "content": "Count from one to one thousand, in words."}]}
    with anthropic.messages.create(**long, stream=True) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    deadline = time.monotonic() + 10
    while server.metric("requests_running") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.metric("requests_running") == 0


def test_what_does_not_fit_is_refused(anthropic: Anthropic) -> None:
    with pytest.raises(BadRequestError, match="context is 2048"):
        anthropic.messages.create(model="smollm2", max_tokens=5, messages=[{"role": "user", "content": "word " * 3000}])
