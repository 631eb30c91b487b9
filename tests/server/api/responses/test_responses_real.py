"""/v1/responses of a real server process with SmolLM2, through OpenAI's own client."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from tests.server.api.responses.responses_client import WEATHER
from tests.server.conftest import Running, running

FUNCTION: Any = WEATHER
TRUTH: dict[str, Any] = {"model": "smollm2", "temperature": 0, "max_output_tokens": 24}
CAPITAL = "What is the capital of France?"


class City(BaseModel):
    city: str


@pytest.fixture
def openai(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_talk_that_the_server_remembers(openai: OpenAI) -> None:
    first = openai.responses.create(**TRUTH, input=CAPITAL)
    assert "Paris" in first.output_text and first.usage and first.usage.input_tokens > 10
    second = openai.responses.create(**TRUTH, input="Say it again.", previous_response_id=first.id)
    assert second.usage and second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert second.usage.input_tokens_details.cached_tokens > 0
    openai.responses.delete(first.id)
    with pytest.raises(BadRequestError, match="there is no response"):
        openai.responses.create(**TRUTH, input="And again.", previous_response_id=second.id)


def test_a_stream_says_the_same(openai: OpenAI) -> None:
    whole = openai.responses.create(**TRUTH, input=CAPITAL)
    with openai.responses.stream(**TRUTH, input=CAPITAL) as stream:
        words = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert words == stream.get_final_response().output_text == whole.output_text


def test_a_conversation(openai: OpenAI) -> None:
    talk = openai.conversations.create(items=[{"type": "message", "role": "user", "content": "My name is Bob."}])
    answer = openai.responses.create(**TRUTH, input=CAPITAL, conversation=talk.id)
    items = openai.conversations.items.list(talk.id, order="asc").data
    assert [item.type for item in items] == ["message"] * 3 and items[-1].id == answer.output[0].id


def test_formats_and_functions(openai: OpenAI) -> None:
    assert openai.responses.parse(**TRUTH, input=CAPITAL, text_format=City).output_parsed is not None
    asked = {**TRUTH, "max_output_tokens": 200, "input": "The weather in Rome?"}
    called = openai.responses.create(**asked, tools=[FUNCTION], tool_choice="required")
    call = called.output[-1]
    assert isinstance(call, ResponseFunctionToolCall) and call.name == "weather" and '"city"' in call.arguments


def test_the_background_outlives_a_restart(tmp_path: Path) -> None:
    """What is done is still there, and what a killed process was at is not taken for done."""
    database = str(tmp_path / "stoa.db")
    options = ("--model", "smollm2", "--context", "2048", "--database-url", database, "--embedding-model", "none")
    with running(tmp_path / "one", *options) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        done = client.responses.create(**TRUTH, input=CAPITAL, background=True)
        deadline = time.monotonic() + 30
        while (found := client.responses.retrieve(done.id)).status != "completed":
            assert time.monotonic() < deadline, found.status
            time.sleep(0.05)
        left = client.responses.create(model="smollm2", input="Tell me a long story.", max_output_tokens=1500, background=True)
        while client.responses.retrieve(left.id).status == "queued":
            time.sleep(0.02)
        server.process.kill()
        server.process.wait()
    with running(tmp_path / "two", *options) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        assert client.responses.retrieve(done.id).output_text == found.output_text
        assert client.responses.retrieve(left.id).status == "in_progress"  # its lease has not run out yet
        assert client.responses.create(**TRUTH, input="Really?", previous_response_id=done.id).usage
