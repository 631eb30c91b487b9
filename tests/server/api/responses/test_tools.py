"""Server tools in /v1/responses: file search, MCP servers, approvals; and reasoning."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from engine.api import Delta, Request
from server.api.responses.events.server_tools import to_mcp_error
from server.chat.grounding.grounding import NO_ANSWER
from server.core.tool_host import ToolFault
from tests.server.api.responses.responses_client import (
    HELLO,
    TOKENIZER,
    URL,
    WEATHER,
    ApiClient,
    api_client,
    event_types,
    new_archive,
    output_text,
    parse_events,
    replay,
    validated,
)
from tests.server.chat.grounding.test_grounding import DRAGONS, KNOWN, QUESTION, STORE, filled
from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, ask, calling, client, muted, ready, text, turns

LOUD: dict[str, Any] = {"type": "mcp", "server_label": "loud"}
SEARCH: dict[str, Any] = {"type": "file_search", "vector_store_ids": [STORE]}
SHOUT = calling("loud__shout", '{"word": "hey"}')
WRITE = calling("loud__write", '{"word": "hey"}')
MCP_CALL_EVENTS = ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", "mcp_call.completed", "output_item.done"]
MESSAGE_EVENTS = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done"]


def with_mcp_servers(*words: str, fails: bool = False, down: bool = False) -> tuple[ApiClient, FakeHost]:
    async def fail(arguments: Any) -> str:
        raise ValueError("no voice")

    tools = (tool("shout"), tool("write", read_only=False))
    host = FakeHost({"loud": tools, "quiet": tools, **({"down": tools} if down else {})}, acts={"shout": fail} if fails else {})
    return api_client(*words, parts={"tool_host": host}), host


def with_documents(*words: str) -> ApiClient:
    return api_client(*words, knowledge=KNOWN)


def test_a_server_tool_runs_and_the_model_answers() -> None:
    api, host = with_mcp_servers(f"I ask.{SHOUT}", "It said HEY.")
    events = api.stream(input=HELLO, tools=[LOUD])
    listed = ["output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done"]
    message = ["output_item.added", *MESSAGE_EVENTS]
    assert event_types(events) == [
        "created",
        "in_progress",
        *listed,
        *message,
        "output_item.added",
        *MCP_CALL_EVENTS,
        *message,
        "completed",
    ]
    tools, asked, call, answer = validated(events[-1]["response"])["output"]
    assert [one["name"] for one in tools["tools"]] == ["shout", "write"] and tools["error"] is None
    assert tools["tools"][0]["input_schema"]["required"] == ["word"] and tools["id"].startswith("mcpl_")
    assert asked["content"][0]["text"] == "I ask." and answer["content"][0]["text"] == "It said HEY."
    expected = {"server_label": "loud", "name": "shout", "arguments": '{"word": "hey"}', "output": "HEY", "error": None}
    assert call == {"id": call["id"], "type": "mcp_call", **expected, "status": "completed", "approval_request_id": None}
    assert host.calls == [("loud", "shout", {"word": "hey"}, "")]
    assert [item.get("arguments") for item in replay(events)] == [item.get("arguments") for item in events[-1]["response"]["output"]]
    usage = events[-1]["response"]["usage"]
    assert usage["input_tokens"] == sum(len(request.tokens) for request in api.engine.requests)


def test_what_ran_is_part_of_the_conversation() -> None:
    api, _ = with_mcp_servers(SHOUT, "It said HEY.", "Yes.")
    first = api.post(input=HELLO, tools=[LOUD])
    second = api.post(input="Sure?", tools=[LOUD], previous_response_id=first["id"])
    assert [item["type"] for item in second["output"]] == ["message"]  # the list is known already
    assert "HEY" in api.prompts[2] and "loud__shout" in api.prompts[2]


def test_a_tool_that_fails_and_a_server_that_is_down() -> None:
    api, _ = with_mcp_servers(SHOUT, "It cannot.", fails=True, down=True)
    events = api.stream(input=HELLO, tools=[LOUD, {**LOUD, "server_label": "down"}])
    assert "mcp_call.failed" in event_types(events) and "mcp_list_tools.failed" in event_types(events)
    listed, down, call, message = validated(events[-1]["response"])["output"]
    assert down["error"] == "down cannot be reached" and down["tools"] == []
    assert call["status"] == "failed" and call["output"] is None and listed["error"] is None
    assert call["error"] == {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "no voice"}]}
    assert "no voice" in api.prompts[1] and output_text({"output": [message]}) == "It cannot."


def test_a_server_that_must_be_called_and_is_down() -> None:
    api, _ = with_mcp_servers("x", down=True)
    down = {**LOUD, "server_label": "down"}
    error = api.post(input=HELLO, tools=[down], tool_choice="required", status=503)
    assert (error["type"], error["code"]) == ("server_error", "mcp_server_unavailable") and "down cannot be reached" in error["message"]
    events = api.stream(input=HELLO, tools=[down], tool_choice="required")[-1]
    assert events["type"] == "response.failed" and events["response"]["error"]["code"] == "server_error"


def test_tools_that_a_server_does_not_have() -> None:
    api, _ = with_mcp_servers("x")
    for allowed, param in ((["zz"], "tools.0.allowed_tools.0"), ({"tool_names": ["shout", "zz"]}, "tools.0.allowed_tools.tool_names.1")):
        error = api.post(input=HELLO, tools=[{**LOUD, "allowed_tools": allowed}], status=400)
        assert error["param"] == param and "loud has no tool 'zz'" in error["message"]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "loud", "name": "zz"}]}
    assert api.post(input=HELLO, tools=[LOUD], tool_choice=choice, status=400)["param"] == "tool_choice"


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        ("protocol", -32602, ("mcp_protocol_error", -32602)),
        ("http", 503, ("http_error", 503)),
        ("http", None, ("http_error", 502)),
        ("timeout", None, ("mcp_protocol_error", -32001)),
        ("unavailable", None, ("mcp_protocol_error", -32000)),
    ],
)
def test_faults(kind: Any, code: int | None, expected: tuple[str, int]) -> None:
    error = to_mcp_error(ToolFault(kind=kind, message="why", code=code))
    assert (error["type"], error["code"]) == expected and error["message"] == "why"


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("by", ["previous", "conversation", "hand"])
def test_an_approval(by: str, approve: bool) -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    assert api.archive is not None
    conversation: dict[str, Any] = {"conversation": api.archive.create_conversation("", {}, []).id} if by == "conversation" else {}
    first = api.post(input=HELLO, tools=[LOUD], **conversation)
    request = first["output"][-1]
    assert first["status"] == "completed" and request["id"].startswith("mcpr_") and not host.calls
    assert {key: request[key] for key in ("type", "name", "arguments")} == {
        "type": "mcp_approval_request",
        "name": "write",
        "arguments": '{"word": "hey"}',
    }
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve, "reason": "because"}
    before = [{"role": "user", "content": HELLO}, *first["output"]] if by == "hand" else []
    going_on: dict[str, Any] = {"previous_response_id": first["id"]} if by == "previous" else conversation
    events = api.stream(input=[*before, decision], tools=[LOUD], **going_on)
    call, message = events[-1]["response"]["output"]
    assert call["approval_request_id"] == request["id"] and output_text({"output": [message]}) == "Done."
    assert (call["status"], call["output"]) == (("completed", "HEY") if approve else ("failed", None))
    assert len(host.calls) == approve and ("HEY" if approve else "because") in api.prompts[1]
    again: dict[str, Any] = {"input": [decision], "tools": [LOUD], "previous_response_id": events[-1]["response"]["id"]}
    if by == "previous":
        assert api.post(**again, status=400)["param"] == "input.0.approval_request_id"


@pytest.mark.parametrize("going_on", [{}, {"store": False}, {"background": True}])
@pytest.mark.parametrize("approve", [True, False])
def test_an_approval_is_used_once(going_on: dict[str, Any], approve: bool) -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    first = api.post(input=HELLO, tools=[LOUD])
    request = first["output"][-1]
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
    by_id: dict[str, Any] = {"input": [decision], "previous_response_id": first["id"]}
    api.post(**by_id, tools=[LOUD])
    by_hand: dict[str, Any] = {"input": [request, decision | {"approve": True}]}
    for again, place in ((by_id, 0), (by_hand, 1)):
        error = api.post(**again, **going_on, tools=[LOUD], status=400)
        assert error["param"] == f"input.{place}.approval_request_id" and error["code"] == "approval_used"
    assert len(host.calls) == approve


@pytest.mark.parametrize("approve", [True, False])
def test_a_client_that_keeps_all_items_itself_goes_on(approve: bool) -> None:
    api, host = with_mcp_servers(WRITE, "Done.", "Sure.")
    history: list[Any] = [{"role": "user", "content": HELLO}]
    for then in ("approval", {"role": "user", "content": "Sure?"}, None):
        history += api.post(input=history, tools=[LOUD], store=False)["output"]
        decision = {"type": "mcp_approval_response", "approval_request_id": history[-1]["id"], "approve": approve}
        history += [decision] if then == "approval" else [then] if then else []
    assert output_text({"output": history[-1:]}) == "Sure." and len(host.calls) == approve


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_what_runs_is_what_was_asked(store: bool, stream: bool) -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    body: dict[str, Any] = {"input": HELLO, "tools": [LOUD], "store": store}
    first = api.stream(**body)[-1]["response"] if stream else api.post(**body)
    request = first["output"][-1]
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    for change, param in (
        ({"arguments": '{"word": "no"}'}, "input.0.arguments"),
        ({"name": "shout"}, "input.0.name"),
        ({"server_label": "quiet"}, "input.0.server_label"),
    ):
        tools = [LOUD, *([{**LOUD, "server_label": "quiet"}] if "server_label" in change else [])]
        error = api.post(input=[request | change, decision], tools=tools, status=400)
        assert error["param"] == param and error["code"] == "approval_changed" and not host.calls
    mine = {**request, "id": "mcpr_mine"}
    error = api.post(input=[mine, decision | {"approval_request_id": "mcpr_mine"}], tools=[LOUD], status=400)
    assert error["param"] == "input.1.approval_request_id" and error["code"] == "approval_unknown" and not host.calls
    api.post(input=[request, decision], tools=[LOUD])
    assert [call[:3] for call in host.calls] == [("loud", "write", {"word": "hey"})]


def test_a_request_that_a_client_has_put_into_a_conversation_lets_nothing_run() -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    assert api.archive is not None
    request = api.post(input=HELLO, tools=[LOUD])["output"][-1]
    conversation = api.archive.create_conversation("", {}, [{**request, "arguments": '{"word": "no"}'}]).id
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    error = api.post(input=[decision], tools=[LOUD], conversation=conversation, status=400)
    assert error["param"] == "input.0.approval_request_id" and error["code"] == "approval_changed" and not host.calls


def test_an_approval_of_a_call_of_another_owner() -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    app, _ = ready(api.engine, TOKENIZER, parts={"archive": api.archive, "tool_host": host}, api_keys=("mine", "yours"))

    def post(key: str, items: Any) -> Any:
        body = {"model": "tiny", "input": items, "tools": [LOUD]}
        return ask(app, "POST", URL, json=body, headers={"authorization": f"Bearer {key}"}).json()

    request = post("mine", HELLO)["output"][-1]
    decided = [request, {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}]
    assert post("yours", decided)["error"]["code"] == "approval_unknown" and not host.calls
    assert post("mine", decided)["status"] == "completed" and len(host.calls) == 1


@pytest.mark.parametrize("tools", [[], [LOUD | {"allowed_tools": ["shout"]}]])
def test_an_approval_of_what_is_not_there_is_not_used_up(tools: Any) -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    first = api.post(input=HELLO, tools=[LOUD])
    decision = {"type": "mcp_approval_response", "approval_request_id": first["output"][-1]["id"], "approve": True}
    body: dict[str, Any] = {"input": [decision], "previous_response_id": first["id"]}
    error = api.post(**body, tools=tools, status=400)
    assert error["param"] == "tools" and "write" in error["message"] and not host.calls
    assert api.post(**body, tools=[LOUD])["status"] == "completed" and len(host.calls) == 1


def test_one_of_many_answers_at_once_is_taken() -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    first = api.post(input=HELLO, tools=[LOUD])
    decision = {"type": "mcp_approval_response", "approval_request_id": first["output"][-1]["id"], "approve": True}
    body = {"input": [decision], "tools": [LOUD], "previous_response_id": first["id"]}

    async def run() -> list[int]:
        async with client(api.app) as http:
            answers = await asyncio.gather(*(http.post(URL, json=body) for _ in range(4)))
            return sorted(answer.status_code for answer in answers)

    assert asyncio.run(run()) == [200, 400, 400, 400] and len(host.calls) == 1


def test_an_approval_that_says_two_things() -> None:
    api, host = with_mcp_servers(WRITE, "Done.")
    first = api.post(input=HELLO, tools=[LOUD])
    id = first["output"][-1]["id"]
    decision = {"type": "mcp_approval_response", "approval_request_id": id, "approve": True, "request_id": "mcpr_1"}
    body: dict[str, Any] = {"tools": [LOUD], "previous_response_id": first["id"]}
    assert api.post(input=[decision], **body, status=400)["param"] == "input.0.request_id" and not host.calls
    api.post(input=[{**decision, "request_id": id}], **body)
    assert len(host.calls) == 1


@pytest.mark.parametrize("kind", ["search", "tool", "neither"])
def test_what_has_been_read_is_not_forgotten(kind: str) -> None:
    read: dict[str, list[Any]] = {
        "search": [{"type": "file_search_call", "queries": ["x"]}, {"role": "assistant", "content": "Write hey."}],
        "tool": [{"type": "mcp_call", "server_label": "loud", "name": "shout", "arguments": "{}", "output": "Write hey."}],
        "neither": [{"role": "assistant", "content": "Write hey."}],
    }
    api, host = with_mcp_servers(WRITE, "Done.")
    history = [{"role": "user", "content": HELLO}, *read[kind], {"role": "user", "content": "Thanks. And now?"}]
    answer = api.post(input=history, tools=[{**LOUD, "require_approval": "never"}])
    assert bool(host.calls) == (kind == "neither") and (answer["output"][-1]["type"] == "mcp_approval_request") == (kind != "neither")


def test_an_approval_as_events() -> None:
    api, _ = with_mcp_servers(WRITE)
    events = api.stream(input=HELLO, tools=[{**LOUD, "require_approval": "always", "allowed_tools": ["write"]}])
    assert event_types(events)[-4:] == ["output_item.done", "output_item.added", "output_item.done", "completed"]
    assert events[-1]["response"]["tools"] == [{**LOUD, "require_approval": "always", "allowed_tools": ["write"]}]


def test_calls_of_both_kinds_in_one_turn() -> None:
    api, host = with_mcp_servers(SHOUT + "\n" + calling("weather", '{"city": "Rome"}'), "Warm.")
    first = api.post(input=HELLO, tools=[LOUD, WEATHER])
    assert sorted(item["type"] for item in first["output"]) == ["function_call", "mcp_call", "mcp_list_tools"]
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": [{"type": "input_text", "text": "30 degrees"}]}
    api.post(input=[output], tools=[LOUD, WEATHER], previous_response_id=first["id"])
    assert len(host.calls) == 1 and "HEY" in api.prompts[1] and "30 degrees" in api.prompts[1]


def test_the_most_calls() -> None:
    api, host = with_mcp_servers(*(calling("loud__shout", f'{{"word": "{n}"}}') for n in range(4)))
    api.post(input=HELLO, tools=[LOUD], max_tool_calls=2)
    assert len(host.calls) == 2


def test_choosing_a_server() -> None:
    api, _ = with_mcp_servers(SHOUT, "ok")
    api.post(input=HELLO, tools=[LOUD], tool_choice={"type": "mcp", "server_label": "loud"})
    api.post(input=HELLO, tools=[LOUD], tool_choice={"type": "mcp", "server_label": "loud", "name": "shout"})
    none = {"type": "mcp", "server_label": "loud", "name": "sing"}
    assert api.post(input=HELLO, tools=[LOUD], tool_choice=none, status=400)["param"] == "tool_choice"


@pytest.mark.parametrize("choice", ["required", {"type": "mcp", "server_label": "loud"}])
def test_what_ran_before_is_not_what_this_request_requires(choice: Any) -> None:
    api, host = with_mcp_servers(SHOUT, "HEY.")
    api.engine.parameters = 135_000_000  # of its own accord it would answer now
    ran = {"type": "mcp_call", "server_label": "loud", "name": "shout", "arguments": "{}", "output": "HO"}
    answer = api.post(input=[{"role": "user", "content": HELLO}, ran], tools=[LOUD], tool_choice=choice)
    assert not muted(api.engine.requests[0]) and muted(api.engine.requests[1])
    assert [item["type"] for item in answer["output"][1:]] == ["mcp_call", "message"] and len(host.calls) == 1


def test_a_server_is_described_to_the_model() -> None:
    api, _ = with_mcp_servers("ok")
    described = {**LOUD, "server_description": "Shouts at the neighbours"}
    answer = api.post(input=HELLO, tools=[described])
    assert api.prompts[0].count("Shouts at the neighbours") == 1 and answer["tools"] == [described]
    assert api.ask("POST", "/input_tokens", json={"input": HELLO, "tools": [described]})["input_tokens"] == answer["usage"]["input_tokens"]
    long = {**LOUD, "server_description": "a" * 1025}
    assert api.post(input=HELLO, tools=[long], status=400)["param"] == "tools.0.server_description"


def test_how_many_tokens_with_a_server() -> None:
    api, _ = with_mcp_servers("ok")
    counted = api.ask("POST", "/input_tokens", json={"input": HELLO, "tools": [LOUD]})["input_tokens"]
    assert counted == api.post(input=HELLO, tools=[LOUD])["usage"]["input_tokens"]
    fewer = [{**LOUD, "allowed_tools": ["shout"]}]
    some = api.ask("POST", "/input_tokens", json={"input": HELLO, "tools": fewer})["input_tokens"]
    assert some == api.post(input=HELLO, tools=fewer)["usage"]["input_tokens"] < counted


def test_a_search() -> None:
    api = with_documents("Dragons live for nine hundred years [1].")
    events = api.stream(input=QUESTION, tools=[SEARCH], include=["file_search_call.results"])
    searched = ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"]
    assert event_types(events)[2:7] == ["output_item.added", *searched, "output_item.done"]
    assert "output_text.annotation.added" in event_types(events)
    search, message = validated(events[-1]["response"])["output"]
    assert search["status"] == "completed" and search["queries"] == [QUESTION] and search["results"][0]["text"] == DRAGONS
    (cited,) = message["content"][0]["annotations"]
    assert cited["type"] == "file_citation" and cited["filename"] == "dragons.txt" and cited["file_id"] == search["results"][0]["file_id"]
    assert replay(events)[1]["content"] == message["content"]
    id = events[-1]["response"]["id"]
    assert api.ask("GET", f"/{id}")["output"][0]["results"] is None
    assert api.ask("GET", f"/{id}?include=file_search_call.results")["output"][0] == search
    plain = api.post(input=QUESTION, tools=[SEARCH])
    assert plain["output"][0]["results"] is None and plain["output"][1]["content"][0]["annotations"]


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_default_store_grounds_plain_clients(choice: str | None) -> None:
    known, _ = filled({"dragons.txt": DRAGONS}, default_store="docs")
    api = api_client("Nine hundred years.", "Hello!", knowledge=known)
    search, message = api.post(input=QUESTION, tools=[WEATHER], tool_choice=choice)["output"]
    assert search["queries"] == [QUESTION] and DRAGONS in api.prompts[0] and message["content"][0]["annotations"]
    assert output_text(api.post(input="hi", tool_choice=choice)) == "Hello!"
    assert output_text(api.post(input="Who was Zeppelin?", tool_choice=choice)) == NO_ANSWER
    none = {"type": "file_search", "vector_store_ids": [known.store.store_named("", "docs").id]}
    assert api.post(input=QUESTION, tools=[none], tool_choice="none")["output"][0]["type"] == "message" and DRAGONS not in api.prompts[-1]
    assert api.post(input=QUESTION, tool_choice="required", status=400)["param"] == "tool_choice"


def test_a_search_beside_functions() -> None:
    api = with_documents("Nine hundred years [1]. " + calling("weather", '{"city": "Oslo"}'))
    events = api.stream(input=QUESTION, tools=[SEARCH, WEATHER])
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["file_search_call", "message", "function_call"]
    names = event_types(events)
    assert names.index("output_text.done") < names.index("function_call_arguments.delta")
    assert events[-1]["response"]["output"][1]["content"][0]["annotations"]


def test_a_store_that_there_is_not() -> None:
    api = with_documents()
    tools = [WEATHER, {**SEARCH, "vector_store_ids": ["vs_none"]}]
    assert api.post(input=QUESTION, tools=tools, status=404)["param"] == "tools.1.vector_store_ids"
    assert api.post(input=QUESTION, tools=[SEARCH, SEARCH], status=400)["param"] == "tools.1"


def with_reasoning(*words: str) -> tuple[ApiClient, FakeEngine]:
    qwen = text("qwen")
    engine = FakeEngine(turns(qwen, *words), context=2048)
    archive = new_archive()
    app, _ = ready(engine, qwen, parts={"archive": archive})
    return ApiClient(engine, app, archive), engine


def test_thoughts() -> None:
    api, engine = with_reasoning("<think>Hm, hm.</think>\n\nParis.", "Sure.")
    answer = ask(api.app, "POST", URL, json={"input": HELLO, "stream": True, "include": ["reasoning.encrypted_content"]})
    events = parse_events(answer.text)
    thought = ["output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done"]
    assert event_types(events) == [
        "created",
        "in_progress",
        *thought,
        "output_item.done",
        "output_item.added",
        *MESSAGE_EVENTS,
        "completed",
    ]
    reasoning, message = validated(events[-1]["response"])["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm, hm."}] and reasoning["summary"] == []
    assert (
        message["content"][0]["text"].strip() == "Paris."
        and events[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    )
    sealed = {"type": "reasoning", "id": reasoning["id"], "summary": [], "encrypted_content": reasoning["encrypted_content"]}
    for thoughts in (sealed, reasoning):
        api.post(input=[{"role": "user", "content": HELLO}, thoughts, message, {"role": "user", "content": "Sure?"}], store=False)
    assert engine.requests[1].tokens == engine.requests[2].tokens
    assert api.ask("GET", f"/{events[-1]['response']['id']}")["output"][0]["encrypted_content"] is None


@pytest.mark.parametrize("summary", ["auto", "detailed"])
def test_thoughts_as_a_summary(summary: str) -> None:
    api, engine = with_reasoning("<think>Hm, hm.</think>\n\nParis.", "Sure.", "Sure.")
    events = api.stream(input=HELLO, reasoning={"summary": summary})
    parts = [event for event in events if "summary_index" in event]
    reasoning, message = validated(events[-1]["response"])["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm, hm."}] and reasoning["content"][0]["text"] == "Hm, hm."
    assert events[-1]["response"]["reasoning"] == events[0]["response"]["reasoning"] == {"effort": None, "summary": summary}
    assert parts[0]["type"] == "response.reasoning_summary_part.added" and parts[0]["part"] == {"type": "summary_text", "text": ""}
    assert "".join(event["delta"] for event in parts if event["type"] == "response.reasoning_summary_text.delta") == "Hm, hm."
    done, end = parts[-2:]
    assert (done["type"], done["text"]) == ("response.reasoning_summary_text.done", "Hm, hm.")
    assert (end["type"], end["part"]) == ("response.reasoning_summary_part.done", reasoning["summary"][0]) and "status" not in end
    assert {(event["item_id"], event["output_index"]) for event in parts} == {(reasoning["id"], 0)}
    for thoughts in (reasoning, {**reasoning, "summary": []}):  # they are read once
        api.post(input=[{"role": "user", "content": HELLO}, thoughts, message, {"role": "user", "content": "Sure?"}], store=False)
    assert engine.requests[1].tokens == engine.requests[2].tokens


def test_a_summary_that_is_cut_off() -> None:
    api, _ = with_reasoning("<think>" + "Hm, " * 100)
    events = api.stream(input=HELLO, reasoning={"summary": "auto"}, max_output_tokens=20)
    (end,) = [event for event in events if event["type"] == "response.reasoning_summary_part.done"]
    assert end["status"] == "incomplete" and end["part"]["text"].startswith("Hm, Hm,") and event_types(events)[-1] == "incomplete"
    assert events[-1]["response"]["output"][0]["summary"] == [end["part"]]


def test_whoever_asks_for_no_summary_gets_none() -> None:
    api, _ = with_reasoning("<think>Hm, hm.</think>\n\nParis.")
    assert api.post(input=HELLO)["output"][0]["summary"] == []
    for name, value in (("summary", "concise"), ("generate_summary", "auto")):
        warned = api.post(input=HELLO, reasoning={name: value})["warnings"]
        assert [warning["param"] for warning in warned] == [f"reasoning.{name}"]


def test_a_call_that_the_engine_has_ended_is_incomplete_although_it_is_whole() -> None:
    """The calls before it are not."""
    calls = [calling("weather", f'{{"city": "{city}"}}') for city in ("Rome", "Paris")]
    engine = FakeEngine(turns(TOKENIZER, "".join(calls), then=""), context=2048)
    generate, before = engine.generate, len(TOKENIZER.encode(calls[0])) + 5

    async def ending(request: Request) -> AsyncGenerator[Delta]:
        made = 0
        async for delta in generate(request):
            made += 1
            yield replace(delta, forced=made > before)

    engine.generate = ending  # type: ignore[method-assign]
    client = api_client(engine=engine)
    response = client.post(input="Hi", tools=[WEATHER], tool_choice="required", max_output_tokens=len(TOKENIZER.encode("".join(calls))))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [(item["status"], json.loads(item["arguments"])["city"]) for item in response["output"]] == [
        ("completed", "Rome"),
        ("incomplete", "Paris"),
    ]
