"""Grammars of turns with tools, remembered: clients send the same tools again and again, and each of their schemas is checked."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TypeVar

from engine.api import Grammar, JsonSchema
from server.core.messages import Json, NamedTools, Tool
from server.text.grammar_union import call_or_answer
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar import lark
from server.text.tool_calls.grammar.relax_schema import relax_schema

MAX_GRAMMARS = 64
MAX_CHECKED_SCHEMAS = 1024  # schemas
ANY_OBJECT: Json = {"type": "object"}
T = TypeVar("T")


class GrammarCache:
    """For one model."""

    def __init__(self, text: ChatTokenizer) -> None:
        self._text = text
        self._known: OrderedDict[str, str] = OrderedDict()
        self._usable: OrderedDict[str, None] = OrderedDict()
        self._forms: OrderedDict[str, str] = OrderedDict()

    async def turn_grammar(self, constraint: CallConstraint, answer: Grammar | None, lenient: Container[str]) -> str:
        """In Lark syntax. With `form`: a call, or an answer of that form. `loose`: tools of which any object will do where their
        schema cannot be enforced. Raises UnusableSchema for others. A new one takes a millisecond for each tool, in a thread."""
        key = _key(constraint, answer)
        found = self._known.get(key) or await asyncio.to_thread(self._build, constraint, answer, lenient)
        return _remember(self._known, key, found, MAX_GRAMMARS)

    async def answer_grammar(self, answer: Grammar | None) -> Grammar | None:
        """An answer's form as it can be enforced, where it need not be enforced as a whole."""
        if not (isinstance(answer, JsonSchema) and answer.lenient):
            return answer
        found = self._forms.get(answer.schema) or await asyncio.to_thread(_relax_json, answer.schema)
        return replace(answer, schema=_remember(self._forms, answer.schema, found, MAX_GRAMMARS))

    async def check_tools(self, tools: Sequence[Tool]) -> None:
        """Raises UnusableSchema. For before templates get to see them: these trust a schema to be one."""
        for tool in tools:
            key = json.dumps([tool.parameters, tool.strict], default=dict)
            if key not in self._usable:
                await asyncio.to_thread(lark.check_tool, tool)
            _remember(self._usable, key, None, MAX_CHECKED_SCHEMAS)

    def _build(self, calling: CallConstraint, form: Grammar | None, loose: Container[str]) -> str:
        while True:
            try:
                calls = self._text.dialect.grammar(calling, self._text.special_token_id)
                return calls if form is None else call_or_answer(calls, form)
            except UnusableSchema as error:
                easier = [replace(t, parameters=ANY_OBJECT) if t.name == error.tool and t.name in loose else t for t in calling.tools]
                if easier == list(calling.tools):
                    raise
                calling = replace(calling, tools=easier)


def _remember(kept: OrderedDict[str, T], key: str, value: T, most: int) -> T:
    """`value`, which is remembered now until `most` others have been."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return value


def _relax_json(schema: str) -> str:
    return json.dumps(relax_schema(json.loads(schema)))


def _key(calling: CallConstraint, form: Grammar | None) -> str:
    tools = [(tool.name, tool.parameters, tool.strict) for tool in calling.tools]
    choice = list(calling.tool_choice.names) if isinstance(calling.tool_choice, NamedTools) else calling.tool_choice
    return json.dumps([tools, choice, calling.parallel, calling.in_reasoning, calling.has_reasoning, repr(form)], default=dict)
