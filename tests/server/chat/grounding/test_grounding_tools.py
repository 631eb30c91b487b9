"""Documents and tools together."""

from typing import Any

import pytest

from engine.api import Lark
from server.chat.grounding.grounding import NO_ANSWER
from tests.server.api.chat_completions.test_tools import WEATHER
from tests.server.chat.grounding.test_grounding import DRAGONS, KNOWN, QUESTION, STORE
from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, ask, calling, ready, text, turns

TEXT = text()
SEARCH = {"type": "file_search", "vector_store_ids": [STORE]}
LOUD = {"type": "mcp", "server_label": "loud", "require_approval": "never"}
UNKNOWN = "quantum chromodynamics lattice"


def chat(*words: str, asked: str = QUESTION, host: FakeHost | None = None, **body: Any) -> tuple[Any, FakeEngine]:
    fake = FakeEngine(turns(TEXT, *words), context=4096)
    app, _ = ready(fake, TEXT, KNOWN, parts={"tool_host": host or FakeHost({"loud": (tool("shout"), tool("write", read_only=False))})})
    given = {"model": "tiny", "messages": [{"role": "user", "content": asked}], "tools": [SEARCH, WEATHER], **body}
    answer = ask(app, "POST", "/v1/chat/completions", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json(), fake


def read(fake: FakeEngine, at: int = 0) -> str:
    return TEXT.decode(fake.requests[at].tokens)


def test_passages_and_tools_stand_side_by_side() -> None:
    answer, fake = chat("Dragons live for nine hundred years.")
    assert DRAGONS in read(fake) and "The weather" in read(fake) and isinstance(fake.requests[0].grammar, Lark)
    assert answer["choices"][0]["message"]["annotations"] and answer["file_search_call"]["queries"] == [QUESTION]


def test_nothing_found_is_no_answer_where_tools_may_know_more() -> None:
    answer, fake = chat("Let me think.", asked=UNKNOWN)
    assert answer["choices"][0]["message"]["content"] == "Let me think." and "No passage" not in read(fake)
    answer, fake = chat("x", asked=UNKNOWN, tools=[SEARCH])
    assert answer["choices"][0]["message"]["content"] == NO_ANSWER and not fake.requests


def test_a_tools_result_brings_the_same_passages_again() -> None:
    """So that the prompt begins as it did, and what has been computed of it is found again."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    first = chat("x")[1].requests[0].tokens
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "cold"},
    ]
    _, fake = chat("It is cold.", messages=messages)
    assert "cold" in read(fake) and fake.requests[0].tokens[: len(first) - 5] == first[:-5]


def test_citations_count_the_characters_of_the_whole_answer() -> None:
    words = "Dragons live for nine hundred years."
    answer, _ = chat("First I ask. " + calling("loud__shout", '{"word": "a"}'), words, tools=[SEARCH, LOUD])
    message = answer["choices"][0]["message"]
    assert message["content"].endswith(words)
    assert {cited["index"] for cited in message["annotations"]} == {len(message["content"])}


@pytest.mark.parametrize("asked", [QUESTION, UNKNOWN])
def test_documents_taint(asked: str) -> None:
    host = FakeHost({"loud": (tool("write", read_only=False),)})
    answer, _ = chat(calling("loud__write", '{"word": "a"}'), "Done.", asked=asked, host=host, tools=[SEARCH, LOUD])
    waits = bool(answer["choices"][0]["message"].get("mcp_approval_requests"))
    assert waits == (asked == QUESTION) != bool(host.calls)
