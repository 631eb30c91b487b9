"""However a turn is cut into tokens, the same answer and the same calls are read; and whatever a grammar allows is read as calls that
fit their schema."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from server.core.messages import NamedTools, Tool, ToolChoice
from server.text.detokenize import Detokenizer
from server.text.reasoning.api import ReasoningSplit, Thoughts
from server.text.reasoning.harmony import MARKERS, ChannelParser
from server.text.reasoning.think import THINK
from server.text.tokenizer import load_tokenizer
from server.text.tool_calls.api import CallConstraint, Dialect, UnusableSchema
from server.text.tool_calls.detect import SIGNATURES
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.dialects.generic import GENERIC
from server.text.tool_calls.dialects.harmony import HARMONY
from server.text.tool_calls.dialects.hermes import HERMES
from server.text.tool_calls.dialects.mistral import MISTRAL
from server.text.tool_calls.dialects.pythonic import PYTHONIC
from server.text.tool_calls.dialects.qwen3_coder import QWEN3_CODER as QWEN
from server.text.tool_calls.grammar.schema import allowed_types
from server.text.tool_calls.tools_as_text import example_messages
from tests.server.worlds import save

GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).parent.joinpath("golden.json").read_text())
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for _, dialect in reversed(SIGNATURES)} | {"generic": GENERIC}
TEXT = load_tokenizer(save("chatml", Path(mkdtemp()) / "chatml"))
OBJECT = "object"


def tool(name: str, *required: str, **properties: Any) -> Tool:
    return Tool(name=name, description="", parameters={"type": OBJECT, "properties": properties, "required": list(required)})


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
NOTE = tool(
    "note",
    text={"type": "string"},
    count={"type": "integer"},
    tags={"type": "array"},
    sure={"type": "boolean"},
    perhaps=NULLABLE,
    perhaps2=NULLABLE,
)
TOOLS = [tool("get_weather", "city", city={"type": "string"}), tool("now"), NOTE]


@dataclass
class Read:
    answer: str = ""
    thought: str = ""
    names: list[str] = field(default_factory=list[str])
    arguments: list[str] = field(default_factory=list[str])
    done: list[bool] = field(default_factory=list[bool])


def split_channels(dialect: Dialect, parts: list[str]) -> list[ReasoningSplit]:
    if dialect is not HARMONY:
        return [ReasoningSplit(answer=part) for part in parts]
    channels = ChannelParser()
    return [*map(channels.push, parts), channels.flush()]


def read(dialect: Dialect, parts: list[str], tools: list[Tool] | None = None) -> Read:
    parser, whole = dialect.parser(TOOLS if tools is None else tools), Read()
    splits = split_channels(dialect, parts)
    whole.thought = "".join(s.reasoning for s in splits)
    for parsed in (*(parser.push(s.answer) for s in splits), parser.flush()):
        whole.answer += parsed.text
        for chunk in parsed.calls:
            if chunk.name is not None:
                assert chunk.index == len(whole.names), "calls are counted"
                whole.names.append(chunk.name)
                whole.arguments.append("")
                whole.done.append(False)
            assert chunk.index == len(whole.names) - 1 and not whole.done[-1], "nothing is added to a call that is done"
            whole.arguments[-1] += chunk.arguments
            whole.done[-1] = chunk.done
    return whole


def case(entry: dict[str, Any]) -> Any:
    return pytest.param(entry, id=f"{entry['dialect']}: {entry['why']}")


CASES = [case(entry) for entry in GOLDEN]


@pytest.mark.parametrize("entry", CASES)
def test_transcripts(entry: dict[str, Any]) -> None:
    found = read(DIALECTS[entry["dialect"]], [entry["text"]])
    assert (found.answer, found.thought) == (entry["answer"], entry.get("thought", ""))
    assert found.names == [call["name"] for call in entry["calls"]] and all(found.done)
    for arguments, call in zip(found.arguments, entry["calls"], strict=True):
        cut = isinstance(call["arguments"], str)
        assert (arguments if cut else json.loads(arguments)) == call["arguments"]


@pytest.mark.parametrize("entry", CASES)
def test_transcripts_cut_anywhere(entry: dict[str, Any]) -> None:
    dialect, text = DIALECTS[entry["dialect"]], entry["text"]
    whole = read(dialect, [text])
    assert read(dialect, list(text)) == whole
    for at in range(len(text)):
        assert read(dialect, [text[:at], text[at:]]) == whole, at


@pytest.mark.parametrize("entry", CASES)
def test_transcripts_as_tokens(entry: dict[str, Any]) -> None:
    dialect, detokenizer = DIALECTS[entry["dialect"]], Detokenizer(TEXT.token_bytes)
    parts = [detokenizer.push(token) for token in TEXT.encode(entry["text"])]
    assert read(dialect, parts) == read(dialect, [entry["text"]])


PARTS = sorted({entry["text"][i : i + n] for entry in GOLDEN for i in range(0, len(entry["text"]), 5) for n in (3, 11)} | {*MARKERS})


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12))
def test_no_text_is_refused_and_how_it_arrives_does_not_matter(name: str, parts: list[str]) -> None:
    whole = read(DIALECTS[name], ["".join(parts)])
    assert read(DIALECTS[name], parts) == whole and all(whole.done)


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "harmony"])
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12))
def test_what_is_no_call_is_answer_to_the_last_character(name: str, parts: list[str]) -> None:
    text = "".join(parts)
    dialect = DIALECTS[name]
    found = read(dialect, [text])
    assert isinstance(dialect, ToolCallFormat)
    if not found.names:
        assert text.startswith(found.answer)
        begun = text.removeprefix(found.answer).lstrip()  # a call that the end has cut off
        assert not begun or begun.startswith(dialect.syntax.openers)
    assert not set(found.answer) - set(text)


@pytest.mark.parametrize("text", ["<tool_call>", "<tool_call>\n", '<tool_call>\n{"name', '<tool_call>\n{"name": "look"'])
def test_a_call_that_is_cut_off_before_its_name_is_no_answer(text: str) -> None:
    for before in ("", "Let me see. "):
        found = read(HERMES, list(before + text))
        assert (found.answer, found.names) == (before.strip(), [])
    assert read(HERMES, ["<tool_c"]).answer == "<tool_c"  # may be anything


@pytest.mark.parametrize(
    "name", [name for name, dialect in DIALECTS.items() if isinstance(dialect, ToolCallFormat) and dialect.syntax.openers]
)
def test_where_the_tokens_run_out_what_may_open_a_call_is_no_answer(name: str) -> None:
    dialect = DIALECTS[name]
    assert isinstance(dialect, ToolCallFormat)
    for opener in dialect.syntax.openers:
        for at in range(1, len(opener)):
            parser = dialect.parser(TOOLS)
            answers = [*(parser.push(char).text for char in f"Let me see. {opener[:at]}"), parser.flush(truncated=True).text]
            assert "".join(answers).rstrip() == "Let me see."


# grammars

SCHEMAS = [
    tool("look", "city", city={"type": "string"}, unit={"enum": ["c", "f"]}, days={"type": "integer", "minimum": 1, "maximum": 9}),
    Tool(
        name="note",
        description="",
        parameters={
            "type": OBJECT,
            "properties": {
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
                "at": {"$ref": "#/$defs/point"},
                "who": NULLABLE,
                "code": {"type": "string", "pattern": "^[a-z]{2,4}$"},
                "size": {"type": "string", "minLength": 2, "maxLength": 5},
                "sure": {"type": "boolean"},
            },
            "required": ["at", "sure"],
            "$defs": {"point": {"type": OBJECT, "properties": {"x": {"type": "number"}}, "required": ["x"]}},
        },
    ),
    tool("now"),
]


@cache
def tokenizer() -> LLTokenizer:
    return LLTokenizer(TEXT.backend.to_str(), eos_token=sorted(TEXT.stop_tokens))


def random_text(matcher: LLMatcher, rng: np.random.Generator) -> str | None:
    """A random text that the grammar allows; None if it has become too long."""
    spelled: list[int] = []
    endings = [tokenizer().tokenize_str(text) for text in ("\n</parameter>\n", "<|end|>")]
    ends = {ord(c) for c in '"}])<>\n'}
    closing = [token for token in range(tokenizer().vocab_size) if set(tokenizer().decode_bytes([token])) <= ends]
    for step in range(1500):
        mask = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")[: tokenizer().vocab_size].astype(bool)
        assert not matcher.is_error(), matcher.get_error()
        mask[sorted(TEXT.stop_tokens)] = False
        if not mask.any() or (spelled and matcher.is_accepting() and rng.random() < 0.3):
            return tokenizer().decode_bytes(spelled).decode(errors="replace")
        ending = endings[step % 2]
        if rng.random() < 0.05 and matcher.validate_tokens(ending) == len(ending):
            spelled += ending
            matcher.consume_tokens(ending)
            continue
        near = [token for token in closing if mask[token]] if step > 60 or rng.random() < 0.3 else []
        token = int(rng.choice(near or np.flatnonzero(mask)))
        spelled.append(token)
        matcher.consume_token(token)
    return None


def fits(called: str, arguments: str) -> bool:
    [known] = [tool for tool in SCHEMAS if tool.name == called]
    jsonschema.validate(json.loads(arguments), dict(known.parameters))
    return True


def compile_grammar(dialect: Dialect, constraint: CallConstraint) -> LLMatcher:
    source = LLMatcher.grammar_from_lark(dialect.grammar(constraint, lambda _: None))
    assert LLMatcher.validate_grammar(source, tokenizer()) == ""
    return LLMatcher(tokenizer(), source, log_level=0)


@pytest.mark.parametrize("choice", ["auto", "required", NamedTools(names=("note",))], ids=str)
@pytest.mark.parametrize("dialect", [dialect for _, dialect in SIGNATURES] + [GENERIC], ids=lambda dialect: dialect.name)
def test_what_the_grammar_allows_is_read_as_calls_that_fit(dialect: Dialect, choice: ToolChoice) -> None:
    rng, matcher = (
        np.random.default_rng(7),
        compile_grammar(dialect, CallConstraint(tools=SCHEMAS, tool_choice=choice, parallel=True)),
    )
    texts = [text for _ in range(8) if (text := random_text(matcher.deep_copy(), rng)) is not None]
    assert texts
    for text in texts:
        found = read(dialect, [text], SCHEMAS)
        assert all(map(fits, found.names, found.arguments)) and all(found.done), text
        assert read(dialect, list(text), SCHEMAS) == found
        if choice != "auto":
            assert found.names and not found.answer, text
        if isinstance(choice, NamedTools):
            assert set(found.names) == {"note"}


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=lambda dialect: dialect.name)
def test_one_call_and_no_more(dialect: Dialect) -> None:
    rng, matcher = (
        np.random.default_rng(3),
        compile_grammar(dialect, CallConstraint(tools=SCHEMAS, tool_choice="required", parallel=False)),
    )
    texts = [text for _ in range(8) if (text := random_text(matcher.deep_copy(), rng)) is not None]
    assert texts and all(len(read(dialect, [text], SCHEMAS).names) == 1 for text in texts)


def accepts(constraint: CallConstraint, text: str, dialect: Dialect = HERMES) -> bool:
    """Whether a turn may be this text."""
    matcher, tokens = compile_grammar(dialect, constraint), tokenizer().tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


def test_free_text_may_say_anything_but_a_call_that_is_none() -> None:
    auto = CallConstraint(tools=SCHEMAS, tool_choice="auto", parallel=True)
    for text in ("", "any thing <tool", "a </tool_call> b", f"Yes.\n{CALL}", f"{CALL}\n{CALL}"):
        assert accepts(auto, text), text
    for text in ("<tool_call>", "a <tool_call> b", f"{CALL} and more", CALL.replace("now", "then")):
        assert not accepts(auto, text), text


def test_thoughts_come_first_and_call_nothing() -> None:
    thinking = CallConstraint(tools=SCHEMAS, tool_choice="required", parallel=True, thoughts=Thoughts(THINK, "thoughts"))
    thinks = CallConstraint(tools=SCHEMAS, tool_choice="required", parallel=True, thoughts=Thoughts(THINK, "before"))
    assert accepts(thinking, f"hm <tool_call> hm\n</think>\n\n{CALL}") and not accepts(thinking, CALL)
    assert accepts(thinks, f"<think>\nhm\n</think>\n\n{CALL}") and accepts(thinks, CALL) and not accepts(thinks, "<think>hm")


def test_an_answer_may_be_json_where_calls_are_json() -> None:
    auto, dialect = CallConstraint(tools=SCHEMAS, tool_choice="auto", parallel=True), DIALECTS["json"]
    assert accepts(auto, '{"name": "Bob", "parameters": 1}', dialect) and accepts(auto, '{"name": "now", "parameters": {}}', dialect)
    assert not accepts(auto, '{"name": "now"}', dialect) and not accepts(auto, ' {"name" : "look", "x": 1', dialect)


def test_objects_that_list_their_properties_have_no_others() -> None:
    required = CallConstraint(tools=SCHEMAS, tool_choice="required", parallel=True)
    assert not accepts(required, CALL.replace("{}", '{"a": 1}'))


def test_tokens_of_their_own_are_spelled_as_such() -> None:
    constraint = CallConstraint(tools=SCHEMAS, tool_choice="auto", parallel=True)
    source = HERMES.grammar(constraint, {"<tool_call>": 17, "</tool_call>": 18}.get)
    assert "<[17]>" in source and "<[18]>" in source and '"<tool_call>' not in source


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "format": "path"}}}, '{"a": "x"}', '{"a": 1}'),
        ({"type": "object", "properties": {"format": {"type": "string"}}}, '{"format": "x"}', '{"form": "x"}'),
        ({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": False}}}, '{"a": [1, 1]}', '{"a": {}}'),
        ({"type": "object", "properties": {"a": {"oneOf": [{"const": 1}, {"const": 2}]}}}, '{"a": 2}', '{"a": 3}'),
        ({"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}}, '{"a": null}', '{"a": 1}'),
        ({"properties": {"a": {"type": "object", "properties": {"b": {}}}}}, '{"a": {"b": 1}}', '{"a": {"c": 1}}'),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, '{"a": 1, "b": 2}', '{"a": }'),
        (
            {
                "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
                "$defs": {n: {"type": "object", "properties": {n: {}}} for n in "ab"},
            },
            '{"a": 1, "b": 2}',
            "[]",
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"properties": {"b": {}}, "type": "object"}}},
            '{"a": {"b": 1}}',
            '{"a": {"c": 1}}',
        ),
    ],
)
def test_schemas_are_enforced_as_they_are_meant(schema: dict[str, Any], good: str, bad: str) -> None:
    constraint = CallConstraint(tools=[Tool(name="now", description="", parameters=schema)], tool_choice="required", parallel=False)
    assert accepts(constraint, CALL.replace("{}", good)) and not accepts(constraint, CALL.replace("{}", bad))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "not"),
        ({"type": "object", "properties": {"a": {"$ref": "http://example.com/a"}}}, "retriev"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}, "look-around"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "unsatisfiable"),
        ({"type": "array", "items": {"type": "string"}}, '"array"'),
        ({"type": ["string", "null"]}, "null"),
    ],
)
@pytest.mark.parametrize("dialect", [HERMES, MISTRAL])
def test_schemas_that_cannot_be_enforced_are_named(dialect: Dialect, schema: dict[str, Any], why: str) -> None:
    wrong = Tool(name="wrong", description="", parameters=schema, strict=True)
    with pytest.raises(UnusableSchema, match=why) as refused:
        dialect.grammar(CallConstraint(tools=[*TOOLS, wrong], tool_choice="auto", parallel=True), lambda _: None)
    assert refused.value.tool == "wrong" and "%json" not in str(refused.value)


@pytest.mark.parametrize(
    ("dialect", "schema"),
    [
        (QWEN, {"anyOf": [{"type": "object"}]}),
        (QWEN, {"type": "object", "properties": {"a>b": {}}}),
        (QWEN, {"type": "object", "properties": {"a": {"type": "string", "pattern": "a$|^b"}}}),
        (QWEN, {"type": "object", "properties": {"a": {"type": "string", "enum": ["</parameter>"]}}}),
        (PYTHONIC, {"type": "object", "properties": {"a-b": {}}}),
        (PYTHONIC, {"oneOf": [{"type": "object"}]}),
    ],
)
def test_arguments_written_one_by_one_have_limits(dialect: Dialect, schema: dict[str, Any]) -> None:
    wrong = Tool(name="wrong", description="", parameters=schema, strict=True)
    with pytest.raises(UnusableSchema) as refused:
        dialect.grammar(CallConstraint(tools=[wrong], tool_choice="auto", parallel=True), lambda _: None)
    assert refused.value.tool == "wrong"


@pytest.mark.parametrize("dialect", [QWEN, PYTHONIC, HERMES], ids=lambda dialect: dialect.name)
def test_tools_that_do_not_say_what_they_take_take_anything(dialect: Dialect) -> None:
    anything = Tool(name="anything", description="", parameters={"type": "object"})
    rng, matcher = (
        np.random.default_rng(5),
        compile_grammar(dialect, CallConstraint(tools=[anything], tool_choice="required", parallel=False)),
    )
    texts = [text for _ in range(40) if (text := random_text(matcher.deep_copy(), rng)) is not None]
    found = [json.loads(read(dialect, [text], [anything]).arguments[0]) for text in texts]
    assert any(found) and all(isinstance(arguments, dict) for arguments in found)


NONSENSE: list[dict[str, Any]] = [
    {"required": ["a"], "properties": {"a": schema}}
    for schema in (
        {"enum": []},
        {"enum": 5},
        {"anyOf": []},
        {"anyOf": ["q"]},
        {"anyOf": 5, "type": ["string", "null"]},
        {"anyOf": [{"type": "string"}], "enum": [5]},
        {"type": [["x"]]},
        {"type": 5},
        {"type": "string", "pattern": {}},
        {"type": "string", "format": []},
        {"type": "object", "properties": {"b": {}}, "required": 7},
        {"$ref": "#/$defs/b"},
        5,
    )
] + [{"required": 7, "properties": {"a": {}}}, {"required": [["x"]], "properties": {"a": {}}}, {"properties": 5}]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("parameters", NONSENSE, ids=json.dumps)
def test_no_schema_breaks_more_than_itself(name: str, parameters: dict[str, Any]) -> None:
    odd = Tool(name="odd", description="", parameters=parameters)
    assert example_messages([odd]) and allowed_types(parameters, parameters)
    read(DIALECTS[name], ["<tool_call><function=odd>\n<parameter=a>\nx\n</parameter>"], [odd])
    with suppress(UnusableSchema):
        DIALECTS[name].grammar(CallConstraint(tools=[odd], tool_choice="required", parallel=False), lambda _: None)


def test_the_types_of_a_schema_that_branches_without_end_are_found_quickly() -> None:
    root = {"$defs": {"a": {"anyOf": [{"type": "string"}, *({"$ref": "#/$defs/a"},) * 50]}}}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        deep = {"anyOf": [deep] * 10}
    began = time.monotonic()
    assert allowed_types({"$ref": "#/$defs/a"}, root) == {"string"} and allowed_types(deep, deep)
    assert time.monotonic() - began < 20
