"""Grammars of turns: a call or a form, and text that is no call. Held to what llguidance accepts."""

import asyncio
import json
from dataclasses import replace
from functools import cache

import pytest
from llguidance import LLMatcher, LLTokenizer

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.chat import tool_suppression
from server.core.messages import Assistant, Tool, ToolCall, ToolResult, User
from server.text.grammars.cache import GrammarCache
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.api import CallConstraint
from tests.server.fakes import calling, text, tool_text

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
COUNT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = Tool(name="weather", description="", parameters=CITY)
CALLING = CallConstraint(tools=(TOOL,), tool_choice="required", parallel=False)
CALL = calling("weather", '{"city": "Rome"}')
TEXT, LEARNED = text(), tool_text()


@cache
def _tokenizer() -> LLTokenizer:
    return LLTokenizer("byte")


def source(constraint: CallConstraint, answer: Grammar | None, lenient: tuple[str, ...] = ()) -> str:
    return asyncio.run(GrammarCache(TEXT).turn_grammar(constraint, answer, lenient))


def accepts(grammar: str, words: str) -> bool:
    assert not LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(grammar)), grammar
    matcher = LLMatcher(_tokenizer(), LLMatcher.grammar_from_lark(grammar))
    return matcher.consume_tokens(_tokenizer().tokenize_str(words)) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("answer", "fits", "not_fits"),
    [
        (JsonSchema(schema=json.dumps(COUNT)), '{"a": 1}', '{"a": "b"}'),
        (JsonObject(), '{"x": [1, 2]}', "[1]"),
        (Regex(pattern="[a-z]+/\\d+"), "ab/12", "ab12"),
        (Choice(options=("yes", 'say "no"')), 'say "no"', "perhaps"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_call_or_a_form(answer: Grammar, fits: str, not_fits: str) -> None:
    combined = source(CALLING, answer)
    assert accepts(combined, fits) and accepts(combined, CALL)
    assert not accepts(combined, not_fits) and not accepts(combined, "Hello.")
    assert not accepts(combined, calling("weather", '{"city": 5}'))


def test_tools_are_remembered_by_all_that_matters() -> None:
    async def all() -> None:
        grammars = GrammarCache(TEXT)
        first = await grammars.turn_grammar(CALLING, None, ())
        assert await grammars.turn_grammar(CALLING, None, ()) is first
        other = replace(CALLING, tools=(replace(TOOL, parameters={"type": "object"}),))
        for constraint, answer in ((other, None), (CALLING, JsonObject()), (replace(CALLING, tool_choice="auto"), None)):
            assert await grammars.turn_grammar(constraint, answer, ()) != first

    asyncio.run(all())


def test_a_servers_strange_schema_does_not_spoil_the_others() -> None:
    strange = Tool(name="odd", description="", parameters={"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}})
    lenient = source(replace(CALLING, tools=(TOOL, strange)), None, ("odd",))
    assert accepts(lenient, calling("odd", '{"a": 1}')) and not accepts(lenient, calling("weather", '{"a": 1}'))


def test_text_that_is_no_call() -> None:
    grammar = tool_suppression.no_calls_grammar(TEXT)
    assert isinstance(grammar, Lark)
    assert accepts(grammar.source, "It is warm, 3 < 4.") and not accepts(grammar.source, f"Well. {CALL}")
    assert not accepts(grammar.source, "<tool_call_message>")
    assert (
        tool_suppression.no_calls_grammar(LEARNED) is None
        and len(tool_suppression.marker_bias(LEARNED)) == 2
        and not tool_suppression.marker_bias(TEXT)
    )


@pytest.mark.parametrize(("model", "added"), [(TEXT, 1), (LEARNED, 0)])
def test_the_question_is_said_again_to_those_that_forget_it(model: ChatTokenizer, added: int) -> None:
    call = ToolCall(id="1", name="weather", arguments="{}")
    messages = [User(text="Warm?"), Assistant(tool_calls=(call,)), ToolResult(call_id="1", name="weather", text="30")]
    assert len(tool_suppression.with_question_repeated(model, messages)) == len(messages) + added
    assert tool_suppression.with_question_repeated(model, messages[:1]) == messages[:1]
