"""/v1/completions, /tokenize and /detokenize, with an engine that knows its lines."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.server.api.chat_completions.test_chat import events
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
LLAMA = text("llama3")


def complete(fake: FakeEngine, *, status: int = 200, **body: Any) -> Any:
    app, _ = ready(fake, TEXT)
    answer = ask(app, "POST", "/v1/completions", json={"model": "tiny", "prompt": "Once", **body})
    assert answer.status_code == status, answer.text
    return answer.json() if status != 200 or not body.get("stream") else events(answer.text)


def engine(words: str = " upon a time") -> FakeEngine:
    return FakeEngine(says(words, TEXT))


def test_a_completion() -> None:
    answer = complete(engine(), max_tokens=100)
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": " upon a time", "logprobs": None, "finish_reason": "stop"}]
    assert answer["usage"]["prompt_tokens"] == len(TEXT.encode("Once"))


def test_sixteen_tokens_unless_asked_otherwise() -> None:
    assert complete(engine("a" * 50))["usage"]["completion_tokens"] == 16


def test_a_stream() -> None:
    *chunks, last = complete(engine(), stream=True, stream_options={"include_usage": True}, max_tokens=90, echo=True)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Once upon a time"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop" and all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == len(TEXT.encode(" upon a time")) + 1


def test_several_prompts_and_answers() -> None:
    fake = engine()
    answer = complete(fake, prompt=["a", "b c"], n=2, max_tokens=3, echo=True)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert [choice["text"][:1] for choice in answer["choices"]] == ["a", "a", "b", "b"]
    prompts = [TEXT.encode(p) for p in ("a", "a", "b c", "b c")]
    assert [request.tokens for request in fake.requests] == prompts
    assert answer["usage"]["prompt_tokens"] == sum(map(len, prompts)) // 2 and answer["usage"]["completion_tokens"] == 12


def test_a_stream_has_the_logprobs_of_the_prompt_for_each_answer() -> None:
    fields: dict[str, Any] = {"prompt": ["Once upon", "a"], "n": 2, "max_tokens": 3, "echo": True, "logprobs": 1, "prompt_logprobs": 1}
    whole = complete(engine(), **fields)["choices"]
    joined = [{"text": "", "tokens": [], "token_logprobs": [], "prompt_logprobs": None} for _ in whole]
    for chunk in complete(engine(), **fields, stream=True):
        for choice in chunk["choices"]:
            found = joined[choice["index"]]
            assert found["prompt_logprobs"] is None or choice.get("prompt_logprobs") is None
            found["prompt_logprobs"] = found["prompt_logprobs"] or choice.get("prompt_logprobs")
            found["text"] += choice["text"]
            found["tokens"] += choice["logprobs"]["tokens"]
            found["token_logprobs"] += choice["logprobs"]["token_logprobs"]
    for choice, found in zip(whole, joined, strict=True):
        assert (found["text"], found["prompt_logprobs"]) == (choice["text"], choice["prompt_logprobs"])
        assert (found["tokens"], found["token_logprobs"]) == (choice["logprobs"]["tokens"], choice["logprobs"]["token_logprobs"])
        assert len(found["tokens"]) == len(found["token_logprobs"])


@pytest.mark.parametrize("tokenizer", [TEXT, LLAMA])
@pytest.mark.parametrize("words", ["a", "<|im_start|>user b<|im_end|>", "<|eot_id|>x<|eot_id|>", "é 🤖 東京"])
@pytest.mark.parametrize("parse_special", [True, False])
def test_offsets_of_an_echo(tokenizer: Any, words: str, parse_special: bool) -> None:
    """Where each token stands in the text: also control tokens that were written in the prompt; one that was added stands nowhere."""
    fake = FakeEngine(says(" c", tokenizer, then="<|eot_id|>" if tokenizer is LLAMA else "<|im_end|>"))
    body = {"model": "tiny", "prompt": words, "echo": True, "logprobs": 0, "max_tokens": 50, "parse_special": parse_special}
    choice = ask(ready(fake, tokenizer)[0], "POST", "/v1/completions", json=body).json()["choices"][0]
    assert choice["text"] == f"{words} c"
    logprobs = choice["logprobs"]
    bounds = [*logprobs["text_offset"], len(choice["text"])]
    added = len(tokenizer.encode("", parse_special=False, add_special=True))
    for token, start, end in list(zip(logprobs["tokens"], bounds, bounds[1:], strict=False))[added:]:
        assert choice["text"][start:end] == token or "\ufffd" in token
    assert bounds[: added + 1] == [0] * (added + 1)


@pytest.mark.parametrize("prompt", [[5, 6, 7], [[5, 6, 7]]])
def test_prompts_of_tokens(prompt: Any) -> None:
    fake = engine()
    complete(fake, prompt=prompt, echo=True, max_tokens=1)
    assert fake.requests[0].tokens == (5, 6, 7)


def test_a_prompt_may_steer() -> None:
    """Unlike a message: it is the caller's own template."""
    for body, want in (({}, True), ({"parse_special": False}, False)):
        fake = engine()
        complete(fake, prompt="<|im_start|>user", **body)
        assert (TEXT.backend.token_to_id(TEXT.control_tokens.aliases["<|im_start|>"]) in fake.requests[0].tokens) is want


def test_nothing_can_be_generated() -> None:
    fake = engine()
    answer = complete(fake, max_tokens=0, echo=True)
    assert answer["choices"][0]["text"] == "Once" and answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == len(TEXT.encode("Once"))


def test_logprobs() -> None:
    logprobs = complete(engine(" a 🤖"), logprobs=2, max_tokens=20)["choices"][0]["logprobs"]
    assert len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == len(logprobs["top_logprobs"]) == len(logprobs["text_offset"])
    assert logprobs["text_offset"][:2] == [0, len(logprobs["tokens"][0])]
    chunks = complete(engine(" a 🤖"), logprobs=2, max_tokens=20, stream=True)
    streamed = [entry for chunk in chunks for entry in chunk["choices"][0]["logprobs"]["tokens"]]
    assert streamed == logprobs["tokens"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt.0"),
        ({"prompt": None}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt": [100_000]}, "prompt"),
        ({"prompt": ["x"] * 100, "n": 3}, "n"),
        ({"prompt": "x " * 600}, "prompt"),
        ({"max_tokens": 512}, "max_tokens"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"max_tokens": 3, "n_predict": 4}, "n_predict"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 3, "stream": True}, "best_of"),
        ({"stop_token_ids": [100_000]}, "stop_token_ids"),
        ({"bad_words": [" "]}, "bad_words"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_regex"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"mirostat": 2}, "mirostat"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"cache_salt": ""}, "cache_salt"),
        ({"repeat_penalty": 1.1, "repetition_penalty": 1.2}, "repeat_penalty"),
        ({"suffix": "end"}, "suffix"),
        ({"messages": []}, "messages"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    assert complete(engine(), status=400, **body)["error"]["param"].startswith(param)


def test_every_field_of_the_specification_is_known() -> None:
    fields = "best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream stream_options suffix"
    nulls: dict[str, Any] = dict.fromkeys([*fields.split(), "temperature", "top_p", "user"])
    complete(engine(), **nulls)


def test_a_conversation_is_tokenized_as_it_is_sent() -> None:
    app, _ = ready(engine(), LLAMA)

    def post(path: str, **body: Any) -> Any:
        return ask(app, "POST", path, json=body).json()

    question, begun = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Once upon"}
    whole, closed = (post("/tokenize", messages=[question], add_generation_prompt=value)["tokens"] for value in (True, False))
    assert whole[: len(closed)] == closed and len(whole) > len(closed)
    continued = post("/tokenize", messages=[question, begun], continue_final_message=True)["tokens"]
    assert post("/detokenize", tokens=continued)["prompt"].endswith("Once upon")
    function = {"type": "function", "function": {"name": "find_walrus", "parameters": {"type": "object", "properties": {}}}}
    prompt = post("/apply-template", messages=[question], tools=[function])["prompt"]
    assert "find_walrus" in prompt and prompt.endswith(post("/detokenize", tokens=whole[len(closed) :])["prompt"])
    assert post("/apply-template", messages=[question])["prompt"] == post("/detokenize", tokens=whole)["prompt"]
    both = {"continue_final_message": True, "add_generation_prompt": True}
    assert post("/tokenize", messages=[question, begun], **both)["error"]["param"] == "continue_final_message"
    assert post("/tokenize", messages=[question], chat_template_kwargs={"none": 1})["error"]["param"] == "chat_template_kwargs.none"
    assert post("/apply-template")["error"]["param"] == "messages"


@pytest.mark.parametrize(
    ("path", "instead"), [("/completion", "/v1/completions"), ("/v1/audio/speech", "speech"), ("/props", "/v1/models")]
)
def test_paths_of_other_servers_name_what_to_use(path: str, instead: str) -> None:
    app, _ = ready(engine(), LLAMA)
    answer = ask(app, "POST", path, json={})
    assert answer.status_code == 404 and instead in answer.json()["error"]["message"]


def test_tokenize_and_back() -> None:
    app, _ = ready(engine(), LLAMA)

    def post(path: str, **body: Any) -> Any:
        return ask(app, "POST", path, json=body).json()

    answer = post("/tokenize", prompt="Hello <|eot_id|>")
    assert answer["tokens"] == list(LLAMA.encode("Hello <|eot_id|>", parse_special=True, add_special=True))
    assert answer["count"] == len(answer["tokens"]) and answer["max_model_len"] == 512
    assert post("/detokenize", tokens=answer["tokens"]) == {
        "prompt": "<|begin_of_text|>Hello <|eot_id|>",
        "content": "<|begin_of_text|>Hello <|eot_id|>",
    }
    plain = post("/tokenize", prompt="Hello <|eot_id|>", add_special_tokens=False, parse_special=False, model="tiny")
    assert plain["tokens"] == list(LLAMA.encode("Hello <|eot_id|>"))
    talk = [{"role": "user", "content": "Hello"}]
    assert post("/tokenize", messages=talk)["tokens"] == list(LLAMA.encode_chat(talk).tokens)
    assert post("/tokenize", prompt="a", add_generation_prompt=False)["error"]["param"] == "add_generation_prompt"
    pieces = post("/tokenize", content="Hello 🤖𓂀", with_pieces=True, add_special=False, return_token_strs=True)
    assert [piece["id"] for piece in pieces["tokens"]] == list(LLAMA.encode("Hello 🤖𓂀")) and len(pieces["token_strs"]) == pieces["count"]
    found = b"".join(bytes(p["piece"]) if isinstance(p["piece"], list) else p["piece"].encode() for p in pieces["tokens"])
    assert found == "Hello 🤖𓂀".encode() and any(isinstance(piece["piece"], list) for piece in pieces["tokens"])
    assert post("/tokenize")["error"]["param"] == "prompt"
    assert post("/tokenize", prompt="a", messages=talk)["error"]["param"] == "prompt"
    assert post("/detokenize", tokens=[100_000])["error"]["param"] == "tokens"
    assert post("/detokenize", tokens=[-1])["error"]["param"] == "tokens.0"
    assert post("/tokenize", prompt="a", model="other")["error"]["code"] == "model_not_found"


def test_tokenizer_info() -> None:
    app, _ = ready(engine(), LLAMA)
    info = ask(app, "GET", "/tokenizer_info").json()
    assert (info["bos_token"], info["eos_token"], info["model_max_length"]) == ("<|begin_of_text|>", "<|end_of_text|>", 512)
    assert "<|start_header_id|>" in info["chat_template"]
    app, _ = ready(engine(), tokenizer := replace(LLAMA, template=None, named_tokens={}))
    info = ask(app, "GET", "/tokenizer_info").json()
    assert info["chat_template"] is None and tokenizer.encode(info["eos_token"], parse_special=True)[0] in tokenizer.stop_tokens
