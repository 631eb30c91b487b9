"""context_management: a conversation that has become too long is compacted before it is answered."""

from typing import Any

from tests.server.api.responses.responses_client import TOKENIZER, ApiClient, api_client, event_types, output_text, validated
from tests.server.api.schema.strict import expect
from tests.server.fakes import FakeEngine, turns

SHORT = [{"type": "compaction", "compact_threshold": 1000}]
LONG: list[dict[str, Any]] = [
    {"role": "user", "content": "Tell me about green. " * 30},
    {"role": "assistant", "content": "Green is good. " * 160},
]
QUESTION = {"role": "user", "content": "Why?"}


def roomy(*words: str) -> ApiClient:
    return api_client(engine=FakeEngine(turns(TOKENIZER, *words), context=16_384))


def test_a_long_conversation_is_compacted_before_the_answer() -> None:
    api = roomy("Green was praised.", "Because.")
    answer = api.post(input=[*LONG, QUESTION], context_management=SHORT)
    expect("Response", answer)
    assert [item["type"] for item in answer["output"]] == ["compaction", "message"] and output_text(answer) == "Because."
    assert "Green is good." in api.prompts[0] and "Why?" not in api.prompts[0]
    asked = api.prompts[1]
    assert "Green was praised." in asked and "Green is good." not in asked
    assert asked.index("Tell me about green.") < asked.index("Green was praised.") < asked.index("Why?")
    assert answer["usage"]["input_tokens"] == sum(len(request.tokens) for request in api.engine.requests)


def test_the_item_comes_first_in_the_stream_and_the_next_response_goes_on_from_it() -> None:
    api = roomy("Green was praised.", "Because.", "Indeed.")
    events = api.stream(input=[*LONG, QUESTION], context_management=SHORT)
    assert event_types(events)[:4] == ["created", "in_progress", "output_item.added", "output_item.done"]
    assert events[3]["item"]["type"] == "compaction"
    final = validated(events[-1]["response"])
    api.post(previous_response_id=final["id"], input="Really?", context_management=SHORT)
    assert len(api.prompts) == 3 and "Green was praised." in api.prompts[2] and "Green is good." not in api.prompts[2]
    assert api.prompts[2].startswith(api.prompts[1])  # the prefix cache holds it


def test_what_would_not_fit_at_all_is_compacted_too() -> None:
    api = api_client("Green was praised.", "Because.")
    many = [LONG[0], {"role": "assistant", "content": "Green is good. " * 600}, QUESTION]
    assert api.post(input=many, status=400)["code"] == "context_length_exceeded"
    assert output_text(api.post(input=many, context_management=[{"type": "compaction"}])).endswith("Because.")


def test_short_conversations_stay_as_they_are() -> None:
    api = api_client("Because.")
    assert [item["type"] for item in api.post(input=[LONG[0], QUESTION], context_management=SHORT)["output"]] == ["message"]
    assert len(api.prompts) == 1


def test_where_nothing_can_be_shortened_the_answer_comes_all_the_same() -> None:
    api = api_client("Because.")
    said = {"role": "user", "content": "Green is good. " * 160}
    assert [item["type"] for item in api.post(input=[said], context_management=SHORT)["output"]] == ["message"]


def test_other_ways_are_named_as_without_effect() -> None:
    answer = api_client("Because.").post(input="Why?", context_management=[{"type": "clear_tool_uses"}])
    assert answer["warnings"][0]["param"] == "context_management.0"
