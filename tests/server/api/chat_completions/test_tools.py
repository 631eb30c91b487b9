"""Tools in /v1/chat/completions, with an engine that knows its lines."""

import asyncio
import json
from typing import Any

import pytest

from engine.api import JsonSchema, Lark
from retrieval.api import NotFound
from server.archive.database import DatabaseArchive, open_archive
from server.chat.call_tracker import CallTracker
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.dialects.llama import LLAMA
from tests.server.api.chat_completions.test_chat import events
from tests.server.api.responses.responses_client import new_archive
from tests.server.fake_host import FakeHost, tool
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, calling, client, muted, ready, text, tool_text, turns

TEXT = text()
URL = "/v1/chat/completions"
ASKED = [{"role": "user", "content": "Is it warm in Rome?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": CITY, "strict": True}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
ROME, OSLO = calling("weather", '{"city": "Rome"}'), calling("weather", '{"city": "Oslo"}')
HUGE = {"id": "mcpr_1", "server_label": "loud", "name": "write", "arguments": '{"word": "' + "a" * 65536 + '"}'}
LOUD = {"type": "mcp", "server_label": "loud"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}


def chat(*words: str, status: int = 200, parts: dict[str, Any] | None = None, **body: Any) -> tuple[Any, FakeEngine]:
    fake = FakeEngine(turns(TEXT, *words), context=4096)
    app, _ = ready(fake, TEXT, parts=parts)
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": ASKED, "tools": [WEATHER, CLOCK], **body})
    assert answer.status_code == status, answer.text
    return (events(answer.text) if body.get("stream") and status == 200 else answer.json()), fake


def host() -> FakeHost:
    return FakeHost({"loud": (tool("shout"), tool("write", read_only=False))})


def read(fake: FakeEngine, at: int = -1) -> str:
    return TEXT.decode(fake.requests[at].tokens)


def deltas(chunks: list[Any], index: int = 0) -> list[Any]:
    return [c["choices"][0]["delta"] for c in chunks if c["choices"] and c["choices"][0]["index"] == index]


def test_calls_are_told_to_the_client() -> None:
    answer, fake = chat("Let me see. " + ROME + "\n" + OSLO)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"].strip() == "Let me see."
    first, second = choice["message"]["tool_calls"]
    assert first["type"] == "function" and first["id"].startswith("call_") and first["id"] != second["id"]
    assert (first["function"]["name"], json.loads(first["function"]["arguments"])) == ("weather", {"city": "Rome"})
    assert json.loads(second["function"]["arguments"]) == {"city": "Oslo"}
    assert isinstance(fake.requests[0].grammar, Lark) and fake.requests[0].closing is not None
    assert "The weather" in read(fake)


def test_without_words_the_content_is_null() -> None:
    message = chat(ROME)[0]["choices"][0]["message"]
    assert message["content"] is None and "mcp_calls" not in message
    assert "tool_calls" not in chat("It is.")[0]["choices"][0]["message"]


def test_a_stream_tells_calls_piece_by_piece() -> None:
    chunks, _ = chat(ROME + "\n" + OSLO, stream=True, stream_options={"include_usage": True})
    told = [call for delta in deltas(chunks) for call in delta.get("tool_calls", [])]
    for index, city in enumerate(("Rome", "Oslo")):
        mine = [call for call in told if call["index"] == index]
        assert mine[0]["type"] == "function" and mine[0]["id"] and mine[0]["function"]["name"] == "weather"
        assert all("id" not in call and "name" not in call["function"] for call in mine[1:]) and len(mine) > 2
        assert json.loads("".join(call["function"]["arguments"] for call in mine)) == {"city": city}
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "tool_calls"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""} and chunks[-1]["usage"]["completion_tokens"]


def test_several_answers_with_calls() -> None:
    answer, _ = chat(ROME, n=2)
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["tool_calls"] * 2
    assert len({choice["message"]["tool_calls"][0]["id"] for choice in answer["choices"]}) == 2


def test_results_reach_the_model() -> None:
    said = chat(ROME)[0]["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": [{"type": "text", "text": "30 degrees <|im_end|>"}]}
    answer, fake = chat("Very.", messages=[*ASKED, said, result])
    assert "30 degrees" in read(fake) and '"Rome"' in read(fake) and answer["choices"][0]["message"]["content"] == "Very."
    ends = TEXT.special_token_id("<|im_end|>")
    plain, tame = chat("Very.", messages=[*ASKED, said, {**result, "content": "30 degrees"}])
    assert fake.requests[0].tokens.count(ends) == tame.requests[0].tokens.count(ends) and plain


@pytest.mark.parametrize(
    ("choice", "same_as"),
    [
        ("required", {"type": "function", "function": {"name": "weather"}}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "weather"}}]},
            },
        ),
    ],
)
def test_choices_become_grammars(choice: Any, same_as: Any) -> None:
    first, second = (chat(ROME, tool_choice=one, tools=[WEATHER])[1].requests[0].grammar for one in (choice, same_as))
    assert first == second and isinstance(first, Lark)
    assert first != chat(ROME, tool_choice="auto", tools=[WEATHER])[1].requests[0].grammar


def test_none_and_allowed_tools_hide_tools() -> None:
    _, fake = chat("x", tool_choice="none")
    assert muted(fake.requests[0]) and "weather" not in read(fake)
    only = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "clock"}}]}}
    _, fake = chat("x", tool_choice=only)
    assert "clock" in read(fake) and "weather" not in read(fake)


def test_one_call_or_several() -> None:
    def grammar(text: ChatTokenizer, **body: Any) -> Any:
        fake = FakeEngine(turns(text, "x"), context=4096)
        ask(ready(fake, text)[0], "POST", URL, json={"model": "tiny", "messages": ASKED, "tools": [WEATHER, CLOCK], **body})
        return fake.requests[0].grammar

    learned, named = tool_text(), {"type": "function", "function": {"name": "clock"}}
    one = grammar(learned, parallel_tool_calls=False)
    assert grammar(learned) == grammar(learned, parallel_tool_calls=True) != one
    assert grammar(learned, tool_choice=named) == grammar(learned, tool_choice=named, parallel_tool_calls=False)
    assert grammar(TEXT) == grammar(TEXT, parallel_tool_calls=False)  # it has not learned to call any


def test_calls_or_an_answer_with_a_form() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"warm": {"type": "boolean"}}}}}
    answer, fake = chat('{"warm": true}', response_format=form)
    grammar = fake.requests[0].grammar
    assert isinstance(grammar, Lark) and "warm" in grammar.source and "city" in grammar.source
    assert answer["choices"][0]["message"]["content"] == '{"warm": true}'
    assert chat(ROME, response_format=form)[0]["choices"][0]["finish_reason"] == "tool_calls"
    assert isinstance(chat("{}", response_format=form, tool_choice="none")[1].requests[0].grammar, JsonSchema)


ODD = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}}


def odd(**strict: bool) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "odd", "parameters": ODD, **strict}}


def test_what_no_grammar_can_enforce_only_strict_functions_refuse() -> None:
    twice = '{"tags": ["a", "a"]}'
    for tools in ([odd()], [odd(strict=False)]):
        (call,) = chat(calling("odd", twice), tools=tools)[0]["choices"][0]["message"]["tool_calls"]
        assert call["function"]["arguments"] == twice
    error = chat("x", status=400, tools=[odd(strict=True)])[0]["error"]
    assert error["param"] == "tools.0.function.parameters" and "uniqueItems" in error["message"] and "without strict" in error["message"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "wibble"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "http://x/y"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)
def test_no_advice_is_given_that_would_not_help(schema: dict[str, Any]) -> None:
    for strict in (True, False):
        function = {"type": "function", "function": {"name": "odd", "parameters": schema, "strict": strict}}
        error = chat("x", status=400, tools=[function])[0]["error"]
        assert error["param"] == "tools.0.function.parameters" and "without strict" not in error["message"]


def test_a_servers_tool_is_not_called_with_what_does_not_fit() -> None:
    server = FakeHost({"loud": (tool("shout", input_schema=ODD),)})
    answer, fake = chat(calling("loud__shout", '{"tags": ["a", "a"]}'), "Sorry.", tools=[LOUD], parts={"tool_host": server})
    assert not server.calls and "Not called: tags" in read(fake) and answer["choices"][0]["message"]["content"] == "Sorry."


def test_stop_strings_cut_words_and_no_arguments() -> None:
    assert chat(ROME, stop="Rome")[0]["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Rome"}'
    cut = chat("In Rome it is warm.", stop=" it")[0]["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("In Rome", "stop")


def test_logprobs_are_of_the_words() -> None:
    content = chat("ok" + ROME, logprobs=True)[0]["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content).startswith("ok") and len(content) < 12
    chunks, _ = chat("In Rome it is warm.", logprobs=True, stream=True)
    logged = [entry["token"] for c in chunks for entry in (c["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert "".join(logged) == "In Rome it is warm."


def test_server_tools_run_and_are_told() -> None:
    call = calling("loud__shout", '{"word": "warm"}')
    answer, fake = chat("I ask." + call, "It is WARM.", tools=[LOUD], parts={"tool_host": host()})
    message = answer["choices"][0]["message"]
    assert message["content"] == "I ask.\n\nIt is WARM." and answer["choices"][0]["finish_reason"] == "stop"
    (ran,) = message["mcp_calls"]
    assert (ran["server_label"], ran["name"], ran["output"], ran["error"]) == ("loud", "shout", "WARM", None)
    (listed,) = answer["mcp_list_tools"]
    assert listed["server_label"] == "loud" and [one["name"] for one in listed["tools"]] == ["shout", "write"]
    assert answer["usage"]["prompt_tokens"] == sum(len(request.tokens) for request in fake.requests)
    chunks, _ = chat("I ask." + call, "It is WARM.", tools=[LOUD], parts={"tool_host": host()}, stream=True)
    told = [call for delta in deltas(chunks) for call in delta.get("mcp_calls", [])]
    assert told[0]["arguments"] and told[0]["output"] is None and told[-1]["output"] == "WARM" and "name" not in told[-1]
    assert "".join(delta.get("content", "") for delta in deltas(chunks)) == message["content"]
    assert chunks[0]["mcp_list_tools"][0]["server_label"] == "loud"


def test_what_servers_cannot_do_is_said() -> None:
    parts = {"tool_host": FakeHost({"loud": (tool("shout"),), "down": ()})}
    refused, _ = chat("x", parts=parts, tools=[{**LOUD, "allowed_tools": ["shout", "zz"]}], status=400)
    assert refused["error"]["param"] == "tools.0.allowed_tools.1" and "loud has no tool 'zz'" in refused["error"]["message"]
    down = [{**LOUD, "server_label": "down"}]
    refused, _ = chat("x", parts=parts, tools=down, tool_choice="required", status=503)
    assert (refused["error"]["type"], refused["error"]["code"]) == ("server_error", "mcp_server_unavailable")


def test_a_server_is_described_to_the_model() -> None:
    described = {**LOUD, "server_description": "Shouts at the neighbours"}
    for choice in ("auto", {"type": "mcp", "server_label": "loud", "name": "write"}):
        _, fake = chat("Well.", tools=[described], tool_choice=choice, parts={"tool_host": host()})
        assert read(fake, 0).count("Shouts at the neighbours") == 1
    _, fake = chat("Well.", tools=[{**described, "allowed_tools": ["write"]}], parts={"tool_host": host()})
    assert "Shouts at the neighbours" in read(fake) and "what shout does" not in read(fake)


def test_an_answer_with_server_tools_can_be_sent_back() -> None:
    answer, _ = chat(calling("loud__shout", '{"word": "warm"}'), "It is WARM.", tools=[LOUD], parts={"tool_host": host()})
    messages = [*ASKED, answer["choices"][0]["message"], {"role": "user", "content": "Really?"}]
    _, fake = chat("Yes.", messages=messages, tools=[LOUD], parts={"tool_host": host()})
    assert read(fake).index("WARM") < read(fake).index("It is WARM.") < read(fake).index("Really?")


def test_approvals_are_asked_for_and_given() -> None:
    write, runtime = calling("loud__write", '{"word": "warm"}'), host()
    parts = {"tool_host": runtime, "archive": new_archive()}
    answer, _ = chat(write, tools=[LOUD], parts=parts)
    message = answer["choices"][0]["message"]
    (wanted,) = message["mcp_approval_requests"]
    assert wanted["name"] == "write" and message["content"] is None and not runtime.calls
    body: dict[str, Any] = {"messages": [*ASKED, message], "tools": [LOUD], "parts": parts}
    error, _ = chat("x", status=400, **body)
    assert error["error"]["param"] == "mcp_approvals"
    yes = [{"approval_request_id": wanted["id"], "approve": True}]
    answer, fake = chat("Done.", mcp_approvals=yes, **body)
    (ran,) = answer["choices"][0]["message"]["mcp_calls"]
    assert ran["output"] == "WARM" and ran["approval_request_id"] == wanted["id"] and "WARM" in read(fake)
    chunks, _ = chat(write, tools=[LOUD], parts=parts, stream=True)
    (streamed,) = [one for delta in deltas(chunks) for one in delta.get("mcp_approval_requests", [])]
    assert streamed["name"] == "write"
    no = [{"approval_request_id": streamed["id"], "approve": False, "reason": "too warm"}]
    body["messages"] = [*ASKED, {"role": "assistant", "mcp_approval_requests": [{k: v for k, v in streamed.items() if k != "index"}]}]
    _, fake = chat("Then not.", mcp_approvals=no, **body)
    assert len(runtime.calls) == 1 and "too warm" in read(fake)


def waiting(runtime: FakeHost, archive: DatabaseArchive | None) -> tuple[dict[str, Any], str]:
    """A request that goes on from a call that waits, but for the decision; and the id of what was asked."""
    parts = {"tool_host": runtime, "archive": archive}
    message = chat(calling("loud__write", '{"word": "warm"}'), tools=[LOUD], parts=parts)[0]["choices"][0]["message"]
    return {"messages": [*ASKED, message], "tools": [LOUD], "parts": parts}, message["mcp_approval_requests"][0]["id"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_an_approval_is_used_once(first: bool, stream: bool) -> None:
    runtime = host()
    body, id = waiting(runtime, new_archive())
    for approve, status in ((first, 200), (True, 400), (True, 400)):
        decided = [{"approval_request_id": id, "approve": approve}]
        answer, _ = chat("Done.", mcp_approvals=decided, stream=stream, status=status, **body)
    assert answer["error"]["param"] == "mcp_approvals.0.approval_request_id" and answer["error"]["code"] == "approval_used"
    assert len(runtime.calls) == first


def test_one_of_many_answers_at_once_is_taken() -> None:
    runtime = host()
    body, id = waiting(runtime, new_archive())
    app, _ = ready(FakeEngine(turns(TEXT, "Done."), context=4096), TEXT, parts=body.pop("parts"))
    given = {"model": "tiny", "mcp_approvals": [{"approval_request_id": id, "approve": True}], **body}

    async def run() -> list[int]:
        async with client(app) as http:
            answers = await asyncio.gather(*(http.post(URL, json=given) for _ in range(4)))
            return sorted(answer.status_code for answer in answers)

    assert asyncio.run(run()) == [200, 400, 400, 400] and len(runtime.calls) == 1


def test_one_decision_is_about_one_call() -> None:
    runtime = host()
    body, id = waiting(runtime, new_archive())
    yes, no = ({"approval_request_id": id, "approve": approve} for approve in (True, False))
    error, _ = chat("x", mcp_approvals=[no, yes], status=400, **body)
    assert error["error"]["param"] == "mcp_approvals.1.approval_request_id"
    (request,) = body["messages"][1]["mcp_approval_requests"]
    body["messages"] = [*ASKED, {"role": "assistant", "mcp_approval_requests": [request, request]}]
    error, _ = chat("x", mcp_approvals=[yes], status=400, **body)
    assert error["error"]["param"] == "messages.1.mcp_approval_requests.1.id" and not runtime.calls


CHANGES: list[tuple[dict[str, Any], str | None, str]] = [
    ({"arguments": '{ "word" : "w\\u0061rm" }'}, None, ""),  # as JSON the same
    ({"arguments": '{"word": "cold"}'}, "messages.1.mcp_approval_requests.0.arguments", "approval_changed"),
    ({"name": "shout"}, "messages.1.mcp_approval_requests.0.name", "approval_changed"),
    ({"server_label": "loud2"}, "messages.1.mcp_approval_requests.0.server_label", "approval_changed"),
    ({"id": "mcpr_call_1"}, "mcp_approvals.0.approval_request_id", "approval_unknown"),
]


@pytest.mark.parametrize(("change", "param", "code"), CHANGES)
def test_what_runs_is_what_was_asked(change: dict[str, Any], param: str | None, code: str) -> None:
    tools = (tool("shout"), tool("write", read_only=False))
    runtime = FakeHost({"loud": tools, "loud2": tools})
    body, _ = waiting(runtime, new_archive())
    (request,) = body["messages"][1]["mcp_approval_requests"]
    changed = {**request, **change}
    body |= {
        "messages": [*ASKED, {"role": "assistant", "mcp_approval_requests": [changed]}],
        "tools": [LOUD, {**LOUD, "server_label": "loud2"}],
    }
    yes = [{"approval_request_id": changed["id"], "approve": True}]
    answer, _ = chat("Done.", mcp_approvals=yes, status=400 if param else 200, **body)
    assert len(runtime.calls) == (param is None)
    if param:
        assert (answer["error"]["param"], answer["error"]["code"]) == (param, code) and param in answer["error"]["message"]


def test_where_nothing_is_kept_no_approval_counts() -> None:
    runtime = host()
    body, id = waiting(runtime, None)
    error, _ = chat("x", mcp_approvals=[{"approval_request_id": id, "approve": True}], status=400, **body)
    assert error["error"]["param"] == "mcp_approvals.0.approval_request_id" and not runtime.calls


PARAMETERS = "tools.0.function.parameters"
FOREIGN: dict[str, Any] = {"properties": {"b": {"$ref": "http://x"}}}
BROKEN: list[Any] = [{"required": ["a"], "properties": {"a": a}} for a in ({"$ref": "#"}, {"enum": 5}, {"anyOf": ["q"]}, {"type": [["x"]]})]
BROKEN.append({"required": 7, "properties": {"a": {}}})
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
    ({"tools": [{"type": "function"}]}, "tools.0.function"),
    ({"tools": [WEATHER, WEATHER]}, "tools.1"),
    ({"tools": [{**LOUD, "cache": True}]}, "tools.0.cache"),
    *(({"tools": [{"type": "function", "function": {"name": "a", "parameters": one}}]}, PARAMETERS) for one in (FOREIGN, *BROKEN)),
    ({"tools": [LOUD]}, "tools.0.server_label"),
    ({"tools": [{**LOUD, "server_url": "https://example.com/mcp"}]}, "tools.0.server_url"),
    ({"tools": [{**LOUD, "headers": {"a": "b"}}]}, "tools.0.headers"),
    ({"tools": [LOUD, LOUD]}, "tools.1"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "sing"}}}, "tool_choice"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "sing"}}}, "tool_choice"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
    ({"tool_choice": {"type": "mcp", "server_label": "loud"}}, "tool_choice"),
    ({"messages": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}]}, "messages.2"),
    ({"messages": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}, *ASKED]}, "messages.2"),
    ({"messages": [*ASKED, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}, "messages.1.tool_call_id"),
    ({"messages": [*ASKED, {"role": "tool", "content": "x"}]}, "messages.1.tool_call_id"),
    ({"mcp_approvals": [{"approval_request_id": "mcpr_1", "approve": True}]}, "mcp_approvals"),
    ({"messages": [{"role": "assistant", "mcp_approval_requests": [HUGE]}]}, "messages.0.mcp_approval_requests.0.arguments"),
    ({"messages": [*ASKED, {"role": "assistant", "mcp_calls": [HUGE]}]}, "messages.1.mcp_calls.0.arguments"),
    ({"metadata": {"a": "b\0"}}, "metadata.a"),
    ({"store": True}, "store"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    error, fake = chat("x", status=400, **body)
    assert error["error"]["param"] == param and not fake.requests
    assert param.rpartition(".")[2] in error["error"]["message"] or param in error["error"]["message"]


def test_server_tools_and_several_answers_exclude_each_other() -> None:
    assert chat("x", status=400, tools=[LOUD], n=2, parts={"tool_host": host()})[0]["error"]["param"] == "n"


def stored(**body: Any) -> tuple[Any, Any]:
    known = knowledge()
    archive = open_archive(known.store.transactions)
    answer, _ = chat("It is.", parts={"archive": archive}, store=True, metadata={"a": "b"}, **body)
    return answer, archive


@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_kept_on_demand(stream: bool) -> None:
    answer, archive = stored(stream=stream)
    kept = archive.completion("", answer[0]["id"] if stream else answer["id"])
    assert kept.body["choices"][0]["message"]["content"] == "It is." and kept.metadata == {"a": "b"} and kept.model == "tiny"
    assert kept.messages[0]["content"] == ASKED[0]["content"] and kept.messages[0]["id"]
    if not stream:
        assert kept.body == answer


def test_nothing_is_kept_unasked() -> None:
    known = knowledge()
    archive = open_archive(known.store.transactions)
    for store in (None, False):
        answer, _ = chat("It is.", parts={"archive": archive}, store=store)
        with pytest.raises(NotFound):
            archive.completion("", answer["id"])


def test_an_empty_list_of_exceptions_excepts_nothing() -> None:
    for excepted in ({"never": {}}, {"never": {"tool_names": []}}, {}):
        server = host()
        answer, _ = chat(
            calling("loud__write", '{"word": "warm"}'), tools=[{**LOUD, "require_approval": excepted}], parts={"tool_host": server}
        )
        assert answer["choices"][0]["message"]["mcp_approval_requests"] and not server.calls


def test_calls_of_both_kinds_are_both_answered() -> None:
    server = host()
    body: dict[str, Any] = {"tools": [WEATHER, LOUD], "parts": {"tool_host": server, "archive": new_archive()}}
    answer, _ = chat(ROME + "\n" + calling("loud__write", '{"word": "warm"}'), **body)
    message = answer["choices"][0]["message"]
    (call,), (wanted,) = message["tool_calls"], message["mcp_approval_requests"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "30 degrees"}
    body["messages"] = [*ASKED, message, result]
    assert chat("x", status=400, **body)[0]["error"]["param"] == "mcp_approvals"
    answer, fake = chat("Warm.", mcp_approvals=[{"approval_request_id": wanted["id"], "approve": True}], **body)
    assert server.calls[0][2] == {"word": "warm"} and "WARM" in read(fake) and "30 degrees" in read(fake)
    asked = [*body["messages"], {"role": "user", "content": "And now?"}]
    chat("x", **{**body, "messages": asked})  # too late


def test_words_of_a_call_that_was_cut_off_are_no_answer() -> None:
    cut = '<tool_call>\n{"name'
    answer, _ = chat(ROME, tool_choice="required", max_tokens=len(TEXT.encode(cut)))
    (choice,) = answer["choices"]
    assert choice["message"]["content"] in (None, "") and choice["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("choice", ["required", "auto"])
def test_where_the_tokens_run_out_nothing_of_a_call_is_content(choice: str, stream: bool) -> None:
    whole = TEXT.encode(ROME + "\n" + ROME)
    for most in range(1, len(whole)):
        answer, _ = chat(ROME + "\n" + ROME, tool_choice=choice, max_tokens=most, stream=stream, logprobs=True)
        choices = [part["choices"][0] for part in (answer if stream else [answer])]
        told = [one.get("delta") or one.get("message") or {} for one in choices]
        assert not any(one.get("content") for one in told) and choices[-1]["finish_reason"] == "length", most
        assert not any((one.get("logprobs") or {}).get("content") for one in choices), most


def test_of_a_call_that_has_not_begun_only_the_opening_is_left_out() -> None:
    said = "Let me see: a <b> is <tool_"
    answer, _ = chat(said + "call>", max_tokens=len(TEXT.encode(said)))
    assert answer["choices"][0]["message"]["content"] == "Let me see: a <b> is"
    assert chat("a <", max_tokens=50)[0]["choices"][0]["message"]["content"] == "a <"  # it ends by itself


@pytest.mark.parametrize("words", ['{"name": "weather", "para', '{"na', "<thi", "{"])
def test_where_a_call_must_come_its_beginning_is_no_answer(words: str) -> None:
    for forced, answer in ((True, ""), (False, words)):
        calls = CallTracker(LLAMA.parser([]), {}, forced=forced)
        told = [*(calls.push(char)[0] for char in words[:-1]), calls.push_last(words[-1], cut=True)[0]]
        assert "".join(told[-1:] if forced else told) == answer


def test_what_is_wrong_with_a_schema_is_said_once() -> None:
    odd = {"type": "function", "function": {"name": "odd", "parameters": {"properties": {"a": {"enum": 5}}, "required": ["a"]}}}
    told = chat("x", status=400, tools=[odd])[0]["error"]["message"]
    assert told.count("cannot be enforced") == 1 and told.count("odd") == 1 and "enum" in told
