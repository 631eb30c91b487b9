"""A cache of grammars for turns with tools: clients send the same tools with every request, and checking their schemas takes time."""

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
    """For one model. Least recently used entries are dropped."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._grammars: OrderedDict[str, str] = OrderedDict()
        self._checked: OrderedDict[str, None] = OrderedDict()
        self._relaxed: OrderedDict[str, str] = OrderedDict()

    async def turn_grammar(self, constraint: CallConstraint, answer: Grammar | None, lenient: Container[str]) -> str:
        """The grammar in Lark syntax, of calls or, with `answer`, of either calls or such an answer. `lenient`: names of tools that may
        take any object if their schema cannot be enforced; raises UnusableSchema for other tools. A new grammar takes about a
        millisecond per tool, in a thread."""
        key = _key(constraint, answer)
        found = self._grammars.get(key) or await asyncio.to_thread(self._build, constraint, answer, lenient)
        return _remember(self._grammars, key, found, MAX_GRAMMARS)

    async def answer_grammar(self, answer: Grammar | None) -> Grammar | None:
        """`answer`, without what cannot be enforced if it is a lenient schema."""
        if not (isinstance(answer, JsonSchema) and answer.lenient):
            return answer
        found = self._relaxed.get(answer.schema) or await asyncio.to_thread(_relax_json, answer.schema)
        return replace(answer, schema=_remember(self._relaxed, answer.schema, found, MAX_GRAMMARS))

    async def check_tools(self, tools: Sequence[Tool]) -> None:
        """Raises UnusableSchema. To be called before tools are rendered: templates do not expect invalid schemas."""
        for tool in tools:
            key = json.dumps([tool.parameters, tool.strict], default=dict)
            if key not in self._checked:
                await asyncio.to_thread(lark.check_tool, tool)
            _remember(self._checked, key, None, MAX_CHECKED_SCHEMAS)

    def _build(self, constraint: CallConstraint, answer: Grammar | None, lenient: Container[str]) -> str:
        while True:
            try:
                calls = self._tokenizer.dialect.grammar(constraint, self._tokenizer.special_token_id)
                return calls if answer is None else call_or_answer(calls, answer)
            except UnusableSchema as error:
                relaxed = error.tool if error.tool in lenient else None
                tools = [replace(tool, parameters=ANY_OBJECT) if tool.name == relaxed else tool for tool in constraint.tools]
                if tools == list(constraint.tools):
                    raise
                constraint = replace(constraint, tools=tools)


def _remember(cache: OrderedDict[str, T], key: str, value: T, max_entries: int) -> T:
    """Stores `value` as the most recently used entry and returns it."""
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > max_entries:
        cache.popitem(last=False)
    return value


def _relax_json(schema: str) -> str:
    return json.dumps(relax_schema(json.loads(schema)))


def _key(constraint: CallConstraint, answer: Grammar | None) -> str:
    tools = [(tool.name, tool.parameters, tool.strict) for tool in constraint.tools]
    choice = list(constraint.tool_choice.names) if isinstance(constraint.tool_choice, NamedTools) else constraint.tool_choice
    return json.dumps([tools, choice, constraint.parallel, constraint.in_reasoning, constraint.has_reasoning, repr(answer)], default=dict)
