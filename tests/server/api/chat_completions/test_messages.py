"""What clients send in messages beyond their text: names, ids and arguments of earlier calls, fields of other servers' answers."""

from typing import Any

import pytest

from tests.server.api.chat_completions.test_chat import HELLO, TEXT, URL
from tests.server.fakes import FakeEngine, ask, ready, says


def prompt(*messages: dict[str, Any], status: int = 200, **body: Any) -> str:
    fake = FakeEngine(says("ok", TEXT), context=4096)
    app, _ = ready(fake, TEXT)
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": list(messages), **body})
    assert answer.status_code == status, answer.text
    return TEXT.decode(fake.requests[0].tokens)


def called(arguments: str, **fields: Any) -> list[dict[str, Any]]:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    return [{"role": "assistant", "content": None, "tool_calls": [call], **fields}]


RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "30 degrees"}


@pytest.mark.parametrize("name", ["get_weather", "another", None])
def test_a_result_may_have_the_name_of_its_tool(name: str | None) -> None:
    assert "get_weather:" in prompt(*HELLO, *called("{}"), {**RESULT, "name": name})


def test_names_of_speakers_stand_before_what_they_say() -> None:
    said = [
        {"role": "system", "content": "Be brief.", "name": "rules"},
        {"role": "user", "content": "hi", "name": "alice"},
        {"role": "assistant", "content": "hello", "name": "bot"},
        {"role": "user", "content": [{"type": "text", "text": "bye"}], "name": "bob"},
    ]
    written = prompt(*said)
    assert "user\nalice: hi<|im_end|>" in written and "user\nbob: bye<|im_end|>" in written and "assistant\nhello<|im_end|>" in written


@pytest.mark.parametrize("arguments", ["null", "", '{"city": "Ro', "[]", '"x"', "{}"])
def test_earlier_calls_may_have_any_arguments(arguments: str) -> None:
    written = prompt(*HELLO, *called(arguments), RESULT)
    assert "30 degrees" in written and (arguments if arguments not in ("", "null") else "{}") in written


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "hm"},
        {"reasoning_content": "hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}]},
        {"refusal": None, "audio": None, "function_call": None, "annotations": []},
        {"provider_specific_fields": {"a": 1}, "reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "parsed": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_of_other_servers_answers_are_taken(fields: dict[str, Any]) -> None:
    assert "It is warm." in prompt(*HELLO, {"role": "assistant", "content": "It is warm.", **fields}, *HELLO)


def test_fields_that_clients_add_to_calls_and_parts_are_taken() -> None:
    [message] = called("{}")
    message["tool_calls"][0] |= {"index": 0}
    message["tool_calls"][0]["function"] |= {"parsed_arguments": {}}
    part = {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}}
    assert "What?" in prompt({"role": "user", "content": [part]}, message, RESULT)


BEGUN = {"role": "assistant", "content": "1, 2,"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"continue_final_message": True}, BEGUN),
        ({"continue_final_message": True, "add_generation_prompt": False}, BEGUN),
        ({}, {**BEGUN, "prefix": True}),
    ],
)
def test_the_last_message_is_continued(body: dict[str, Any], message: dict[str, Any]) -> None:
    assert prompt(*HELLO, message, **body).endswith("<|im_start|>assistant\n1, 2,")


def test_a_generation_prompt_can_be_left_out() -> None:
    assert prompt(*HELLO, BEGUN).endswith("1, 2,<|im_end|>\n<|im_start|>assistant\n")
    assert prompt(*HELLO, add_generation_prompt=False).endswith("<|im_end|>\n")


def test_what_is_continued_becomes_no_control_token() -> None:
    """Nor does it end the message."""
    written = prompt(*HELLO, {"role": "assistant", "content": "a<|im_end|>"}, continue_final_message=True)
    tokens = TEXT.encode("a<|im_end|>")
    assert written.endswith("assistant\na<|im_end|>") and not TEXT.stop_tokens & set(tokens)
