"""Fields that clients of vLLM, llama.cpp and Ollama send besides those of the specification: each is honoured as there."""

import json
import math
from typing import Any

import pytest

from engine.api import Choice, JsonObject, JsonSchema, Lark, Regex, Sampling
from server.http.warnings import WARNINGS_HEADER
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
COMPLETION: dict[str, Any] = {"prompt": "Hello there", "max_tokens": 40}
HALF = math.log(0.5)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}


def engine(words: str = "One two three.") -> FakeEngine:
    return FakeEngine(says(words, TEXT))


def chat(fake: FakeEngine, **fields: Any) -> Any:
    return _post(fake, "/v1/chat/completions", {**CHAT, **fields})


def complete(fake: FakeEngine, **fields: Any) -> Any:
    return _post(fake, "/v1/completions", {**COMPLETION, **fields})


def _post(fake: FakeEngine, url: str, body: dict[str, Any]) -> Any:
    app, _ = ready(fake, TEXT)
    response = ask(app, "POST", url, json={"model": "tiny", **body})
    assert response.status_code == 200, response.text
    if not body.get("stream"):
        return response.json()
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [json.loads(line) for line in lines[:-1]]


def sampled(**fields: Any) -> Sampling:
    """What the engine is asked for; the same by both APIs."""
    first, second = engine(), engine()
    chat(first, **fields, max_tokens=40)
    complete(second, **fields)
    assert first.requests[0].sampling == second.requests[0].sampling
    return second.requests[0].sampling


def test_sampling_parameters() -> None:
    plain = sampled()
    assert sampled(top_k=-1) == sampled(top_k=0) == plain
    assert sampled(min_tokens=5).min_tokens == 5
    assert sampled(stop_token_ids=[7]).stop_tokens == plain.stop_tokens | {7}
    assert sampled(stop_token_ids=[7], ignore_eos=True).stop_tokens == {7}
    assert sampled(bad_words=["ugly"]).bad_words == (TEXT.encode("ugly"), TEXT.encode(" ugly"))
    assert sampled(repeat_penalty=1.2) == sampled(repetition_penalty=1.2) != plain
    assert sampled(mirostat=0, typical_p=1.0, dynatemp_range=0, xtc_probability=0.0, dry_multiplier=0, tfs_z=1) == plain


def test_biases_of_texts() -> None:
    """llama.cpp's form, and texts in place of numbers: all of their tokens."""
    there = TEXT.encode(" there")
    assert sampled(logit_bias={" there": -5}).logit_bias == tuple((token, -5) for token in there)
    assert sampled(logit_bias=[[7, 1.5], ["7", 2], [" there", False]]).logit_bias == ((7, 2), *((token, -100) for token in there))
    assert sampled(logit_bias={}) == sampled(logit_bias=[]) == sampled()


def test_as_many_tokens_as_there_is_room_for() -> None:
    context, prompt = engine().info.context, len(TEXT.encode("Hello there"))
    for fields in ({"max_tokens": -1}, {"max_tokens": None, "n_predict": -1}):
        fake = engine()
        complete(fake, **fields)
        assert fake.requests[0].sampling.max_tokens == context - prompt
        fake = engine()
        chat(fake, **fields)
        assert fake.requests[0].sampling.max_tokens == context - len(fake.requests[0].tokens)


def test_what_changes_nothing() -> None:
    plain = complete(engine())["choices"]
    assert complete(engine(), suffix="", stop=[], add_special_tokens=None, parse_special=None)["choices"] == plain
    assert chat(engine(), stop=[], top_logprobs=0, logprobs=False)["choices"] == chat(engine())["choices"]


def test_many_stop_strings() -> None:
    stop = [f"word {i}" for i in range(63)] + ["two"]
    assert complete(engine(), stop=stop)["choices"][0]["text"] == "One "


def test_priority_only_lowers() -> None:
    for given, used in ((3, 3), (0, 0), (-3, 0)):
        for post in (chat, complete):
            fake = engine()
            answer = post(fake, priority=given)
            assert fake.requests[0].priority == used
            assert [w["param"] for w in answer.get("warnings", [])] == ([] if given >= 0 else ["priority"])


@pytest.mark.parametrize(
    ("fields", "grammar"),
    [
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, JsonSchema(schema=json.dumps(SCHEMA), lenient=True)),
        ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, JsonSchema(schema=json.dumps(SCHEMA))),
        ({"structured_outputs": {"json_object": True}}, JsonObject()),
        ({"structured_outputs": {"grammar": 'root ::= "yes" | "no"'}}, "start:"),
        ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, JsonSchema(schema=json.dumps(SCHEMA), lenient=True)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "strict": True}}},
            JsonSchema(schema=json.dumps(SCHEMA)),
        ),
        ({"guided_json": SCHEMA}, JsonSchema(schema=json.dumps(SCHEMA))),
        ({"guided_regex": "a+"}, Regex(pattern="a+")),
        ({"guided_choice": ["a", "b"]}, Choice(options=("a", "b"))),
        ({"guided_grammar": 'start: "a"'}, Lark(source='start: "a"')),
        ({"grammar": 'root ::= "yes" | "no"'}, "start:"),
        ({"json_schema": SCHEMA}, JsonSchema(schema=json.dumps(SCHEMA))),
    ],
)
def test_grammars_by_all_their_names(fields: dict[str, Any], grammar: Any) -> None:
    for post in (chat, complete):
        fake = engine()
        post(fake, **fields)
        found = fake.requests[0].grammar
        assert isinstance(found, Lark) and grammar in found.source if isinstance(grammar, str) else found == grammar


def test_stop_strings_may_stay_in_the_output() -> None:
    for post, field in ((chat, "message"), (complete, "text")):
        for include, want in ((False, "One"), (True, "One two")):
            choice = post(engine(), stop=" two", include_stop_str_in_output=include)["choices"][0]
            assert (choice[field] if field == "text" else choice["message"]["content"]) == want
            assert choice["finish_reason"] == "stop"


def test_special_tokens_may_be_shown() -> None:
    special = "<|im_start|>"
    token = TEXT.special_token_id(special)
    assert token is not None
    for skip, want in ((True, "ab"), (False, f"a{special}b")):
        script = [*TEXT.encode("a"), token, *TEXT.encode("b"), min(TEXT.stop_tokens)]
        answer = complete(FakeEngine(lambda _, script=script: script), skip_special_tokens=skip)
        assert answer["choices"][0]["text"] == want


def test_min_tokens_hold_for_stop_strings() -> None:
    count = len(TEXT.encode("One two three."))
    assert complete(engine(), stop="One", min_tokens=count)["choices"][0]["text"] == "One two three."


def test_echo_with_logprobs_covers_the_prompt() -> None:
    """As clients of loglikelihood evaluations read it: one entry per token of prompt and answer, the first without a value."""
    prompt = TEXT.encode("Hello there")
    for prompts in ("Hello there", list(prompt)):
        choice = complete(engine(), prompt=prompts, echo=True, logprobs=1, max_tokens=1)["choices"][0]
        logprobs = choice["logprobs"]
        assert len(logprobs["tokens"]) == len(prompt) + 1 == len(logprobs["text_offset"])
        assert logprobs["token_logprobs"] == [None, *[HALF] * len(prompt)]
        assert logprobs["top_logprobs"][0] is None and all(logprobs["top_logprobs"][1:])
        assert logprobs["text_offset"][0] == 0
        assert choice["text"].startswith("Hello there") and logprobs["text_offset"][len(prompt)] == len("Hello there")
    streamed = complete(engine(), echo=True, logprobs=1, max_tokens=2, stream=True)
    assert len(streamed[0]["choices"][0]["logprobs"]["tokens"]) == len(prompt) + 1
    assert len(streamed[1]["choices"][0]["logprobs"]["tokens"]) == 1


def test_echo_without_an_answer() -> None:
    choice = complete(engine(), echo=True, logprobs=0, max_tokens=0)["choices"][0]
    assert choice["text"] == "Hello there" and len(choice["logprobs"]["tokens"]) == len(TEXT.encode("Hello there"))


def test_prompt_logprobs() -> None:
    prompt = TEXT.encode("Hello there")
    whole = complete(engine(), prompt_logprobs=1)["choices"][0]["prompt_logprobs"]
    assert whole[0] is None and [list(entry) for entry in whole[1:]] == [[str(token)] for token in prompt[1:]]
    assert whole[1][str(prompt[1])] == {"logprob": HALF, "rank": 1, "decoded_token": TEXT.token_bytes[prompt[1]].decode()}
    answer = chat(engine(), prompt_logprobs=0, n=2)
    assert len(answer["prompt_logprobs"]) == answer["usage"]["prompt_tokens"]
    assert chat(engine(), prompt_logprobs=0, stream=True)[0]["prompt_logprobs"] == answer["prompt_logprobs"]
    two = complete(engine(), prompt_logprobs=0, n=2)["choices"]
    assert two[0]["prompt_logprobs"] == two[1]["prompt_logprobs"] and two[0]["prompt_logprobs"][0] is None


def test_token_ids() -> None:
    answer = [*TEXT.encode("One two three."), min(TEXT.stop_tokens)]
    fake = engine()
    whole = chat(fake, return_token_ids=True)
    assert whole["prompt_token_ids"] == list(fake.requests[0].tokens) and whole["choices"][0]["token_ids"][:-1] == answer[:-1]
    chunks = chat(engine(), return_token_ids=True, stream=True)
    assert chunks[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    assert [token for c in chunks for token in c["choices"][0].get("token_ids", [])] == whole["choices"][0]["token_ids"]
    choice = complete(engine(), return_token_ids=True)["choices"][0]
    assert choice["token_ids"] == whole["choices"][0]["token_ids"] and choice["prompt_token_ids"] == list(TEXT.encode("Hello there"))
    assert "token_ids" not in chat(engine())["choices"][0] and "token_ids" not in complete(engine())["choices"][0]
    named = complete(engine(), logprobs=0, return_tokens_as_token_ids=True)["choices"][0]["logprobs"]["tokens"]
    assert named[0] == f"token_id:{answer[0]}"


def test_usage_in_each_chunk() -> None:
    for post in (chat, complete):
        chunks = post(engine(), stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
        counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
        assert counts == sorted(counts) and counts[-1] == counts[-2] > counts[0]
        assert {chunk["usage"]["prompt_tokens"] for chunk in chunks[:-1]} == {chunks[-1]["usage"]["prompt_tokens"]}


def test_timings() -> None:
    for post in (chat, complete):
        whole = post(engine(), timings_per_token=True)
        assert whole["timings"]["predicted_n"] == whole["usage"]["completion_tokens"]
        assert whole["timings"]["prompt_n"] + whole["timings"]["cache_n"] == whole["usage"]["prompt_tokens"]
        assert "timings" not in post(engine())
        assert post(engine(), timings_per_token=True, stream=True)[-1]["timings"]["predicted_n"] == whole["timings"]["predicted_n"]


def test_prompts_are_truncated() -> None:
    fake = engine()
    complete(fake, prompt=[5, 6, 7, 8], truncate_prompt_tokens=2)
    complete(fake, prompt=[5, 6] * 400, truncate_prompt_tokens=-1, max_tokens=12)
    assert fake.requests[0].tokens == (7, 8) and len(fake.requests[1].tokens) == 500
    talk = [{"role": "user", "content": f"Message {i}"} for i in range(5)]
    long = chat(engine(), messages=talk)["usage"]["prompt_tokens"]
    short = chat(engine(), messages=talk, truncate_prompt_tokens=long // 2)["usage"]["prompt_tokens"]
    assert short <= long // 2


def test_the_likeliest_of_several() -> None:
    fake = engine()
    answer = complete(fake, best_of=3, n=1)
    assert len(fake.requests) == 3 and len(answer["choices"]) == 1 and answer["choices"][0]["logprobs"] is None
    assert answer["usage"]["completion_tokens"] == 3 * complete(engine())["usage"]["completion_tokens"]


def test_ids_and_fingerprints() -> None:
    assert chat(engine(), request_id="abc-1")["id"] == "chatcmpl-abc-1"
    assert complete(engine(), request_id="abc-1")["id"] == "cmpl-abc-1"
    whole, chunk = chat(engine()), chat(engine(), stream=True)[0]
    assert whole["system_fingerprint"] == chunk["system_fingerprint"] == complete(engine())["system_fingerprint"]
    assert whole["system_fingerprint"].startswith("fp_")


def test_hints_of_other_servers() -> None:
    hints = {"cache_prompt": False, "id_slot": 0, "samplers": ["top_k"], "keep_alive": "5m", "num_ctx": 100, "guided_decoding_backend": "x"}
    app, _ = ready(engine(), TEXT)
    response = ask(app, "POST", "/v1/chat/completions", json={"model": "tiny", **CHAT, **hints})
    assert set(response.headers[WARNINGS_HEADER].split(", ")) == hints.keys()
    assert ask(app, "POST", "/v1/chat/completions", json={"model": "tiny", **CHAT, "num_ctx": 10**6}).json()["error"]["param"] == "num_ctx"
