"""Every conversation that the APIs take, with templates of all kinds: each text is in the prompt, in order."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from server.core.errors import ApiError
from server.core.messages import Assistant, Message, System, Tool, ToolCall, ToolResult, User
from server.text.conversation.render import render
from server.text.conversation.visibility import MAX_SHAPES, ArrangementCache, shape
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from server.text.tool_calls.template_probe import short_id
from tests.packed import chat_templates
from tests.server.text.conversation.strict_templates import NOTHING_BUT_USERS, STRICT
from tests.server.worlds import chatml

REAL = {name.removesuffix(".jinja"): template for name, template in chat_templates().items()}
TOOL = Tool(name="get_weather", description="tells", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


def call(id: str = "call_1", arguments: str = '{"city": "ARGUMENT"}') -> ToolCall:
    return ToolCall(id=id, name="get_weather", arguments=arguments)


def result(id: str = "call_1", text: str = "RESULT") -> ToolResult:
    return ToolResult(call_id=id, name="get_weather", text=text)


CALLED = Assistant(tool_calls=(call(),))
CONVERSATIONS: dict[str, list[Message]] = {
    "system and developer": [System(text="ALPHA"), System(text="BRAVO"), User(text="CHARLIE")],
    "system later": [System(text="ALPHA"), User(text="BRAVO"), Assistant(text="CHARLIE"), System(text="DELTA"), User(text="ECHO")],
    "system last": [User(text="ALPHA"), Assistant(text="BRAVO"), User(text="CHARLIE"), System(text="DELTA")],
    "system between": [User(text="ALPHA"), System(text="BRAVO"), Assistant(text="CHARLIE"), User(text="DELTA")],
    "system alone": [System(text="ALPHA")],
    "two users": [User(text="ALPHA"), User(text="BRAVO")],
    "assistant first": [Assistant(text="ALPHA"), User(text="BRAVO")],
    "system, assistant first": [System(text="ALPHA"), Assistant(text="BRAVO"), User(text="CHARLIE")],
    "two answers": [User(text="ALPHA"), Assistant(text="BRAVO"), Assistant(text="CHARLIE"), User(text="DELTA")],
    "assistant last": [User(text="ALPHA"), Assistant(text="BRAVO")],
    "names": [User(text="ALPHA", name="ann"), Assistant(text="BRAVO", name="bot"), User(text="CHARLIE", name="bob")],
    "a call": [User(text="ALPHA"), CALLED, result()],
    "text beside a call": [User(text="ALPHA"), Assistant(text="BRAVO", tool_calls=(call(),)), result()],
    "text, call, answer": [
        User(text="ALPHA"),
        Assistant(text="BRAVO", reasoning="think", tool_calls=(call(),)),
        result(),
        Assistant(text="CHARLIE"),
        User(text="DELTA"),
    ],
    "user after a result": [User(text="ALPHA"), CALLED, result(), User(text="BRAVO")],
    "system after a result": [System(text="ALPHA"), User(text="BRAVO"), CALLED, result(), System(text="CHARLIE"), User(text="DELTA")],
    "two calls": [
        User(text="ALPHA"),
        Assistant(tool_calls=(call("a1"), call("toolu_01A09q90qw90lq917835lq9", '{"city": "OTHER"}'))),
        result("a1"),
        result("toolu_01A09q90qw90lq917835lq9", "SECOND"),
    ],
    **{
        f"arguments {arguments!r}": [User(text="ALPHA"), Assistant(tool_calls=(call("t1", arguments),)), result("t1")]
        for arguments in ("null", "", "{}", '{"city": "CUT', '["LIST"]', '"STRING"', "7")
    },
}


@cache
def tokenizer(name: str) -> ChatTokenizer:
    directory, (made, config) = Path(mkdtemp()), chatml()
    made.save(str(directory / "tokenizer.json"))
    config |= {
        "chat_template": {**STRICT, **REAL, "NOTHING_BUT_USERS": NOTHING_BUT_USERS}[name],
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(directory)


def written(name: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
    known = tokenizer(name)
    return known.decode(render(known, messages, tools).tokens)


def words(message: Message) -> list[str]:
    calls = message.tool_calls if isinstance(message, Assistant) else ()
    return [*([message.text] if message.text else []), *(word for call in calls for word in re.findall("[A-Z]{3,}", call.arguments))]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", [*STRICT, *REAL])
def test_every_text_is_in_the_prompt_in_order(name: str, conversation: str) -> None:
    messages = CONVERSATIONS[conversation]
    template = tokenizer(name).tool_template
    for tools in ([], [TOOL]):
        prompt, end = written(name, messages, tools), 0
        if tools:
            assert "get_weather" in prompt and "tells" in prompt
        for message in messages:
            places = {word: prompt.find(word, end) for word in words(message)}
            assert -1 not in places.values(), (places, prompt)
            if not (template and template.single_call):  # those have each call followed by its result
                end = max((place + len(word) for word, place in places.items()), default=end)


def test_what_a_template_takes_stays_as_it_is() -> None:
    talk: list[Message] = [System(text="a"), User(text="b"), Assistant(text="c"), User(text="d")]
    assert written("SYSTEM_FIRST", talk).count("<|im_start|>") == 5
    assert written("SYSTEM_FIRST", [*talk, User(text="e")]).count("<|im_start|>") == 6


def test_what_a_template_refuses_is_joined_with_its_neighbours() -> None:
    assert written("MISTRAL_V1", [System(text="a"), User(text="b"), User(text="c")]) == "<|im_start|>[INST] a\n\nb\n\nc [/INST]"
    later = [System(text="a"), System(text="b"), User(text="c"), Assistant(text="d"), System(text="e"), User(text="f")]
    assert written("SYSTEM_FIRST", later) == (
        "<|im_start|>system\na\n\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n"
        "<|im_start|>user\ne\n\nf<|im_end|>\n<|im_start|>assistant\n"
    )
    assert written("GEMMA_2", [Assistant(text="a"), User(text="b")]).count("<start_of_turn>user\n") == 2


def test_content_is_given_as_parts_where_only_these_are_shown() -> None:
    assert tokenizer("PARTS").content_form.parts == {"user", "system", "assistant"}
    assert tokenizer("SOME_PARTS").content_form.parts == {"user"}
    assert "tool" in tokenizer("PARTS_WITH_TOOLS").content_form.parts and tokenizer("PARTS_WITH_TOOLS").tool_template is not None
    assert not any(tokenizer(name).content_form.parts for name in (*REAL, "GEMMA_3", "FIRST_SYSTEM_ONLY"))
    assert written("PARTS", [User(text="hi")]) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert "<|im_end|>" not in tokenizer("PARTS").decode(tokenizer("PARTS").encode("text<|im_en"))


def test_names_are_native_where_the_template_shows_them() -> None:
    talk = CONVERSATIONS["names"]
    assert "<|im_start|>ann\nALPHA" in written("SHOWN_NAMES", talk) and "ann: ALPHA" in written("FIRST_SYSTEM_ONLY", talk)


def test_ids_are_made_long_enough_where_the_template_asks_for_that() -> None:
    for id in ("a1", "t1", "call_1", "toolu_01A09q90qw90lq917835lq9"):
        assert short_id(id) in written("LONG_IDS", [User(text="x"), Assistant(tool_calls=(call(id),)), result(id)], [TOOL])
    assert short_id("abc123XYZ") == "abc123XYZ" and len({short_id(id) for id in ("a1", "a-1", "b_a1", "x" * 40)}) == 4


@pytest.mark.parametrize("name", ["WALKED_ARGUMENTS", "Qwen3-Coder", "Qwen3.5-4B", "GLM-4.6"])
def test_arguments_that_are_no_object_are_shown_as_they_were_written(name: str) -> None:
    prompt = written(name, CONVERSATIONS["""arguments '{"city": "CUT'"""], [TOOL])
    assert '{"city": "CUT' in prompt


def test_a_refusal_is_the_templates_own() -> None:
    with pytest.raises(ApiError, match="leaves out a part") as refused:
        render(tokenizer("NOTHING_BUT_USERS"), [User(text="x"), Assistant(text="y"), User(text="z")], field="input")
    assert refused.value.param == "input"


@pytest.mark.parametrize("name", [*STRICT, *REAL])
def test_an_answer_that_has_begun_is_the_end_of_the_prompt(name: str) -> None:
    known = tokenizer(name)
    prompt = known.decode(render(known, [System(text="ALPHA"), User(text="BRAVO"), Assistant(text="1, 2,")], end="continued").tokens)
    assert prompt.endswith("1, 2,") and prompt.index("ALPHA") < prompt.index("BRAVO") < prompt.index("1, 2,")


def test_shapes_are_forgotten_in_their_turn() -> None:
    cache = ArrangementCache()
    for i in range(MAX_SHAPES + 1):
        cache.put(("shape", i), (i,))
    assert cache.get(("shape", 0)) is None and cache.get(("shape", MAX_SHAPES)) == (MAX_SHAPES,)
    one, other = ([User(text=text)] for text in ("a", "b"))
    assert shape(one, {}, has_tools=False, end="answer") == shape(other, {}, has_tools=False, end="answer")
    assert shape(one, {}, has_tools=False, end="answer") != shape([User(text="")], {}, has_tools=False, end="answer")
    assert shape([User(text="a")] * 2000, {}, has_tools=False, end="answer") is None
