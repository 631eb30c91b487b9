"""/v1/messages: as Anthropic's own client sees it, and what stands on the wire."""

import json
from typing import Any

import anthropic
import pytest

from engine.api import EngineStopped, JsonSchema, QueueFull
from server.http.warnings import WARNINGS_HEADER
from tests.server.api.anthropic.anthropic_client import (
    ADD,
    COUNT,
    KEY,
    LOUD,
    THINKING_TOKENIZER,
    TOKENIZER,
    URL,
    USER,
    build_app,
    parse_events,
    post,
    prompt_text,
    with_sdk,
)
from tests.server.fakes import ask, calling

# a plain answer


def test_an_answer() -> None:
    answer, engine = post("Hello there.", system="Be nice.", temperature=0.5, top_p=0.9, top_k=5)
    assert answer["id"].startswith("msg_") and (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "tiny")
    assert answer["content"] == [{"type": "text", "text": "Hello there."}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    request, usage = engine.requests[0], answer["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == len(request.tokens) and usage["cache_read_input_tokens"] == 1
    assert usage["output_tokens"] == len(TOKENIZER.encode("Hello there.")) + 1
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0.5, 0.9, 5)
    assert request.sampling.max_tokens == 400 and "Be nice." in prompt_text(engine)


def test_a_stream_has_its_events_in_order() -> None:
    events, _ = post("Hello there.", stream=True)
    event_types = [one["type"] for one in events]
    assert event_types[:3] == ["message_start", "ping", "content_block_start"] and event_types[-3:] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert set(event_types[3:-3]) == {"content_block_delta"}
    start, last = events[0]["message"], events[-2]
    assert start["content"] == [] and start["stop_reason"] is None
    assert "".join(one["delta"]["text"] for one in events if one["type"] == "content_block_delta") == "Hello there."
    assert last["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert last["usage"]["output_tokens"] == len(TOKENIZER.encode("Hello there.")) + 1 > start["usage"]["output_tokens"] == 1


ANY_OBJECT = {"type": "json_schema", "schema": {"type": "object"}}


@pytest.mark.parametrize("known", [{}, {"mcp_servers": [LOUD]}])
def test_the_prompt_is_counted_alike_at_both_ends_of_a_stream(known: dict[str, Any]) -> None:
    events, engine = post("Hello there.", stream=True, **known)
    for usage in (events[0]["message"]["usage"], events[-2]["usage"]):
        assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (len(engine.requests[0].tokens) - 1, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_which_stop_sequence_it_was(stream: bool) -> None:
    answer, _ = post("one two three", stop_sequences=["three", "two"], stream=stream)
    end = answer[-2]["delta"] if stream else answer
    assert (end["stop_reason"], end["stop_sequence"]) == ("stop_sequence", "two")


def test_why_an_answer_is_cut_off() -> None:
    assert post("one two three", max_tokens=2)[0]["stop_reason"] == "max_tokens"
    assert post("one two three " * 100, max_tokens=1000, options={"context": 60})[0]["stop_reason"] == "model_context_window_exceeded"


def test_blocks_of_text_are_one_text() -> None:
    blocks = [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "two"}]
    said = {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "three"}]}
    _, engine = post(system=blocks, messages=[{"role": "user", "content": blocks}, said, USER])
    assert prompt_text(engine).count("one\ntwo") == 2 and "three" in prompt_text(engine)


def test_instructions_may_come_later() -> None:
    _, engine = post(messages=[USER, {"role": "assistant", "content": "Hello."}, {"role": "system", "content": "Be short."}, USER])
    assert prompt_text(engine).index("Hello.") < prompt_text(engine).index("Be short.") < prompt_text(engine).rindex("Hi?")


def test_thoughts_are_a_block_before_the_answer() -> None:
    options = {"tokenizer": THINKING_TOKENIZER}
    answer, _ = post("<think>Hm, well.</think>Hi.", options=options)
    assert [block["type"] for block in answer["content"]] == ["thinking", "text"]
    thoughts = answer["content"][0]
    assert (thoughts["type"], thoughts["thinking"]) == ("thinking", "Hm, well.") and thoughts["signature"]
    events, _ = post("<think>Hm, well.</think>Hi.", options=options, stream=True)
    assert [one["content_block"]["type"] for one in events if one["type"] == "content_block_start"] == ["thinking", "text"]
    assert {one["delta"]["type"] for one in events if one["type"] == "content_block_delta"} == {
        "thinking_delta",
        "signature_delta",
        "text_delta",
    }
    _, engine = post("Hi.", options=options, thinking={"type": "disabled"})
    assert THINKING_TOKENIZER.decode(engine.requests[0].tokens).endswith("<think>\n\n</think>\n\n")
    answer, _ = post("Hi.", thinking={"type": "enabled", "budget_tokens": 1024})
    assert [warning["param"] for warning in answer["warnings"]] == ["thinking.budget_tokens", "thinking"]


def test_a_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    answer, engine = post('{"a": 1}', output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(answer["content"][0]["text"]) == {"a": 1}
    assert engine.requests[0].grammar == JsonSchema(schema=json.dumps(schema))


# counting


def test_tokens_are_counted_as_the_model_reads_them() -> None:
    bodies: tuple[dict[str, Any], ...] = ({}, {"system": "Be nice."}, {"tools": [ADD]})
    for body in bodies:
        counted, engine = post(path=COUNT, **body)
        assert engine.requests == []
        assert counted == {"input_tokens": len(post(**body)[1].requests[0].tokens)}


# what is refused


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens: "),
        ({"model": "other"}, 404, "not_found_error", "'other' does not exist"),
        ({"nonsense": 1}, 400, "invalid_request_error", "nonsense: "),
        ({"messages": []}, 400, "invalid_request_error", "messages: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "a"}}]}]},
            400,
            "invalid_request_error",
            "messages.0.content.0.source.file_id: tiny reads text alone",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "data": "AA"}}]}]},
            400,
            "invalid_request_error",
            "messages.0.content.0.source.type: documents of type 'base64'",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "invalid_request_error", "messages.0.content.0: "),
        (
            {"messages": [USER, {"role": "assistant", "content": "{"}], "output_config": {"format": ANY_OBJECT}},
            400,
            "invalid_request_error",
            "messages.1: an answer in a format cannot be continued",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
            400,
            "invalid_request_error",
            "messages.0.content.0.tool_use_id: ",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "invalid_request_error", "tools.0: "),
        ({"tools": [{**ADD, "input_schema": {"type": "string"}}]}, 400, "invalid_request_error", "tools.0.input_schema.type: "),
        ({"tools": [ADD, ADD]}, 400, "invalid_request_error", "tools.1: "),
        ({"tools": [ADD], "tool_choice": {"type": "tool", "name": "sub"}}, 400, "invalid_request_error", "tool_choice: "),
        ({"tool_choice": {"type": "any"}}, 400, "invalid_request_error", "tool_choice: "),
        ({"mcp_servers": [{**LOUD, "url": "https://example.com/mcp"}]}, 400, "invalid_request_error", "they are stoa://loud"),
        ({"mcp_servers": [{**LOUD, "name": "x", "url": "stoa://x"}]}, 400, "invalid_request_error", "mcp_servers.0.url: "),
        ({"mcp_servers": [LOUD, LOUD]}, 400, "invalid_request_error", "mcp_servers.1.name: "),
        ({"mcp_servers": [{**LOUD, "authorization_token": "t"}]}, 400, "invalid_request_error", "mcp_servers.0.authorization_token: "),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "loud"}]}, 400, "invalid_request_error", "tools.0.mcp_server_name: "),
        ({"container": "c"}, 400, "invalid_request_error", "container: "),
        ({"temperature": 1.5}, 400, "invalid_request_error", "temperature: "),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], status: int, kind: str, message: str) -> None:
    error = post(status=status, **body)
    assert error["type"] == kind and message in error["message"]


def test_errors_have_anthropics_shape_everywhere() -> None:
    app, _ = build_app("Hi.", api_keys=(KEY,))
    for answer, status, kind in (
        (ask(app, "POST", URL, json={}), 401, "authentication_error"),
        (ask(app, "GET", URL, headers={"x-api-key": KEY}), 405, "invalid_request_error"),
        (ask(app, "POST", f"{URL}/nothing", headers={"x-api-key": KEY}), 404, "not_found_error"),
        (ask(app, "POST", URL, headers={"x-api-key": KEY, "content-type": "text/plain"}, content=b"{"), 415, "invalid_request_error"),
    ):
        assert answer.status_code == status and answer.json()["error"]["type"] == kind and answer.json()["type"] == "error"
        assert answer.json()["request_id"] == answer.headers["request-id"] and answer.headers["request-id"].startswith("req_")
    options = ask(app, "POST", URL, json={}, headers={"x-api-key": KEY, "x-request-id": "mine-1"})
    assert options.json()["request_id"] == options.headers["request-id"] == "mine-1"
    assert "type" not in ask(app, "GET", "/v1/models").json()  # others keep theirs


def test_an_engine_that_refuses_is_told_before_the_stream() -> None:
    error = post(status=503, stream=True, options={"refusal": QueueFull("the queue is full")})
    assert error["type"] == "overloaded_error"


def test_an_engine_that_stops_in_between_is_an_event() -> None:
    app, engine = build_app("Hi there, how are you?")
    inner = engine.script

    def stops(request: Any) -> Any:
        yield from list(inner(request))[:3]
        raise EngineStopped("the engine is shutting down")

    engine.script = stops
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": [USER], "max_tokens": 9, "stream": True})
    events = parse_events(answer.text)
    assert events[-1]["request_id"] == answer.headers["request-id"]
    assert events[-1]["type"] == "error" and events[-1]["error"]["type"] == "overloaded_error"
    assert events[0]["type"] == "message_start" and "message_stop" not in {one["type"] for one in events}


def test_either_header_opens_the_door() -> None:
    app, _ = build_app("Hi.", api_keys=(KEY,))
    for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer {KEY}", "x-api-key": "other"}):
        assert ask(app, "GET", "/v1/models", headers=headers).status_code == 200
    for headers in ({"x-api-key": "other"}, {"x-api-key": ""}, {"authorization": "Bearer other", "x-api-key": KEY}, {"authorization": KEY}):
        assert ask(app, "GET", "/v1/models", headers=headers).status_code == 401


# the official client


def test_the_official_sdk() -> None:
    app, _ = build_app("Let me see." + calling("add", '{"a": 1, "b": 2}'), "It is 3.", api_keys=(KEY,))

    async def use(sdk: anthropic.AsyncAnthropic) -> None:
        first = await sdk.messages.create(model="tiny", max_tokens=400, messages=[USER], tools=[ADD])
        assert first.stop_reason == "tool_use" and first._request_id is not None
        used = first.content[1]
        assert used.type == "tool_use" and used.input == {"a": 1, "b": 2}
        result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used.id, "content": "3"}]}
        messages: Any = [USER, first.to_param(), result]
        async with sdk.messages.stream(model="tiny", max_tokens=400, messages=messages, tools=[ADD]) as stream:
            assert "".join([part async for part in stream.text_stream]) == "It is 3."
            final = await stream.get_final_message()
        assert final.stop_reason == "end_turn" and final.usage.output_tokens > 1
        counted = await sdk.messages.count_tokens(model="tiny", messages=messages, tools=[ADD])
        assert counted.input_tokens == final.usage.input_tokens + (final.usage.cache_read_input_tokens or 0)

    with_sdk(app, use)


def test_the_official_sdk_streams_calls() -> None:
    app, _ = build_app(calling("add", '{"a": 1, "b": 2}'))

    async def use(sdk: anthropic.AsyncAnthropic) -> Any:
        async with sdk.messages.stream(model="tiny", max_tokens=400, messages=[USER], tools=[ADD]) as stream:
            return await stream.get_final_message()

    message = with_sdk(app, use)
    assert message.content[0].type == "tool_use" and message.content[0].input == {"a": 1, "b": 2}


def test_the_official_sdk_with_the_operators_servers() -> None:
    app, _ = build_app(calling("loud__shout", '{"word": "hello"}'), "It is HELLO.")

    async def use(sdk: anthropic.AsyncAnthropic) -> Any:
        toolset: Any = {"type": "mcp_toolset", "mcp_server_name": "loud"}
        beta = ["mcp-client-2025-11-20"]
        options: Any = {"model": "tiny", "max_tokens": 400, "messages": [USER], "mcp_servers": [LOUD], "tools": [toolset], "betas": beta}
        return await sdk.beta.messages.create(**options)

    message = with_sdk(app, use)
    assert [block.type for block in message.content] == ["mcp_tool_use", "mcp_tool_result", "text"]
    assert message.content[1].content[0].text == "HELLO"


def test_the_official_sdk_knows_the_errors() -> None:
    app, _ = build_app("Hi.", api_keys=(KEY,))

    async def use(sdk: anthropic.AsyncAnthropic) -> None:
        with pytest.raises(anthropic.NotFoundError, match="does not exist") as refused:
            await sdk.messages.create(model="other", max_tokens=1, messages=[USER])
        body: Any = refused.value.body
        assert refused.value.request_id == body["request_id"]

    async def wrong(sdk: anthropic.AsyncAnthropic) -> None:
        with pytest.raises(anthropic.AuthenticationError):
            await sdk.messages.create(model="tiny", max_tokens=1, messages=[USER])

    with_sdk(app, use)
    with_sdk(app, wrong, api_key="other")


def test_hosted_tools_are_left_out() -> None:
    search, bash = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}, {"type": "bash_20250124", "name": "bash"}
    answer, engine = post("Hi.", tools=[ADD, search, bash])
    assert [warning["param"] for warning in answer["warnings"]] == ["tools.1", "tools.2"]
    assert "web_search" not in TOKENIZER.decode(engine.requests[0].tokens)
    assert "web_search_20250305" in post("Hi.", status=400, tools=[search])["message"]


def test_the_beginning_of_an_answer_is_continued() -> None:
    app, engine = build_app(" 3")
    messages = [USER, {"role": "assistant", "content": "1, 2,"}]
    answer = ask(app, "POST", URL, json={"model": "tiny", "max_tokens": 9, "messages": messages})
    assert answer.status_code == 200 and answer.json()["content"][0]["text"] == " 3"
    assert prompt_text(engine).endswith("<|im_start|>assistant\n1, 2,")


@pytest.mark.parametrize("content", ["", [{"type": "text", "text": ""}], []])
def test_an_answer_of_which_there_is_nothing_yet_is_begun(content: Any) -> None:
    app, engine = build_app("3")
    messages = [USER, {"role": "assistant", "content": content}]
    answer = ask(app, "POST", URL, json={"model": "tiny", "max_tokens": 9, "messages": messages})
    assert answer.status_code == 200
    assert prompt_text(engine).count("<|im_start|>assistant\n") == 1 and prompt_text(engine).endswith("<|im_start|>assistant\n")


def test_documents_of_text_are_read() -> None:
    app, engine = build_app("ok")
    plain = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "PLAIN"},
        "title": "TITLE",
        "context": "CTX",
    }
    parts = {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "PART"}]},
        "citations": {"enabled": True},
    }
    result = {"type": "search_result", "source": "SOURCE", "title": "NAME", "content": [{"type": "text", "text": "FOUND"}]}
    asked = {"role": "user", "content": [plain, parts, result, {"type": "text", "text": "QUESTION"}]}
    called = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "add", "input": {}}]}
    answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{**result, "title": "OUTPUT"}]}]}
    answer = ask(app, "POST", URL, json={"model": "tiny", "max_tokens": 9, "messages": [asked, called, answered]})
    assert answer.status_code == 200, answer.text
    found = [prompt_text(engine).index(word) for word in ("TITLE", "CTX", "PLAIN", "PART", "NAME", "SOURCE", "FOUND", "QUESTION", "OUTPUT")]
    assert found == sorted(found)
    assert answer.headers[WARNINGS_HEADER] == "messages.0.content.1.citations"


def test_reasoning_that_only_others_can_read_is_taken_and_left_out() -> None:
    app, engine = build_app("ok")
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    earlier = {"role": "assistant", "content": [thought, {"type": "redacted_thinking", "data": "SECRET"}, {"type": "text", "text": "A."}]}
    answer = ask(app, "POST", URL, json={"model": "tiny", "max_tokens": 9, "messages": [USER, earlier, USER]})
    assert answer.status_code == 200 and "SECRET" not in prompt_text(engine) and "A." in prompt_text(engine)


def test_threads_are_refused_so_that_clients_go_on_without() -> None:
    error = post("Hi.", status=400, thread={"type": "create"})
    assert error["details"] == {"error_code": "thread_unsupported_request"}
    post("Hi.", thread=None)
