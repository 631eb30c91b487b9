"""/v1/chat/completions, with an engine that knows its lines."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.api import EngineStopped, JsonObject, JsonSchema, Lark, PromptTooLong, QueueFull, Regex
from server.text.tokenizer import load_tokenizer
from tests.server.fakes import FakeEngine, ask, ready, says, text
from tests.server.fakes import text as world
from tests.server.worlds import save

HELLO = [{"role": "user", "content": "Hello"}]
TEXT = text()
URL = "/v1/chat/completions"


CONTINUE = "continue_final_message"
BEGUN = [*HELLO, {"role": "assistant", "content": "x"}]
JSON_FORMAT = {"response_format": {"type": "json_object"}}


def engine(words: str = "Paris, of course 🤖!") -> FakeEngine:
    return FakeEngine(says(words, TEXT))


def chat(fake: FakeEngine, *, status: int = 200, **body: Any) -> Any:
    app, _ = ready(fake, TEXT)
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": HELLO, **body})
    assert answer.status_code == status, answer.text
    return answer.json() if status != 200 or not body.get("stream") else events(answer.text)


def events(body: str) -> list[Any]:
    lines = [line for line in body.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def content(chunks: list[Any], index: int = 0, field: str = "content") -> str:
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"] and c["choices"][0]["index"] == index]
    return "".join(delta.get(field) or "" for delta in deltas)


def test_an_answer() -> None:
    answer = chat(engine(), metadata={"a": "b"}, user="me")
    assert answer["object"] == "chat.completion" and answer["model"] == "tiny" and answer["metadata"] == {"a": "b"}
    (choice,) = answer["choices"]
    said = {"role": "assistant", "content": "Paris, of course 🤖!", "refusal": None, "annotations": []}
    assert choice["message"] == said
    assert (choice["finish_reason"], choice["logprobs"], choice["index"]) == ("stop", None, 0)
    usage = answer["usage"]
    assert usage["prompt_tokens"] == len(TEXT.encode_chat(HELLO).tokens) and usage["prompt_tokens_details"]["cached_tokens"] == 1
    assert usage["completion_tokens"] == len(TEXT.encode("Paris, of course 🤖!")) + 1  # with the token that ended it
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_says_the_same() -> None:
    chunks = chat(engine(), stream=True)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert content(chunks) == "Paris, of course 🤖!"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({chunk["id"] for chunk in chunks}) == 1 and {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks)


def test_a_stream_ends_with_its_usage_when_asked() -> None:
    *chunks, last = chat(engine(), stream=True, stream_options={"include_usage": True}, n=2)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == chat(engine(), n=2)["usage"]


def test_several_answers() -> None:
    fake = engine()
    answer = chat(fake, n=3, seed=7)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert [request.sampling.seed for request in fake.requests] == [7, 8, 9]
    once = chat(engine())["usage"]
    assert answer["usage"]["prompt_tokens"] == once["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == 3 * once["completion_tokens"]
    chunks = chat(engine(), n=3, stream=True)
    assert [content(chunks, i) for i in range(3)] == ["Paris, of course 🤖!"] * 3
    assert [c["choices"][0]["delta"].get("role") for c in chunks].count("assistant") == 3


def test_every_sampling_field_reaches_the_engine() -> None:
    fake = engine()
    chat(
        fake, temperature=0.5, top_p=0.25, top_k=3, min_p=0.1, presence_penalty=1, frequency_penalty=-1, repetition_penalty=1.5, seed=-4,
        logit_bias={"5": -100, "6": 1.5}, max_completion_tokens=9, logprobs=True, top_logprobs=2,
    )  # fmt: skip
    (request,) = fake.requests
    s = request.sampling
    assert (s.temperature, s.top_p, s.top_k, s.min_p, s.seed, s.max_tokens, s.logprobs) == (0.5, 0.25, 3, 0.1, -4, 9, 2)
    assert (s.presence_penalty, s.frequency_penalty, s.repetition_penalty) == (1, -1, 1.5)
    assert dict(s.logit_bias) == {5: -100, 6: 1.5}
    assert s.stop_tokens == TEXT.stop_tokens
    assert request.tokens == TEXT.encode_chat(HELLO).tokens and request.grammar is None


def test_without_wishes_the_defaults_are_openais() -> None:
    fake = engine()
    chat(fake, temperature=None, top_p=None, n=None, stop=None, max_tokens=None, tools=[], tool_choice="none", store=False)
    s = fake.requests[0].sampling
    assert (s.temperature, s.top_p, s.top_k, s.seed, s.logprobs) == (1.0, 1.0, 0, None, None)
    assert s.max_tokens == fake.context - len(fake.requests[0].tokens)


def test_ignore_eos() -> None:
    fake = engine()
    answer = chat(fake, ignore_eos=True, max_tokens=60)
    assert fake.requests[0].sampling.stop_tokens == frozenset()
    assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 60
    assert "<|im_end|>" not in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("stop", "want"),
    [(" course", "Paris, of"), (["zzz", ", of course 🤖!?", "🤖"], "Paris, of course "), ("is, o", "Par"), ([", of c", "of"], "Paris, ")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings(stop: Any, want: str, stream: bool) -> None:
    fake = engine()
    answer = chat(fake, stop=stop, stream=stream)
    said = content(answer) if stream else answer["choices"][0]["message"]["content"]
    reason = (answer[-1] if stream else answer)["choices"][0]["finish_reason"]
    assert (said, reason) == (want, "stop")
    assert fake.running == 0 and fake.aborts == 1


def test_a_stop_string_that_never_comes_holds_nothing_back() -> None:
    assert chat(engine("abcab"), stop="abcabd")["choices"][0]["message"]["content"] == "abcab"


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs(stream: bool) -> None:
    answer = chat(engine("ok 🤖"), logprobs=True, top_logprobs=2, stream=stream)
    pieces = [c["choices"][0] for c in answer] if stream else answer["choices"]
    logged = [entry for piece in pieces for entry in (piece["logprobs"] or {"content": []})["content"]]
    assert bytes(b for entry in logged for b in entry["bytes"]).decode() == "ok 🤖"
    assert [len(entry["top_logprobs"]) for entry in logged] == [2] * len(TEXT.encode("ok 🤖"))
    assert logged[0]["logprob"] == pytest.approx(math.log(0.5)) and logged[0]["top_logprobs"][0]["token"] == logged[0]["token"]


def test_logprobs_of_what_a_stop_string_cut_are_dropped() -> None:
    logged = chat(engine("one two three"), logprobs=True, stop=" three")["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in logged) == "one two"


def test_response_formats_become_grammars() -> None:
    fake, schema = engine(), {"type": "object", "properties": {"b": {}, "a": {}}}
    chat(fake, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
    chat(fake, response_format={"type": "json_object"})
    chat(fake, response_format={"type": "text"})
    chat(fake, structured_outputs={"regex": "a+"})
    grammars = [request.grammar for request in fake.requests]
    assert grammars == [JsonSchema(schema=json.dumps(schema)), JsonObject(), None, Regex(pattern="a+")]


def test_of_a_format_that_is_not_strict_what_cannot_be_enforced_is_left_out() -> None:
    fake, schema = engine(), {"properties": {"a": {"type": "string", "pattern": "(?=a)"}, "b": {"uniqueItems": True}}}
    for strict in ({}, {"strict": False}, {"strict": True}):
        chat(fake, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **strict}})
    eased = JsonSchema(schema=json.dumps({"properties": {"a": {"type": "string"}, "b": {"uniqueItems": True}}}), lenient=True)
    assert [request.grammar for request in fake.requests] == [eased, eased, JsonSchema(schema=json.dumps(schema))]


def test_developer_is_system_and_parts_are_joined() -> None:
    fake = engine()
    chat(
        fake,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ],
    )
    said = TEXT.decode(fake.requests[0].tokens)
    assert said == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n"


def test_an_answer_can_be_sent_back_as_it_came() -> None:
    message = chat(engine())["choices"][0]["message"]
    fake = engine()
    chat(fake, messages=[*HELLO, message | {"annotations": [], "audio": None, "function_call": None, "tool_calls": None}, *HELLO])
    assert "assistant\nParis, of course 🤖!<|im_end|>" in TEXT.decode(fake.requests[0].tokens)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    ({"messages": [{"role": "boss", "content": "x"}]}, "messages.0"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages.0.content.0.image_url.url"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages.0"),
    ({"messages": BEGUN, "continue_final_message": True, "add_generation_prompt": True}, CONTINUE),
    ({"continue_final_message": True}, CONTINUE),
    ({"messages": BEGUN, "continue_final_message": True, **JSON_FORMAT}, CONTINUE),
    ({"messages": [{"role": "user", "content": "x", "mood": "good"}]}, "messages.0.mood"),
    ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}]}, "messages.0.tool_calls"),
    ({"messages": [{"role": "assistant", "content": None}]}, "messages.0"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"top_k": -2}, "top_k"),
    ({"min_p": -0.1}, "min_p"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"presence_penalty": -3}, "presence_penalty"),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"n": 0}, "n"),
    ({"n": -2}, "n"),
    ({"n": 129}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    ({"seed": 2**63}, "seed"),
    ({"seed": "x"}, "seed"),
    ({"stop": ["a"] * 65}, "stop"),
    ({"stop": ["a", 5]}, "stop.1"),
    ({"stop": ""}, "stop"),
    ({"logit_bias": {"x": "1"}}, "logit_bias.x"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": [[5]]}, "logit_bias.0.1"),
    ({"logit_bias": [[5, True]]}, "logit_bias.0.1"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1"),
    ({"logit_bias": {"100000": 1}}, "logit_bias"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.json_schema.schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"impossible": 1}}}}, "response_format"),
    ({"structured_outputs": {"json": {"impossible": 1}}}, "structured_outputs"),
    ({"structured_outputs": {}}, "structured_outputs"),
    ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
    ({"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_object"}, "ignore_eos": True}, "ignore_eos"),
    ({"chat_template_kwargs": {"mood": 1}}, "chat_template_kwargs.mood"),
    ({"chat_template_kwargs": {"messages": 1}}, "chat_template_kwargs.messages"),
    ({"reasoning_effort": "hard"}, "reasoning_effort"),
    ({"reasoning_effort": "none", "enable_thinking": True}, "enable_thinking"),
    ({"thinking": {"type": "x"}}, "thinking.type"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"store": True}, "store"),
    ({"moderation": {"model": "x"}}, "moderation"),
    ({"moderation": {}}, "moderation.model"),
    ({"prompt_cache_options": {"ttl": "1h"}}, "prompt_cache_options"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"best_of": 2}, "best_of"),
    ({"nonsense": 0}, "nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    fake = engine()
    error = chat(fake, status=400, **body)["error"]
    assert error["param"] is not None and error["param"].startswith(param)
    assert error["type"] == "invalid_request_error" and param.partition(".")[0] in error["message"].replace("grammar", param)
    assert fake.running == 0


def test_every_field_of_the_specification_is_known() -> None:
    """Known means: null is accepted, so the field is named in our types and not refused as unknown."""
    fields = (
        "metadata top_logprobs temperature top_p user safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options "
        "service_tier modalities verbosity reasoning_effort max_completion_tokens frequency_penalty presence_penalty web_search_options "
        "response_format audio store moderation stream stop logit_bias logprobs max_tokens n prediction seed stream_options tools "
        "tool_choice parallel_tool_calls function_call functions"
    )
    nulls: dict[str, Any] = dict.fromkeys(fields.split())
    chat(engine(), **nulls)


def test_an_overlong_prompt_names_both_numbers() -> None:
    error = chat(engine(), status=400, messages=[{"role": "user", "content": "x " * 600}])["error"]
    assert error["code"] == "context_length_exceeded" and error["param"] == "messages"
    assert "512" in error["message"] and str(len(TEXT.encode_chat([{"role": "user", "content": "x " * 600}]).tokens)) in error["message"]


def test_a_limit_beyond_the_context_is_the_context() -> None:
    fake = engine()
    chat(fake, max_completion_tokens=10**9)
    assert fake.requests[0].sampling.max_tokens == fake.context - len(fake.requests[0].tokens)


def test_unknown_models() -> None:
    error = chat(engine(), status=404, model="gpt-4")["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found") and "tiny" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (QueueFull("full"), 503, "queue_full"),
        (EngineStopped("over"), 503, "engine_stopped"),
        (PromptTooLong("9 8"), 400, "context_length_exceeded"),
    ],
)
def test_what_the_engine_refuses(refusal: Any, status: int, code: str, stream: bool) -> None:
    fake = engine()
    fake.refusal = refusal
    assert chat(fake, status=status, stream=stream, n=2)["error"]["code"] == code


def test_an_engine_that_dies_mid_stream_says_so_in_the_stream() -> None:
    fake = engine()

    def dying(request: Any) -> Any:
        yield from TEXT.encode("Par")
        fake.alive = False
        yield from TEXT.encode("is")

    fake.script = dying
    app, _ = ready(fake, TEXT)
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": HELLO, "stream": True})
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert answer.status_code == 200 and last["error"]["code"] == "engine_stopped" and "[DONE]" not in answer.text


def test_thoughts_are_told_from_the_answer() -> None:
    qwen = world("qwen")
    body = {"model": "tiny", "messages": HELLO}
    app, _ = ready(FakeEngine(says("<think>\nHm, hm.\n</think>\n\nYes.", qwen)), qwen)
    answer = ask(app, "POST", URL, json=body).json()
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Yes.", "Hm, hm.")
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 3
    chunks = events(ask(app, "POST", URL, json=body | {"stream": True}).text)
    assert (content(chunks, field="reasoning_content"), content(chunks)) == ("Hm, hm.", "Yes.")


def test_thinking_can_be_switched_off() -> None:
    qwen = world("qwen")
    for wish in ({"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}):
        fake = FakeEngine(says("{}", qwen))
        ask(ready(fake, qwen)[0], "POST", URL, json={"model": "tiny", "messages": HELLO, **wish})
        assert qwen.decode(fake.requests[0].tokens).endswith("</think>\n\n")


def test_old_thoughts_are_not_shown_to_the_model() -> None:
    qwen = world("qwen")
    fake = FakeEngine(says("x", qwen))
    talk = [*HELLO, {"role": "assistant", "content": "<think>secret</think>\n\nYes."}, *HELLO]
    ask(ready(fake, qwen)[0], "POST", URL, json={"model": "tiny", "messages": talk})
    assert "secret" not in qwen.decode(fake.requests[0].tokens) and "assistant\nYes.<|im_end|>" in qwen.decode(fake.requests[0].tokens)


def test_a_form_begins_behind_thoughts_that_the_template_opens(tmp_path: Path) -> None:
    save("qwen", tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}<|im_start|>assistant\n<think>\n{# </think> #}")
    deep = load_tokenizer(tmp_path)
    fake = FakeEngine(says("hm</think>{}", deep))
    body = {"model": "tiny", "messages": HELLO, "response_format": {"type": "json_object"}}
    message = ask(ready(fake, deep)[0], "POST", URL, json=body).json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("hm", "{}")
    grammar = fake.requests[0].grammar
    assert isinstance(grammar, Lark) and grammar.source.index(f"<[{deep.special_token_id('</think>')}]>") < grammar.source.index("%json")


def test_a_template_that_refuses_is_a_400(tmp_path: Path) -> None:
    save("mistral", tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('never: ' + messages[0].content) }}")
    never = load_tokenizer(tmp_path)
    app, _ = ready(FakeEngine(says("x", never)), never)
    answer = ask(app, "POST", URL, json={"model": "tiny", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "never: x"
