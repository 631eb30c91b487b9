"""POST /v1/responses/compact, and compaction items as input."""

from typing import Any

import pytest

from server.api.responses.compaction.seal import NotOurs, Summary, seal, unseal
from tests.server.api.responses.responses_client import ApiClient, api_client, new_archive, output_text
from tests.server.api.schema.strict import expect
from tests.server.fakes import ask, calling, muted

KEY = bytes(range(32))
SUMMARY = Summary("They launch on Tuesday.", answered=True, untrusted=False)
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "We launch on Tuesday."},
    {"role": "assistant", "content": "Understood: Tuesday it is."},
    {"role": "user", "content": "Who knows?"},
]


def compact(api: ApiClient, *, status: int = 200, **body: Any) -> Any:
    answer = api.ask("POST", "/compact", json={"model": "tiny", **body}, status=status)
    if status == 200:
        expect("CompactResource", answer)
        return answer
    return answer["error"]


def test_what_users_said_stays_and_one_item_stands_for_the_rest() -> None:
    api = api_client("They launch on Tuesday.", "Support knows.")
    answer = compact(api, input=[{"role": "system", "content": "Be brief."}, *TALK])
    roles = [(item["type"], item.get("role")) for item in answer["output"]]
    assert roles == [("message", "system"), ("message", "user"), ("message", "user"), ("compaction", None)]
    assert [item["content"][0]["text"] for item in answer["output"][1:3]] == ["We launch on Tuesday.", "Who knows?"]
    assert "Assistant: Understood: Tuesday it is." in api.prompts[0] and "Be brief." not in api.prompts[0]
    usage = answer["usage"]
    assert usage["input_tokens"] == len(api.engine.requests[0].tokens) and usage["output_tokens"] > 0
    assert api.engine.requests[0].sampling.max_tokens == 64
    assert "Tuesday" not in answer["output"][-1]["encrypted_content"]


def test_its_output_goes_on_as_input() -> None:
    api = api_client("They launch on Tuesday.", "Support knows.")
    output = compact(api, input=TALK)["output"]
    answer = api.post(input=[*output, {"role": "user", "content": "And now?"}])
    assert output_text(answer) == "Support knows."
    assert "They launch on Tuesday." in api.prompts[1] and "Understood" not in api.prompts[1] and "And now?" in api.prompts[1]
    more = api.post(previous_response_id=answer["id"], input="More?")
    assert "They launch on Tuesday." in api.prompts[2] and more["status"] == "completed"


def test_a_stored_conversation_is_compacted() -> None:
    api = api_client("Understood.", "They launch on Tuesday.")
    first = api.post(input="We launch on Tuesday.")
    output = compact(api, previous_response_id=first["id"], instructions="Keep dates.")["output"]
    assert [item["type"] for item in output] == ["message", "compaction"]
    assert "Assistant: Understood." in api.prompts[1] and "Keep dates." in api.prompts[1]


def test_an_item_takes_the_place_of_everything_before_it() -> None:
    """Also of an earlier item, and of calls of tools with their results."""
    api = api_client("First summary.", "Second summary.", "Well.")
    first = compact(api, input=TALK)["output"]
    second = compact(api, input=[*first, {"role": "assistant", "content": "Support does."}])["output"]
    assert "First summary." in api.prompts[1]
    api.post(input=[*first, {"role": "assistant", "content": "Support does."}, second[-1], {"role": "user", "content": "So?"}])
    assert "Second summary." in api.prompts[2] and "First summary." not in api.prompts[2] and "Support does." not in api.prompts[2]


def test_results_of_tools_are_in_the_summary_and_leave_the_conversation_untrusted() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}
    result = {"type": "function_call_output", "call_id": "c1", "output": "hail"}
    api = api_client("It hails in Rome.")
    output = compact(api, input=[TALK[0], call, result])["output"]
    assert 'called weather with {"city": "Rome"}' in api.prompts[0] and "Result of weather: hail" in api.prompts[0]
    assert unseal_with(api, output[-1]).untrusted
    assert not unseal_with(api, compact(api, input=TALK)["output"][-1]).untrusted


def unseal_with(api: ApiClient, item: Any) -> Summary:
    assert api.archive is not None
    return unseal(api.sealing_key, "", item["encrypted_content"])


@pytest.mark.parametrize("change", ["stoac1.", "x", "gAAAAABo-another-server"])
def test_only_items_of_this_server_are_opened(change: str) -> None:
    api = api_client()
    error = api.post(input=[{"type": "compaction", "encrypted_content": change}, TALK[0]], status=400)
    assert (error["param"], error["code"]) == ("input.0.encrypted_content", "invalid_encrypted_content")


def test_conversations_take_no_item_that_would_never_open() -> None:
    api = api_client("They launch on Tuesday.")
    (*_, item) = compact(api, input=TALK)["output"]
    for given, status in ((item, 200), ({**item, "encrypted_content": "x"}, 400)):
        answer = ask(api.app, "POST", "/v1/conversations", json={"items": [given]})
        assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == "items.0.encrypted_content"


def test_a_seal_binds_key_owner_and_every_bit() -> None:
    sealed = seal(KEY, "a", SUMMARY)
    assert unseal(KEY, "a", sealed) == SUMMARY and seal(KEY, "a", SUMMARY) != sealed
    flipped = [sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :] for at in range(0, len(sealed) - 4, 7)]
    for key, owner, text in [(bytes(32), "a", sealed), (KEY, "b", sealed), *((KEY, "a", text) for text in flipped)]:
        with pytest.raises(NotOurs):
            unseal(key, owner, text)


def test_the_key_outlasts_the_server_and_is_shared() -> None:
    archive = new_archive()
    assert len(archive.sealing_key()) == 32 and archive.sealing_key() == archive.sealing_key() != new_archive().sealing_key()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "gpt", "input": TALK}, "model"),
        ({}, "input"),
        ({"input": TALK, "temperature": 1}, "temperature"),
        ({"input": [{"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}]}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
def test_what_cannot_be_compacted(body: dict[str, Any], param: str) -> None:
    status = 404 if param == "model" else 400
    assert compact(api_client(), status=status, **body)["param"] == param


def test_the_model_is_named() -> None:
    answer = api_client().ask("POST", "/compact", json={"input": "x"}, status=400)
    assert answer["error"]["param"] == "model"


def test_a_conversation_longer_than_the_context_is_summarized_piece_by_piece() -> None:
    long = [{"role": "user", "content": "word " * 3000}, {"role": "assistant", "content": "The end is green."}]
    api = api_client("Half of it.", "All of it.")
    output = compact(api, input=long)["output"]
    assert len(api.prompts) > 1 and "Half of it." in api.prompts[1] and "The end is green." in api.prompts[-1]
    assert unseal_with(api, output[-1]).text == "All of it."
    assert all(len(request.tokens) < api.engine.context for request in api.engine.requests)
    assert compact(api, input="word " * 400_000, status=400)["code"] == "context_length_exceeded"


def test_compaction_needs_no_tools() -> None:
    api = api_client(calling("weather", "{}"))
    compact(api, input=TALK)
    assert muted(api.engine.requests[0])
